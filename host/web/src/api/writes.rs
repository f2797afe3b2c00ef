//! The ends of writes: the response to a call that has ended, or 202 with the transaction of one that has not.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use relation_host::callbacks::transaction_href;
use relation_host::{CallError, CallOutput, Host, QueuedCall};
use serde_json::{Value, json};

use crate::calls::{Call, Waited, record_queued};
use crate::{Web, WebError};

/// Runs a call and waits for its end, or queues the call as `queued`. `show` makes the response to a call that has
/// ended; any other call gets 202 with its transaction.
pub(super) async fn run_or_queue<T, F>(
    web: &Web,
    host: &Host,
    call: Call<T>,
    queued: Option<QueuedCall>,
    work: impl FnOnce(Host) -> F,
    show: impl FnOnce(CallOutput<T>) -> Response,
) -> Result<Response, WebError>
where
    T: Send + 'static,
    F: Future<Output = Result<CallOutput<T>, CallError>> + Send + 'static,
{
    if let Some(queued) = queued {
        let id = host.submit(queued).await?;
        let event = call.into_event();
        record_queued(web, event.map(|event| event.with_transaction(&id))).await;
        return Ok(accepted(&id, None));
    }
    Ok(match call.run_for_a_while(web, host, work).await? {
        Waited::Ended(output) => show(output),
        Waited::Running(transaction) => accepted(&transaction, None),
    })
}

/// Returns the response to a request whose work is queued. A bulk has items, some of which may be refused.
pub(super) fn accepted(transaction: &str, items: Option<Vec<Value>>) -> Response {
    let href = transaction_href(transaction);
    let mut body = json!({ "href": href, "success": true, "transaction_id": transaction });
    if let (Some(members), Some(items)) = (body.as_object_mut(), items) {
        let is_refused = |item: &&Value| item["status"] != StatusCode::ACCEPTED.as_u16();
        let refused = items.iter().filter(is_refused).count();
        members.insert("refused".to_owned(), refused.into());
        members.insert("resources".to_owned(), items.into());
    }
    let location = [(header::LOCATION, href)];
    (StatusCode::ACCEPTED, location, Json(body)).into_response()
}
