//! The health of endpoints: its changes are reported to other recipients, and administrators list it.

use chrono::{DateTime, Utc};
use relation_host::store::{Change, Check, Commit, Store, StoreError};
use relation_host::types::{Filter, Hierarchy, Key, Page, Scope};
use serde::Serialize;

use super::facts::load_settings;
use super::listing::{MAX_LISTED, to_store_error};
use super::model::{
    DELIVERY_MODEL, DISABLED_KEY, DeliveryState, RECIPIENT_MODEL, STATE_KEY, StoredRecipient, key,
    read, to_timestamp,
};
use super::recipients::{LoadedRecipient, TRIES, add_sent};
use super::{NoticeRunner, Run, RunError};
use crate::health::{EndpointHealth, HealthChange};
use crate::routing::{Delivery, Event, History, count_key, route};
use crate::settings::{Recipient, ResolvedRecipient, list_levels};
use crate::{DeliveryError, Receipt};

/// An endpoint and its health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedEndpoint {
    /// The level that names the endpoint.
    pub origin: Hierarchy,
    /// The endpoint. The address of a webhook has no path, which may be confidential.
    pub recipient: Recipient,
    /// The health.
    pub health: EndpointHealth,
}

impl NoticeRunner {
    /// Stores the result of an attempt for the endpoint. The same commit has the notice of a change, so that the
    /// change is reported exactly once.
    pub(super) async fn store_health(
        &self,
        run: &Run<'_>,
        delivery: &Delivery,
        result: &Result<Receipt, DeliveryError>,
        now: DateTime<Utc>,
    ) -> Result<Option<HealthChange>, RunError> {
        for _ in 0..TRIES {
            let mut loaded = LoadedRecipient::load(run.store, &delivery.recipient_key).await?;
            let before = loaded.body.health;
            let health = &mut loaded.body.health;
            let change = match result {
                Ok(_) => health.record_success(),
                Err(error) => health.record_failure(error.kind, now),
            };
            if *health == before {
                return Ok(None);
            }
            let since = health.failing_since().or(before.failing_since());
            let mut commit = Commit {
                checks: vec![loaded.check],
                changes: vec![Change::Put(loaded.body.to_document(delivery)?)],
                now: to_timestamp(now),
                ..Commit::default()
            };
            if let Some(change) = change {
                let told = self.tell_change(run, delivery, change, since, now).await;
                match told {
                    Ok((checks, changes)) => {
                        commit.checks.extend(checks);
                        commit.changes.extend(changes);
                    }
                    // The health matters more than the notice.
                    Err(error) => {
                        let origin = &delivery.origin;
                        tracing::warn!(%origin, %error, "the change of an endpoint is not told");
                    }
                }
            }
            match run.store.commit(commit).await {
                Ok(()) => return Ok(change),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RunError::Contended)
    }

    /// Creates the deliveries that report a change of an endpoint. They go to the other recipients of its level, or
    /// else to those of the nearest level above that has some.
    async fn tell_change(
        &self,
        run: &Run<'_>,
        delivery: &Delivery,
        change: HealthChange,
        since: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(Vec<Check>, Vec<Change>), RunError> {
        let endpoint = &delivery.recipient;
        for level in list_levels(&delivery.origin).into_iter().rev() {
            let settings = load_settings(run.store, &level, &self.options.defaults).await?;
            let mut resolved = settings.resolved;
            resolved.fields.account_email.value = false;
            let mut history = History::default();
            resolved.recipients =
                retain_usable(run, &level, &delivery.recipient_key, resolved.recipients).await?;
            let keys = resolved.recipients.iter();
            let keys = keys.map(|each| count_key(&each.recipient, &each.origin));
            add_sent(run.store, keys, &mut history).await?;
            let event = Event::endpoint(
                &level,
                &delivery.origin,
                endpoint,
                change,
                since,
                now,
                self.options.link.clone(),
            );
            let plan = route(&event, &resolved, now, &history);
            if !plan.deliveries.is_empty() {
                return self.make_deliveries(run, &event, &plan, None, now).await;
            }
        }
        Ok((Vec::new(), Vec::new()))
    }
}

/// Retains the recipients that a level names, without the endpoint and without others that do not work.
async fn retain_usable(
    run: &Run<'_>,
    level: &Hierarchy,
    endpoint: &str,
    recipients: Vec<ResolvedRecipient>,
) -> Result<Vec<ResolvedRecipient>, RunError> {
    let mut usable = Vec::new();
    for each in recipients {
        let key = count_key(&each.recipient, &each.origin);
        if each.origin != *level || key == endpoint {
            continue;
        }
        let loaded = LoadedRecipient::load(run.store, &key).await?;
        if loaded.body.health.is_usable() {
            usable.push(each);
        }
    }
    Ok(usable)
}

/// Lists a page of the endpoints of a reader's node and below that were tried, with their health. `limit` is at most
/// [`MAX_LISTED`]. A page may have fewer entries than `limit`, since mailboxes are left out.
///
/// # Errors
/// Errors of [`DocumentStore::find`](relation_host::store::DocumentStore::find).
pub async fn list_endpoints(
    store: &dyn Store,
    node: &Hierarchy,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<ListedEndpoint>, StoreError> {
    let filter = Filter {
        model: RECIPIENT_MODEL.to_owned(),
        hierarchy: Some((node.clone(), Scope::Subtree)),
        equals: Vec::new(),
    };
    let page = store
        .find(&filter, cursor, limit.clamp(1, MAX_LISTED))
        .await?;
    let mut items = Vec::new();
    for document in &page.items {
        let stored: StoredRecipient = read(document).map_err(to_store_error)?;
        if let Some(recipient) = stored.recipient
            && !matches!(recipient, Recipient::Mail(_))
        {
            items.push(ListedEndpoint {
                origin: document.hierarchy.clone(),
                recipient,
                health: stored.health,
            });
        }
    }
    Ok(Page {
        items,
        next: page.next,
    })
}

/// The deliveries and recipients of an installation that need an administrator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FailureCounts {
    /// The dead letters.
    pub dead: u64,
    /// The recipients that are disabled, because they had only failures or refuse messages.
    pub disabled: u64,
}

/// Counts dead letters and disabled recipients, by indexes.
///
/// # Errors
/// Errors of [`DocumentStore::count`](relation_host::store::DocumentStore::count).
pub async fn count_failures(store: &dyn Store) -> Result<FailureCounts, StoreError> {
    let disabled = filter(RECIPIENT_MODEL, key(DISABLED_KEY, "true"));
    Ok(FailureCounts {
        dead: count_dead(store, u64::MAX).await?,
        disabled: store.count(&disabled, u64::MAX).await?,
    })
}

/// Counts dead letters up to `at_most`, by an index.
///
/// # Errors
/// Errors of [`DocumentStore::count`](relation_host::store::DocumentStore::count).
pub async fn count_dead(store: &dyn Store, at_most: u64) -> Result<u64, StoreError> {
    let dead = key(STATE_KEY, DeliveryState::Dead.as_str());
    store.count(&filter(DELIVERY_MODEL, dead), at_most).await
}

fn filter(model: &str, key: Key) -> Filter {
    Filter {
        model: model.to_owned(),
        hierarchy: None,
        equals: vec![key],
    }
}

/// Finds the health of a recipient that a level names. A recipient that was never tried has the default one.
///
/// # Errors
/// Errors of [`DocumentStore::get`](relation_host::store::DocumentStore::get).
pub async fn find_health(
    store: &dyn Store,
    origin: &Hierarchy,
    recipient: &Recipient,
) -> Result<EndpointHealth, StoreError> {
    let loaded = LoadedRecipient::load(store, &count_key(recipient, origin)).await;
    Ok(loaded.map_err(to_store_error)?.body.health)
}

/// Enables a recipient that a level names, and forgets its failures. Dead letters stay: see
/// [`resend_since`](super::resend_since).
///
/// # Errors
/// Errors of [`DocumentStore::commit`](relation_host::store::DocumentStore::commit).
pub async fn enable(
    store: &dyn Store,
    origin: &Hierarchy,
    recipient: &Recipient,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let key = count_key(recipient, origin);
    for _ in 0..TRIES {
        let mut loaded = LoadedRecipient::load(store, &key)
            .await
            .map_err(to_store_error)?;
        if loaded.body.health == EndpointHealth::default() {
            return Ok(());
        }
        loaded.body.health.enable();
        let document = loaded
            .body
            .to_document_at(&key, origin)
            .map_err(to_store_error)?;
        let commit = Commit {
            checks: vec![loaded.check],
            changes: vec![Change::Put(document)],
            now: to_timestamp(now),
            ..Commit::default()
        };
        match store.commit(commit).await {
            Err(StoreError::Conflict(_)) => {}
            done => return done,
        }
    }
    Err(StoreError::Unavailable(
        "other processes change the endpoint: repeat this".to_owned(),
    ))
}
