//! The content of the store before the first call.

use relation_host::store::seal::SealError;
use relation_host::store::{Change, Commit, StoreError};
use relation_host::types::{Document, Reference, Wakeup};
use relation_host::{CallError, CallErrorKind, WakeupOutcome};
use secrecy::SecretString;
use serde_json::Value;

use super::call::to_report;
use super::{Harness, ObservedCall, advance};

/// The documents, secrets and wakeups to store.
#[derive(Clone, Debug, Default)]
pub struct InitialState {
    /// The documents.
    pub documents: Vec<Document>,
    /// The secrets in clear, each with its owner and name.
    pub secrets: Vec<(Reference, String, SecretString)>,
    /// The wakeups, whose subjects must exist.
    pub wakeups: Vec<Wakeup>,
}

/// The reason why the initial state could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum InitialStateError {
    /// A secret could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store rejected the commit.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Harness {
    /// Stores documents, secrets and wakeups without a call.
    ///
    /// # Errors
    /// The store rejects the commit, such as a wakeup of a document that does not exist.
    pub async fn put(&self, state: InitialState) -> Result<(), InitialStateError> {
        let mut changes: Vec<Change> = state.documents.into_iter().map(Change::Put).collect();
        for (owner, name, value) in state.secrets {
            let sealed = self.first().sealer.seal(&owner, &name, &value)?;
            changes.push(Change::PutSecret {
                owner,
                name,
                sealed,
            });
        }
        changes.extend(state.wakeups.into_iter().map(Change::Schedule));
        let commit = Commit {
            changes,
            ..Commit::default()
        };
        self.host().store().commit(commit).await?;
        Ok(())
    }

    /// Runs a stored wakeup now, due or not. Returns `None` if the wakeup does not exist or another call holds
    /// its subject.
    ///
    /// # Errors
    /// The store could not be reached before the call began.
    pub async fn wake(
        &self,
        subject: &Reference,
        id: &str,
    ) -> Result<Option<ObservedCall<Value>>, StoreError> {
        let stored = self.host().store().wakeups(subject).await?;
        let Some(wakeup) = stored.into_iter().find(|stored| stored.wakeup.id == id) else {
            return Ok(None);
        };
        let before = self.capture_before().await;
        let input = advance::wakeup_input(&wakeup, &self.redactor);
        let result = match self.host().run_wakeup(wakeup).await {
            Ok(WakeupOutcome::Finished(called)) => to_report(*called),
            Ok(_) => return Ok(None),
            Err(error) => Err(CallError {
                transaction: None,
                kind: CallErrorKind::Store(error),
            }),
        };
        Ok(Some(self.observe(before, input, self.host(), result).await))
    }
}
