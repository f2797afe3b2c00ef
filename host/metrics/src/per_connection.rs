//! The gauge of each customer, for small installations.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use relation_host::store::{Store, StoreError};
use relation_host::types::{Filter, RECORD_MODEL, Reference, Timestamp};
use relation_host::wakeup_kinds;

use crate::metrics::seconds_of;

/// The largest number of customers with a gauge.
const MAX_CUSTOMERS: u64 = 1000;
/// The number of wakeups of a page, and the largest number of pages.
const PAGE: u32 = 500;
const MAX_PAGES: usize = 40;

/// The labels `pkid` and `name` of each customer, with the expiry in seconds since the Unix epoch.
pub(crate) type Expiries = Vec<([String; 2], f64)>;

/// Whether each customer has a gauge. It is turned off for good when there are too many.
pub(crate) struct PerConnection(AtomicBool);

impl PerConnection {
    pub fn new(is_on: bool) -> Self {
        Self(AtomicBool::new(is_on))
    }

    /// Reads the earliest expiry of each customer; `None` if the gauges are off.
    pub async fn read(&self, store: &dyn Store) -> Result<Option<Expiries>, StoreError> {
        if !self.0.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let customers = Filter {
            model: RECORD_MODEL.to_owned(),
            hierarchy: None,
            equals: Vec::new(),
        };
        let count = store.count(&customers, MAX_CUSTOMERS + 1).await?;
        let expiries = match count > MAX_CUSTOMERS {
            true => None,
            false => read_expiries(store).await?,
        };
        let Some(expiries) = expiries else {
            self.0.store(false, Ordering::Relaxed);
            tracing::warn!(
                "metrics.per-connection is off until the next start: there are more than {MAX_CUSTOMERS} customers"
            );
            return Ok(None);
        };
        let references: Vec<Reference> = expiries.keys().cloned().collect();
        let records = store.get(&references).await?;
        let named = expiries.into_iter().zip(records);
        let named = named.map(|((reference, at), record)| {
            let keys = record.iter().flat_map(|record| &record.keys);
            let mut names = keys.filter(|key| key.name == "name");
            let name = names.next().map(|key| key.value.clone());
            let labels = [reference.pkid.to_string(), name.unwrap_or_default()];
            (labels, seconds_of(at))
        });
        Ok(Some(named.collect()))
    }
}

/// Reads the earliest deadline of each customer's refreshes; `None` if there are too many wakeups.
async fn read_expiries(
    store: &dyn Store,
) -> Result<Option<BTreeMap<Reference, Timestamp>>, StoreError> {
    let mut found = BTreeMap::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let page = store.upcoming(None, cursor.as_deref(), PAGE).await?;
        for due in page.items {
            let wakeup = due.wakeup;
            let Some(deadline) = wakeup
                .deadline
                .filter(|_| wakeup.kind() == wakeup_kinds::REFRESH)
            else {
                continue;
            };
            let earliest = found.entry(wakeup.subject).or_insert(deadline);
            *earliest = deadline.min(*earliest);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
