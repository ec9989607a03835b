//! ring is this process's crypto provider.

use std::sync::{Arc, Once};

use bigcommerce_ext::reqwest::{Certificate, ClientBuilder};
use bigcommerce_ext::{ErrorKind, Store};
use futures::TryStreamExt;
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const BODY: &str = r#"{"data":[{"id":1,"customer_id":2048,"attribute_id":101,"attribute_value":"Gold"}],
    "meta":{"pagination":{"total":1,"count":1,"per_page":250,"current_page":1,"total_pages":1}}}"#;

fn install_ring() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .expect("the first provider of this process");
    });
}

/// Returns the certificate of a server on localhost, and the settings of the server.
fn self_signed() -> (Certificate, ServerConfig) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("a usable certificate");
    let root = Certificate::from_der(cert.der()).expect("a certificate");
    (root, tls)
}

#[tokio::test]
async fn values_are_listed_over_tls() {
    install_ring();
    let (root, tls) = self_signed();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let mut stream = acceptor.accept(stream).await.expect("a handshake");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let received = stream.read_buf(&mut request).await.expect("a request");
            assert_ne!(received, 0, "the request is incomplete");
        }
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{BODY}",
            BODY.len()
        );
        stream
            .write_all(response.as_bytes())
            .await
            .expect("a response");
        stream.shutdown().await.expect("a closed connection");
    });

    let store = Store::builder_with_base_url(format!("https://localhost:{port}/v3"), "any token")
        .http(ClientBuilder::new().tls_certs_only([root]))
        .build()
        .expect("a store");
    let values: Vec<_> = store.list().stream().try_collect().await.expect("a list");
    assert_eq!(values.len(), 1);
}

#[tokio::test]
async fn item_9_an_untrusted_certificate_stops_a_run_at_once() {
    install_ring();
    let (_, tls) = self_signed();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        while let Ok((stream, _)) = listener.accept().await {
            assert!(
                acceptor.accept(stream).await.is_err(),
                "the client ends the handshake"
            );
        }
    });
    let (other_root, _) = self_signed();
    let store = Store::builder_with_base_url(format!("https://localhost:{port}/v3"), "any token")
        .http(ClientBuilder::new().tls_certs_only([other_root]))
        .build()
        .expect("a store");
    let upsert = store.upsert().customer(2048, [(101, "Gold")]);
    let report = upsert.send().await.expect("a report");
    assert_eq!(report.summary().not_sent, 1);
    let error = report.stopped_by().expect("an error");
    assert_eq!(error.kind(), ErrorKind::Tls);
    let text = error.to_string();
    assert!(
        text.contains("certificate") && text.contains("localhost"),
        "{text}"
    );
}

#[test]
fn a_store_with_default_settings_is_built() {
    install_ring();
    let store = Store::builder("abc123", "any token").build();
    assert!(store.is_ok(), "{store:?}");
}
