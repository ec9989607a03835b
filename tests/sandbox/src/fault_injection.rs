use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};

use crate::active_fault::ActiveFault;
use crate::admitted_request::AdmittedRequest;
use crate::fault::Fault;
use crate::faulty_body::{FaultyBody, ResponseBody, into_faulty_http, into_http};
use crate::wire::ApiResponse;
use crate::{quota, random};

/// Exceeds a client's limit of 8 MiB, a likely choice.
const PADDING: u64 = 9 * 1024 * 1024;

/// Returns the response if the fault rejects the request before it is admitted.
pub(crate) fn reject(active: &ActiveFault, quota: Option<(u64, Duration)>) -> Option<ApiResponse> {
    let status = StatusCode::TOO_MANY_REQUESTS;
    match active.fault {
        Fault::RateLimited => {
            let title = "The quota of this window is spent";
            let mut response = ApiResponse::problem(status, title);
            let (requests, window) = quota.unwrap_or((150, Duration::from_secs(30)));
            let reset = active.plan.reset_in;
            quota::write_spent_headers(&mut response.headers, requests, window, reset);
            Some(response)
        }
        Fault::Busy => Some(ApiResponse::empty(status)),
        _ => None,
    }
}

/// Handles a request that was admitted and has waited for the latency. An error closes the
/// connection.
pub(crate) async fn handle(
    mut active: ActiveFault,
    mut request: AdmittedRequest,
) -> io::Result<Response<ResponseBody>> {
    let fault = active.fault;
    match fault {
        Fault::Slow => {
            let max = active.plan.slow_by;
            let extra = random::duration(&mut active.rng, max / 2, max);
            tokio::time::sleep(extra).await;
        }
        Fault::LateExecution => {
            execute_late(&active, request);
            return Err(connection_closed());
        }
        Fault::LateBehindGateway => {
            let status = random_gateway_timeout(&mut active);
            execute_late(&active, request);
            return Ok(into_http(ApiResponse::html(status)));
        }
        Fault::Accepted => {
            let mut response = ApiResponse::empty(StatusCode::ACCEPTED);
            request.write_quota_headers(&mut response);
            request.end_flight();
            execute_late(&active, request);
            return Ok(into_http(response));
        }
        Fault::ClosedBeforeWork => {
            request.shared.lock().count_fault(fault);
            return Err(connection_closed());
        }
        _ => {}
    }
    if let Some(mut response) = response_without_execution(&active) {
        request.shared.lock().count_fault(fault);
        if matches!(fault, Fault::InternalError | Fault::Unavailable) {
            request.write_quota_headers(&mut response);
        }
        return Ok(into_http(response));
    }

    let shared = Arc::clone(&request.shared);
    let (response, slot) = request.execute(Some(&mut active));
    if !affects_response(fault, &response) {
        return Ok(into_http(response));
    }
    shared.lock().count_fault(fault);
    match fault {
        // The body holds the slot.
        Fault::Trickle => {
            let over = active.plan.trickle_over;
            Ok(into_faulty_http(response, |body| {
                FaultyBody::trickle(body, over, slot)
            }))
        }
        Fault::StalledBody => {
            let stall = active.plan.stall_for;
            tokio::spawn(async move {
                tokio::time::sleep(stall).await;
                drop(slot);
            });
            // Closed after the slot is released, so that the client's next request is admitted.
            let stall = stall.saturating_add(Duration::from_millis(1));
            Ok(into_faulty_http(response, |body| {
                FaultyBody::stalled(body.len() as u64, stall)
            }))
        }
        _ => {
            drop(slot);
            after_execution(active, response)
        }
    }
}

/// Executes the request later, in a task of its own.
fn execute_late(active: &ActiveFault, request: AdmittedRequest) {
    request.shared.lock().count_fault(active.fault);
    let delay = active.plan.late_by;
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        drop(request.execute(None));
    });
}

/// Returns 504, or 524, which only a gateway sends.
fn random_gateway_timeout(active: &mut ActiveFault) -> StatusCode {
    let timeout = StatusCode::GATEWAY_TIMEOUT;
    if active.rng.bool() {
        timeout
    } else {
        StatusCode::from_u16(524).unwrap_or(timeout)
    }
}

fn response_without_execution(active: &ActiveFault) -> Option<ApiResponse> {
    Some(match active.fault {
        Fault::InternalError => internal_error(),
        Fault::BadGateway => ApiResponse::html(StatusCode::BAD_GATEWAY),
        Fault::Unavailable => ApiResponse::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store is temporarily unavailable",
        ),
        Fault::GatewayTimeout => ApiResponse::html(StatusCode::GATEWAY_TIMEOUT),
        Fault::Maintenance => ApiResponse::html(StatusCode::SERVICE_UNAVAILABLE),
        Fault::Redirect => {
            let mut response = ApiResponse::empty(StatusCode::TEMPORARY_REDIRECT);
            if let Ok(location) = HeaderValue::from_str(&active.plan.redirect_to) {
                response.headers.insert(LOCATION, location);
            }
            response
        }
        _ => return None,
    })
}

/// Returns `true` if the fault still applies once the request was executed.
fn affects_response(fault: Fault, response: &ApiResponse) -> bool {
    match fault {
        // Applied and counted during the execution.
        Fault::DroppedRows
        | Fault::HiddenRows
        | Fault::PartialPage
        | Fault::Normalized
        | Fault::ShortPage
        | Fault::EmptyPage
        | Fault::TotalTooLarge
        | Fault::TotalTooSmall
        | Fault::IgnoredFilters => false,
        Fault::HtmlSuccess | Fault::Oversized => response.status.is_success(),
        _ => true,
    }
}

fn after_execution(
    mut active: ActiveFault,
    mut response: ApiResponse,
) -> io::Result<Response<ResponseBody>> {
    match active.fault {
        Fault::ClosedAfterWork => return Err(connection_closed()),
        Fault::ErrorAfterWork => {
            response = if active.rng.bool() {
                internal_error()
            } else {
                ApiResponse::html(StatusCode::GATEWAY_TIMEOUT)
            };
        }
        Fault::HtmlSuccess => response = ApiResponse::html(StatusCode::OK),
        Fault::Truncated => {
            let missing = active.rng.u64(1..=64);
            return Ok(into_faulty_http(response, |body| {
                let promised = body.len() as u64 + missing;
                FaultyBody::cut(body, promised)
            }));
        }
        Fault::ClosedDuringResponse => {
            return Ok(into_faulty_http(response, |body| {
                FaultyBody::cut(body.slice(..body.len() / 2), body.len() as u64)
            }));
        }
        Fault::Oversized => {
            if response.body.is_empty() {
                response.status = StatusCode::OK;
                response.body = Bytes::from_static(b"{}");
                let json = HeaderValue::from_static("application/json");
                response.headers.insert(CONTENT_TYPE, json);
            }
            return Ok(into_faulty_http(response, |body| {
                FaultyBody::padded(PADDING, body)
            }));
        }
        _ => {}
    }
    Ok(into_http(response))
}

fn internal_error() -> ApiResponse {
    ApiResponse::problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "An internal error occurred",
    )
}

/// Makes hyper close the connection without a response.
fn connection_closed() -> io::Error {
    io::Error::other("connection closed by a fault")
}
