//! What is known of a run: what was there before it, and its calls so far.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use relation_host::egress::TransportError;
use relation_host::store::{Begin, BeginOutcome, Change, Commit};
use relation_host::transactions::Transaction;
use relation_host::types::{Document, Pkid, RECORD_MODEL, Reference, Timestamp, Wakeup};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use self::running::Running;
use super::exchange::{Answered, Exchange};
use super::step::{Became, Names, Step};
use super::{MOST_BYTES, MOST_CALLS};

mod running;
#[cfg(test)]
mod tests;

/// A secret: its owner, and its name there.
pub(super) type SecretName = (Reference, String);

/// What a call leaves of what it has touched.
pub(super) struct Left {
    pub(super) documents: Vec<(Reference, Option<Document>)>,
    pub(super) secrets: Vec<(SecretName, Option<SecretString>)>,
    pub(super) wakeups: Vec<Wakeup>,
}

/// A call that is not in the recording.
pub(super) struct LeftOut {
    pub(super) wakeup: String,
    pub(super) subject: Reference,
    pub(super) moment: Timestamp,
    pub(super) why: String,
}

/// What was noted so far.
#[derive(Default)]
pub(super) struct Notes {
    /// What was there before the calls.
    pub(super) documents: BTreeMap<Reference, Document>,
    pub(super) secrets: BTreeMap<SecretName, SecretString>,
    pub(super) wakeups: BTreeMap<Reference, Vec<Wakeup>>,
    pub(super) steps: Vec<Step>,
    pub(super) left_out: Vec<LeftOut>,
    /// What the plugin calls itself.
    pub(super) plugin: String,
    /// Why nothing more is noted.
    pub(super) full: Option<String>,
    /// Documents that calls have made; their pkids may be others in a replay.
    pub(super) made: Vec<Pkid>,
    /// What a replay would find now: the version of a document, a secret, the wakeups of a record.
    versions: HashMap<Reference, Option<u64>>,
    clear: HashMap<SecretName, Option<SecretString>>,
    waiting: HashMap<Reference, Vec<Wakeup>>,
    /// Records that a replay would find otherwise from now on.
    lost: HashSet<Reference>,
    running: Option<Running>,
    /// The longest call so far.
    longest: Duration,
    /// How much is kept, about.
    bytes: usize,
}

impl Notes {
    /// A claim is about to be made; only one that answers a wakeup is a call to be noted.
    pub(super) fn begins(&mut self, begin: &Begin) {
        // An earlier claim met a store that failed: what was looked at for it may change.
        self.forget();
        let Some(due) = &begin.wakeup else {
            return;
        };
        if self.full.is_some() {
            return;
        }
        // A clock that was set back must not keep a replay from going on.
        let latest = self.steps.last().map(|step| step.moment);
        let foreign = due.wakeup.subject.model != RECORD_MODEL;
        let unsayable = foreign.then(|| "its wakeup belongs to no record".to_owned());
        let moment = latest.map_or(begin.now, |latest| latest.max(begin.now));
        self.running = Some(Running::of(due.wakeup.clone(), moment, unsayable));
    }

    /// Whose call is about to begin.
    pub(super) fn beginning(&self) -> Option<Reference> {
        let running = self.running.as_ref().filter(|running| !running.begun)?;
        Some(running.wakeup.subject.clone())
    }

    /// How the record of the call stands that is about to begin.
    pub(super) fn stands(
        &mut self,
        subject: &Reference,
        record: Option<Document>,
        wakeups: Vec<Wakeup>,
    ) {
        if self.beginning().as_ref() != Some(subject) {
            return;
        }
        self.found(subject, record.as_ref());
        match self.waiting.get(subject) {
            None => {
                if let Some(running) = &mut self.running {
                    running.new_record = true;
                }
                self.waiting.insert(subject.clone(), wakeups.clone());
                self.wakeups.insert(subject.clone(), wakeups);
            }
            Some(known) if *known == wakeups => {}
            Some(_) => self.unsayable(|| CHANGED.to_owned()),
        }
    }

    /// The record could not be looked at.
    pub(super) fn not_seen(&mut self, subject: &Reference, why: String) {
        if self.beginning().as_ref() == Some(subject) {
            self.unsayable(|| why);
        }
    }

    /// What the store said to the claim.
    pub(super) fn begun(&mut self, begun: &BeginOutcome) {
        let BeginOutcome::Started(lease) = begun else {
            // What was looked at may change until it is tried again.
            self.forget();
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
            self.unsayable(|| "the call before it was cut off".to_owned());
        }
    }

    /// A call reads a document.
    pub(super) fn found(&mut self, reference: &Reference, document: Option<&Document>) {
        let Some(running) = &mut self.running else {
            return;
        };
        if running.documents.contains(reference) {
            // It may be the call's own work by now.
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
            Some(_) => self.unsayable(|| CHANGED.to_owned()),
        }
    }

    /// A call opens a secret.
    pub(super) fn opened(&mut self, secret: &SecretName, clear: Option<SecretString>) {
        let Some(running) = &mut self.running else {
            return;
        };
        if !running.secrets.insert(secret.clone()) {
            return;
        }
        match self.clear.get(secret) {
            None => {
                running.new_secrets.push(secret.clone());
                if let Some(clear) = &clear {
                    self.secrets.insert(secret.clone(), clear.clone());
                }
                self.clear.insert(secret.clone(), clear);
            }
            Some(known) if same(known.as_ref(), clear.as_ref()) => {}
            Some(_) => self.unsayable(|| CHANGED.to_owned()),
        }
    }

    /// A call is about to commit.
    pub(super) fn commits(&mut self, commit: &Commit) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.unknown = Default::default();
        let (documents, secrets) = &mut running.unknown;
        for change in &commit.changes {
            match change {
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

    /// What the commit names and nobody has seen.
    pub(super) fn unknown(&mut self) -> (Vec<Reference>, Vec<SecretName>) {
        let running = self.running.as_mut();
        running.map_or_else(Default::default, |running| {
            std::mem::take(&mut running.unknown)
        })
    }

    /// A request goes out.
    pub(super) fn asked(&mut self, request: Request<Bytes>) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.bytes += request.body().len();
        running.http.push(Exchange::of(request));
    }

    /// What came back for the last one. A plugin sends one after the other.
    pub(super) fn answered(&mut self, answer: &Result<Response<Bytes>, TransportError>) {
        let Some(running) = &mut self.running else {
            return;
        };
        match Answered::of(answer) {
            Err(why) => self.unsayable(|| why),
            Ok(answered) => {
                let mut latest_first = running.http.iter_mut().rev();
                if let Some(exchange) = latest_first.find(|exchange| exchange.waits()) {
                    running.bytes += answered.bytes();
                    exchange.answered(answered);
                }
            }
        }
    }

    /// A scenario has no words for something of the call.
    pub(super) fn unsayable(&mut self, why: impl FnOnce() -> String) {
        if let Some(running) = &mut self.running {
            running.unsayable.get_or_insert_with(why);
        }
    }

    /// What the call has touched, once it has begun: its record, documents and secrets.
    pub(super) fn touched(&self) -> Option<(Reference, Vec<Reference>, Vec<SecretName>)> {
        let running = self.running.as_ref().filter(|running| running.begun)?;
        Some((
            running.wakeup.subject.clone(),
            running.documents.iter().cloned().collect(),
            running.secrets.iter().cloned().collect(),
        ))
    }

    /// The call has ended.
    pub(super) fn ended(
        &mut self,
        now: Timestamp,
        answered: Result<Value, Value>,
        transaction: Option<Transaction>,
        left: Left,
    ) {
        let Some(running) = &mut self.running else {
            return;
        };
        if self.lost.contains(&running.wakeup.subject) {
            let lost = || "an earlier call of its record is left out, or was changed by others";
            running.unsayable.get_or_insert_with(|| lost().to_owned());
        }
        if running.http.iter().any(Exchange::waits) {
            let none = "it ended before its request was answered";
            running.unsayable.get_or_insert_with(|| none.to_owned());
        }
        if running.unsayable.is_some() {
            self.give_up();
            return;
        }
        self.longest = self.longest.max(now.since(running.moment));
        let Some(running) = self.running.take() else {
            return;
        };
        self.bytes += running.bytes;
        let step = self.step(running, answered, transaction, left);
        self.steps.push(step);
        self.bound();
    }

    /// Ends the recording where one more call would make it too much.
    fn bound(&mut self) {
        if self.steps.len() + self.left_out.len() >= MOST_CALLS {
            self.full = Some(format!("after {MOST_CALLS} calls, the most that are noted"));
        } else if self.bytes >= MOST_BYTES {
            let most = MOST_BYTES >> 20;
            self.full = Some(format!("with {most} MiB, the most that are kept"));
        }
    }

    fn step(
        &mut self,
        running: Running,
        answered: Result<Value, Value>,
        transaction: Option<Transaction>,
        left: Left,
    ) -> Step {
        let mut documents = Vec::new();
        for (reference, after) in left.documents {
            let version = after.as_ref().map(|document| document.version);
            let before = self.versions.insert(reference.clone(), version).flatten();
            match (before, after) {
                (None, Some(document)) => {
                    self.made.push(reference.pkid);
                    self.bytes += document.body.len();
                    documents.push(Became::Added(document));
                }
                (Some(before), Some(document)) if before != document.version => {
                    self.bytes += document.body.len();
                    documents.push(Became::Changed(document));
                }
                (Some(_), None) => documents.push(Became::Removed(reference)),
                _ => {}
            }
        }
        let mut secrets = Names::default();
        for (secret, after) in left.secrets {
            let before = self.clear.insert(secret.clone(), after.clone()).flatten();
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
        let before = self.waiting.insert(subject.clone(), left.wakeups.clone());
        let gone = before.unwrap_or_default().into_iter().filter(|before| {
            let mut left = left.wakeups.iter();
            !left.any(|after| after.id == before.id)
        });
        Step {
            moment: running.moment,
            drift: self.longest,
            gone: gone.map(|wakeup| wakeup.id).collect(),
            wakeup: running.wakeup,
            http: running.http,
            answered,
            transaction,
            documents,
            secrets,
            wakeups: left.wakeups,
        }
    }

    /// Leaves the call out. What it was the first to see is seen anew by the next one; a record that
    /// earlier calls have is not as a replay would have it any more.
    pub(super) fn give_up(&mut self) {
        let Some(running) = &self.running else {
            return;
        };
        let why = running.unsayable.clone().unwrap_or_default();
        let subject = running.wakeup.subject.clone();
        self.left_out.push(LeftOut {
            wakeup: running.wakeup.id.clone(),
            subject: subject.clone(),
            moment: running.moment,
            why,
        });
        if !running.new_record {
            self.lost.insert(subject);
        }
        self.forget();
        self.bound();
    }

    fn forget(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        for reference in running.new_documents {
            self.versions.remove(&reference);
            self.documents.remove(&reference);
        }
        for secret in running.new_secrets {
            self.clear.remove(&secret);
            self.secrets.remove(&secret);
        }
        if running.new_record {
            self.waiting.remove(&running.wakeup.subject);
            self.wakeups.remove(&running.wakeup.subject);
        }
    }
}

/// Why a replay would not find what the call found.
const CHANGED: &str = "somebody else has changed what it read, after an earlier call";

fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    let clear =
        |secret: Option<&SecretString>| secret.map(|secret| secret.expose_secret().to_owned());
    clear(one) == clear(other)
}
