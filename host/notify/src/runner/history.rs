//! The history of a connection: the events that its deliveries and routings have reported. The runner and the preview
//! both use it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use relation_host::HandlerError;
use relation_host::store::Store;
use relation_host::types::{Document, Filter, Pkid, RECORD_KEY};
use serde::de::DeserializeOwned;

use super::RunError;
use super::facts::load_settings;
use super::model::{
    DELIVERY_MODEL, DeliveryState, ROUTING_MODEL, StoredDelivery, StoredRouting, key, read,
};
use super::recipients::add_sent;
use super::route::find_account_key;
use crate::routing::{
    ConnectionFacts, Event, History, PlannedNotice, count_key, drop_replaced, ends_with_recovery,
    preview, replaces,
};
use crate::settings::{Defaults, Resolved};
use crate::{Notice, NoticeKind};

/// The number of documents in one page of a search.
const PAGE: u32 = 200;
/// The maximum number of pages: a record has few deliveries.
const MAX_PAGES: usize = 50;

/// A document of a record, and its body.
pub(super) struct Known<T> {
    pub document: Document,
    pub stored: T,
}

/// The documents that make up the history of a record.
#[derive(Default)]
pub(super) struct KnownNotices {
    pub deliveries: Vec<Known<StoredDelivery>>,
    pub routings: Vec<Known<StoredRouting>>,
}

impl KnownNotices {
    pub(super) async fn load(store: &dyn Store, record: &Pkid) -> Result<Self, RunError> {
        Ok(Self {
            deliveries: find(store, DELIVERY_MODEL, record).await?,
            routings: find(store, ROUTING_MODEL, record).await?,
        })
    }

    /// Returns the history of a grant, without the messages of the last hour.
    pub(super) fn to_history(&self, facts: &ConnectionFacts) -> History {
        let mut history = History::default();
        for Known { stored, .. } in &self.deliveries {
            let StoredDelivery { notice, state, .. } = stored;
            if notice.grant != facts.grant {
                continue;
            }
            let is_current = stored.generation == facts.generation;
            let is_made = state.is_told() || *state == DeliveryState::Pending;
            if notice.kind == NoticeKind::Expiring
                && is_current
                && is_made
                && stored.threshold_ms > 0
            {
                let threshold = Duration::from_millis(stored.threshold_ms);
                let told = history.told_threshold;
                history.told_threshold = Some(told.map_or(threshold, |told| told.min(threshold)));
            }
            if is_current {
                history.reminders = history.reminders.max(stored.reminder);
            }
            let told = stored.ended.filter(|_| state.is_told());
            if ends_with_recovery(notice.kind) {
                history.problem_told = history.problem_told.max(told);
            }
            if notice.kind == NoticeKind::Recovered {
                history.recovery_told = history.recovery_told.max(told);
                let recovered = told.map(|_| notice.occurred);
                history.recovered = history.recovered.max(recovered);
            }
        }
        let routings = self.routings.iter().map(|each| &each.stored);
        let problems = routings.filter(|each| is_problem(each, &facts.grant));
        history.problem_routed = problems.map(|each| each.at).max();
        history
    }
}

impl KnownNotices {
    /// Returns whether a later notice of the connection makes a dead letter obsolete. Such a notice went to the same
    /// recipient, even if it is a dead letter too. Otherwise it reports that the connection works, or that it does
    /// not after a notice of another kind.
    pub(super) fn replaces(&self, dead: &StoredDelivery) -> bool {
        let needs_person = |kind| matches!(kind, NoticeKind::Expired | NoticeKind::Reauthorize);
        let is_later = |notice: &Notice| {
            notice.id != dead.notice.id
                && notice.grant == dead.notice.grant
                && (notice.occurred, &notice.id) > (dead.notice.occurred, &dead.notice.id)
                && replaces(notice, &dead.notice)
        };
        let is_told = self.deliveries.iter().any(|Known { stored, .. }| {
            stored.delivery.recipient_key == dead.delivery.recipient_key
                && stored.state != DeliveryState::Dropped
                && is_later(&stored.notice)
        });
        is_told
            || self.routings.iter().any(|Known { stored, .. }| {
                let kind = stored.notice.kind;
                let changes_state = kind == NoticeKind::Recovered
                    || (needs_person(kind) && !needs_person(dead.notice.kind));
                changes_state && is_later(&stored.notice)
            })
    }
}

/// Returns whether a routing is about a connection of the grant that does not work.
pub(super) fn is_problem(routing: &StoredRouting, grant: &str) -> bool {
    let kind = routing.notice.kind;
    let is_problem = matches!(kind, NoticeKind::Expired | NoticeKind::Reauthorize);
    is_problem && routing.notice.grant == grant
}

async fn find<T: DeserializeOwned>(
    store: &dyn Store,
    model: &str,
    record: &Pkid,
) -> Result<Vec<Known<T>>, RunError> {
    let filter = Filter {
        model: model.to_owned(),
        hierarchy: None,
        equals: vec![key(RECORD_KEY, record.as_str())],
    };
    let mut known = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = store.find(&filter, cursor.as_deref(), PAGE).await?;
        for document in page.items {
            let stored = read(&document)?;
            known.push(Known { document, stored });
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(known)
}

/// Adds the messages of the last hour to the recipients of an event.
pub(super) async fn add_recent(
    store: &dyn Store,
    resolved: &Resolved,
    event: &Event,
    history: &mut History,
) -> Result<(), RunError> {
    let account = find_account_key(event, resolved);
    let keys = resolved.recipients.iter();
    let keys = keys.map(|each| count_key(&each.recipient, &each.origin));
    add_sent(store, keys.chain(account), history).await
}

/// Reads the history of a connection, as the runner sees it at `now`: its notices, and the messages of the last hour to
/// its recipients.
///
/// # Errors
/// The store or a document cannot be read. The error contains no secret.
pub async fn load_history(
    store: &dyn Store,
    facts: &ConnectionFacts,
    defaults: &Defaults,
    now: DateTime<Utc>,
) -> Result<History, HandlerError> {
    let resolved = load_settings(store, &facts.node, defaults).await?.resolved;
    Ok(load(store, facts, &resolved, now).await?)
}

async fn load(
    store: &dyn Store,
    facts: &ConnectionFacts,
    resolved: &Resolved,
    now: DateTime<Utc>,
) -> Result<History, RunError> {
    let known = match facts.record.parse() {
        Ok(record) => KnownNotices::load(store, &record).await?,
        Err(_) => KnownNotices::default(),
    };
    let mut history = known.to_history(facts);
    add_recent(store, resolved, &Event::expiring(facts, now), &mut history).await?;
    Ok(history)
}

/// Lists the coming notices of a connection: see [`preview`]. It reads the same settings and the same history as
/// the runner. A delivery that a later notice replaces while it waits is not made.
///
/// # Errors
/// The store or a document cannot be read. The error contains no secret.
pub async fn preview_record(
    store: &dyn Store,
    facts: &ConnectionFacts,
    defaults: &Defaults,
    now: DateTime<Utc>,
) -> Result<Vec<PlannedNotice>, HandlerError> {
    let resolved = load_settings(store, &facts.node, defaults).await?.resolved;
    let history = load(store, facts, &resolved, now).await?;
    let mut planned = preview(facts, &resolved, &history, now);
    drop_replaced(&mut planned);
    Ok(planned)
}
