use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{DATE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::active_fault::ActiveFault;
use crate::admitted_request::AdmittedRequest;
use crate::fault::Operation;
use crate::fault_injection;
use crate::faulty_body::{ResponseBody, into_http};
use crate::in_flight_slot::InFlightSlot;
use crate::quota::QuotaSnapshot;
use crate::settings::Settings;
use crate::state::Shared;
use crate::target::Target;
use crate::wire::ApiResponse;

/// Accepts connections until its task is aborted, which closes the connections too.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            // Most likely out of file descriptors, which may soon be free again.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without this option, a response can wait for the client's delayed acknowledgement. A failure
    // costs only time.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(Arc::clone(&shared), request));
    // An error means that the client has disconnected or does not speak HTTP.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        // Hyper would send the system's date, not the store's.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An error closes the connection.
async fn respond(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> io::Result<Response<ResponseBody>> {
    let (head, body) = request.into_parts();
    let target = count_arrival(&shared, &head);
    let admission = admit(&shared, &head, target);
    // A separate task: when the client disconnects, hyper drops this future but not the task.
    let handling = tokio::spawn(handle(Arc::clone(&shared), head, body, target, admission));
    let mut response = handling.await??;
    if shared.settings.date_header {
        let date = shared.clock.now().format("%a, %d %b %Y %H:%M:%S GMT");
        if let Ok(date) = HeaderValue::from_str(&date.to_string()) {
            response.headers_mut().insert(DATE, date);
        }
    }
    Ok(response)
}

fn count_arrival(shared: &Shared, head: &Parts) -> Target {
    let target = Target::from_path(head.uri.path(), &shared.settings.store_hash);
    let state = &mut *shared.lock();
    let counts = &mut state.counts;
    counts.requests += 1;
    counts.longest_url = counts.longest_url.max(url_length(head));
    match Operation::from_request(&head.method, target) {
        Some(Operation::Upsert) => counts.puts += 1,
        Some(Operation::List) => counts.gets += 1,
        Some(Operation::Delete) => counts.deletes += 1,
        Some(Operation::ListAttributes) => counts.attribute_gets += 1,
        Some(Operation::CreateAttributes) => counts.attribute_posts += 1,
        Some(Operation::UpdateAttributes) => counts.attribute_puts += 1,
        Some(Operation::DeleteAttributes) => counts.attribute_deletes += 1,
        Some(Operation::ListCustomers) => {
            counts.customer_gets += 1;
            state.customer_queries.record(head.uri.query());
        }
        Some(Operation::CreateCustomers) => counts.customer_posts += 1,
        None => {}
    }
    target
}

/// Returns the length of path and query, as sent.
fn url_length(head: &Parts) -> usize {
    head.uri
        .path_and_query()
        .map_or(0, |url| url.as_str().len())
}

enum Admission {
    Admitted {
        slot: InFlightSlot,
        quota: Option<QuotaSnapshot>,
        fault: Option<ActiveFault>,
    },
    Rejected(ApiResponse),
}

/// Decides once the headers have been read, before the body.
fn admit(shared: &Arc<Shared>, head: &Parts, target: Target) -> Admission {
    if url_length(head) > shared.settings.url_limit {
        return Admission::Rejected(ApiResponse::html(StatusCode::URI_TOO_LONG));
    }
    if target == Target::OtherStore {
        let response = ApiResponse::problem(StatusCode::NOT_FOUND, "Unknown store");
        return Admission::Rejected(response);
    }
    let now = Instant::now();
    let mut guard = shared.lock();
    let state = &mut *guard;

    let operation = Operation::from_request(&head.method, target);
    if let Some(mut response) = check_token(shared, head, operation) {
        if let Some(quota) = &mut state.quota {
            let snapshot = quota.snapshot(now);
            snapshot.write_headers(&mut response.headers, now);
        }
        return Admission::Rejected(response);
    }

    let counts = &mut state.counts;
    counts.peak_in_flight = counts.peak_in_flight.max(counts.in_flight + 1);
    if counts.in_flight >= shared.settings.in_flight {
        counts.in_flight_429s += 1;
        return Admission::Rejected(ApiResponse::problem(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many concurrent requests",
        ));
    }

    let is_spent = match &mut state.quota {
        Some(quota) => quota.is_spent(now),
        None => false,
    };
    // The fault plan doesn't number requests that the store itself rejects.
    let fault = match (&mut state.fault_schedule, operation) {
        (Some(schedule), Some(operation)) if !is_spent => schedule.draw(operation, now),
        _ => None,
    };
    if let Some(active) = &fault
        && let Some(response) = fault_injection::reject(active, shared.settings.quota)
    {
        state.count_fault(active.fault);
        return Admission::Rejected(response);
    }

    let quota = match state.quota.as_mut().map(|quota| quota.take(now)) {
        None => None,
        Some(Ok(snapshot)) => Some(snapshot),
        Some(Err(spent)) => {
            state.counts.quota_429s += 1;
            return Admission::Rejected(reject_over_quota(&shared.settings, spent, now));
        }
    };
    Admission::Admitted {
        slot: InFlightSlot::take(Arc::clone(shared), state),
        quota,
        fault,
    }
}

/// Returns the response if the token does not allow the request.
fn check_token(shared: &Shared, head: &Parts, operation: Option<Operation>) -> Option<ApiResponse> {
    let settings = &shared.settings;
    if !is_authorized(head, settings.token.as_deref()) {
        let title = "X-Auth-Token is missing or invalid";
        return Some(ApiResponse::problem(StatusCode::UNAUTHORIZED, title));
    }
    if settings.read_only && operation.is_some_and(|operation| !operation.is_read()) {
        let title = "The token lacks the OAuth scope to modify customers";
        return Some(ApiResponse::problem(StatusCode::FORBIDDEN, title));
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

fn reject_over_quota(settings: &Settings, spent: QuotaSnapshot, now: Instant) -> ApiResponse {
    let mut response = ApiResponse::problem(
        StatusCode::TOO_MANY_REQUESTS,
        "The quota of this window is spent",
    );
    spent.write_headers(&mut response.headers, now);
    if settings.retry_after {
        spent.write_retry_after(&mut response.headers, now);
    }
    response
}

async fn handle(
    shared: Arc<Shared>,
    head: Parts,
    body: Incoming,
    target: Target,
    admission: Admission,
) -> io::Result<Response<ResponseBody>> {
    // Read for a rejected request too: an unread body would cost the client its connection.
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (slot, quota, fault) = match admission {
        Admission::Admitted { slot, quota, fault } => (slot, quota, fault),
        Admission::Rejected(response) => return Ok(into_http(response)),
    };
    let latency = shared.lock().latency;
    let request = AdmittedRequest::new(shared, head, target, &body, slot, quota);
    // Even a sleep of zero would yield to the timer.
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if let Some(fault) = fault {
        return fault_injection::handle(fault, request).await;
    }
    let (response, slot) = request.execute(None);
    drop(slot);
    Ok(into_http(response))
}
