//! The list of records: its sort order, its pages and their cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relation_host::Host;
use relation_host::reports::{RecordDetails, State};
use relation_host::store::Store;
use relation_host::types::{Filter, Page};
use serde::{Deserialize, Serialize};

use crate::AppError;
use crate::records;

/// The number of records per read from the store.
const READ_PAGE_SIZE: u32 = 1000;

/// The sort order of a list of customers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// By hierarchy, and by name within it.
    #[default]
    Name,
    /// By the expiry of the refresh token, the earliest first.
    Expiry,
    /// By state, the most urgent first.
    State,
}

/// The position of a record in an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListPosition {
    urgency: u8,
    expires: u64,
    hierarchy: Vec<String>,
    name: String,
    pkid: String,
}

impl Order {
    /// Returns the position of `record`.
    pub fn position(self, record: &RecordDetails) -> ListPosition {
        let connection = &record.connection;
        let grants = connection.grants.iter().map(|status| status.state);
        let states = grants.chain([connection.state]);
        let urgency = states.map(urgency).min();
        let expires = connection.refresh_token_expires;
        let expires = expires.map_or(u64::MAX, |expiry| expiry.at.0);
        let hierarchy = connection.hierarchy.as_str().to_lowercase();
        ListPosition {
            urgency: match self {
                Self::State => urgency.unwrap_or_default(),
                Self::Name | Self::Expiry => 0,
            },
            expires: match self {
                Self::Name => 0,
                Self::Expiry | Self::State => expires,
            },
            hierarchy: hierarchy.split('.').map(str::to_owned).collect(),
            name: connection.name.to_lowercase(),
            pkid: connection.pkid.to_string(),
        }
    }

    /// Parses a cursor. Returns `None` for a text that is not a cursor of a list in this order.
    pub fn parse_cursor(self, cursor: &str) -> Option<ListPosition> {
        let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (order, position): (Self, ListPosition) = serde_json::from_slice(&json).ok()?;
        (order == self).then_some(position)
    }

    /// Encodes the cursor of the page after `position`.
    pub fn encode_cursor(self, position: &ListPosition) -> String {
        let json = serde_json::to_vec(&(self, position)).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }
}

/// Reads a page of records in `order`: at most `limit` records after a position. The store sorts records by
/// pkid, so all records are read, but only those of the page are kept in memory. `host` is a host of the plugin; its
/// own store is not read.
///
/// # Errors
/// The store cannot be read, or holds a record of another release.
pub async fn read_sorted(
    store: &dyn Store,
    host: &Host,
    filter: &Filter,
    order: Order,
    after: Option<&ListPosition>,
    limit: Option<u32>,
) -> Result<Page<RecordDetails>, AppError> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let mut found: Vec<(ListPosition, RecordDetails)> = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .find(filter, cursor.as_deref(), READ_PAGE_SIZE)
            .await?;
        for record in records::show_all(host, &page.items).await? {
            let position = order.position(&record);
            if after.is_none_or(|after| position > *after) {
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
        next: last.map(|(position, _)| order.encode_cursor(position)),
        items: found.into_iter().map(|(_, record)| record).collect(),
    })
}

/// Ranks a state by how soon a person has to act; 0 is the most urgent.
fn urgency(state: State) -> u8 {
    match state {
        State::Expired => 0,
        State::Reauthorize => 1,
        State::Expiring => 2,
        State::MissingScope => 3,
        State::NotConnected => 4,
        State::Retrying => 5,
        State::Connected => 6,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(name: &str, hierarchy: &str, state: &str, expires: Option<u64>) -> RecordDetails {
        let expires = expires.map(|at| json!({ "at": at, "assumed": false }));
        let connection = json!({
            "pkid": "0123456789abcdef01234567",
            "name": name,
            "hierarchy": hierarchy,
            "state": state,
            "refresh_token_expires": expires,
            "grants": [],
            "notes": "",
        });
        let record = json!({
            "connection": connection,
            "fields": {},
            "owned_documents": [],
        });
        serde_json::from_value(record).unwrap()
    }

    fn names(order: Order) -> Vec<String> {
        let mut records = [
            record("b", "sys.P.R", "connected", Some(5)),
            record("C", "sys.P.R", "expired", Some(1)),
            record("a", "sys.P.R.Sub", "connected", Some(3)),
            record("d", "sys.P", "not-connected", None),
            record("e", "sys.P-Q", "expiring", Some(4)),
            record("f", "sys.P.R", "reauthorize", Some(9)),
        ];
        records.sort_by_key(|record| order.position(record));
        let names = records.iter().map(|record| record.connection.name.clone());
        names.collect()
    }

    #[test]
    fn records_sort_by_name_expiry_or_state() {
        assert_eq!(names(Order::Name), ["d", "b", "C", "f", "a", "e"]);
        assert_eq!(names(Order::Expiry), ["C", "a", "e", "b", "f", "d"]);
        assert_eq!(names(Order::State), ["C", "f", "e", "d", "a", "b"]);
    }

    #[test]
    fn cursor_is_valid_in_its_own_order_only() {
        let position = Order::State.position(&record("ü", "sys.P", "expired", Some(7)));
        let cursor = Order::State.encode_cursor(&position);
        assert_eq!(Order::State.parse_cursor(&cursor), Some(position));
        assert_eq!(Order::Name.parse_cursor(&cursor), None);
        assert_eq!(Order::State.parse_cursor("nonsense"), None);
    }
}
