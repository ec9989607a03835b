use std::sync::Arc;

use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::time::Instant;

use crate::limits::{Place, Reading};
use crate::overlap::AtWork;
use crate::play::Play;
use crate::state::Shared;
use crate::upsert::Batch;
use crate::wire::Answer;
use crate::{delete, list, upsert};

/// What a path stands for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Target {
    Values,
    ElsewhereInTheStore,
    OutsideTheStore,
}

/// An admitted request whose body was read.
pub(crate) struct Job {
    pub shared: Arc<Shared>,
    head: Parts,
    asked: Asked,
    reading: Option<Reading>,
    at_work: Option<AtWork>,
    // After `at_work`, so that whoever finds a place finds no customer that was busy in it.
    place: Place,
}

enum Asked {
    Put(Result<Batch, (StatusCode, &'static str)>),
    Get,
    Delete,
    OtherMethod,
    Elsewhere,
}

impl Job {
    pub(crate) fn new(
        shared: Arc<Shared>,
        head: Parts,
        target: Target,
        body: &[u8],
        place: Place,
        reading: Option<Reading>,
    ) -> Self {
        let asked = match head.method {
            _ if target != Target::Values => Asked::Elsewhere,
            Method::PUT => Asked::Put(upsert::read(&head.headers, body)),
            Method::GET => Asked::Get,
            Method::DELETE => Asked::Delete,
            _ => Asked::OtherMethod,
        };
        let at_work = match &asked {
            Asked::Put(Ok(batch)) => Some(AtWork::begin(&shared, batch.customers.clone())),
            _ => None,
        };
        Self {
            shared,
            head,
            asked,
            reading,
            at_work,
            place,
        }
    }

    /// Does the work, with the difference that a fault makes to it.
    ///
    /// The place must be free before the client can see the answer, or its next request might find
    /// none.
    pub(crate) fn work(self, play: Option<&mut Play>) -> (Answer, Place) {
        let shared = &self.shared;
        let query = self.head.uri.query();
        let mut answer = match self.asked {
            Asked::Put(Ok(batch)) => upsert::put(shared, batch, play),
            Asked::Put(Err((status, title))) => Answer::problem(status, title),
            Asked::Get => list::get(shared, query),
            Asked::Delete => delete::delete(shared, query),
            Asked::OtherMethod => {
                let title = "No such method here";
                let mut answer = Answer::problem(StatusCode::METHOD_NOT_ALLOWED, title);
                let allowed = HeaderValue::from_static("GET, PUT, DELETE");
                answer.headers.insert(ALLOW, allowed);
                answer
            }
            Asked::Elsewhere => Answer::problem(StatusCode::NOT_FOUND, "No such resource"),
        };
        if matches!(
            answer.status,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
        ) {
            shared.lock().counts.refused += 1;
        }
        write_limits(self.reading, &mut answer);
        drop(self.at_work);
        (answer, self.place)
    }

    /// Writes the rate-limit headers, if there is a quota.
    pub(crate) fn write_limits(&self, answer: &mut Answer) {
        write_limits(self.reading, answer);
    }
}

fn write_limits(reading: Option<Reading>, answer: &mut Answer) {
    if let Some(reading) = reading {
        reading.write(&mut answer.headers, Instant::now());
    }
}
