//! The customers of a file, and those that the store doesn't have.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use bigcommerce_ext::{CustomerKey, Error, ErrorKind};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::input::{FormatArgs, Input};
use crate::selection::Selection;
use crate::session::Session;
use crate::status::Failure;

/// The number of errors and of addresses that are named.
const NAMED: usize = 5;

/// Reads the customers of a file. A line that names none is an error: what it meant would not be deleted.
pub async fn read(file: &Path, format: &FormatArgs) -> Result<Vec<CustomerKey>, Failure> {
    let files: [PathBuf; 1] = [file.to_owned()];
    let mut lines = Input::open_customers(&files, format)?.customers();
    let (mut customers, mut errors) = (Vec::new(), Vec::new());
    while let Some(line) = lines.next().await {
        match line {
            Ok(customer) => customers.push(customer),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        return Ok(customers);
    }
    let shown = errors.iter().take(NAMED).map(ToString::to_string);
    let mut shown: Vec<_> = shown.collect();
    if errors.len() > NAMED {
        shown.push(format!("and {} more", errors.len() - NAMED));
    }
    let shown = shown.join("\n  ");
    Err(Failure::usage(anyhow!(
        "customers can't be read, so nothing was deleted:\n  {shown}"
    )))
}

/// Names the addresses that no customer has, if a list has failed for that.
pub async fn explain(session: &Session, selection: &Selection, failure: Failure) -> Failure {
    let error = failure.error.downcast_ref::<Error>();
    if error.is_none_or(|error| error.kind() != ErrorKind::InvalidInput) {
        return failure;
    }
    let mut unknown: Vec<_> = selection.addresses().collect();
    let customers = session.store().customers().emails(unknown.iter().copied());
    let customers = customers
        .observe(session.observer())
        .stop_when(session.stop());
    let found: Result<Vec<_>, _> = customers.stream().try_collect().await;
    let Ok(found) = found else {
        return failure;
    };
    let found: HashSet<_> = found
        .iter()
        .map(|customer| customer.email.trim().to_lowercase())
        .collect();
    unknown.retain(|address| !found.contains(&address.to_lowercase()));
    if unknown.is_empty() {
        return failure;
    }
    let mut shown = unknown
        .iter()
        .take(NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if unknown.len() > NAMED {
        shown.push_str(&format!(" and {} more", unknown.len() - NAMED));
    }
    Failure::usage(anyhow!(
        "no customer has the e-mail address {shown}: correct it or leave it out; nothing was deleted"
    ))
}
