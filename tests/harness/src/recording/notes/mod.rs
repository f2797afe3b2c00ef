//! Notes of a run: the initial data, and the calls so far.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use relation_host::egress::TransportError;
use relation_host::store::{BeginOutcome, CallStart, Change, Commit};
use relation_host::transactions::Transaction;
use relation_host::types::{
    Document, HOST_MODELS, Pkid, RECORD_MODEL, Reference, Timestamp, Wakeup,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use self::running_call::RunningCall;
use super::exchange::{RecordedExchange, RecordedResponse};
use super::recorded_call::{DocumentChange, RecordedCall, SecretChanges};
use super::{MAX_BYTES, MAX_CALLS};

mod running_call;
#[cfg(test)]
mod tests;

/// The owner and the name of a secret.
pub(super) type SecretName = (Reference, String);

/// The data that a call has touched, after the call.
pub(super) struct CallEffects {
    pub(super) documents: Vec<(Reference, Option<Document>)>,
    pub(super) secrets: Vec<(SecretName, Option<SecretString>)>,
    pub(super) wakeups: Vec<Wakeup>,
}

/// A call that is not in the recording.
pub(super) struct OmittedCall {
    pub(super) wakeup: String,
    pub(super) subject: Reference,
    pub(super) moment: Timestamp,
    pub(super) reason: String,
}

/// The notes so far.
#[derive(Default)]
pub(super) struct Notes {
    /// The data before the calls.
    pub(super) documents: BTreeMap<Reference, Document>,
    pub(super) secrets: BTreeMap<SecretName, SecretString>,
    pub(super) wakeups: BTreeMap<Reference, Vec<Wakeup>>,
    /// The settings of nodes that recorded calls used.
    pub(super) node_settings: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) steps: Vec<RecordedCall>,
    pub(super) omitted: Vec<OmittedCall>,
    /// The plugin's name.
    pub(super) plugin: String,
    /// The reason why the recording has ended.
    pub(super) full: Option<String>,
    /// Documents created by calls; a replay may assign other pkids.
    pub(super) created: Vec<Pkid>,
    /// The present state in a replay: versions of documents, secrets, and wakeups of records.
    versions: HashMap<Reference, Option<u64>>,
    clear_secrets: HashMap<SecretName, Option<SecretString>>,
    pending_wakeups: HashMap<Reference, Vec<Wakeup>>,
    /// Records whose state differs in a replay from now on.
    lost: HashSet<Reference>,
    running: Option<RunningCall>,
    /// The duration of the longest call so far.
    longest: Duration,
    /// The approximate memory use.
    bytes: usize,
}

impl Notes {
    /// Notes a claim before it is made. Only claims for wakeups are recorded.
    pub(super) fn note_begin(&mut self, begin: &CallStart) {
        // An earlier claim got a store error, so its data may have changed.
        self.discard_running();
        let Some(due) = &begin.wakeup else {
            return;
        };
        if self.full.is_some() {
            return;
        }
        // A replay cannot follow a clock that was set back.
        let latest = self.steps.last().map(|step| step.moment);
        let foreign = due.wakeup.subject.model != RECORD_MODEL;
        let inexpressible = foreign.then(|| "its wakeup belongs to no record".to_owned());
        let moment = latest.map_or(begin.now, |latest| latest.max(begin.now));
        self.running = Some(RunningCall::new(due.wakeup.clone(), moment, inexpressible));
    }

    /// Returns the subject of the call that is about to begin.
    pub(super) fn beginning_subject(&self) -> Option<Reference> {
        let running = self.running.as_ref().filter(|running| !running.begun)?;
        Some(running.wakeup.subject.clone())
    }

    /// Notes the state of the record before its call begins.
    pub(super) fn note_record(
        &mut self,
        subject: &Reference,
        record: Option<Document>,
        wakeups: Vec<Wakeup>,
    ) {
        if self.beginning_subject().as_ref() != Some(subject) {
            return;
        }
        self.note_document(subject, record.as_ref());
        match self.pending_wakeups.get(subject) {
            None => {
                if let Some(running) = &mut self.running {
                    running.new_record = true;
                }
                self.pending_wakeups
                    .insert(subject.clone(), wakeups.clone());
                self.wakeups.insert(subject.clone(), wakeups);
            }
            Some(known) if *known == wakeups => {}
            Some(_) => self.mark_inexpressible(|| CHANGED.to_owned()),
        }
    }

    /// Notes that the record could not be read.
    pub(super) fn note_unreadable(&mut self, subject: &Reference, reason: String) {
        if self.beginning_subject().as_ref() == Some(subject) {
            self.mark_inexpressible(|| reason);
        }
    }

    /// Notes the result of the claim.
    pub(super) fn note_begun(&mut self, begun: &BeginOutcome) {
        let BeginOutcome::Started(lease) = begun else {
            // The data may change before the next attempt.
            self.discard_running();
            return;
        };
        let Some(running) = &mut self.running else {
            return;
        };
        running.begun = true;
        if lease
            .as_ref()
            .is_some_and(|lease| lease.interrupted.is_some())
        {
            self.mark_inexpressible(|| "the call before it was cut off".to_owned());
        }
    }

    /// Notes a document that a call reads.
    pub(super) fn note_document(&mut self, reference: &Reference, document: Option<&Document>) {
        let Some(running) = &mut self.running else {
            return;
        };
        if running.documents.contains(reference) {
            // The document may have been changed by the call itself.
            return;
        }
        running.documents.insert(reference.clone());
        let version = document.map(|document| document.version);
        match self.versions.get(reference) {
            None => {
                running.new_documents.push(reference.clone());
                self.versions.insert(reference.clone(), version);
                if let Some(document) = document {
                    running.bytes += document.body.len();
                    self.documents.insert(reference.clone(), document.clone());
                }
            }
            Some(known) if *known == version => {}
            Some(_) => self.mark_inexpressible(|| CHANGED.to_owned()),
        }
    }

    /// Notes a secret that a call reveals.
    pub(super) fn note_secret(&mut self, secret: &SecretName, clear: Option<SecretString>) {
        let Some(running) = &mut self.running else {
            return;
        };
        if !running.secrets.insert(secret.clone()) {
            return;
        }
        match self.clear_secrets.get(secret) {
            None => {
                running.new_secrets.push(secret.clone());
                if let Some(clear) = &clear {
                    self.secrets.insert(secret.clone(), clear.clone());
                }
                self.clear_secrets.insert(secret.clone(), clear);
            }
            Some(known) if same(known.as_ref(), clear.as_ref()) => {}
            Some(_) => self.mark_inexpressible(|| CHANGED.to_owned()),
        }
    }

    /// Notes the settings of the node whose record a call is about.
    pub(super) fn note_node_settings(&mut self, node: &str, settings: &BTreeMap<String, String>) {
        let Some(running) = &mut self.running else {
            return;
        };
        match self.node_settings.get(node) {
            None => {
                running.new_node = Some(node.to_owned());
                self.node_settings.insert(node.to_owned(), settings.clone());
            }
            Some(known) if known == settings => {}
            Some(_) => self.mark_inexpressible(|| {
                "the settings of its node were changed after an earlier call".to_owned()
            }),
        }
    }

    /// Notes a commit before it is made.
    pub(super) fn note_commit(&mut self, commit: &Commit) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.unread = Default::default();
        let (documents, secrets) = &mut running.unread;
        for change in &commit.changes {
            match change {
                // The host adds its own documents, such as notices. A replay has none.
                Change::Put(Document { reference, .. }) | Change::Delete(reference)
                    if reference.model.starts_with(HOST_MODELS) => {}
                Change::Put(Document { reference, .. }) | Change::Delete(reference) => {
                    documents.push(reference.clone());
                }
                Change::PutSecret { owner, name, .. } | Change::RemoveSecret(owner, name) => {
                    secrets.push((owner.clone(), name.clone()));
                }
                Change::Schedule(_) | Change::Cancel(..) => {}
            }
        }
        documents.retain(|reference| !running.documents.contains(reference));
        secrets.retain(|secret| !running.secrets.contains(secret));
        documents.dedup();
    }

    /// Takes the changed documents and secrets that the call has not read.
    pub(super) fn take_unread(&mut self) -> (Vec<Reference>, Vec<SecretName>) {
        let running = self.running.as_mut();
        running.map_or_else(Default::default, |running| {
            std::mem::take(&mut running.unread)
        })
    }

    /// Notes a request.
    pub(super) fn note_request(&mut self, request: Request<Bytes>) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.bytes += request.body().len();
        running.http.push(RecordedExchange::new(request));
    }

    /// Notes the response to the last request. A plugin sends requests one after the other.
    pub(super) fn note_response(&mut self, response: &Result<Response<Bytes>, TransportError>) {
        let Some(running) = &mut self.running else {
            return;
        };
        match RecordedResponse::from_result(response) {
            Err(reason) => self.mark_inexpressible(|| reason),
            Ok(recorded) => {
                let mut latest_first = running.http.iter_mut().rev();
                if let Some(exchange) = latest_first.find(|exchange| exchange.is_pending()) {
                    running.bytes += recorded.bytes();
                    exchange.set_response(recorded);
                }
            }
        }
    }

    /// Marks the call as one that a scenario cannot express.
    pub(super) fn mark_inexpressible(&mut self, reason: impl FnOnce() -> String) {
        if let Some(running) = &mut self.running {
            running.inexpressible.get_or_insert_with(reason);
        }
    }

    /// Returns the record, documents and secrets that the call has touched, once it has begun.
    pub(super) fn touched(&self) -> Option<(Reference, Vec<Reference>, Vec<SecretName>)> {
        let running = self.running.as_ref().filter(|running| running.begun)?;
        Some((
            running.wakeup.subject.clone(),
            running.documents.iter().cloned().collect(),
            running.secrets.iter().cloned().collect(),
        ))
    }

    /// Notes the end of the call.
    pub(super) fn note_end(
        &mut self,
        now: Timestamp,
        outcome: Result<Value, Value>,
        transaction: Option<Transaction>,
        left: CallEffects,
    ) {
        let Some(running) = &mut self.running else {
            return;
        };
        if self.lost.contains(&running.wakeup.subject) {
            let lost = || "an earlier call of its record is left out, or was changed by others";
            running
                .inexpressible
                .get_or_insert_with(|| lost().to_owned());
        }
        if running.http.iter().any(RecordedExchange::is_pending) {
            let none = "it ended before its request got a response";
            running.inexpressible.get_or_insert_with(|| none.to_owned());
        }
        if running.inexpressible.is_some() {
            self.omit_call();
            return;
        }
        self.longest = self.longest.max(now.since(running.moment));
        let Some(running) = self.running.take() else {
            return;
        };
        self.bytes += running.bytes;
        let step = self.step(running, outcome, transaction, left);
        self.steps.push(step);
        self.check_bounds();
    }

    /// Ends the recording when it is full.
    fn check_bounds(&mut self) {
        if self.steps.len() + self.omitted.len() >= MAX_CALLS {
            self.full = Some(format!("after {MAX_CALLS} calls, the most that are noted"));
        } else if self.bytes >= MAX_BYTES {
            let most = MAX_BYTES >> 20;
            self.full = Some(format!("with {most} MiB, the most that are kept"));
        }
    }

    fn step(
        &mut self,
        running: RunningCall,
        outcome: Result<Value, Value>,
        transaction: Option<Transaction>,
        left: CallEffects,
    ) -> RecordedCall {
        let mut documents = Vec::new();
        for (reference, after) in left.documents {
            let version = after.as_ref().map(|document| document.version);
            let before = self.versions.insert(reference.clone(), version).flatten();
            match (before, after) {
                (None, Some(document)) => {
                    self.created.push(reference.pkid);
                    self.bytes += document.body.len();
                    documents.push(DocumentChange::Added(document));
                }
                (Some(before), Some(document)) if before != document.version => {
                    self.bytes += document.body.len();
                    documents.push(DocumentChange::Changed(document));
                }
                (Some(_), None) => documents.push(DocumentChange::Removed(reference)),
                _ => {}
            }
        }
        let mut secrets = SecretChanges::default();
        for (secret, after) in left.secrets {
            let before = self
                .clear_secrets
                .insert(secret.clone(), after.clone())
                .flatten();
            let names = match (&before, &after) {
                (None, Some(_)) => &mut secrets.set,
                (Some(_), None) => &mut secrets.unset,
                (before, after) if !same(before.as_ref(), after.as_ref()) => &mut secrets.changed,
                _ => continue,
            };
            names.insert(secret.1);
            secrets.values.extend(after);
        }
        let subject = &running.wakeup.subject;
        let before = self
            .pending_wakeups
            .insert(subject.clone(), left.wakeups.clone());
        let gone = before.unwrap_or_default().into_iter().filter(|before| {
            let mut left = left.wakeups.iter();
            !left.any(|after| after.id == before.id)
        });
        RecordedCall {
            moment: running.moment,
            drift: self.longest,
            removed_wakeups: gone.map(|wakeup| wakeup.id).collect(),
            wakeup: running.wakeup,
            http: running.http,
            outcome,
            transaction,
            documents,
            secrets,
            wakeups: left.wakeups,
        }
    }

    /// Omits the call. Data that the call was the first to read is read again by the next call. A record of
    /// earlier recorded calls differs from a replay from now on.
    pub(super) fn omit_call(&mut self) {
        let Some(running) = &self.running else {
            return;
        };
        let reason = running.inexpressible.clone().unwrap_or_default();
        let subject = running.wakeup.subject.clone();
        self.omitted.push(OmittedCall {
            wakeup: running.wakeup.id.clone(),
            subject: subject.clone(),
            moment: running.moment,
            reason,
        });
        if !running.new_record {
            self.lost.insert(subject);
        }
        self.discard_running();
        self.check_bounds();
    }

    fn discard_running(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        for reference in running.new_documents {
            self.versions.remove(&reference);
            self.documents.remove(&reference);
        }
        for secret in running.new_secrets {
            self.clear_secrets.remove(&secret);
            self.secrets.remove(&secret);
        }
        if let Some(node) = running.new_node {
            self.node_settings.remove(&node);
        }
        if running.new_record {
            self.pending_wakeups.remove(&running.wakeup.subject);
            self.wakeups.remove(&running.wakeup.subject);
        }
    }
}

/// The reason for a difference from a replay.
const CHANGED: &str = "another writer has changed what it read, after an earlier call";

fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    let clear =
        |secret: Option<&SecretString>| secret.map(|secret| secret.expose_secret().to_owned());
    clear(one) == clear(other)
}
