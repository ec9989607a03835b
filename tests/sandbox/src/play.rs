use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};

use crate::body::{AnswerBody, cut, padded, trickle};
use crate::fault::Fault;
use crate::limits;
use crate::plan::FaultPlan;
use crate::random;
use crate::wire::Answer;
use crate::work::Job;

/// More than the 8 MiB that a client may well set as its limit.
const PADDING: u64 = 9 * 1024 * 1024;

/// A fault that is to happen to one request.
pub(crate) struct Play {
    pub fault: Fault,
    rng: fastrand::Rng,
    plan: Arc<FaultPlan>,
}

impl Play {
    pub(crate) fn new(fault: Fault, rng: fastrand::Rng, plan: Arc<FaultPlan>) -> Self {
        Self { fault, rng, plan }
    }

    /// The answer of a fault that keeps the request from being admitted.
    pub(crate) fn refusal(&self, quota: Option<(u64, Duration)>) -> Option<Answer> {
        let status = StatusCode::TOO_MANY_REQUESTS;
        match self.fault {
            Fault::RateLimited => {
                let mut answer = Answer::problem(status, "The quota of this window is spent");
                let (requests, window) = quota.unwrap_or((150, Duration::from_secs(30)));
                limits::write_spent(&mut answer.headers, requests, window, self.plan.reset);
                Some(answer)
            }
            Fault::Busy => Some(Answer::empty(status)),
            _ => None,
        }
    }

    /// Keeps some of the items, at least one.
    pub(crate) fn keep_some<T>(&mut self, items: &mut Vec<T>) {
        if items.is_empty() {
            return;
        }
        let one = self.rng.usize(..items.len());
        let mut place = 0;
        items.retain(|_| {
            let kept = place == one || self.rng.bool();
            place += 1;
            kept
        });
    }

    /// Of a range that is not empty.
    pub(crate) fn one_of(&mut self, range: Range<usize>) -> usize {
        self.rng.usize(range)
    }

    /// Does what the fault says with a request that was admitted and has waited for the latency.
    pub(crate) async fn perform(mut self, job: Job) -> io::Result<Response<AnswerBody>> {
        let fault = self.fault;
        match fault {
            Fault::Slow => {
                let most = self.plan.slow;
                let extra = random::duration(&mut self.rng, most / 2, most);
                tokio::time::sleep(extra).await;
            }
            Fault::LateExecution => {
                job.shared.lock().note(fault);
                let late = self.plan.late;
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    drop(job.work(None));
                });
                if self.plan.late_behind_gateway {
                    return Ok(Answer::html(StatusCode::GATEWAY_TIMEOUT).into_response());
                }
                return Err(closed());
            }
            Fault::ClosedBeforeWork => {
                job.shared.lock().note(fault);
                return Err(closed());
            }
            _ => {}
        }
        if let Some(mut answer) = self.instead_of_work() {
            job.shared.lock().note(fault);
            if matches!(fault, Fault::InternalError | Fault::Unavailable) {
                job.write_limits(&mut answer);
            }
            return Ok(answer.into_response());
        }

        let shared = Arc::clone(&job.shared);
        let (answer, place) = job.work(Some(&mut self));
        if !self.touches(&answer) {
            return Ok(answer.into_response());
        }
        shared.lock().note(fault);
        match fault {
            // Its place is not free yet.
            Fault::Trickle => {
                let over = self.plan.trickle;
                Ok(answer.into_response_with(|body| trickle(body, over, place)))
            }
            _ => self.after_work(answer),
        }
    }

    fn instead_of_work(&self) -> Option<Answer> {
        Some(match self.fault {
            Fault::InternalError => {
                Answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong")
            }
            Fault::BadGateway => Answer::html(StatusCode::BAD_GATEWAY),
            Fault::Unavailable => Answer::problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "The store is not available",
            ),
            Fault::GatewayTimeout => Answer::html(StatusCode::GATEWAY_TIMEOUT),
            Fault::Maintenance => Answer::html(StatusCode::SERVICE_UNAVAILABLE),
            Fault::Redirect => {
                let mut answer = Answer::empty(StatusCode::TEMPORARY_REDIRECT);
                if let Ok(target) = HeaderValue::from_str(&self.plan.redirect) {
                    answer.headers.insert(LOCATION, target);
                }
                answer
            }
            _ => return None,
        })
    }

    /// Whether the fault happens to this answer once the work is done.
    fn touches(&self, answer: &Answer) -> bool {
        match self.fault {
            // Noted where they make a difference.
            Fault::LeavesOut | Fault::HidesRows | Fault::PartialPage | Fault::Normalised => false,
            Fault::HtmlSuccess | Fault::Oversized => answer.status.is_success(),
            _ => true,
        }
    }

    fn after_work(mut self, mut answer: Answer) -> io::Result<Response<AnswerBody>> {
        match self.fault {
            Fault::ClosedAfterWork => return Err(closed()),
            Fault::ErrorAfterWork => {
                answer = if self.rng.bool() {
                    Answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong")
                } else {
                    Answer::html(StatusCode::GATEWAY_TIMEOUT)
                };
            }
            Fault::HtmlSuccess => answer = Answer::html(StatusCode::OK),
            Fault::Truncated => {
                let more = self.rng.u64(1..=64);
                return Ok(answer.into_response_with(|body| {
                    let promised = body.len() as u64 + more;
                    cut(body, promised)
                }));
            }
            Fault::ClosedDuringAnswer => {
                return Ok(answer.into_response_with(|body| {
                    cut(body.slice(..body.len() / 2), body.len() as u64)
                }));
            }
            Fault::Oversized => {
                if answer.body.is_empty() {
                    answer.status = StatusCode::OK;
                    answer.body = Bytes::from_static(b"{}");
                    let json = HeaderValue::from_static("application/json");
                    answer.headers.insert(CONTENT_TYPE, json);
                }
                return Ok(answer.into_response_with(|body| padded(PADDING, body)));
            }
            _ => {}
        }
        Ok(answer.into_response())
    }
}

/// What makes hyper close the connection without an answer.
fn closed() -> io::Error {
    io::Error::other("closed, as the plan of faults wants it")
}
