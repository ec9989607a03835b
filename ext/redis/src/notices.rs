//! The messages that wake a member.

use std::time::Duration;

use bigcommerce_ext::limiter::Notice;
use futures_util::StreamExt as _;
use redis::Msg;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::{sleep, timeout};

use crate::connection::Connections;

/// The first and the longest wait before the next connection.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often a connection is checked on which nothing arrives.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A subscription to the channel of a member.
pub(crate) struct Subscription<'a> {
    connections: &'a Connections,
    channel: String,
    connection: Option<(PubSubSink, PubSubStream)>,
    backoff: Duration,
    has_warned: bool,
}

impl<'a> Subscription<'a> {
    pub(crate) fn new(connections: &'a Connections, channel: String) -> Self {
        Self {
            connections,
            channel,
            connection: None,
            backoff: Duration::ZERO,
            has_warned: false,
        }
    }

    /// Waits for the next notice. Connects if there is no connection.
    pub(crate) async fn next(&mut self) -> Notice {
        loop {
            let Some((sink, stream)) = &mut self.connection else {
                if self.connect().await {
                    return Notice::Ready;
                }
                continue;
            };
            let message = tokio::select! {
                message = stream.next() => message,
                () = until_broken(sink) => None,
            };
            let Some(message) = message else {
                self.connection = None;
                return Notice::Lost;
            };
            if let Some(value) = value_of(&message) {
                return Notice::Woken(value);
            }
        }
    }

    async fn connect(&mut self) -> bool {
        sleep(self.backoff).await;
        let (first, longest) = BACKOFF;
        self.backoff = (self.backoff * 2).clamp(first, longest);
        match self.connections.subscribe(&self.channel).await {
            Ok(connection) => {
                self.connection = Some(connection.split());
                self.backoff = first;
                self.has_warned = false;
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(
                        %error,
                        "no notices from Redis: while it can be reached otherwise, waiting requests ask every \
                         50 ms"
                    );
                }
                false
            }
        }
    }
}

/// Returns the value that was published, unless it is no text.
fn value_of(message: &Msg) -> Option<String> {
    message.get_payload().ok()
}

/// Completes when the server does not reply any more.
async fn until_broken(sink: &mut PubSubSink) {
    loop {
        sleep(CHECK_INTERVAL).await;
        let pong = timeout(CHECK_TIMEOUT, sink.ping::<redis::Value>()).await;
        if !matches!(pong, Ok(Ok(_))) {
            return;
        }
    }
}
