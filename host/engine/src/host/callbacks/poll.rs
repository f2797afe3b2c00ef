//! The poll response of a transaction.

use serde_json::{Value, json};

use crate::transactions::Transaction;

/// Returns the address of a transaction in the API.
pub fn transaction_href(id: &str) -> String {
    format!("/api/tool/Transaction/{id}/")
}

/// Returns the entry of a transaction in a poll response.
pub fn poll_entry(transaction: &Transaction) -> Value {
    json!({
        "status": transaction.status.as_str(),
        "href": transaction_href(&transaction.id),
        "description": describe_progress(transaction),
    })
}

/// Returns the progress of a running transaction, and the outcome of one that has ended.
pub fn describe_progress(transaction: &Transaction) -> String {
    match (&transaction.progress, transaction.message.as_str()) {
        (Some(progress), "") => progress.to_string(),
        (Some(progress), message) => format!("[ {}/{} ] {message}", progress.done, progress.total),
        (None, message) => message.to_owned(),
    }
}
