//! Cancels a transaction that has not ended, and submits the request of a failed one again.

use axum::extract::{Path, State};
use axum::response::Redirect;
use relation_host::QueueError;
use relation_host::transactions::Transaction;

use super::transactions::{may_change, read};
use super::ui::Ui;
use crate::access::{Allowed, permission};
use crate::calls::{cancel as cancel_call, record_queued};
use crate::{Web, WebError};

/// Reads a transaction whose action the principal may run.
async fn read_to_change(
    web: &Web,
    ui: &Ui,
    allowed: &Allowed<permission::Read>,
    id: &str,
) -> Result<Transaction, WebError> {
    let transaction = read(web, allowed, id).await?;
    match may_change(ui, &transaction) {
        true => Ok(transaction),
        false => Err(WebError::forbidden(&transaction.action)),
    }
}

/// Adds the transaction to an error about its state, so that the page leads to it.
fn with_transaction(error: QueueError, transaction: &Transaction) -> WebError {
    let mut error = WebError::from(error);
    let named = &mut error.error.transaction;
    named.get_or_insert_with(|| transaction.id.clone());
    error
}

/// Submits the request of a transaction again, and leads to the new transaction.
pub(crate) async fn replay(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path(id): Path<String>,
) -> Result<Redirect, WebError> {
    let transaction = read_to_change(&web, &ui, &allowed, &id).await?;
    let replayed = ui.host(&web).replay(&transaction.id).await;
    let new = replayed.map_err(|error| with_transaction(error, &transaction))?;
    let event = ui
        .requester()
        .on_transaction("replay-transaction", &transaction);
    record_queued(&web, event.map(|event| event.with_transaction(&new))).await;
    Ok(Redirect::to(&format!("/transactions/{new}")))
}

/// Cancels a transaction. A running import ends by itself; its page follows it.
pub(crate) async fn cancel(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path(id): Path<String>,
) -> Result<Redirect, WebError> {
    let transaction = read_to_change(&web, &ui, &allowed, &id).await?;
    let canceled = cancel_call(&web, &ui.requester(), &transaction).await;
    canceled.map_err(|error| with_transaction(error, &transaction))?;
    Ok(Redirect::to(&format!("/transactions/{}", transaction.id)))
}
