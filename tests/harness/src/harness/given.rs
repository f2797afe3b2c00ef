//! What is stored before the first call: written by an earlier release, by hand, or by nobody.

use relation_host::store::seal::SealError;
use relation_host::store::{Change, Commit, StoreError};
use relation_host::types::{Document, Reference, Wakeup};
use relation_host::{CallError, CallErrorKind, WakeupOutcome};
use secrecy::SecretString;
use serde_json::Value;

use super::call::told;
use super::{Harness, Observed, advance};

/// What is to be in the store.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Documents.
    pub documents: Vec<Document>,
    /// Secrets in clear, with the document that each belongs to and its name there.
    pub secrets: Vec<(Reference, String, SecretString)>,
    /// Wakeups, of documents that are there.
    pub wakeups: Vec<Wakeup>,
}

/// Why something could not be put into the store.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// A secret.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store refuses it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Harness {
    /// Puts documents, secrets and wakeups into the store, without any call.
    ///
    /// # Errors
    /// The store refuses them, such as a wakeup of a document that is not there.
    pub async fn put(&self, given: Given) -> Result<(), GivenError> {
        let mut changes: Vec<Change> = given.documents.into_iter().map(Change::Put).collect();
        for (owner, name, value) in given.secrets {
            let sealed = self.first().sealer.seal(&owner, &name, &value)?;
            changes.push(Change::PutSecret {
                owner,
                name,
                sealed,
            });
        }
        changes.extend(given.wakeups.into_iter().map(Change::Schedule));
        let commit = Commit {
            changes,
            ..Commit::default()
        };
        self.host().store().commit(commit).await?;
        Ok(())
    }

    /// Answers a stored wakeup now, due or not. None: it is not there, or somebody else holds its subject.
    ///
    /// # Errors
    /// The store could not be reached before the call began.
    pub async fn wake(
        &self,
        subject: &Reference,
        id: &str,
    ) -> Result<Option<Observed<Value>>, StoreError> {
        let stored = self.host().store().wakeups(subject).await?;
        let Some(wakeup) = stored.into_iter().find(|stored| stored.wakeup.id == id) else {
            return Ok(None);
        };
        let before = self.before().await;
        let asked = advance::asked(&wakeup, &self.redactor);
        let result = match self.host().run_wakeup(wakeup).await {
            Ok(WakeupOutcome::Gone | WakeupOutcome::Busy(_)) => return Ok(None),
            Ok(WakeupOutcome::Finished(called)) => told(*called),
            Err(error) => Err(CallError {
                transaction: None,
                kind: CallErrorKind::Store(error),
            }),
        };
        Ok(Some(
            self.observed(before, asked, self.host(), result).await,
        ))
    }
}
