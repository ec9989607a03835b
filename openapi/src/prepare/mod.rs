mod accessors;
mod error_body;
mod headers;
mod integers;
mod known_fields;
mod lists;
mod names;
mod parameters;
mod requests;
mod requirements;
mod responses;
mod select;
mod sort;
mod undeclared;

use serde_json::Value;

use crate::error::Problem;

type Pass = fn(&mut Value) -> Result<(), Problem>;

/// The passes that prepare a document, in order. Each documents why it exists.
const PASSES: [Pass; 13] = [
    select::select,
    known_fields::forget_odd_types,
    headers::drop_client_headers,
    undeclared::add_undeclared_parameters,
    lists::join_lists,
    integers::widen_integers,
    parameters::simplify_parameters,
    responses::relax_responses,
    error_body::unify_errors,
    requirements::check_requirements,
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

/// A document that is ready for code generation.
///
/// It uses the SDK's names, whatever names the source document uses.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) name: String,
    document: Value,
}

impl Prepared {
    pub(crate) fn new(name: String, document: Value) -> Self {
        Self { name, document }
    }

    /// Returns the prepared document (OpenAPI 3.0). The source's names and order don't affect it.
    pub fn document(&self) -> &Value {
        &self.document
    }
}
