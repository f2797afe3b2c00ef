//! The list of records: its orders, its pages and their cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relation_host::Host;
use relation_host::reports::{ConnectionReport, RecordDetails};
use relation_host::store::{SortOrder, Store, StoreError};
use relation_host::types::{Filter, Page};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alerts::{self, Alert};
use crate::records;
use crate::{AppError, ErrorKind};

/// The number of records per read from the store.
const READ_PAGE_SIZE: u32 = 1000;

/// The order of a list of customers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By urgency: the most urgent state of a customer's grants, then the name.
    #[default]
    Urgency,
    /// By name.
    Name,
    /// By the expiry of the organization's refresh token, the earliest first.
    Expiry,
}

/// Reads a page of records: at most `limit` after the cursor of an earlier page of the same list; without a limit,
/// all of them. `host` is a host of the plugin; its own store is not read.
///
/// The store sorts by urgency and by name. In the order of expiries, all records are read, but only those of the
/// page are kept in memory.
///
/// # Errors
/// [`ErrorKind::Usage`] for a cursor of another list; the store cannot be read, or holds a record of another release.
/// A cursor in the order of expiries does not record the filter.
pub async fn read_page(
    store: &dyn Store,
    host: &Host,
    filter: &Filter,
    order: Order,
    cursor: Option<&str>,
    limit: Option<u32>,
) -> Result<Page<RecordDetails>, AppError> {
    let key = match order {
        Order::Urgency => "urgency",
        Order::Name => "name",
        Order::Expiry => return read_by_expiry(store, host, filter, cursor, limit).await,
    };
    let order = SortOrder {
        key: Some(key.to_owned()),
        descending: false,
    };
    let mut items = Vec::new();
    let mut cursor = cursor.map(str::to_owned);
    loop {
        let size = limit.unwrap_or(READ_PAGE_SIZE);
        let page = store.list(filter, &order, cursor.as_deref(), size).await;
        let page = page.map_err(|error| match error {
            StoreError::Invalid(_) if cursor.is_some() => cursor_error(),
            error => error.into(),
        })?;
        items.extend(records::show_all(host, &page.items).await?);
        cursor = page.next;
        if limit.is_some() || cursor.is_none() {
            return Ok(Page {
                items,
                next: cursor,
            });
        }
    }
}

/// A customer in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListRow {
    /// The state of the connection.
    #[serde(flatten)]
    pub connection: ConnectionReport,
    /// The organization's bare UUID, if it is known.
    pub account_number: Option<String>,
    /// Whether this is a wholesale customer.
    pub wholesale: bool,
    /// Whether this is a Contact Center customer.
    pub contact_center: bool,
    /// The most severe alert, if there is one.
    pub alert: Option<Alert>,
}

/// Adds account number, kinds and the most severe alert to each record.
///
/// # Errors
/// The store cannot be read.
pub async fn to_rows(
    store: &dyn Store,
    records: Vec<RecordDetails>,
) -> Result<Vec<ListRow>, AppError> {
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let flag = |name: &str| record.fields.get(name) == Some(&Value::Bool(true));
        let account_number = record.fields.get("account_number_external");
        let of_record = alerts::filter_by_owner(record.connection.pkid.as_str());
        let alert = alerts::read_page(store, &of_record, None, 1).await?;
        rows.push(ListRow {
            account_number: account_number.and_then(Value::as_str).map(str::to_owned),
            wholesale: flag("wholesale_status"),
            contact_center: flag("webex_contact_center"),
            alert: alert.items.into_iter().next(),
            connection: record.connection,
        });
    }
    Ok(rows)
}

/// Returns the error for a cursor of another list.
pub(crate) fn cursor_error() -> AppError {
    AppError::new(ErrorKind::Usage, "the cursor is not a cursor of this list")
        .hint("use the cursor of an earlier page of the same list, with the same order and filters")
}

/// The position of a record in the order of expiries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct ExpiryPosition {
    expires: u64,
    pkid: String,
}

impl ExpiryPosition {
    fn from_record(record: &RecordDetails) -> Self {
        let expires = record.connection.refresh_token_expires;
        Self {
            expires: expires.map_or(u64::MAX, |expiry| expiry.at.0),
            pkid: record.connection.pkid.to_string(),
        }
    }

    fn parse_cursor(cursor: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        serde_json::from_slice(&json).ok()
    }

    fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

async fn read_by_expiry(
    store: &dyn Store,
    host: &Host,
    filter: &Filter,
    cursor: Option<&str>,
    limit: Option<u32>,
) -> Result<Page<RecordDetails>, AppError> {
    let after = cursor.map(|cursor| ExpiryPosition::parse_cursor(cursor).ok_or_else(cursor_error));
    let after = after.transpose()?;
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let mut found: Vec<(ExpiryPosition, RecordDetails)> = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .find(filter, cursor.as_deref(), READ_PAGE_SIZE)
            .await?;
        for record in records::show_all(host, &page.items).await? {
            let position = ExpiryPosition::from_record(&record);
            if after.as_ref().is_none_or(|after| position > *after) {
                found.push((position, record));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        // One record more than the limit shows that there is another page.
        found.truncate(limit.saturating_add(1));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    Ok(Page {
        next: last.map(|(position, _)| position.to_cursor()),
        items: found.into_iter().map(|(_, record)| record).collect(),
    })
}
