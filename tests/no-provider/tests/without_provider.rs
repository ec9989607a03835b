//! No crypto provider is installed in this process.

use std::error::Error;
use std::sync::Arc;

use bigcommerce_ext::reqwest::ClientBuilder;
use bigcommerce_ext::sdk::{Client, Credentials};
use bigcommerce_ext::{ErrorKind, Store};
use rustls::{ClientConfig, RootCertStore};

fn assert_says_what_to_do(error: &dyn Error) {
    let message = error.to_string();
    for expected in [
        "rustls has no crypto provider",
        "rustls::crypto::ring::default_provider().install_default()",
        "enable the feature \"rustls\"",
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn store_build_returns_an_error() {
    let error = Store::builder("abc123", "any token")
        .build()
        .expect_err("no provider");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_says_what_to_do(&error);
}

#[test]
fn store_build_with_other_http_settings_returns_an_error() {
    let builder = Store::builder("abc123", "any token").http(ClientBuilder::new());
    assert_says_what_to_do(&builder.build().expect_err("no provider"));
}

#[test]
fn the_sdk_client_returns_an_error() {
    let credentials = Credentials::new("any token").expect("a token");
    let client = Client::new("https://api.bigcommerce.com/stores/abc123/v3", credentials);
    assert_says_what_to_do(&client.expect_err("no provider"));
}

#[test]
fn a_builder_with_a_provider_of_its_own_needs_no_installed_one() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that ring supports")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let http = ClientBuilder::new().tls_backend_preconfigured(tls);
    let store = Store::builder("abc123", "any token").http(http).build();
    assert!(store.is_ok(), "{store:?}");
}
