mod answers;
mod endpoint;
mod headers;
mod integers;
mod lists;
mod names;
mod needs;
mod one_error;
mod parameters;
mod requests;
mod select;
mod sort;

use serde_json::Value;

use crate::error::Problem;

pub(crate) use headers::is_sent_by_client;
pub(crate) use integers::counts;
pub(crate) use names::ID_LIST;

type Pass = fn(&mut Value) -> Result<(), Problem>;

/// What is done to a document, in this order. Each pass says why it exists.
const PASSES: [Pass; 11] = [
    select::select,
    headers::drop_client_headers,
    lists::join_lists,
    integers::widen_integers,
    parameters::simplify_parameters,
    answers::tolerate_answers,
    one_error::unify_errors,
    needs::check_needs,
    requests::fix_requests,
    names::name_canonically,
    sort::sort,
];

pub(crate) fn run(mut root: Value) -> Result<Value, Problem> {
    for pass in PASSES {
        pass(&mut root)?;
    }
    Ok(root)
}

/// A document that code can be generated from: it has our names, whatever document it was made of.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) name: String,
    document: Value,
}

impl Prepared {
    pub(crate) fn new(name: String, document: Value) -> Self {
        Self { name, document }
    }

    /// The prepared document: OpenAPI 3.0, with everything that names or order could change gone.
    pub fn document(&self) -> &Value {
        &self.document
    }
}
