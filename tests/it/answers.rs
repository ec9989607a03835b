//! What `docs/answers.md` says, where no other test checks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bigcommerce_ext::reqwest::{Certificate, ClientBuilder, Proxy};
use bigcommerce_ext::{Store, UpsertRow};
use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::support::tls::self_signed;
use crate::support::{TOKEN, store};

#[derive(Debug)]
struct Record {
    id: u64,
    failed: AtomicBool,
}

#[tokio::test(start_paused = true)]
async fn a_record_of_several_rows_is_committed_with_the_last_of_them() {
    let plan = FaultPlan::seeded(3)
        .rate(0.2)
        .only([Fault::Busy, Fault::InternalError]);
    let sandbox = Sandbox::builder()
        .faults(plan)
        .start()
        .await
        .expect("a sandbox");
    let store = store(sandbox.base_url());
    let rows = (0..200_u64).flat_map(|id| {
        let record = Arc::new(Record {
            id,
            failed: AtomicBool::new(false),
        });
        (101..=103).map(move |attribute| {
            let customer = i64::try_from(id % 90 + 1).expect("small");
            UpsertRow::new(customer, attribute, id).with_payload(Arc::clone(&record))
        })
    });
    // The run is stopped before its end.
    let run = store
        .upsert()
        .window(100)
        .stop_when(sleep(Duration::from_secs(3)));
    let mut outcomes = run.stream(
        stream::iter(rows)
            .then(|row| async move {
                sleep(Duration::from_millis(7)).await;
                row
            })
            .boxed(),
    );
    let mut committed = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        let failed = outcome.is_retryable();
        let record = outcome.into_payload().expect("a record");
        record.failed.fetch_or(failed, Ordering::Relaxed);
        if let Some(record) = Arc::into_inner(record)
            && !record.failed.into_inner()
        {
            committed.push(record.id);
        }
    }
    assert!(outcomes.stopped_by().is_some());
    assert!((10..200).contains(&committed.len()), "{}", committed.len());
    // Each committed record is in the store, or a later one of its customer is.
    for id in committed {
        for attribute in 101..=103 {
            let customer = i64::try_from(id % 90 + 1).expect("small");
            let value = sandbox.value(customer, attribute).expect("a value").value;
            let stored: u64 = value.parse().expect("a number");
            assert!(stored >= id && stored % 90 == id % 90, "{id}: {stored}");
        }
    }
}

const BODY: &str = r#"{"data":[{"id":1,"customer_id":2048,"attribute_id":101,"attribute_value":"Gold"}],
    "meta":{"pagination":{"total":1,"count":1,"per_page":250,"current_page":1,"total_pages":1}}}"#;

async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.expect("bytes"), 0);
    }
    String::from_utf8(head).expect("UTF-8")
}

/// A TLS server for `store.example`, and the certificate that its clients must trust.
async fn tls_server() -> (u16, Certificate) {
    let (root, tls) = self_signed("store.example");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            read_head(&mut stream).await;
            let response = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{BODY}",
                BODY.len()
            );
            stream.write_all(response.as_bytes()).await.expect("sent");
            let _ = stream.shutdown().await;
        }
    });
    (port, root)
}

/// A proxy that wants a password, and connects every host to one port.
async fn proxy(target: u16, tunnels: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let head = read_head(&mut client).await;
            assert!(head.starts_with("CONNECT store.example:443 "), "{head}");
            // user:p4ss
            assert!(head.to_lowercase().contains("basic dxnlcjpwnhnz"), "{head}");
            let mut server = TcpStream::connect(("127.0.0.1", target))
                .await
                .expect("a server");
            client
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
                .await
                .expect("sent");
            tunnels.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    port
}

#[test]
fn a_synchronous_program_behind_a_proxy_with_its_own_ca() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    let tunnels = Arc::new(AtomicUsize::new(0));
    let (proxy, root) = runtime.block_on(async {
        let (target, root) = tls_server().await;
        (proxy(target, Arc::clone(&tunnels)).await, root)
    });
    let proxy = Proxy::https(format!("http://user:p4ss@127.0.0.1:{proxy}")).expect("a proxy");
    let http = ClientBuilder::new().proxy(proxy).tls_certs_merge([root]);
    let store = Store::builder_with_base_url("https://store.example/stores/abc123/v3", TOKEN);
    let store = store.http(http).build().expect("a store");
    let listed = store.list().stream().try_collect::<Vec<_>>();
    let listed = runtime.block_on(listed).expect("a list");
    assert_eq!(listed.len(), 1);
    assert!(tunnels.load(Ordering::Relaxed) >= 1);
}
