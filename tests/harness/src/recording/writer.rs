//! Writes the notes in the format of scenarios.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Write as _;

use relation_host::types::{Document, Reference, Timestamp, Wakeup};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::Setup;
use super::expectation_writer::{ExpectationWriter, escape_braces};
use super::notes::Notes;
use super::placeholders::{Placeholders, SecretCollector};
use super::recorded_call::RecordedCall;
use super::{limits, outcome};

/// The setting that scenarios have by default.
const DEFAULT_SETTING: &str = "webex.client-id";
/// The secret that scenarios have by default.
const DEFAULT_SECRET: &str = "webex.client-secret";
/// The maximum number of omitted calls that are listed.
const MAX_NAMED: usize = 50;

/// The reason why the file is not written.
pub(super) enum WriteError {
    /// The notes cannot be written as TOML.
    NotToml(toml::ser::Error),
    /// The file would contain a secret.
    SecretInClear,
}

impl From<toml::ser::Error> for WriteError {
    fn from(error: toml::ser::Error) -> Self {
        Self::NotToml(error)
    }
}

/// Returns the text of the file.
pub(super) fn render(notes: &Notes, setup: &Setup) -> Result<String, WriteError> {
    let collector = collect_secrets(notes, setup);
    let custom = |error: &dyn std::fmt::Display| {
        WriteError::NotToml(serde::ser::Error::custom(error.to_string()))
    };
    let placeholders = collector.build().map_err(|error| custom(&error))?;
    let begun = notes.steps.first().map(|step| step.moment);
    let begun = begun.unwrap_or_default();
    let writer = Writer {
        placeholders: &placeholders,
        begun,
        names: replay_names(notes),
        taken: Cell::new(0),
    };
    let table = writer
        .scenario(notes, setup)
        .map_err(|error| custom(&error))?;
    if !is_free_of_secrets(&Value::Table(table.clone()), &placeholders) {
        return Err(WriteError::SecretInClear);
    }
    let head = placeholders.text(&header(notes, begun));
    Ok(format!("{head}{}", toml::to_string_pretty(&table)?))
}

/// Collects all secrets in the notes, in order of appearance.
fn collect_secrets(notes: &Notes, setup: &Setup) -> SecretCollector {
    let mut collector = SecretCollector::default();
    for (name, value) in &setup.secrets {
        let secret = value.expose_secret();
        let placeholder = collector.learn(name, secret);
        if let Some(id) = setup.settings.get(DEFAULT_SETTING) {
            collector.learn_pair(id, secret, (id, &placeholder));
        }
    }
    for ((_, name), value) in &notes.secrets {
        collector.learn(name, value.expose_secret());
    }
    // Texts in documents, such as ids, are not secrets: documents never contain any.
    let is_known_public = |run: &str| {
        let mut documents = notes.documents.values();
        documents.any(|document| document.body.contains(run))
    };
    for step in &notes.steps {
        for exchange in &step.http {
            exchange.collect_secrets(&mut collector, &is_known_public);
        }
        for value in &step.secrets.values {
            collector.learn("secret", value.expose_secret());
        }
    }
    collector
}

/// Returns whether no text contains a secret: the last check, over the whole file.
fn is_free_of_secrets(value: &Value, placeholders: &Placeholders) -> bool {
    match value {
        Value::String(text) => !placeholders.contains_secret(text),
        Value::Array(items) => items
            .iter()
            .all(|item| is_free_of_secrets(item, placeholders)),
        Value::Table(members) => members
            .values()
            .all(|value| is_free_of_secrets(value, placeholders)),
        _ => true,
    }
}

/// Names the values that differ in a replay: pkids of new documents, and texts of network faults.
fn replay_names(notes: &Notes) -> HashMap<String, String> {
    let made = notes.created.iter().enumerate();
    let made = made.map(|(at, pkid)| (pkid.to_string(), format!("made-{}", at + 1)));
    let mut names: HashMap<String, String> = made.collect();
    let exchanges = notes.steps.iter().flat_map(|step| &step.http);
    let mut faults = 0;
    for words in exchanges.filter_map(|exchange| exchange.error_text()) {
        if !words.is_empty() && !names.contains_key(words) {
            faults += 1;
            names.insert(words.to_owned(), format!("fault-{faults}"));
        }
    }
    names
}

fn header(notes: &Notes, begun: Timestamp) -> String {
    let mut head = String::new();
    let mut line = |text: &str| {
        for part in text.lines() {
            // Writing to a string cannot fail.
            let _ = writeln!(head, "# {part}");
        }
    };
    line(&format!(
        "Recorded from {begun} on with {}; `relation-host test` replays it.",
        notes.plugin
    ));
    line(
        "Secrets are replaced (recorded…); what customers' data says is not. Keep it accordingly.",
    );
    if let Some(full) = &notes.full {
        line(&format!("The recording ended before the run did, {full}."));
    }
    let left_out = &notes.omitted;
    if !left_out.is_empty() {
        line(&format!(
            "Left out, as a scenario cannot say it ({} calls):",
            left_out.len()
        ));
        for one in left_out.iter().take(MAX_NAMED) {
            let (wakeup, subject, moment) = (&one.wakeup, &one.subject, one.moment);
            line(&format!(
                "- {wakeup} of {subject} at {moment}: {}",
                one.reason
            ));
        }
        if left_out.len() > MAX_NAMED {
            line(&format!("- and {} more", left_out.len() - MAX_NAMED));
        }
    }
    head.push('\n');
    head
}

struct Writer<'a> {
    placeholders: &'a Placeholders,
    begun: Timestamp,
    names: HashMap<String, String>,
    /// The number of names used for values that differ in each replay.
    taken: Cell<usize>,
}

impl Writer<'_> {
    fn scenario(&self, notes: &Notes, setup: &Setup) -> Result<Table, regex_lite::Error> {
        let mut table = Table::new();
        let records: std::collections::BTreeSet<&Reference> = notes
            .steps
            .iter()
            .map(|step| &step.wakeup.subject)
            .collect();
        let calls = notes.steps.len();
        let about = format!(
            "What a host did from {} on: {calls} {} of {} {}",
            self.begun,
            if calls == 1 { "call" } else { "calls" },
            records.len(),
            if records.len() == 1 {
                "record"
            } else {
                "records"
            },
        );
        table.insert("about".to_owned(), about.into());
        let mut given = Table::new();
        given.insert("clock".to_owned(), self.begun.to_string().into());
        let documents = notes.documents.values();
        insert_tables(
            &mut given,
            "document",
            documents.map(|one| self.document(one)),
        );
        let secrets = notes.secrets.iter().map(|((owner, name), value)| {
            let mut table = reference_table(owner);
            table.insert("name".to_owned(), name.clone().into());
            let value = self.placeholders.replace_whole(value.expose_secret());
            table.insert("value".to_owned(), escape_braces(&value).into());
            table
        });
        insert_tables(&mut given, "secret", secrets);
        // A wakeup needs its document; without a document the call found it gone.
        let there = |wakeup: &&Wakeup| notes.documents.contains_key(&wakeup.subject);
        let wakeups = notes.wakeups.values().flatten().filter(there);
        insert_tables(&mut given, "wakeup", wakeups.map(|one| self.wakeup(one)));
        table.insert("given".to_owned(), given.into());

        let settings = setup.settings.iter().map(|(name, value)| {
            let value = escape_braces(&self.placeholders.text(value));
            (name.clone(), value)
        });
        table.insert(
            "settings".to_owned(),
            without_default(settings, DEFAULT_SETTING).into(),
        );
        let nodes = notes.node_settings.iter();
        let nodes = nodes.filter(|(_, settings)| !settings.is_empty());
        let nodes: Table = nodes
            .map(|(node, settings)| {
                let settings = settings.iter().map(|(name, value)| {
                    let value = escape_braces(&self.placeholders.text(value));
                    (name.clone(), Value::from(value))
                });
                (node.clone(), settings.collect::<Table>().into())
            })
            .collect();
        if !nodes.is_empty() {
            table.insert("node-settings".to_owned(), nodes.into());
        }
        let secrets = setup.secrets.iter().map(|(name, value)| {
            let value = self.placeholders.replace_whole(value.expose_secret());
            (name.clone(), escape_braces(&value))
        });
        table.insert(
            "secrets".to_owned(),
            without_default(secrets, DEFAULT_SECRET).into(),
        );
        let limits = limits::changed_limits(&setup.limits);
        if !limits.is_empty() {
            table.insert("limits".to_owned(), limits.into());
        }
        let steps: Result<Vec<Table>, _> = notes.steps.iter().map(|step| self.step(step)).collect();
        insert_tables(&mut table, "step", steps?.into_iter());
        Ok(table)
    }

    fn document(&self, document: &Document) -> Table {
        let mut table = reference_table(&document.reference);
        let node = document.hierarchy.as_str();
        table.insert("hierarchy".to_owned(), node.into());
        let body = serde_json::from_str::<Json>(&document.body).ok();
        let body = body.map(|body| self.placeholders.json(&body));
        let as_table = body.as_ref().filter(|body| body.is_object());
        match as_table.and_then(super::exchange::as_toml) {
            Some(body) => table.insert("body".to_owned(), body),
            None => {
                let text = body.map_or_else(
                    || self.placeholders.text(&document.body),
                    |body| body.to_string(),
                );
                table.insert("text".to_owned(), escape_braces(&text).into())
            }
        };
        let keys = document.keys.iter().map(|key| {
            let value = escape_braces(&self.placeholders.text(&key.value));
            (key.name.clone(), value.into())
        });
        table.insert("keys".to_owned(), Value::Table(keys.collect()));
        table
    }

    fn wakeup(&self, wakeup: &Wakeup) -> Table {
        let mut table = reference_table(&wakeup.subject);
        table.insert("id".to_owned(), wakeup.id.clone().into());
        table.insert("due".to_owned(), wakeup.due.to_string().into());
        if let Some(deadline) = wakeup.deadline {
            table.insert("deadline".to_owned(), deadline.to_string().into());
        }
        let payload = escape_braces(&self.placeholders.text(&wakeup.payload));
        table.insert("payload".to_owned(), payload.into());
        table
    }

    fn step(&self, step: &RecordedCall) -> Result<Table, regex_lite::Error> {
        let words = ExpectationWriter::new(
            self.placeholders,
            self.begun,
            step.drift,
            &self.names,
            &self.taken,
        )?;
        let mut table = Table::new();
        if let Some(transaction) = &step.transaction {
            let (action, name) = (&transaction.action, &transaction.subject_name);
            let about = format!("{action} of {name}: {}", transaction.message);
            table.insert("about".to_owned(), self.placeholders.text(&about).into());
        }
        table.insert("call".to_owned(), "wake".into());
        let pkid = step.wakeup.subject.pkid.as_str();
        table.insert("record".to_owned(), pkid.into());
        table.insert("wakeup".to_owned(), step.wakeup.id.clone().into());
        table.insert("moment".to_owned(), step.moment.to_string().into());
        let exchanges = step.http.iter().map(|exchange| exchange.to_toml(&words));
        insert_tables(&mut table, "http", exchanges);

        let mut expect = Table::new();
        match &step.outcome {
            Ok(result) => {
                expect.insert("result".to_owned(), words.json(result));
            }
            Err(error) => {
                expect.insert("error".to_owned(), outcome::expected_error(error, &words));
            }
        }
        if let Some(transaction) = &step.transaction {
            let status = transaction.status.as_str();
            expect.insert("transaction".to_owned(), status.into());
        }
        expect.insert(
            "storage".to_owned(),
            outcome::expected_storage(step, &words).into(),
        );
        let wakeups = outcome::expected_wakeups(step, &words);
        if !wakeups.is_empty() {
            expect.insert("wakeups".to_owned(), wakeups.into());
        }
        table.insert("expect".to_owned(), expect.into());
        Ok(table)
    }
}

/// Writes settings; a default one that the host does not have is marked as absent.
fn without_default(settings: impl Iterator<Item = (String, String)>, usual: &str) -> Table {
    let mut table: Table = settings
        .map(|(name, value)| (name, Value::from(value)))
        .collect();
    table
        .entry(usual)
        .or_insert_with(|| Value::from("<absent>"));
    table
}

fn reference_table(reference: &Reference) -> Table {
    Table::from_iter([
        ("model".to_owned(), Value::from(reference.model.clone())),
        ("pkid".to_owned(), Value::from(reference.pkid.as_str())),
    ])
}

fn insert_tables(table: &mut Table, name: &str, items: impl Iterator<Item = Table>) {
    let items: Vec<Value> = items.map(Value::Table).collect();
    if !items.is_empty() {
        table.insert(name.to_owned(), Value::Array(items));
    }
}
