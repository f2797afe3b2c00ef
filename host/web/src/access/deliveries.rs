//! Deliveries of notices: lists, their replies, and sending them again.
//!
//! A delivery belongs to the node of the level that names its recipient. So an administrator sees the deliveries to the
//! recipients of his or her own level and below, and none to those of higher levels.

use chrono::NaiveDate;
use relation_app::{AppError, ErrorKind};
use relation_host::store::StoreError;
use relation_host::types::{Document, Hierarchy, Page, Pkid, Reference, Timestamp};
use relation_notify::runner::{
    self, DELIVERY_MODEL, DeliveryState, ListedDelivery, ResendError, ResentPage,
};
use serde_json::Value;

use super::audit::{self, AuditObject, FieldChange, top_node};
use super::notice_settings::to_time;
use super::{AccessParts, Authority, Permission, permission};
use crate::WebError;
use crate::api::cursor_error;

/// The choice of deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// The node at and below which a level names the recipient; without one, the reader's own node.
    pub node: Option<Hierarchy>,
    /// The record.
    pub record: Option<Pkid>,
    /// The state.
    pub state: Option<DeliveryState>,
    /// The day on which the delivery was made, in UTC.
    pub day: Option<NaiveDate>,
}

impl DeliveryFilter {
    fn to_runner<P: Permission>(
        &self,
        authority: &Authority<'_, P>,
    ) -> Result<runner::DeliveryFilter, WebError> {
        let node = match authority.range(self.node.as_ref())? {
            Some((node, _)) => node,
            None => top_node()?,
        };
        Ok(runner::DeliveryFilter {
            node,
            state: self.state,
            record: self.record.clone(),
            day: self.day,
        })
    }
}

/// Lists deliveries, the newest first.
///
/// # Errors
/// Errors of [`Allowed::range`](super::Allowed::range); the cursor belongs to another list; the store cannot be read.
pub async fn list(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Read>,
    filter: &DeliveryFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<ListedDelivery>, WebError> {
    let filter = filter.to_runner(authority)?;
    let page = runner::list_deliveries(parts.store(), &filter, cursor, limit).await;
    page.map_err(|error| match error {
        StoreError::Invalid(_) if cursor.is_some() => cursor_error(),
        error => error.into(),
    })
}

/// Reads a delivery.
///
/// # Errors
/// 404 if it does not exist, or its recipient is one of a level outside of the reader's nodes.
pub async fn find(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Read>,
    pkid: &Pkid,
) -> Result<ListedDelivery, WebError> {
    let document = load(parts, authority, pkid).await?;
    let stored = serde_json::from_str(&document.body).map_err(|_| {
        // The error of serde may repeat a part of the body.
        StoreError::Corrupt(format!("cannot read the body of {}", document.reference))
    })?;
    Ok(ListedDelivery {
        pkid: document.reference.pkid,
        stored,
    })
}

/// Sends a delivery that has ended again, with the same id.
///
/// # Errors
/// Errors of [`find`]; 409 if the delivery has not ended, or was changed in the meantime.
pub async fn resend(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    pkid: &Pkid,
) -> Result<(), WebError> {
    let document = load(parts, authority, pkid).await?;
    let node = document.hierarchy;
    let resent = runner::resend(parts.store(), &node, pkid, to_time(parts.now())).await;
    resent.map_err(to_error)?;
    let event = authority
        .to_node_event("resend-notice", &node)
        .on(AuditObject::new(document.reference, ""));
    audit::record(parts, event).await
}

/// Sends dead letters of a filter again if they have ended at `since` or later. One call looks at a bounded number: the
/// next one continues at [`ResentPage::next`].
///
/// # Errors
/// Errors of [`list`].
pub async fn resend_since(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    filter: &DeliveryFilter,
    since: Timestamp,
    cursor: Option<&str>,
) -> Result<ResentPage, WebError> {
    let filter = filter.to_runner(authority)?;
    let (store, now) = (parts.store(), to_time(parts.now()));
    let resent = runner::resend_since(store, &filter, to_time(since), cursor, now).await;
    let resent = resent.map_err(to_error)?;
    let event = authority
        .to_node_event("resend-notices", &filter.node)
        .with_changes(vec![
            FieldChange::new("since", Value::Null, since.0),
            FieldChange::new("resent", Value::Null, resent.resent),
        ]);
    audit::record(parts, event).await?;
    Ok(resent)
}

async fn load<P: Permission>(
    parts: &AccessParts,
    authority: &Authority<'_, P>,
    pkid: &Pkid,
) -> Result<Document, WebError> {
    let reference = Reference::new(DELIVERY_MODEL, pkid.clone());
    let found = parts.store().get(&[reference]).await?;
    let document = found.into_iter().flatten().next();
    let document = document.ok_or_else(WebError::not_found)?;
    authority.check_node(&document.hierarchy)?;
    Ok(document)
}

fn to_error(error: ResendError) -> WebError {
    let kind = match error {
        ResendError::NotFound => return WebError::not_found(),
        ResendError::Cursor => return cursor_error(),
        ResendError::Pending | ResendError::Changed => ErrorKind::Conflict,
        ResendError::Store(_) => ErrorKind::Unavailable,
    };
    AppError::new(kind, error.to_string()).into()
}
