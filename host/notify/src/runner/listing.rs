//! Deliveries and routings for administrators: listing them, and sending a delivery again.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use relation_host::store::{Change, Check, Commit, SortOrder, Store, StoreError};
use relation_host::types::{Document, Filter, Hierarchy, Key, Page, Pkid, RECORD_KEY, Scope};
use serde::Serialize;

use super::history::KnownNotices;
use super::model::{
    Attempts, CREATED_KEY, DAY_KEY, DELIVERY_MODEL, DeliveryState, ROUTING_MODEL, STATE_KEY,
    StoredDelivery, StoredRouting, key, read, to_timestamp,
};
use super::recipients::delivery_reference;
use super::{FORGET, RunError, deliver_id, schedule};
use crate::NoticeKind;

/// The maximum number of items of one page.
pub const MAX_LISTED: u32 = 200;
/// The time after which a delivery that is sent again is obsolete.
const RESENT_DEADLINE: TimeDelta = TimeDelta::days(1);

/// The choice of deliveries in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// The node of the reader: deliveries to recipients of levels above are not listed.
    pub node: Hierarchy,
    /// The state.
    pub state: Option<DeliveryState>,
    /// The record.
    pub record: Option<Pkid>,
    /// The day on which the delivery was made, in UTC.
    pub day: Option<NaiveDate>,
}

impl DeliveryFilter {
    fn to_documents(&self) -> Filter {
        let mut keys: Vec<Key> = Vec::new();
        keys.extend(self.state.map(|state| key(STATE_KEY, state.as_str())));
        let record = self.record.as_ref();
        keys.extend(record.map(|record| key(RECORD_KEY, record.as_str())));
        keys.extend(self.day.map(|day| key(DAY_KEY, &day.to_string())));
        Filter {
            model: DELIVERY_MODEL.to_owned(),
            hierarchy: Some((self.node.clone(), Scope::Subtree)),
            equals: keys,
        }
    }
}

/// A delivery with its primary key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedDelivery {
    /// The primary key, for [`resend`].
    pub pkid: Pkid,
    /// The delivery.
    #[serde(flatten)]
    pub stored: StoredDelivery,
}

/// The reason why a delivery is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    /// There is no such delivery at the reader's node or below.
    #[error("the delivery does not exist")]
    NotFound,
    /// The delivery has not ended.
    #[error("the delivery is pending: the host makes it; wait for its result")]
    Pending,
    /// The position belongs to another list.
    #[error("the position is not one of these deliveries")]
    Cursor,
    /// Another process has changed the delivery.
    #[error("the delivery was changed meanwhile: look at it, and repeat this")]
    Changed,
    /// The delivery cannot be read or written.
    #[error("{0}")]
    Store(String),
}

/// Lists a page of deliveries, the newest first. `limit` is at most [`MAX_LISTED`].
///
/// # Errors
/// Errors of [`DocumentStore::list`](relation_host::store::DocumentStore::list).
pub async fn list_deliveries(
    store: &dyn Store,
    filter: &DeliveryFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<ListedDelivery>, StoreError> {
    let newest_first = SortOrder {
        key: Some(CREATED_KEY.to_owned()),
        descending: true,
    };
    let limit = limit.clamp(1, MAX_LISTED);
    let filter = filter.to_documents();
    let page = store.list(&filter, &newest_first, cursor, limit).await?;
    let items = page.items.iter().map(to_listed);
    Ok(Page {
        items: items.collect::<Result<_, StoreError>>()?,
        next: page.next,
    })
}

/// Finds a delivery to a recipient at a reader's node or below. `None` if there is none.
///
/// # Errors
/// Errors of [`DocumentStore::get`](relation_host::store::DocumentStore::get).
pub async fn find_delivery(
    store: &dyn Store,
    reader: &Hierarchy,
    pkid: &Pkid,
) -> Result<Option<ListedDelivery>, StoreError> {
    let found = store.get(&[delivery_reference(pkid)]).await?;
    let mut visible = found
        .iter()
        .flatten()
        .filter(|document| reader.contains(&document.hierarchy));
    visible.next().map(to_listed).transpose()
}

fn to_listed(document: &Document) -> Result<ListedDelivery, StoreError> {
    Ok(ListedDelivery {
        pkid: document.reference.pkid.clone(),
        stored: read(document).map_err(to_store_error)?,
    })
}

/// Lists a page of routings of a reader's node and below: which notices were made for a record, and the reasons why
/// others were not. Reasons about levels above the reader's node are left out.
///
/// # Errors
/// Errors of [`DocumentStore::find`](relation_host::store::DocumentStore::find).
pub async fn list_routings(
    store: &dyn Store,
    node: &Hierarchy,
    record: Option<&Pkid>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<StoredRouting>, StoreError> {
    let filter = Filter {
        model: ROUTING_MODEL.to_owned(),
        hierarchy: Some((node.clone(), Scope::Subtree)),
        equals: record
            .map(|record| key(RECORD_KEY, record.as_str()))
            .into_iter()
            .collect(),
    };
    let page = store
        .find(&filter, cursor, limit.clamp(1, MAX_LISTED))
        .await?;
    let items = page.items.iter().map(|document| {
        let mut routing: StoredRouting = read(document).map_err(to_store_error)?;
        routing.not_made.retain(|each| {
            let mut origin = each.origin.iter();
            origin.all(|origin| node.contains(origin))
        });
        Ok(routing)
    });
    Ok(Page {
        items: items.collect::<Result<_, StoreError>>()?,
        next: page.next,
    })
}

/// Sends an ended delivery again with the same id, such as a dead letter after its cause was repaired. It is
/// sent alone, without waiting for the budget, if the settings still name the recipient. It may be obsolete, since a
/// person chose it.
///
/// # Errors
/// See [`ResendError`].
pub async fn resend(
    store: &dyn Store,
    reader: &Hierarchy,
    pkid: &Pkid,
    now: DateTime<Utc>,
) -> Result<(), ResendError> {
    let reference = delivery_reference(pkid);
    let found = store.get(std::slice::from_ref(&reference)).await;
    let found = found.map_err(|error| ResendError::Store(error.to_string()))?;
    let document = found.into_iter().flatten().next();
    let document = document.filter(|document| reader.contains(&document.hierarchy));
    let document = document.ok_or(ResendError::NotFound)?;
    let unreadable = |error: RunError| ResendError::Store(error.to_string());
    let mut stored: StoredDelivery = read(&document).map_err(unreadable)?;
    if stored.state == DeliveryState::Pending {
        return Err(ResendError::Pending);
    }
    stored.state = DeliveryState::Pending;
    stored.resent = stored.resent.saturating_add(1);
    stored.attempts = Attempts {
        log: stored.attempts.log,
        ..Attempts::default()
    };
    (stored.reason, stored.ended) = (None, None);
    stored.delivery.earliest = now;
    let deadline = now.checked_add_signed(RESENT_DEADLINE).unwrap_or(now);
    stored.delivery.deadline = stored.delivery.deadline.max(deadline);
    let commit = Commit {
        checks: vec![Check::Version(reference.clone(), document.version)],
        changes: vec![
            Change::Put(stored.to_document().map_err(unreadable)?),
            Change::Cancel(reference.clone(), FORGET.to_owned()),
            schedule(reference, deliver_id(stored.delivery.channel), now),
        ],
        now: to_timestamp(now),
        ..Commit::default()
    };
    match store.commit(commit).await {
        Ok(()) => Ok(()),
        Err(StoreError::Conflict(_)) => Err(ResendError::Changed),
        Err(error) => Err(ResendError::Store(error.to_string())),
    }
}

/// The result of [`resend_since`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResentPage {
    /// The number of deliveries that are sent again.
    pub resent: u32,
    /// The position at which the next call continues; `None`: all are sent again.
    pub next: Option<String>,
}

/// Sends dead letters of a filter again if they have ended at `since` or later, such as after an outage. Obsolete ones are
/// left out. The state of the filter does not matter. One call looks at a bounded number; the caller continues with
/// [`ResentPage::next`]. A call that is repeated sends none twice, since they are not dead letters any more.
///
/// # Errors
/// [`ResendError::Store`]; the deliveries before it are sent again nevertheless.
pub async fn resend_since(
    store: &dyn Store,
    filter: &DeliveryFilter,
    since: DateTime<Utc>,
    cursor: Option<&str>,
    now: DateTime<Utc>,
) -> Result<ResentPage, ResendError> {
    let dead = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        ..filter.clone()
    };
    // The order of primary keys does not change while states do.
    let page = store.find(&dead.to_documents(), cursor, MAX_LISTED).await;
    let page = page.map_err(|error| match error {
        StoreError::Invalid(_) if cursor.is_some() => ResendError::Cursor,
        error => ResendError::Store(error.to_string()),
    })?;
    let to_error = |error: RunError| ResendError::Store(error.to_string());
    let mut records = BTreeMap::<Pkid, KnownNotices>::new();
    let mut resent = 0_u32;
    for document in &page.items {
        let stored: StoredDelivery = read(document).map_err(to_error)?;
        if stored.ended.is_none_or(|ended| ended < since) || has_expired(&stored, now) {
            continue;
        }
        if let Some(record) = stored.record() {
            if !records.contains_key(&record) {
                let known = KnownNotices::load(store, &record).await;
                records.insert(record.clone(), known.map_err(to_error)?);
            }
            let mut known = records.get(&record).into_iter();
            if known.any(|known| known.replaces(&stored)) {
                continue;
            }
        }
        match resend(store, &filter.node, &document.reference.pkid, now).await {
            Ok(()) => resent = resent.saturating_add(1),
            // Another process was faster.
            Err(ResendError::NotFound | ResendError::Pending | ResendError::Changed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ResentPage {
        resent,
        next: page.next,
    })
}

/// Returns whether a notice before an expiry comes too late: at the expiry, or when the next threshold is crossed.
fn has_expired(stored: &StoredDelivery, now: DateTime<Utc>) -> bool {
    let is_over = stored.notice.expires.is_some_and(|expires| expires <= now);
    stored.notice.kind == NoticeKind::Expiring && (is_over || stored.delivery.deadline < now)
}

pub(super) fn to_store_error(error: RunError) -> StoreError {
    match error {
        RunError::Store(error) => error,
        other => StoreError::Corrupt(other.to_string()),
    }
}
