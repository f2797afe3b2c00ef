//! The recorder's store layer: notes the data that a call finds before its changes, and the data after its end.

use relation_host::reports::WakeReport;
use relation_host::store::layer::StoreLayer;
use relation_host::store::seal::Sealed;
use relation_host::store::{BeginOutcome, CallStart, Commit, DueWakeup, Store, StoreError};
use relation_host::types::{Document, Filter, Page, Reference};
use relation_host::{CallError, CallOutput};
use serde_json::json;

use super::Recorder;
use super::notes::{CallEffects, SecretName};
use crate::harness::CallFailure;
use crate::redaction::Redactor;
use crate::scenario::observation;

impl StoreLayer for Recorder {
    async fn get(
        &self,
        inner: &dyn Store,
        references: &[Reference],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        let found = self.note_store_error(inner.get(references).await)?;
        self.note_documents(references, &found);
        Ok(found)
    }

    async fn find(
        &self,
        inner: &dyn Store,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let page = self.note_store_error(inner.find(filter, cursor, limit).await)?;
        let mut notes = self.notes();
        for document in &page.items {
            notes.note_document(&document.reference, Some(document));
        }
        Ok(page)
    }

    async fn sealed(
        &self,
        inner: &dyn Store,
        owner: &Reference,
        name: &str,
    ) -> Result<Option<Sealed>, StoreError> {
        let sealed = self.note_store_error(inner.sealed(owner, name).await)?;
        self.note_sealed(owner, name, sealed.as_ref());
        Ok(sealed)
    }

    async fn wakeups(
        &self,
        inner: &dyn Store,
        subject: &Reference,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        self.note_store_error(inner.wakeups(subject).await)
    }

    async fn commit(&self, inner: &dyn Store, commit: Commit) -> Result<(), StoreError> {
        self.notes().note_commit(&commit);
        self.before_commit().await;
        self.note_store_error(inner.commit(commit).await)
    }

    async fn begin(&self, inner: &dyn Store, begin: CallStart) -> Result<BeginOutcome, StoreError> {
        self.notes().note_begin(&begin);
        self.before_begin().await;
        let begun = inner.begin(begin).await?;
        self.notes().note_begun(&begun);
        Ok(begun)
    }
}

impl Recorder {
    /// Notes a store error, which a scenario cannot express.
    fn note_store_error<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match &result {
            // The commit is sealed again and repeated.
            Ok(_) | Err(StoreError::StaleKey(_)) => {}
            Err(error) => self
                .notes()
                .mark_inexpressible(|| format!("the store said: {error}")),
        }
        result
    }

    fn note_documents(&self, references: &[Reference], found: &[Option<Document>]) {
        let mut notes = self.notes();
        for (reference, document) in references.iter().zip(found) {
            notes.note_document(reference, document.as_ref());
        }
    }

    fn note_sealed(&self, owner: &Reference, name: &str, sealed: Option<&Sealed>) {
        let clear = sealed
            .map(|sealed| self.0.sealer.unseal(owner, name, sealed))
            .transpose();
        let mut notes = self.notes();
        match clear {
            Ok(clear) => notes.note_secret(&(owner.clone(), name.to_owned()), clear),
            Err(error) => notes.mark_inexpressible(|| error.to_string()),
        }
    }

    /// Reads the record and its wakeups before the call can change them.
    async fn before_begin(&self) {
        let Some(subject) = self.notes().beginning_subject() else {
            return;
        };
        let store = &self.0.store;
        let record = store.get(std::slice::from_ref(&subject)).await;
        let wakeups = store.wakeups(&subject).await;
        let mut notes = self.notes();
        match (record, wakeups) {
            (Ok(record), Ok(wakeups)) => {
                let wakeups = wakeups.into_iter().map(|stored| stored.wakeup).collect();
                notes.note_record(&subject, record.into_iter().flatten().next(), wakeups);
            }
            (Err(error), _) | (_, Err(error)) => {
                notes.note_unreadable(&subject, format!("the store said: {error}"));
            }
        }
    }

    /// Reads the data that a commit changes and that the call has not read.
    async fn before_commit(&self) {
        let (documents, secrets) = self.notes().take_unread();
        if !documents.is_empty() {
            match self.0.store.get(&documents).await {
                Ok(found) => self.note_documents(&documents, &found),
                Err(error) => self.notes().mark_inexpressible(|| error.to_string()),
            }
        }
        for (owner, name) in secrets {
            match self.0.store.sealed(&owner, &name).await {
                Ok(sealed) => self.note_sealed(&owner, &name, sealed.as_ref()),
                Err(error) => self.notes().mark_inexpressible(|| error.to_string()),
            }
        }
    }

    /// Notes the result and the effects of a call.
    pub(super) async fn note_call_end(&self, called: &Result<CallOutput<WakeReport>, CallError>) {
        let touched = self.notes().touched();
        let Some((subject, documents, secrets)) = touched else {
            return;
        };
        let left = self.collect_effects(&subject, documents, secrets).await;
        let transaction = match called {
            Ok(called) => Some(called.transaction.clone()),
            Err(error) => error.transaction.clone(),
        };
        let transaction = match transaction {
            Some(id) => self.0.store.transaction(&id).await.ok().flatten(),
            None => None,
        };
        let result = match called {
            Ok(called) => Ok(json!(called.value)),
            Err(error) => Err(observation::error_to_json(&CallFailure::from_error(
                &error.kind,
                &Redactor::default(),
            ))),
        };
        let now = self.0.clock.now();
        let mut notes = self.notes();
        let left_out = notes.omitted.len();
        match left {
            Ok(left) => notes.note_end(now, result, transaction, left),
            Err(reason) => {
                notes.mark_inexpressible(|| reason);
                notes.omit_call();
            }
        }
        if let Some(left_out) = notes.omitted.get(left_out) {
            let (subject, reason) = (&left_out.subject, &left_out.reason);
            tracing::info!(%subject, "a call is not in the recording: {reason}");
        }
        if let Some(full) = &notes.full {
            tracing::warn!("the recording ends here, {full}; the run continues");
        }
    }

    async fn collect_effects(
        &self,
        subject: &Reference,
        documents: Vec<Reference>,
        secrets: Vec<SecretName>,
    ) -> Result<CallEffects, String> {
        let store = &self.0.store;
        let store_error = |error: StoreError| format!("the store said: {error}");
        let found = store.get(&documents).await.map_err(store_error)?;
        let wakeups = store.wakeups(subject).await.map_err(store_error)?;
        let mut left = CallEffects {
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
