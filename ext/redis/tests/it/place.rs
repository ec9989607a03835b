//! The place in Redis, by itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bigcommerce_ext::limiter::{LimiterPlace, Notice, PlaceError, PlaceReply, Swap};
use bigcommerce_ext_redis::RedisLimiter;
use futures::StreamExt;
use tokio::time::timeout;

use crate::support::RedisServer;

const KEY: &str = "limits:{a/b}";
const REDIS_KEY: &str = "bigcommerce:limits:{a/b}";

async fn connect(url: &str) -> RedisLimiter {
    RedisLimiter::connect(url).await.expect("a connection")
}

async fn swap(
    limiter: &RedisLimiter,
    expected: Option<&str>,
    new: &str,
) -> Result<PlaceReply, PlaceError> {
    limiter.swap(KEY, Swap::new(expected, new)).await
}

async fn value(limiter: &RedisLimiter) -> Option<String> {
    limiter.read(KEY).await.expect("a reply").value
}

#[tokio::test]
async fn a_value_is_replaced_only_if_it_is_the_expected_one() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let limiter = connect(&server.url()).await;
    assert_eq!(value(&limiter).await, None);
    let found = swap(&limiter, Some(""), "x").await.expect("a reply");
    assert!(!found.is_swapped && found.value.is_none());
    assert!(swap(&limiter, None, "").await.expect("a reply").is_swapped);
    // An empty value is a value.
    let found = swap(&limiter, None, "x").await.expect("a reply");
    assert_eq!(
        (found.is_swapped, found.value.as_deref()),
        (false, Some(""))
    );
    assert!(
        swap(&limiter, Some(""), "ä\r\n\0")
            .await
            .expect("a reply")
            .is_swapped
    );
    assert_eq!(value(&limiter).await.as_deref(), Some("ä\r\n\0"));
    let found = swap(&limiter, Some("ä\r\n"), "x").await.expect("a reply");
    assert!(!found.is_swapped);
    // The time is the server's.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    assert!(now.abs_diff(Duration::from_millis(found.now_ms)) < Duration::from_secs(5));
    // It expires.
    let ttl = server.command(&["PTTL", REDIS_KEY]).expect("a reply");
    let ttl: u64 = ttl
        .trim_start_matches(':')
        .trim()
        .parse()
        .expect("a number");
    assert!((590_000..=600_000).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn only_the_named_members_are_woken() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let limiter = connect(&server.url()).await;
    let (mut one, mut other) = (limiter.notices(KEY, 1), limiter.notices(KEY, 0xabc));
    assert_eq!(one.next().await, Some(Notice::Ready));
    assert_eq!(other.next().await, Some(Notice::Ready));
    let wake = async |expected, new, wake: &[u64]| {
        let mut swap = Swap::new(expected, new);
        swap.wake = wake;
        limiter.swap(KEY, swap).await.expect("a reply")
    };
    assert_eq!(wake(None, "first", &[0xabc]).await.wake_error, None);
    assert!(!wake(None, "refused", &[1]).await.is_swapped);
    assert!(wake(Some("first"), "second", &[1, 0xabc]).await.is_swapped);
    assert_eq!(one.next().await, Some(Notice::Woken("second".to_owned())));
    assert_eq!(other.next().await, Some(Notice::Woken("first".to_owned())));
    assert_eq!(other.next().await, Some(Notice::Woken("second".to_owned())));
    // They reconnect by themselves.
    server.kill();
    assert_eq!(one.next().await, Some(Notice::Lost));
    server.restart();
    assert_eq!(one.next().await, Some(Notice::Ready));
    // Its connection has broken, too.
    limiter.read(KEY).await.expect_err("a broken connection");
    assert!(wake(None, "third", &[1]).await.is_swapped);
    assert_eq!(one.next().await, Some(Notice::Woken("third".to_owned())));
}

#[tokio::test]
async fn it_goes_on_after_whatever_happens_to_the_server() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let limiter = connect(&server.url()).await;
    assert!(swap(&limiter, None, "1").await.expect("a reply").is_swapped);
    server.command(&["SCRIPT", "FLUSH"]);
    assert!(
        swap(&limiter, Some("1"), "2")
            .await
            .expect("a reply")
            .is_swapped
    );
    server.command(&["FLUSHALL"]);
    assert!(
        !swap(&limiter, Some("2"), "3")
            .await
            .expect("a reply")
            .is_swapped
    );
    assert!(swap(&limiter, None, "3").await.expect("a reply").is_swapped);
    server.save();
    server.kill();
    let error = swap(&limiter, Some("3"), "4").await.expect_err("no server");
    let error = match error.to_string().contains("refused") {
        true => error,
        // The first error may be about the connection that broke.
        false => swap(&limiter, Some("3"), "4").await.expect_err("no server"),
    };
    let expected = format!(
        "Redis at 127.0.0.1:{} refused the connection: check that it runs, and the URL",
        server.port()
    );
    assert_eq!(error.to_string(), expected);
    server.restart();
    assert_eq!(value(&limiter).await.as_deref(), Some("3"));
    // An operation that was dropped half-way leaves no reply for the next one.
    server.suspend(true);
    for _ in 0..3 {
        let swap = swap(&limiter, Some("3"), "late");
        assert!(timeout(Duration::from_millis(100), swap).await.is_err());
    }
    server.suspend(false);
    let reply = limiter.read(KEY).await.expect("a reply");
    assert!(
        reply
            .value
            .is_some_and(|value| value == "3" || value == "late")
    );
    assert!(!reply.is_swapped);
}

#[tokio::test]
async fn concurrent_swaps_lose_no_change() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let limiter = connect(&server.url()).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let mut known = None;
                for _ in 0..25 {
                    loop {
                        let number: u32 = known
                            .as_deref()
                            .map_or(0, |known: &str| known.parse().expect("a number"));
                        let new = (number + 1).to_string();
                        let reply = swap(&limiter, known.as_deref(), &new)
                            .await
                            .expect("a reply");
                        if reply.is_swapped {
                            known = Some(new);
                            break;
                        }
                        known = reply.value;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(value(&limiter).await.as_deref(), Some("200"));
}

#[tokio::test]
async fn errors_name_the_cause_and_no_password() {
    let Some(server) = RedisServer::start_with(&["--requirepass", "p4ss"]) else {
        return;
    };
    let port = server.port();
    let fails = async |url: String, expected: &str| {
        let error = RedisLimiter::connect(&url).await.expect_err("an error");
        let text = format!("{error} {error:?}");
        assert!(
            error.to_string().starts_with("Redis at 127.0.0.1:"),
            "{text}"
        );
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("p4ss") && !text.contains("wr0ng"), "{text}");
    };
    fails(format!("redis://127.0.0.1:{port}"), "asks for a password").await;
    let wrong = format!("redis://:wr0ng@127.0.0.1:{port}");
    fails(wrong, "does not accept the user name or the password").await;
    let limiter = connect(&format!("redis://:p4ss@127.0.0.1:{port}")).await;
    assert!(!format!("{limiter:?} {}", limiter.name()).contains("p4ss"));
    drop(server);

    let user = "--user few on >p4ssw0rd ~bigcommerce:* resetchannels \
                -@all +evalsha +script +get +set +time";
    let user: Vec<_> = user.split_whitespace().collect();
    let Some(server) = RedisServer::start_with(&user) else {
        return;
    };
    let limiter = connect(&format!("redis://few:p4ssw0rd@127.0.0.1:{}", server.port())).await;
    let mut swap = Swap::new(None, "value");
    swap.wake = &[1];
    let reply = limiter.swap(KEY, swap).await.expect("a reply");
    assert!(reply.is_swapped, "the right to publish is not needed");
    let cause = reply.wake_error.expect("no right to publish");
    assert!(cause.contains("can't run this command"), "{cause}");
    let mut notices = limiter.notices(KEY, 1);
    let notice = timeout(Duration::from_millis(300), notices.next());
    assert!(notice.await.is_err(), "no right to subscribe");

    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let change = Swap::new(Some("value"), "other");
    let error = limiter.swap(KEY, change).await.expect_err("no memory");
    assert!(
        error.to_string().contains("has no memory left (OOM)"),
        "{error}"
    );
    assert_eq!(value(&limiter).await.as_deref(), Some("value"));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = limiter.swap(KEY, change).await.expect_err("a replica");
    assert!(error.to_string().contains("is a replica"), "{error}");
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_cluster_is_a_place() {
    let Some(server) = RedisServer::start_with(&["--cluster-enabled", "yes"]) else {
        return;
    };
    server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let url = format!("redis+cluster://127.0.0.1:{}", server.port());
    let mut connection = RedisLimiter::connect(&url).await;
    for _ in 0..50 {
        if connection.is_ok() {
            break;
        }
        // The cluster takes a while to find that it is complete.
        tokio::time::sleep(Duration::from_millis(100)).await;
        connection = RedisLimiter::connect(&url).await;
    }
    let limiter = connection.expect("a connection");
    let mut notices = limiter.notices(KEY, 1);
    assert_eq!(notices.next().await, Some(Notice::Ready));
    let mut change = Swap::new(None, "value");
    change.wake = &[1];
    let reply = limiter.swap(KEY, change).await.expect("a reply");
    assert!(reply.is_swapped && reply.wake_error.is_none(), "{reply:?}");
    assert_eq!(
        notices.next().await,
        Some(Notice::Woken("value".to_owned()))
    );
    server.command(&["SCRIPT", "FLUSH"]);
    assert!(
        !swap(&limiter, None, "other")
            .await
            .expect("a reply")
            .is_swapped
    );
}
