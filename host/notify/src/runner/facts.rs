//! The facts about a record that routing needs, and the settings that apply at its node.

use async_trait::async_trait;
use relation_host::HandlerError;
use relation_host::store::{Store, StoreError};
use relation_host::types::{Document, Hierarchy, Pkid, Reference};
use relation_types::reports::State;

use super::RunError;
use super::model::read;
use crate::routing::{ConnectionFacts, count_key};
use crate::settings::{self, Defaults, Level, Recipient, Resolved, resolve};

/// A source of facts about records. The application's asks the plugin.
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

    /// Has the plugin check the expiries of a record now, since the thresholds of its node have changed. A record that does
    /// not exist any more is not an error.
    ///
    /// # Errors
    /// The check was not made, and must be repeated later. The text must not contain a secret.
    async fn recheck(&self, record: &Pkid) -> Result<(), HandlerError>;
}

/// Returns whether the connection works.
pub(super) const fn is_connected(state: State) -> bool {
    match state {
        State::Connected | State::Expiring | State::MissingScope => true,
        State::NotConnected | State::Expired | State::Reauthorize | State::Retrying => false,
    }
}

/// The settings of a node and of the nodes above.
pub(super) struct LoadedSettings {
    pub resolved: Resolved,
    /// The nodes whose settings cannot be read. Their levels are left out.
    pub unreadable: Vec<Hierarchy>,
}

/// Reads the settings of a node and of the nodes above, and resolves them. A level whose settings cannot be read is
/// logged and left out, so that the recipients of the other levels are told.
pub(super) async fn load_settings(
    store: &dyn Store,
    node: &Hierarchy,
    defaults: &Defaults,
) -> Result<LoadedSettings, RunError> {
    let mut levels = Vec::new();
    let mut unreadable = Vec::new();
    for (node, document) in load_documents(store, node).await? {
        let settings = document.and_then(|document| document.as_ref().map(read).transpose());
        match settings {
            Ok(Some(settings)) => levels.push(Level { node, settings }),
            Ok(None) => {}
            Err(error) => {
                let document = settings::reference(&node);
                tracing::error!(%node, %document, %error, "the notice settings of a node cannot be read; they are left out: save the settings again");
                unreadable.push(node);
            }
        }
    }
    Ok(LoadedSettings {
        resolved: resolve(&levels, defaults),
        unreadable,
    })
}

type LoadedLevel = (Hierarchy, Result<Option<Document>, RunError>);

/// Reads the documents of all levels. A damaged one does not hide the others.
async fn load_documents(store: &dyn Store, node: &Hierarchy) -> Result<Vec<LoadedLevel>, RunError> {
    let levels = settings::list_levels(node);
    let references: Vec<Reference> = levels.iter().map(settings::reference).collect();
    match store.get(&references).await {
        Ok(found) => Ok(levels.into_iter().zip(found.into_iter().map(Ok)).collect()),
        Err(StoreError::Corrupt(_)) => {
            let mut loaded = Vec::new();
            for (level, reference) in levels.into_iter().zip(references) {
                let found = match store.get(&[reference]).await {
                    Ok(found) => Ok(found.into_iter().flatten().next()),
                    Err(error @ StoreError::Corrupt(_)) => Err(error.into()),
                    Err(error) => return Err(error.into()),
                };
                loaded.push((level, found));
            }
            Ok(loaded)
        }
        Err(error) => Err(error.into()),
    }
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
