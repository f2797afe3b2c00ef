//! `automate:platform/storage`: reads documents and commits changes.

use std::time::Duration;

use secrecy::SecretString;

use super::alerts::{self, CommittedAlert};
use super::bindings::automate::platform::{storage, types};
use super::commit_mark::CommitMark;
use super::durable_commit::CommitError;
use super::gate::ImportResult;
use super::{Call, Import, Services, convert};
use crate::limits::Limit;
use crate::spans::{self, StoreSpan};
use crate::store::{Change, Check, Commit};
use crate::types::{Document, Failure, Key, RECORD_MODEL, Reference};

/// The maximum number of documents per page.
const MAX_PAGE: u32 = 1000;

/// Dispatchers are told of wakeups that are due so soon.
const SOON: Duration = Duration::from_secs(60);

impl storage::Host for Call {
    async fn get(
        &mut self,
        reference: types::Reference,
    ) -> ImportResult<Option<storage::Document>> {
        let gate = self.gate.clone();
        gate.intercept(Import::StorageGet, self.get_one(reference))
            .await
    }

    async fn get_many(
        &mut self,
        references: Vec<types::Reference>,
    ) -> ImportResult<Vec<Option<storage::Document>>> {
        let gate = self.gate.clone();
        gate.intercept(Import::StorageGetMany, self.get_all(references))
            .await
    }

    async fn find(
        &mut self,
        filter: storage::Filter,
        cursor: Option<String>,
        limit: u32,
    ) -> ImportResult<storage::Page> {
        let gate = self.gate.clone();
        gate.intercept(Import::StorageFind, self.find_page(filter, cursor, limit))
            .await
    }

    async fn find_pkids(
        &mut self,
        filter: storage::Filter,
        cursor: Option<String>,
        limit: u32,
    ) -> ImportResult<storage::PkidPage> {
        let gate = self.gate.clone();
        let found = self.find_pkid_page(filter, cursor, limit);
        gate.intercept(Import::StorageFindPkids, found).await
    }

    async fn compare(
        &mut self,
        documents: Vec<storage::Document>,
    ) -> ImportResult<Vec<storage::Comparison>> {
        let gate = self.gate.clone();
        gate.intercept(Import::StorageCompare, self.compare_all(documents))
            .await
    }

    async fn commit(
        &mut self,
        checks: Vec<storage::Check>,
        changes: Vec<storage::Change>,
        on_unavailable: storage::OnUnavailable,
    ) -> ImportResult<()> {
        let gate = self.gate.clone();
        gate.intercept(
            Import::StorageCommit,
            self.write(checks, changes, on_unavailable),
        )
        .await
    }
}

impl Call {
    async fn get_one(
        &mut self,
        reference: types::Reference,
    ) -> Result<Option<storage::Document>, Failure> {
        let mut found = self.get_all(vec![reference]).await?;
        Ok(found.pop().flatten())
    }

    async fn get_all(
        &mut self,
        references: Vec<types::Reference>,
    ) -> Result<Vec<Option<storage::Document>>, Failure> {
        check_count("references", references.len())?;
        let references = references
            .into_iter()
            .map(convert::reference)
            .collect::<Result<Vec<_>, _>>()?;
        let store = &self.services.store;
        let found = self
            .retry_while_unavailable(|| store.get(&references))
            .await;
        let found = found.map_err(|error| convert::store_failure(&error))?;
        self.note_alerts(found.iter().flatten());
        self.note_node(found.iter().flatten());
        self.note_subject_name(found.iter().flatten());
        Ok(found
            .into_iter()
            .map(|document| document.map(convert::document_out))
            .collect())
    }

    async fn find_page(
        &mut self,
        filter: storage::Filter,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<storage::Page, Failure> {
        let filter = convert::filter(filter)?;
        let store = &self.services.store;
        let limit = limit.clamp(1, MAX_PAGE);
        let page = self
            .retry_while_unavailable(|| store.find(&filter, cursor.as_deref(), limit))
            .await
            .map_err(|error| convert::store_failure(&error))?;
        self.note_alerts(&page.items);
        self.note_node(&page.items);
        Ok(storage::Page {
            documents: page.items.into_iter().map(convert::document_out).collect(),
            next: page.next,
        })
    }

    async fn find_pkid_page(
        &mut self,
        filter: storage::Filter,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<storage::PkidPage, Failure> {
        let filter = convert::filter(filter)?;
        let store = &self.services.store;
        let limit = limit.clamp(1, MAX_PAGE);
        let page = self
            .retry_while_unavailable(|| store.find_pkids(&filter, cursor.as_deref(), limit))
            .await
            .map_err(|error| convert::store_failure(&error))?;
        Ok(storage::PkidPage {
            pkids: page.items.into_iter().map(Into::into).collect(),
            next: page.next,
        })
    }

    async fn compare_all(
        &mut self,
        documents: Vec<storage::Document>,
    ) -> Result<Vec<storage::Comparison>, Failure> {
        check_count("documents", documents.len())?;
        let references = documents
            .iter()
            .map(|document| convert::reference(document.reference.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let store = &self.services.store;
        let stored = self
            .retry_while_unavailable(|| store.get(&references))
            .await
            .map_err(|error| convert::store_failure(&error))?;
        let pairs = documents.iter().zip(&stored);
        Ok(pairs
            .map(|(document, stored)| compare(document, stored.as_ref()))
            .collect())
    }

    /// Commits. A refused commit with `keep` loses a response, and the next call on the record must
    /// know it.
    async fn write(
        &mut self,
        checks: Vec<storage::Check>,
        changes: Vec<storage::Change>,
        on_unavailable: storage::OnUnavailable,
    ) -> Result<(), Failure> {
        let keeps = on_unavailable == storage::OnUnavailable::Keep;
        let written = self
            .write_within_limits(checks, changes, on_unavailable)
            .await;
        let refused = matches!(
            written,
            Err(Failure::LimitExceeded(_) | Failure::Invalid(_))
        );
        if keeps && refused && self.effects.is_sent() {
            self.effects.note_lost();
        }
        written
    }

    async fn write_within_limits(
        &mut self,
        checks: Vec<storage::Check>,
        changes: Vec<storage::Change>,
        on_unavailable: storage::OnUnavailable,
    ) -> Result<(), Failure> {
        self.retry_policy.check_not_stashed()?;
        let limits = &self.services.limits;
        let (most_changes, most_bytes) = (limits.changes, limits.commit);
        if checks.len().saturating_add(changes.len()) > most_changes {
            return Err(self.exceed(Limit::Changes));
        }
        if changes.iter().map(size).sum::<usize>() > most_bytes {
            return Err(self.exceed(Limit::Commit));
        }
        let checks = checks
            .into_iter()
            .map(check)
            .collect::<Result<Vec<_>, _>>()?;
        let keep_for = match on_unavailable {
            storage::OnUnavailable::Fail => None,
            storage::OnUnavailable::Keep => Some(self.record_to_keep_for(&checks)?),
        };
        let mut steps = Vec::with_capacity(changes.len());
        for change in changes {
            steps.push(self.change(change)?);
        }
        self.note_subject_name(steps.iter().filter_map(|change| match change {
            Change::Put(document) => Some(document),
            _ => None,
        }));
        let alerts = match self.follows_alerts() {
            true => self.known_alerts.find_changed(&steps),
            false => Vec::new(),
        };
        let now = self.services.clock.now();
        let mark = self.commit_mark.as_ref().map(|mark| mark.after(&steps));
        // The limits of a commit count the plugin's changes only.
        self.extend_with_notices(&mut steps, now).await?;
        // Dispatchers look for later ones in time.
        let soon = now.after(SOON);
        let schedules = steps
            .iter()
            .any(|change| matches!(change, Change::Schedule(wakeup) if wakeup.due <= soon));
        steps.extend(mark.as_ref().map(CommitMark::to_change));
        let update = self.journal.take_update();
        let commit = Commit {
            fence: self.lease.clone(),
            checks,
            changes: steps,
            transaction: Some(update.clone()),
            now,
            ..Commit::default()
        };
        let committing = async {
            match keep_for {
                Some(subject) => self.commit_response(commit, subject).await,
                None => {
                    let Services { store, sealer, .. } = self.services.as_ref();
                    let done = sealer.commit(store.as_ref(), commit).await;
                    done.map_err(CommitError::Store)
                }
            }
        };
        let result = StoreSpan::Commit.run(committing, CommitError::code).await;
        match result {
            Ok(()) => {
                self.commit_mark = mark;
                if schedules {
                    self.services.scheduled.notify_one();
                }
                self.report_alerts(alerts);
                Ok(())
            }
            Err(error) => {
                self.journal.restore(update);
                Err(self.commit_failure(error))
            }
        }
    }

    /// Returns whether anybody is told of changed alerts.
    fn follows_alerts(&self) -> bool {
        !self.services.observers.is_empty() || self.services.outbox.is_some()
    }

    /// Notes the alerts that the call has read, for observers and the outbox.
    fn note_alerts<'a>(&mut self, read: impl IntoIterator<Item = &'a Document>) {
        if self.follows_alerts() {
            read.into_iter()
                .for_each(|document| self.known_alerts.note_read(document));
        }
    }

    /// Reports the alerts of a commit that the store has.
    fn report_alerts(&mut self, alerts: Vec<CommittedAlert>) {
        if let Some(lease) = &self.lease {
            let observers = &self.services.observers;
            alerts::notify(observers, &alerts, &lease.subject, self.journal.id());
        }
        self.known_alerts.note_committed(alerts);
    }

    /// Notes the subject's name for the transaction, if one of the documents is the subject's.
    fn note_subject_name<'a>(&self, documents: impl IntoIterator<Item = &'a Document>) {
        let Some(lease) = &self.lease else {
            return;
        };
        let mut documents = documents.into_iter();
        let own = documents.find(|document| document.reference == lease.subject);
        if let Some(own) = own {
            self.journal.note_node(&own.hierarchy);
        }
        let mut keys = own.into_iter().flat_map(|document| &document.keys);
        if let Some(name) = keys.find(|key| key.name == "name")
            && self.journal.set_subject_name(&name.value)
        {
            spans::record_customer(self.journal.span(), &name.value, &self.redactor);
        }
    }

    fn change(&mut self, from: storage::Change) -> Result<Change, Failure> {
        Ok(match from {
            storage::Change::Put(document) => {
                let document = convert::document(document)?;
                self.check_own_record(&document.reference)?;
                Change::Put(document)
            }
            storage::Change::Delete(reference) => {
                let reference = convert::reference(reference)?;
                self.check_own_record(&reference)?;
                Change::Delete(reference)
            }
            storage::Change::PutSecret(secret) => {
                let value = SecretString::from(secret.value);
                self.add_secret(&value)?;
                let owner = convert::reference(secret.owner)?;
                self.check_own_record(&owner)?;
                let name = convert::name("name", secret.name)?;
                let sealed = self.services.sealer.seal(&owner, &name, &value);
                let sealed = sealed.map_err(|error| Failure::Internal(error.to_string()))?;
                Change::PutSecret {
                    owner,
                    name,
                    sealed,
                }
            }
            storage::Change::RemoveSecret(storage::SecretName { owner, name }) => {
                let owner = convert::reference(owner)?;
                self.check_own_record(&owner)?;
                Change::RemoveSecret(owner, convert::name("name", name)?)
            }
            storage::Change::Schedule(wakeup) => {
                let wakeup = convert::wakeup(wakeup)?;
                self.check_own_record(&wakeup.subject)?;
                Change::Schedule(wakeup)
            }
            storage::Change::Cancel(storage::WakeupName { subject, id }) => {
                let subject = convert::reference(subject)?;
                self.check_own_record(&subject)?;
                Change::Cancel(subject, convert::name("id", id)?)
            }
        })
    }

    /// Rejects access to another record. A call holds one record's lease, so its writes to other
    /// records would not be fenced, and it must not read their secrets.
    pub(super) fn check_own_record(&self, reference: &Reference) -> Result<(), Failure> {
        let own = self.lease.as_ref().map(|lease| &lease.subject);
        if reference.model == RECORD_MODEL && own != Some(reference) {
            return Err(Failure::LimitExceeded(format!(
                "this call does not hold the lease of {reference}: it may neither write it nor open its secrets"
            )));
        }
        Ok(())
    }
}

/// Checks the length of a list of references or documents.
fn check_count(field: &str, count: usize) -> Result<(), Failure> {
    if count > MAX_PAGE as usize {
        let message = format!("at most {MAX_PAGE} in one call");
        return Err(convert::malformed(field, message));
    }
    Ok(())
}

fn compare(document: &storage::Document, stored: Option<&Document>) -> storage::Comparison {
    let Some(stored) = stored else {
        return storage::Comparison::Absent;
    };
    let is_same = stored.body == document.body
        && stored.hierarchy.as_str() == document.hierarchy
        && has_same_keys(&document.keys, &stored.keys);
    match is_same {
        true => storage::Comparison::Same,
        false => storage::Comparison::Different,
    }
}

/// Returns whether both lists have the same keys, in any order.
fn has_same_keys(keys: &[storage::Key], stored: &[Key]) -> bool {
    let given = keys.iter().map(|key| (&key.name, &key.value));
    let stored = stored.iter().map(|key| (&key.name, &key.value));
    if given.clone().eq(stored.clone()) {
        return true;
    }
    let sorted = |keys: &mut dyn Iterator<Item = (&String, &String)>| {
        let mut keys: Vec<(String, String)> = keys
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        keys.sort_unstable();
        keys
    };
    given.len() == stored.len() && sorted(&mut given.clone()) == sorted(&mut stored.clone())
}

fn check(from: storage::Check) -> Result<Check, Failure> {
    Ok(match from {
        storage::Check::Version(of) => {
            Check::Version(convert::reference(of.reference)?, of.version)
        }
        storage::Check::Absent(reference) => Check::Absent(convert::reference(reference)?),
        storage::Check::Unique(of) => Check::Unique(
            convert::filter(of.filter)?,
            of.except.map(convert::reference).transpose()?,
        ),
    })
}

/// Returns the approximate number of bytes that a change writes.
fn size(change: &storage::Change) -> usize {
    /// The overhead of a row besides its texts.
    const ROW: usize = 64;
    ROW + match change {
        storage::Change::Put(document) => {
            let keys = document.keys.iter();
            let keys: usize = keys.map(|key| key.name.len() + key.value.len()).sum();
            document.body.len() + document.hierarchy.len() + keys
        }
        storage::Change::PutSecret(secret) => secret.name.len() + secret.value.len(),
        storage::Change::Schedule(wakeup) => wakeup.id.len() + wakeup.payload.len(),
        storage::Change::Delete(_)
        | storage::Change::RemoveSecret(_)
        | storage::Change::Cancel(_) => 0,
    }
}
