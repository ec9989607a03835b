use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use tokio::time::Instant;

use crate::active_fault::ActiveFault;
use crate::busy_guard::BusyGuard;
use crate::definitions::{NewAttribute, NewName};
use crate::fault::Operation;
use crate::in_flight_slot::InFlightSlot;
use crate::json::{InvalidBody, InvalidRow};
use crate::quota::QuotaSnapshot;
use crate::state::Shared;
use crate::target::Target;
use crate::upsert::Batch;
use crate::upsert::customers::NewCustomers;
use crate::wire::ApiResponse;
use crate::{definitions, delete, list, upsert};

/// An admitted request whose body has been read.
pub(crate) struct AdmittedRequest {
    pub shared: Arc<Shared>,
    head: Parts,
    action: Action,
    quota: Option<QuotaSnapshot>,
    busy: Option<BusyGuard>,
    // Dropped after `busy`: whoever gets the slot must not find its customers busy.
    slot: Option<InFlightSlot>,
}

enum Action {
    Put(Result<Batch, InvalidBody>),
    Get,
    Delete,
    GetAttributes,
    PostAttributes(Result<Vec<Result<NewAttribute, InvalidRow>>, InvalidBody>),
    PutAttributes(Result<Vec<Result<NewName, InvalidRow>>, InvalidBody>),
    DeleteAttributes,
    GetCustomers,
    PostCustomers(Result<NewCustomers, InvalidBody>),
    RejectMethod { allowed: &'static str },
    RejectPath,
}

impl AdmittedRequest {
    pub(crate) fn new(
        shared: Arc<Shared>,
        head: Parts,
        target: Target,
        body: &[u8],
        slot: InFlightSlot,
        quota: Option<QuotaSnapshot>,
    ) -> Self {
        let headers = &head.headers;
        let action = match Operation::from_request(&head.method, target) {
            Some(Operation::Upsert) => {
                Action::Put(upsert::parse_body(&shared.settings, headers, body))
            }
            Some(Operation::List) => Action::Get,
            Some(Operation::Delete) => Action::Delete,
            Some(Operation::ListAttributes) => Action::GetAttributes,
            Some(Operation::CreateAttributes) => {
                Action::PostAttributes(definitions::parse_new_attributes(headers, body))
            }
            Some(Operation::UpdateAttributes) => {
                Action::PutAttributes(definitions::parse_new_names(headers, body))
            }
            Some(Operation::DeleteAttributes) => Action::DeleteAttributes,
            Some(Operation::ListCustomers) => Action::GetCustomers,
            Some(Operation::CreateCustomers) => {
                Action::PostCustomers(upsert::customers::parse_body(headers, body))
            }
            None => match target {
                Target::Values => Action::RejectMethod {
                    allowed: "GET, PUT, DELETE",
                },
                Target::Attributes => Action::RejectMethod {
                    allowed: "GET, POST, PUT, DELETE",
                },
                Target::Customers => Action::RejectMethod {
                    allowed: "GET, POST",
                },
                Target::OtherPath | Target::OtherStore => Action::RejectPath,
            },
        };
        let busy = match &action {
            Action::Put(Ok(batch)) => Some(BusyGuard::new(&shared, batch.customers.clone())),
            _ => None,
        };
        Self {
            shared,
            head,
            action,
            quota,
            busy,
            slot: Some(slot),
        }
    }

    /// Ends the time in flight before the execution, as of a request that was accepted for later.
    pub(crate) fn end_flight(&mut self) {
        self.busy = None;
        self.slot = None;
    }

    /// Executes the request, altered by the fault if there is one.
    ///
    /// The caller must drop the slot before the client can see the response, so that the client's
    /// next request is admitted.
    pub(crate) fn execute(
        self,
        fault: Option<&mut ActiveFault>,
    ) -> (ApiResponse, Option<InFlightSlot>) {
        let shared = &self.shared;
        let query = self.head.uri.query();
        let mut response = match self.action {
            Action::Put(Ok(batch)) => upsert::put(shared, batch, fault),
            Action::Put(Err(invalid))
            | Action::PostAttributes(Err(invalid))
            | Action::PutAttributes(Err(invalid))
            | Action::PostCustomers(Err(invalid)) => invalid.into_response(),
            Action::Get => list::get(shared, query, fault),
            Action::Delete => delete::delete(shared, query),
            Action::GetAttributes => definitions::get(shared, query),
            Action::PostAttributes(Ok(rows)) => definitions::post(shared, rows),
            Action::PutAttributes(Ok(rows)) => definitions::put(shared, rows),
            Action::DeleteAttributes => delete::delete_attributes(shared, query),
            Action::GetCustomers => list::customers::get(shared, query, fault),
            Action::PostCustomers(Ok(rows)) => upsert::customers::post(shared, rows),
            Action::RejectMethod { allowed } => {
                let title = "The method is not allowed for this path";
                let mut response = ApiResponse::problem(StatusCode::METHOD_NOT_ALLOWED, title);
                let allowed = HeaderValue::from_static(allowed);
                response.headers.insert(ALLOW, allowed);
                response
            }
            Action::RejectPath => ApiResponse::problem(StatusCode::NOT_FOUND, "Unknown path"),
        };
        if matches!(
            response.status,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
        ) {
            shared.lock().counts.rejected += 1;
        }
        write_quota_headers(self.quota, &mut response);
        drop(self.busy);
        (response, self.slot)
    }

    /// Writes the rate-limit headers if there is a quota.
    pub(crate) fn write_quota_headers(&self, response: &mut ApiResponse) {
        write_quota_headers(self.quota, response);
    }
}

fn write_quota_headers(quota: Option<QuotaSnapshot>, response: &mut ApiResponse) {
    if let Some(quota) = quota {
        quota.write_headers(&mut response.headers, Instant::now());
    }
}
