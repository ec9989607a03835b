//! Certificates for servers on loopback.

use bigcommerce_ext::reqwest::Certificate;
use rcgen::CertifiedKey;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// Returns a certificate for a host, and the settings of a server that has it.
pub fn self_signed(host: &str) -> (Certificate, ServerConfig) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([host.to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("a usable certificate");
    let root = Certificate::from_der(cert.der()).expect("a certificate");
    (root, tls)
}
