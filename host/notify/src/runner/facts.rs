//! The facts about a record that routing needs, and the settings that apply at its node.

use async_trait::async_trait;
use relation_host::HandlerError;
use relation_host::store::Store;
use relation_host::types::{Document, Hierarchy, Pkid, Reference};
use relation_types::reports::State;

use super::RunError;
use super::model::read;
use crate::routing::{ConnectionFacts, count_key};
use crate::settings::{self, Defaults, Level, NoticeSettings, Recipient, Resolved, resolve};

/// Finds the facts about records. The application asks the plugin.
#[async_trait]
pub trait RecordFacts: Send + Sync + 'static {
    /// Returns the facts about one grant of a record, as they are now; `None` if the record does not exist.
    ///
    /// # Errors
    /// The facts cannot be read now. The text must not contain a secret.
    async fn find(
        &self,
        record: &Pkid,
        grant: &str,
    ) -> Result<Option<ConnectionFacts>, HandlerError>;

    /// Has the plugin check the expiries of a record now, since the thresholds of its node have changed.
    ///
    /// # Errors
    /// The check was not made, and is to be repeated later. The text must not contain a secret.
    async fn recheck(&self, record: &Pkid) -> Result<(), HandlerError>;
}

/// Returns whether the connection works.
pub(super) const fn is_connected(state: State) -> bool {
    match state {
        State::Connected | State::Expiring | State::MissingScope => true,
        State::NotConnected | State::Expired | State::Reauthorize | State::Retrying => false,
    }
}

/// Reads the settings of a node and of the nodes above, and resolves them.
pub(super) async fn load_settings(
    store: &dyn Store,
    node: &Hierarchy,
    defaults: &Defaults,
) -> Result<Resolved, RunError> {
    let mut levels = Vec::new();
    for document in settings::load_levels(store, node).await? {
        let settings: NoticeSettings = read(&document)?;
        levels.push(Level {
            node: document.hierarchy,
            settings,
        });
    }
    Ok(resolve(&levels, defaults))
}

/// Reads the record of a delivery.
pub(super) async fn find_record(
    store: &dyn Store,
    record: &Pkid,
) -> Result<Option<Document>, RunError> {
    let found = store.get(&[Reference::record(record.clone())]).await?;
    Ok(found.into_iter().flatten().next())
}

/// Finds a recipient in the settings by the key under which its deliveries are counted.
pub(super) fn find_recipient<'r>(
    resolved: &'r Resolved,
    recipient_key: &str,
) -> Option<&'r Recipient> {
    let mut recipients = resolved.recipients.iter();
    let found =
        recipients.find(|each| count_key(&each.recipient, &each.origin) == recipient_key)?;
    Some(&found.recipient)
}
