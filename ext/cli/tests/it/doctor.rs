//! The command `doctor`.

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox, SandboxBuilder};

use crate::scripted_server::{Request, Response, ScriptedServer};
use crate::support::{Ended, Server, program, run};

const TOKEN: &str = "ok    token       it is accepted";
const READ: &str = "\
ok    values      they can be read
ok    attributes  they can be read
ok    customers   they can be read, and looked up by e-mail address";
const MODIFY: &str = "ok    modify      values may be stored, as far as an empty list shows: it was \
                      refused for being empty";
const NO_QUOTA: &str = "?     quota       the store shows none; at most 3 requests are in flight";

fn doctor(url: &str) -> Ended {
    run(["doctor", "--url", url])
}

/// Returns what a healthy store shows, up to the latency.
fn healthy(store: &str, modify: &str, quota: &str) -> String {
    format!("ok    store       {store}\n{TOKEN}\n{READ}\n{modify}\n{quota}\n")
}

/// Returns the lines of the latency and the clock, with the figures replaced.
fn last_lines(stdout: &str) -> (String, String) {
    let mut lines = stdout.lines().rev();
    let (clock, latency) = (lines.next(), lines.next());
    let latency = latency.unwrap_or_default();
    let latency = latency.replace(|c: char| c.is_ascii_digit(), "N");
    let latency = latency.replace("NN", "N").replace("NN", "N");
    (latency, clock.unwrap_or_default().to_owned())
}

/// Replaces the time that is left of the quota's window.
fn without_seconds(stdout: &str) -> String {
    let (before, after) = stdout.split_once("are left for ").expect("a quota");
    let (_, after) = after.split_once(" s;").expect("seconds");
    format!("{before}are left for N s;{after}")
}

fn server(builder: SandboxBuilder) -> Server {
    Server::start(builder.cdnow())
}

#[test]
fn a_healthy_store_is_told_line_by_line() {
    let ended = run(["doctor", "--sandbox"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let expected = healthy("sandbox", MODIFY, NO_QUOTA);
    assert!(ended.stdout.starts_with(&expected), "{}", ended.stdout);
    let (latency, clock) = last_lines(&ended.stdout);
    assert_eq!(
        latency,
        "ok    latency     N ms per request, the median of N"
    );
    assert_eq!(
        clock,
        "ok    clock       it agrees with the store's to a minute"
    );
}

#[test]
fn the_checks_are_json_lines_on_demand() {
    let ended = run(["doctor", "--sandbox", "--json"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let lines = ended.stdout.lines().map(|line| {
        let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| json[name].as_str().expect("text").to_owned();
        (text("check"), text("grade"))
    });
    let expected = [
        ("store", "ok"),
        ("token", "ok"),
        ("values", "ok"),
        ("attributes", "ok"),
        ("customers", "ok"),
        ("modify", "ok"),
        ("quota", "unknown"),
        ("latency", "ok"),
        ("clock", "ok"),
    ];
    let expected = expected.map(|(check, grade)| (check.to_owned(), grade.to_owned()));
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

#[test]
fn a_token_that_may_only_read_is_a_warning() {
    let server = server(
        Sandbox::builder()
            .read_only()
            .quota(10, Duration::from_secs(30)),
    );
    let ended = doctor(server.url());
    assert_eq!((ended.status, ended.stderr.as_str()), (1, ""));
    let modify = "warn  modify      values must not be stored (403): to import, sync or delete, give \
                  the API account the OAuth scope Customers, modify (store_v2_customers)";
    let quota = "ok    quota       7 of 10 requests are left for N s; at most 3 are in flight";
    let expected = healthy(server.url(), modify, quota);
    let stdout = without_seconds(&ended.stdout);
    assert!(stdout.starts_with(&expected), "{stdout}");
    assert_eq!(server.sandbox.counts().values, 7059);
}

#[test]
fn a_wrong_token_ends_the_checks_with_its_status() {
    let server = server(Sandbox::builder().token("right"));
    let mut program = program(["doctor", "--url", server.url()]);
    let output = program.env("BIGCOMMERCE_ACCESS_TOKEN", "wrong").output();
    let ended: Ended = output.expect("the program runs").into();
    assert_eq!((ended.status, ended.stderr.as_str()), (3, ""));
    let url = server.url();
    assert_eq!(
        ended.stdout,
        format!(
            "ok    store       {url}\nfail  token       GET /customers/attribute-values returned 401 \
             (X-Auth-Token is missing or invalid): the access token was not accepted: check that it \
             is complete, not revoked, and belongs to this store\n"
        )
    );
}

#[test]
fn a_store_that_can_not_be_reached_ends_the_checks_with_its_status() {
    // Nothing listens on port 1.
    let ended = doctor("http://127.0.0.1:1/stores/abc/v3");
    assert_eq!(ended.status, 5);
    let last = ended.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("fail  reach "), "{ended:?}");
    assert!(
        last.contains("127.0.0.1:1 refused the connection"),
        "{ended:?}"
    );
    let server = server(Sandbox::builder());
    let ended = doctor(&server.url().replace("/sandbox/", "/sandbx/"));
    assert_eq!(ended.status, 5);
    assert!(
        ended
            .stdout
            .contains("check the store hash or the base URL"),
        "{ended:?}"
    );
}

/// What a store answers to a list.
const LIST: &str = r#"{"data": [], "meta": {"pagination": {"total": 0, "count": 0, "per_page": 50,
    "current_page": 1, "total_pages": 0}}}"#;

#[test]
fn a_quota_that_is_nearly_spent_is_a_warning() {
    for (left, line) in [
        (
            50,
            "ok    quota       50 of 100 requests are left for N s; at most 3 are in flight\n",
        ),
        (
            9,
            "warn  quota       9 of 100 requests are left for N s; at most 3 are in flight: other apps \
             use it up: run at another time, or leave them a share with reserve_quota\n",
        ),
    ] {
        let server = ScriptedServer::start(move |_: &Request| {
            Response::new(200, LIST)
                .header("X-Rate-Limit-Requests-Quota", "100")
                .header("X-Rate-Limit-Requests-Left", &left.to_string())
                .header("X-Rate-Limit-Time-Window-Ms", "30000")
                .header("X-Rate-Limit-Time-Reset-Ms", "20000")
        });
        let ended = doctor(&server.url);
        let stdout = without_seconds(&ended.stdout);
        assert!(stdout.contains(line), "{stdout}");
        assert_eq!(ended.status, i32::from(left < 10));
    }
}

#[test]
fn a_part_that_must_not_be_read_is_refused_access() {
    let server = ScriptedServer::start(|request: &Request| match request.path.as_str() {
        path if path.contains("/customers/attribute") => Response::new(200, LIST),
        _ => Response::new(403, "{}"),
    });
    let ended = doctor(&server.url);
    assert_eq!(ended.status, 3);
    let line = ended
        .stdout
        .lines()
        .find(|line| line.contains(" customers "));
    assert_eq!(
        line,
        Some(
            "fail  customers   they must not be read (403): give the API account the OAuth scope \
             Customers, read-only or modify (store_v2_customers_read_only or store_v2_customers)"
        )
    );
    let refused = ScriptedServer::start(|_: &Request| Response::new(403, "{}"));
    let ended = doctor(&refused.url);
    assert_eq!(ended.status, 3);
    assert!(ended.stdout.contains(TOKEN), "{ended:?}");
    assert_eq!(
        ended.stdout.matches("they must not be read (403)").count(),
        3
    );
}

#[test]
fn an_odd_response_to_the_empty_list_shows_nothing() {
    for (status, line) in [
        (200, "ok    modify      values may be stored\n"),
        (400, MODIFY),
        (403, "warn  modify      values must not be stored (403)"),
        (
            404,
            "?     modify      an empty list doesn't show whether values may be stored: ",
        ),
        (
            501,
            "?     modify      an empty list doesn't show whether values may be stored: ",
        ),
    ] {
        let server =
            ScriptedServer::start(move |request: &Request| match request.method.as_str() {
                "PUT" => Response::new(status, LIST),
                _ => Response::new(200, LIST),
            });
        let ended = doctor(&server.url);
        assert!(ended.stdout.contains(line), "{status}: {ended:?}");
        assert_eq!(ended.status, i32::from(status == 403), "{status}");
    }
}

#[test]
fn a_clock_that_differs_is_a_warning() {
    let server = ScriptedServer::start(|_: &Request| {
        Response::new(200, LIST).header("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
    });
    let ended = doctor(&server.url);
    assert_eq!(ended.status, 1);
    let (_, clock) = last_lines(&ended.stdout);
    assert!(
        clock.starts_with("warn  clock       this machine is "),
        "{clock}"
    );
    assert!(
        clock.contains(" s ahead of the store: set its clock"),
        "{clock}"
    );

    let server = ScriptedServer::start(|_: &Request| Response::new(200, LIST));
    let ended = doctor(&server.url);
    assert_eq!(ended.status, 0);
    let (_, clock) = last_lines(&ended.stdout);
    assert_eq!(
        clock,
        "?     clock       the store's responses have no date to compare with"
    );
    let requests = server.requests();
    let agent = concat!(
        "user-agent: bigcommerce-attributes/",
        env!("CARGO_PKG_VERSION")
    );
    assert!(
        requests
            .iter()
            .all(|request| request.headers.contains(agent)),
        "{requests:?}"
    );
    assert_eq!(requests.len(), 4);
}

#[test]
fn a_store_that_fails_once_is_asked_again() {
    let plan = FaultPlan::script([Some(Fault::Unavailable)]);
    let server = server(Sandbox::builder().faults(plan));
    let ended = doctor(server.url());
    assert_eq!(ended.status, 0);
    assert_eq!(server.sandbox.counts().requests, 5);
}

#[test]
fn a_redis_that_can_not_be_reached_is_told_with_what_follows() {
    let ended = run(["doctor", "--sandbox", "--redis", "redis://127.0.0.1:1"]);
    assert_eq!(ended.status, 1);
    let line = ended.stdout.lines().nth(1);
    assert_eq!(
        line,
        Some(
            "fail  redis       the limits are not shared: Redis at 127.0.0.1:1 refused the connection: \
             check that it runs, and the URL: until they are, each process sends one request at a time"
        )
    );
}

#[cfg(unix)]
#[test]
fn a_redis_that_shares_the_limits_is_told() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let socket = folder.path().join("redis.sock");
    let mut redis = Command::new("redis-server");
    redis
        .args(["--port", "0", "--save", "", "--unixsocket"])
        .arg(&socket);
    let Ok(mut redis) = redis
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
    else {
        assert!(
            env::var_os("BIGCOMMERCE_REQUIRE_REDIS").is_none(),
            "there is no redis-server"
        );
        return;
    };
    for _ in 0..1000 {
        if socket.exists() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let url = format!("redis+unix://{}", socket.display());
    let ended = run(["doctor", "--sandbox", "--redis", &url]);
    redis.kill().expect("it is killed");
    redis.wait().expect("it has ended");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let line = ended.stdout.lines().nth(1);
    assert_eq!(
        line,
        Some("ok    redis       the limits are shared: 0 requests in flight, 0 waiting")
    );
}
