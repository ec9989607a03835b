use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::body::AnswerBody;
use crate::fault::Operation;
use crate::limits::{Place, Reading};
use crate::play::Play;
use crate::state::{Shared, State};
use crate::wire::Answer;
use crate::work::{Job, Target};

/// Runs until its task is aborted, which closes the connections too.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            // Out of file descriptors, most likely: some may be free again soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without it an answer can wait for the client's delayed acknowledgement; but it works.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| exchange(Arc::clone(&shared), request));
    // An error is the client's affair: it went away, or does not speak HTTP.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        // The date would be the system's, not tokio's.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// From a request to its answer. An error closes the connection.
async fn exchange(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> io::Result<Response<AnswerBody>> {
    let (head, body) = request.into_parts();
    let target = arrive(&shared, &head);
    let admission = admit(&shared, &head, target);
    // A task of its own: when the client goes away, hyper drops this future but not the task.
    tokio::spawn(handle(shared, head, body, target, admission)).await?
}

fn arrive(shared: &Shared, head: &Parts) -> Target {
    let target = target(head.uri.path(), &shared.settings.store_hash);
    let counts = &mut shared.lock().counts;
    counts.requests += 1;
    counts.longest_url = counts.longest_url.max(url_length(head));
    match Operation::of(&head.method, target) {
        Some(Operation::Upsert) => counts.puts += 1,
        Some(Operation::List) => counts.gets += 1,
        Some(Operation::Delete) => counts.deletes += 1,
        Some(Operation::Attributes) => counts.attribute_gets += 1,
        Some(Operation::CreateAttributes) => counts.attribute_posts += 1,
        None => {}
    }
    target
}

/// Of path and query, as they were sent.
fn url_length(head: &Parts) -> usize {
    head.uri
        .path_and_query()
        .map_or(0, |url| url.as_str().len())
}

fn target(path: &str, store_hash: &str) -> Target {
    let inside = path
        .strip_prefix("/stores/")
        .and_then(|rest| rest.strip_prefix(store_hash))
        .and_then(|rest| rest.strip_prefix('/'));
    match inside {
        Some("v3/customers/attribute-values") => Target::Values,
        Some("v3/customers/attributes") => Target::Attributes,
        Some(_) => Target::ElsewhereInTheStore,
        None => Target::OutsideTheStore,
    }
}

enum Admission {
    Admitted(Place, Option<Reading>, Option<Play>),
    Refused(Answer),
}

/// Decides at once, when only the headers have been read.
fn admit(shared: &Arc<Shared>, head: &Parts, target: Target) -> Admission {
    if url_length(head) > shared.settings.url_limit {
        return Admission::Refused(Answer::html(StatusCode::URI_TOO_LONG));
    }
    if target == Target::OutsideTheStore {
        return Admission::Refused(Answer::problem(StatusCode::NOT_FOUND, "No such store"));
    }
    let now = Instant::now();
    let mut guard = shared.lock();
    let state = &mut *guard;

    let operation = Operation::of(&head.method, target);
    if let Some(mut answer) = check_token(shared, state, head, operation) {
        if let Some(quota) = &mut state.quota {
            quota.read(now).write(&mut answer.headers, now);
        }
        return Admission::Refused(answer);
    }

    let counts = &mut state.counts;
    counts.peak_in_flight = counts.peak_in_flight.max(counts.in_flight + 1);
    if counts.in_flight >= shared.settings.in_flight {
        counts.in_flight_429s += 1;
        return Admission::Refused(Answer::problem(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many concurrent requests",
        ));
    }

    let is_spent = match &mut state.quota {
        Some(quota) => quota.is_spent(now),
        None => false,
    };
    // Whom the store refuses by itself has no part in the plan.
    let play = match (&mut state.faults, operation) {
        (Some(faults), Some(operation)) if !is_spent => faults.draw(operation, now),
        _ => None,
    };
    if let Some(play) = &play
        && let Some(refusal) = play.refusal(shared.settings.quota)
    {
        state.note(play.fault);
        return Admission::Refused(refusal);
    }

    let counts = &mut state.counts;
    let reading = match state.quota.as_mut().map(|quota| quota.take(now)) {
        None => None,
        Some(Ok(reading)) => Some(reading),
        Some(Err(spent)) => {
            counts.quota_429s += 1;
            let mut answer = Answer::problem(
                StatusCode::TOO_MANY_REQUESTS,
                "The quota of this window is spent",
            );
            spent.write(&mut answer.headers, now);
            if shared.settings.retry_after {
                spent.write_retry_after(&mut answer.headers, now);
            }
            return Admission::Refused(answer);
        }
    };

    counts.in_flight += 1;
    Admission::Admitted(Place(Arc::clone(shared)), reading, play)
}

/// The refusal of a request that the token does not allow.
fn check_token(
    shared: &Shared,
    state: &mut State,
    head: &Parts,
    operation: Option<Operation>,
) -> Option<Answer> {
    let settings = &shared.settings;
    if !is_authorized(head, settings.token.as_deref()) {
        state.counts.unauthorized += 1;
        let title = "X-Auth-Token is not valid";
        return Some(Answer::problem(StatusCode::UNAUTHORIZED, title));
    }
    if settings.read_only && operation.is_some_and(|operation| !operation.reads()) {
        state.counts.forbidden += 1;
        let title = "The token lacks the OAuth scope to modify customers";
        return Some(Answer::problem(StatusCode::FORBIDDEN, title));
    }
    None
}

fn is_authorized(head: &Parts, token: Option<&str>) -> bool {
    match (head.headers.get("x-auth-token"), token) {
        (None, _) => false,
        (Some(sent), None) => !sent.is_empty(),
        (Some(sent), Some(token)) => sent.as_bytes() == token.as_bytes(),
    }
}

async fn handle(
    shared: Arc<Shared>,
    head: Parts,
    body: Incoming,
    target: Target,
    admission: Admission,
) -> io::Result<Response<AnswerBody>> {
    // Even of a refused request: an unread body would cost the client its connection.
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (place, reading, play) = match admission {
        Admission::Admitted(place, reading, play) => (place, reading, play),
        Admission::Refused(answer) => return Ok(answer.into_response()),
    };
    let latency = shared.lock().latency;
    let job = Job::new(shared, head, target, &body, place, reading);
    // A sleep of zero would still cost a turn of the timer.
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if let Some(play) = play {
        return play.perform(job).await;
    }
    let (answer, place) = job.work(None);
    drop(place);
    Ok(answer.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_of_one_store_are_served() {
        let values = "/stores/abc/v3/customers/attribute-values";
        assert!(target(values, "abc") == Target::Values);
        assert!(target("/stores/abc/v3/customers/attributes", "abc") == Target::Attributes);
        assert!(target(values, "ab") == Target::OutsideTheStore);
        assert!(target(values, "abcd") == Target::OutsideTheStore);
        for path in [
            "/stores/abc/",
            "/stores/abc/v2/customers",
            "/stores/abc/v3/customers/attribute-values/",
        ] {
            assert!(target(path, "abc") == Target::ElsewhereInTheStore);
        }
        for path in ["/", "/stores/abc", "/v3/customers/attribute-values"] {
            assert!(target(path, "abc") == Target::OutsideTheStore);
        }
    }
}
