//! The facts about a record that routing needs, and the settings that apply at its node.

use async_trait::async_trait;
use relation_host::HandlerError;
use relation_host::store::Store;
use relation_host::types::{Document, Filter, Hierarchy, Pkid, Reference, Scope};
use relation_types::reports::State;

use super::RunError;
use super::model::read;
use crate::routing::{ConnectionFacts, count_key};
use crate::settings::{Level, NOTICE_SETTINGS_MODEL, NoticeSettings, Recipient, Resolved, resolve};

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
) -> Result<Resolved, RunError> {
    let mut levels = Vec::new();
    let path = node.as_str();
    let ends = path.match_indices('.').map(|(index, _)| index);
    for end in ends.chain([path.len()]) {
        let Some(Ok(level)) = path
            .get(..end)
            .map(|level| Hierarchy::try_from(level.to_owned()))
        else {
            continue;
        };
        let filter = Filter {
            model: NOTICE_SETTINGS_MODEL.to_owned(),
            hierarchy: Some((level.clone(), Scope::Node)),
            equals: Vec::new(),
        };
        let found = store.find(&filter, None, 1).await?;
        if let Some(document) = found.items.first() {
            let settings: NoticeSettings = read(document)?;
            levels.push(Level {
                node: level,
                settings,
            });
        }
    }
    Ok(resolve(&levels))
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
