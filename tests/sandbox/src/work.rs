use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use tokio::time::Instant;

use crate::definitions::Definition;
use crate::fault::Operation;
use crate::json::{BadBody, BadRow};
use crate::limits::{Place, Reading};
use crate::overlap::AtWork;
use crate::play::Play;
use crate::state::Shared;
use crate::upsert::Batch;
use crate::wire::Answer;
use crate::{definitions, delete, list, upsert};

/// What a path stands for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Target {
    Values,
    Attributes,
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
    Put(Result<Batch, BadBody>),
    Get,
    Delete,
    GetAttributes,
    PostAttributes(Result<Vec<Result<Definition, BadRow>>, BadBody>),
    /// With those that there are.
    OtherMethod(&'static str),
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
        let headers = &head.headers;
        let asked = match Operation::of(&head.method, target) {
            Some(Operation::Upsert) => Asked::Put(upsert::read(headers, body)),
            Some(Operation::List) => Asked::Get,
            Some(Operation::Delete) => Asked::Delete,
            Some(Operation::Attributes) => Asked::GetAttributes,
            Some(Operation::CreateAttributes) => {
                Asked::PostAttributes(definitions::read(headers, body))
            }
            None => match target {
                Target::Values => Asked::OtherMethod("GET, PUT, DELETE"),
                Target::Attributes => Asked::OtherMethod("GET, POST"),
                Target::ElsewhereInTheStore | Target::OutsideTheStore => Asked::Elsewhere,
            },
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
            Asked::Put(Err(bad)) | Asked::PostAttributes(Err(bad)) => bad.into_answer(),
            Asked::Get => list::get(shared, query),
            Asked::Delete => delete::delete(shared, query),
            Asked::GetAttributes => definitions::get(shared, query),
            Asked::PostAttributes(Ok(rows)) => definitions::post(shared, rows),
            Asked::OtherMethod(allowed) => {
                let title = "No such method here";
                let mut answer = Answer::problem(StatusCode::METHOD_NOT_ALLOWED, title);
                let allowed = HeaderValue::from_static(allowed);
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
