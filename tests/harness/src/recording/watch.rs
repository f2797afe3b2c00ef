//! Looks on at the store: what a call finds is noted before it changes it, and what it leaves when it has
//! ended.

use relation_host::reports::WakeReport;
use relation_host::store::layer::StoreLayer;
use relation_host::store::seal::Sealed;
use relation_host::store::{Begin, BeginOutcome, Commit, DueWakeup, Store, StoreError};
use relation_host::types::{Document, Filter, Page, Reference};
use relation_host::{CallError, CallOutput};
use serde_json::json;

use super::Recorder;
use super::notes::{Left, SecretName};
use crate::harness::Failed;
use crate::redaction::Redactor;
use crate::scenario::observation;

impl StoreLayer for Recorder {
    async fn get(
        &self,
        inner: &dyn Store,
        references: &[Reference],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        let found = self.told(inner.get(references).await)?;
        self.got(references, &found);
        Ok(found)
    }

    async fn find(
        &self,
        inner: &dyn Store,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let page = self.told(inner.find(filter, cursor, limit).await)?;
        let mut notes = self.notes();
        for document in &page.items {
            notes.found(&document.reference, Some(document));
        }
        Ok(page)
    }

    async fn sealed(
        &self,
        inner: &dyn Store,
        owner: &Reference,
        name: &str,
    ) -> Result<Option<Sealed>, StoreError> {
        let sealed = self.told(inner.sealed(owner, name).await)?;
        self.opened(owner, name, sealed.as_ref());
        Ok(sealed)
    }

    async fn wakeups(
        &self,
        inner: &dyn Store,
        subject: &Reference,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        self.told(inner.wakeups(subject).await)
    }

    async fn commit(&self, inner: &dyn Store, commit: Commit) -> Result<(), StoreError> {
        self.notes().commits(&commit);
        self.before_commit().await;
        self.told(inner.commit(commit).await)
    }

    async fn begin(&self, inner: &dyn Store, begin: Begin) -> Result<BeginOutcome, StoreError> {
        self.notes().begins(&begin);
        self.before_begin().await;
        let begun = inner.begin(begin).await?;
        self.notes().begun(&begun);
        Ok(begun)
    }
}

impl Recorder {
    /// What the store said to a call; a scenario has no word for what it refused.
    fn told<T>(&self, said: Result<T, StoreError>) -> Result<T, StoreError> {
        match &said {
            // It is sealed anew and committed again.
            Ok(_) | Err(StoreError::StaleKey(_)) => {}
            Err(error) => self
                .notes()
                .unsayable(|| format!("the store said: {error}")),
        }
        said
    }

    fn got(&self, asked: &[Reference], found: &[Option<Document>]) {
        let mut notes = self.notes();
        for (reference, document) in asked.iter().zip(found) {
            notes.found(reference, document.as_ref());
        }
    }

    fn opened(&self, owner: &Reference, name: &str, sealed: Option<&Sealed>) {
        let clear = sealed
            .map(|sealed| self.0.sealer.unseal(owner, name, sealed))
            .transpose();
        let mut notes = self.notes();
        match clear {
            Ok(clear) => notes.opened(&(owner.clone(), name.to_owned()), clear),
            Err(error) => notes.unsayable(|| error.to_string()),
        }
    }

    /// Looks at the record and its wakeups before the call is there that may change them.
    async fn before_begin(&self) {
        let Some(subject) = self.notes().beginning() else {
            return;
        };
        let store = &self.0.store;
        let record = store.get(std::slice::from_ref(&subject)).await;
        let wakeups = store.wakeups(&subject).await;
        let mut notes = self.notes();
        match (record, wakeups) {
            (Ok(record), Ok(wakeups)) => {
                let wakeups = wakeups.into_iter().map(|stored| stored.wakeup).collect();
                notes.stands(&subject, record.into_iter().flatten().next(), wakeups);
            }
            (Err(error), _) | (_, Err(error)) => {
                notes.not_seen(&subject, format!("the store said: {error}"));
            }
        }
    }

    /// Looks at what a commit is about to write and nobody has read before.
    async fn before_commit(&self) {
        let (documents, secrets) = self.notes().unknown();
        if !documents.is_empty() {
            match self.0.store.get(&documents).await {
                Ok(found) => self.got(&documents, &found),
                Err(error) => self.notes().unsayable(|| error.to_string()),
            }
        }
        for (owner, name) in secrets {
            match self.0.store.sealed(&owner, &name).await {
                Ok(sealed) => self.opened(&owner, &name, sealed.as_ref()),
                Err(error) => self.notes().unsayable(|| error.to_string()),
            }
        }
    }

    /// Notes what a call answered and what it has left.
    pub(super) async fn ended(&self, called: &Result<CallOutput<WakeReport>, CallError>) {
        let touched = self.notes().touched();
        let Some((subject, documents, secrets)) = touched else {
            return;
        };
        let left = self.left(&subject, documents, secrets).await;
        let transaction = match called {
            Ok(called) => Some(called.transaction.clone()),
            Err(error) => error.transaction.clone(),
        };
        let transaction = match transaction {
            Some(id) => self.0.store.transaction(&id).await.ok().flatten(),
            None => None,
        };
        let answered = match called {
            Ok(called) => Ok(json!(called.value)),
            Err(error) => Err(observation::error(&Failed::of(
                &error.kind,
                &Redactor::default(),
            ))),
        };
        let now = self.0.clock.now();
        let mut notes = self.notes();
        let left_out = notes.left_out.len();
        match left {
            Ok(left) => notes.ended(now, answered, transaction, left),
            Err(why) => {
                notes.unsayable(|| why);
                notes.give_up();
            }
        }
        if let Some(left_out) = notes.left_out.get(left_out) {
            let (subject, why) = (&left_out.subject, &left_out.why);
            tracing::info!(%subject, "a call is not in the recording: {why}");
        }
        if let Some(full) = &notes.full {
            tracing::warn!("the recording ends here, {full}; the run goes on");
        }
    }

    async fn left(
        &self,
        subject: &Reference,
        documents: Vec<Reference>,
        secrets: Vec<SecretName>,
    ) -> Result<Left, String> {
        let store = &self.0.store;
        let said = |error: StoreError| format!("the store said: {error}");
        let found = store.get(&documents).await.map_err(said)?;
        let wakeups = store.wakeups(subject).await.map_err(said)?;
        let mut left = Left {
            documents: documents.into_iter().zip(found).collect(),
            secrets: Vec::new(),
            wakeups: wakeups.into_iter().map(|stored| stored.wakeup).collect(),
        };
        for (owner, name) in secrets {
            let clear = self.0.sealer.reveal(store.as_ref(), &owner, &name).await;
            let clear = clear.map_err(|error| error.to_string())?;
            left.secrets.push(((owner, name), clear));
        }
        Ok(left)
    }
}
