//! The sandbox as a program.

use std::process::Stdio;

use hyper::Method;
use hyper::header::HeaderValue;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::{PATH, get, get_attributes, get_customers, put, request, row, send};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bigcommerce-sandbox"));
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn interrupt(server: &Child, signal: &str) {
    let pid = server.id().unwrap().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().await;
    assert!(sent.unwrap().success());
}

async fn serves_until(signal: &str) {
    let mut server = program()
        .args(["--port", "0", "--store-hash", "abc", "--token", "secret"])
        .args(["--latency=1ms", "--quota", "150/30s"])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut base_url = String::new();
    out.read_line(&mut base_url).await.unwrap();
    let base_url = base_url.trim_end();
    assert!(base_url.starts_with("http://127.0.0.1:"), "{base_url}");
    assert!(base_url.ends_with("/stores/abc/v3"), "{base_url}");

    let rows = json!([row(1, 1, "v"), row(1, 2, "v"), row(2, 1, "v")]);
    let mut request = request(Method::PUT, &format!("{base_url}{PATH}"), rows.to_string());
    let token = HeaderValue::from_static("secret");
    request.headers_mut().insert("X-Auth-Token", token);
    let response = send(request).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.rate_limit("Requests-Left"), Some(149));

    interrupt(&server, signal).await;
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    let counts = "1 requests (1 PUT, 0 GET, 0 DELETE), peak in flight 1, 0 429 responses, \
                  largest batch 2 customers / 3 rows, 3 values stored\n";
    assert_eq!(rest, counts);
    assert!(server.wait().await.unwrap().success());
    let mut errors = String::new();
    let mut stderr = server.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).await.unwrap();
    assert_eq!(errors, "");
}

#[tokio::test]
async fn an_interrupt_prints_the_counts() {
    serves_until("-INT").await;
}

#[tokio::test]
async fn the_fault_options_are_applied() {
    let mut server = program()
        .args(["--port", "0", "--faults", "seed=7,rate=1,only=busy"])
        .args(["--quota=150/30s", "--other-app", "0.3"])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut base_url = String::new();
    out.read_line(&mut base_url).await.unwrap();
    assert_eq!(get(base_url.trim_end(), "").await.status, 429);
    interrupt(&server, "-INT").await;
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("0 values stored, 1 faults\n"), "{rest}");
    assert!(server.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_store_options_are_applied() {
    let mut server = program()
        .args(["--port", "0", "--read-only", "--attribute", "Loyalty tier"])
        .args([
            "--attribute=Points=number",
            "--attribute",
            "Last order=date",
        ])
        .args(["--list-order=newest", "--list-meta=no-totals"])
        .args(["--page-limit=2", "--limit-too-large=clamp"])
        .args(["--ignore-filters", "--url-limit", "100"])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut base_url = String::new();
    out.read_line(&mut base_url).await.unwrap();
    let base_url = base_url.trim_end();

    let listed = get_attributes(base_url, "limit=9&color=blue").await;
    let attributes = listed.json()["data"].clone();
    let expected = [(101, "Loyalty tier", "string"), (102, "Points", "number")];
    for (index, (id, name, attribute_type)) in expected.into_iter().enumerate() {
        let attribute = &attributes[index];
        assert_eq!(
            (&attribute["id"], &attribute["name"]),
            (&json!(id), &json!(name))
        );
        assert_eq!(attribute["type"], attribute_type);
    }
    assert_eq!(listed.column("id").len(), 2);
    assert_eq!(listed.pagination("total"), json!(null));
    assert_eq!(get_attributes(base_url, "page=2").await.column("id"), [103]);
    assert_eq!(put(base_url, json!([row(1, 101, "v")])).await.status, 403);
    assert_eq!(get(base_url, &"x".repeat(100)).await.status, 414);
    interrupt(&server, "-INT").await;
    assert!(server.wait().await.unwrap().success());
}

#[tokio::test]
async fn rows_with_undefined_attributes_are_rejected_if_any_is_defined() {
    let (define, accept) = ("--attribute=Tier", "--undefined-attributes=accept");
    let reject = "--undefined-attributes=reject";
    for (args, status) in [
        (&[][..], 200),
        (&[define], 422),
        (&[accept, define], 200),
        (&[reject], 422),
    ] {
        let mut server = program().args(["--port", "0"]).args(args).spawn().unwrap();
        let mut out = BufReader::new(server.stdout.take().unwrap());
        let mut base_url = String::new();
        out.read_line(&mut base_url).await.unwrap();
        let response = put(base_url.trim_end(), json!([row(1, 999, "v")])).await;
        assert_eq!(response.status, status, "{args:?}");
    }
}

#[tokio::test]
async fn the_options_of_extra_fields_are_applied() {
    let mut server = program()
        .args(["--port", "0", "--extra-field", "channel_id"])
        .args(["--extra-field=source", "--extra-filter=channel_id"])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut base_url = String::new();
    out.read_line(&mut base_url).await.unwrap();
    let base_url = base_url.trim_end();
    let mut rows = json!([row(1, 1, "v"), row(2, 1, "v")]);
    rows[0]["channel_id"] = json!(7);
    rows[1]["source"] = json!("crm");
    let stored = put(base_url, rows).await;
    assert_eq!(stored.json()["data"][1]["source"], "crm");
    let listed = get(base_url, "channel_id=7").await;
    assert_eq!(listed.column("customer_id"), [1]);
    interrupt(&server, "-INT").await;
    assert!(server.wait().await.unwrap().success());

    let failed = program()
        .args(["--port", "0", "--extra-filter=source"])
        .output();
    let failed = failed.await.unwrap();
    assert!(!failed.status.success());
    let errors = String::from_utf8(failed.stderr).unwrap();
    assert!(
        errors.contains("there is no extra field \"source\""),
        "{errors}"
    );
}

#[tokio::test]
async fn the_data_set_comes_before_attributes_of_the_options() {
    let mut server = program()
        .args(["--port", "0", "--attribute=Tier", "--cdnow"])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut base_url = String::new();
    out.read_line(&mut base_url).await.unwrap();
    let base_url = base_url.trim_end();
    let attributes = get_attributes(base_url, "").await;
    assert_eq!(attributes.column("id"), [101, 102, 103, 104]);
    assert_eq!(get(base_url, "").await.pagination("total"), json!(7059));
    let stored = put(base_url, json!([row(1, 104, "Gold")])).await;
    assert_eq!(stored.status, 200);
    assert_eq!(put(base_url, json!([row(1, 105, "v")])).await.status, 422);
}

#[tokio::test]
async fn the_customer_options_are_applied() {
    let mut server = program()
        .args(["--port", "0", "--customer", "7=Jane@example.com"])
        .args(["--customer=9/1+2=a,b@example.com"])
        .args(["--email-split", "raw", "--email-case", "--cursors=ignore"])
        .args(["--ignore-filter", "customer_group_id:in"])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut base_url = String::new();
    out.read_line(&mut base_url).await.unwrap();
    let base_url = base_url.trim_end();
    for (query, expected) in [
        ("customer_group_id:in=3&after=x", &[7, 9][..]),
        ("email:in=Jane@example.com", &[7]),
        ("email:in=jane@example.com", &[]),
        ("email:in=a%2Cb@example.com", &[9]),
    ] {
        let response = get_customers(base_url, query).await;
        assert_eq!(response.column("id"), expected, "{query}");
        assert_eq!(response.json()["meta"]["cursor_pagination"], json!(null));
    }
    let customers = get_customers(base_url, "").await.json();
    assert_eq!(customers["data"][0]["channel_ids"], json!(null));
    assert_eq!(customers["data"][1]["channel_ids"], json!([1, 2]));
    interrupt(&server, "-INT").await;
    assert!(server.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_termination_signal_prints_the_counts() {
    serves_until("-TERM").await;
}

#[tokio::test]
async fn invalid_arguments_are_reported_in_one_line() {
    for args in [
        &["--prot", "1"][..],
        &["--quota", "150"],
        &["--faults", "rate=0.1"],
        &["--faults", "seed=1,only=secret"],
        &["--other-app", "2"],
        &["secret"],
    ] {
        let output = program().args(args).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(!errors.contains("secret"), "{errors}");
    }
}

#[tokio::test]
async fn help_lists_the_options() {
    let output = program().arg("--help").output().await.unwrap();
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("--quota N/TIME")
    );
}
