//! Calls on several records: each record is judged by its own right and has a transaction of its own.

use relation_app::records::StoredRecord;
use relation_host::transactions::part_id;
use relation_host::{Host, QueuedCall};

use crate::access::audit::NewAuditEvent;
use crate::access::{Allowed, Permission};
use crate::calls::record_queued;
use crate::{Web, WebError};

/// The record that a bulk names, and why it has no call.
pub(crate) struct BulkItem {
    /// The pkid, as the request has it.
    pub(crate) pkid: String,
    /// The reason; `None`: its calls are queued.
    pub(crate) refused: Option<WebError>,
}

/// A bulk that is queued.
pub(crate) struct QueuedBulk {
    /// The common transaction; `None`: every record was refused.
    pub(crate) transaction: Option<String>,
    /// The records, as the request has them.
    pub(crate) items: Vec<BulkItem>,
}

/// Queues calls for each record that the principal may change. A record that is refused does not stop the others.
///
/// # Errors
/// 404 if the principal has no node; the store or the plugin failed: then nothing is queued.
pub(crate) async fn submit<P: Permission>(
    web: &Web,
    allowed: &Allowed<P>,
    (host, action): (&Host, &str),
    pkids: impl Iterator<Item = &str> + Send,
    (to_calls, to_event): (
        impl Fn(&StoredRecord) -> Result<Vec<QueuedCall>, WebError> + Send,
        impl Fn(&StoredRecord) -> NewAuditEvent + Send,
    ),
) -> Result<QueuedBulk, WebError> {
    let node = allowed.nodes().first().ok_or_else(WebError::not_found)?;
    let mut calls = Vec::new();
    let mut events = Vec::new();
    let mut items = Vec::new();
    for pkid in pkids {
        let found = allowed.record(web, pkid).await;
        let prepared = found.and_then(|record| Ok((to_calls(&record)?, to_event(&record))));
        let refused = match prepared {
            Ok((of_record, event)) => {
                // The event names the record's own part, since its auditors may not see the bulk.
                let part = u32::try_from(calls.len()).unwrap_or(u32::MAX);
                events.push((part.saturating_add(1), event));
                calls.extend(of_record);
                None
            }
            Err(error) if error.status.is_server_error() => return Err(error),
            Err(error) => Some(error),
        };
        let pkid = pkid.to_owned();
        items.push(BulkItem { pkid, refused });
    }
    let transaction = match calls.is_empty() {
        true => None,
        false => {
            let id = host.submit_all(action, node, calls).await?;
            let events = events.into_iter();
            let events = events.map(|(part, event)| event.with_transaction(&part_id(&id, part)));
            record_queued(web, events).await;
            Some(id)
        }
    };
    Ok(QueuedBulk { transaction, items })
}
