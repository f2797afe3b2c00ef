//! What was noted, in the format of scenarios.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Write as _;

use relation_host::types::{Document, Reference, Timestamp, Wakeup};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::Setup;
use super::expectation::{Words, braces};
use super::notes::Notes;
use super::placeholders::{Learning, Placeholders};
use super::step::Step;
use super::{limits, outcome};

/// What is always there in a scenario unless it is taken away.
const USUAL: &str = "webex.client-id";
/// The same among the secrets.
const USUAL_SECRET: &str = "webex.client-secret";
/// Of calls that are left out, so many are named.
const MOST_NAMED: usize = 50;

/// Why nothing is written.
pub(super) enum Unwritten {
    /// It is no TOML.
    Toml(toml::ser::Error),
    /// A secret is in it.
    InClear,
}

impl From<toml::ser::Error> for Unwritten {
    fn from(error: toml::ser::Error) -> Self {
        Self::Toml(error)
    }
}

/// The text of the file.
pub(super) fn text(notes: &Notes, setup: &Setup) -> Result<String, Unwritten> {
    let learning = learned(notes, setup);
    let custom =
        |why: &dyn std::fmt::Display| Unwritten::Toml(serde::ser::Error::custom(why.to_string()));
    let placeholders = learning.learned().map_err(|why| custom(&why))?;
    let begun = notes.steps.first().map(|step| step.moment);
    let begun = begun.unwrap_or_default();
    let writer = Writer {
        placeholders: &placeholders,
        begun,
        names: names(notes),
        taken: Cell::new(0),
    };
    let table = writer.scenario(notes, setup).map_err(|why| custom(&why))?;
    if !holds_no_secret(&Value::Table(table.clone()), &placeholders) {
        return Err(Unwritten::InClear);
    }
    let head = placeholders.text(&head(notes, begun));
    Ok(format!("{head}{}", toml::to_string_pretty(&table)?))
}

/// Everything that is secret in what was noted, in the order in which it was met.
fn learned(notes: &Notes, setup: &Setup) -> Learning {
    let mut learning = Learning::default();
    for (name, value) in &setup.secrets {
        let secret = value.expose_secret();
        let placeholder = learning.learn(name, secret);
        if let Some(id) = setup.settings.get(USUAL) {
            learning.learn_pair(id, secret, (id, &placeholder));
        }
    }
    for ((_, name), value) in &notes.secrets {
        learning.learn(name, value.expose_secret());
    }
    // What stands in documents as it is, such as an id, is no secret: none ever does.
    let innocent = |run: &str| {
        let mut documents = notes.documents.values();
        documents.any(|document| document.body.contains(run))
    };
    for step in &notes.steps {
        for exchange in &step.http {
            exchange.learn(&mut learning, &innocent);
        }
        for value in &step.secrets.values {
            learning.learn("secret", value.expose_secret());
        }
    }
    learning
}

/// The last look: also at what nobody has thought of.
fn holds_no_secret(value: &Value, placeholders: &Placeholders) -> bool {
    match value {
        Value::String(text) => !placeholders.shows(text),
        Value::Array(items) => items.iter().all(|item| holds_no_secret(item, placeholders)),
        Value::Table(members) => members
            .values()
            .all(|value| holds_no_secret(value, placeholders)),
        _ => true,
    }
}

/// What a replay makes otherwise: keys of new documents, and the network's words for faults.
fn names(notes: &Notes) -> HashMap<String, String> {
    let made = notes.made.iter().enumerate();
    let made = made.map(|(at, pkid)| (pkid.to_string(), format!("made-{}", at + 1)));
    let mut names: HashMap<String, String> = made.collect();
    let exchanges = notes.steps.iter().flat_map(|step| &step.http);
    let mut faults = 0;
    for words in exchanges.filter_map(|exchange| exchange.fault()) {
        if !words.is_empty() && !names.contains_key(words) {
            faults += 1;
            names.insert(words.to_owned(), format!("fault-{faults}"));
        }
    }
    names
}

fn head(notes: &Notes, begun: Timestamp) -> String {
    let mut head = String::new();
    let mut line = |text: &str| {
        for part in text.lines() {
            // Writing to a text does not fail.
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
    let left_out = &notes.left_out;
    if !left_out.is_empty() {
        line(&format!(
            "Left out, as a scenario cannot say it ({} calls):",
            left_out.len()
        ));
        for one in left_out.iter().take(MOST_NAMED) {
            let (wakeup, subject, moment) = (&one.wakeup, &one.subject, one.moment);
            line(&format!("- {wakeup} of {subject} at {moment}: {}", one.why));
        }
        if left_out.len() > MOST_NAMED {
            line(&format!("- and {} more", left_out.len() - MOST_NAMED));
        }
    }
    head.push('\n');
    head
}

struct Writer<'a> {
    placeholders: &'a Placeholders,
    begun: Timestamp,
    names: HashMap<String, String>,
    /// How many names were taken for what is otherwise each time.
    taken: Cell<usize>,
}

impl Writer<'_> {
    fn scenario(&self, notes: &Notes, setup: &Setup) -> Result<Table, regex_lite::Error> {
        let mut told = Table::new();
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
        told.insert("about".to_owned(), about.into());
        let mut given = Table::new();
        given.insert("clock".to_owned(), self.begun.to_string().into());
        let documents = notes.documents.values();
        list(
            &mut given,
            "document",
            documents.map(|one| self.document(one)),
        );
        let secrets = notes.secrets.iter().map(|((owner, name), value)| {
            let mut table = of(owner);
            table.insert("name".to_owned(), name.clone().into());
            let value = self.placeholders.whole(value.expose_secret());
            table.insert("value".to_owned(), braces(&value).into());
            table
        });
        list(&mut given, "secret", secrets);
        // A wakeup needs its document; without one it was found gone.
        let there = |wakeup: &&Wakeup| notes.documents.contains_key(&wakeup.subject);
        let wakeups = notes.wakeups.values().flatten().filter(there);
        list(&mut given, "wakeup", wakeups.map(|one| self.wakeup(one)));
        told.insert("given".to_owned(), given.into());

        let settings = setup.settings.iter().map(|(name, value)| {
            let value = braces(&self.placeholders.text(value));
            (name.clone(), value)
        });
        told.insert("settings".to_owned(), usual(settings, USUAL).into());
        let secrets = setup.secrets.iter().map(|(name, value)| {
            let value = self.placeholders.whole(value.expose_secret());
            (name.clone(), braces(&value))
        });
        told.insert("secrets".to_owned(), usual(secrets, USUAL_SECRET).into());
        let limits = limits::limits(&setup.limits);
        if !limits.is_empty() {
            told.insert("limits".to_owned(), limits.into());
        }
        let steps: Result<Vec<Table>, _> = notes.steps.iter().map(|step| self.step(step)).collect();
        list(&mut told, "step", steps?.into_iter());
        Ok(told)
    }

    fn document(&self, document: &Document) -> Table {
        let mut table = of(&document.reference);
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
                table.insert("text".to_owned(), braces(&text).into())
            }
        };
        let keys = document.keys.iter().map(|key| {
            let value = braces(&self.placeholders.text(&key.value));
            (key.name.clone(), value.into())
        });
        table.insert("keys".to_owned(), Value::Table(keys.collect()));
        table
    }

    fn wakeup(&self, wakeup: &Wakeup) -> Table {
        let mut table = of(&wakeup.subject);
        table.insert("id".to_owned(), wakeup.id.clone().into());
        table.insert("due".to_owned(), wakeup.due.to_string().into());
        if let Some(deadline) = wakeup.deadline {
            table.insert("deadline".to_owned(), deadline.to_string().into());
        }
        let payload = braces(&self.placeholders.text(&wakeup.payload));
        table.insert("payload".to_owned(), payload.into());
        table
    }

    fn step(&self, step: &Step) -> Result<Table, regex_lite::Error> {
        let words = Words::new(
            self.placeholders,
            self.begun,
            step.drift,
            &self.names,
            &self.taken,
        )?;
        let mut told = Table::new();
        if let Some(transaction) = &step.transaction {
            let (action, name) = (&transaction.action, &transaction.subject_name);
            let about = format!("{action} of {name}: {}", transaction.message);
            told.insert("about".to_owned(), self.placeholders.text(&about).into());
        }
        told.insert("call".to_owned(), "wake".into());
        let pkid = step.wakeup.subject.pkid.as_str();
        told.insert("record".to_owned(), pkid.into());
        told.insert("wakeup".to_owned(), step.wakeup.id.clone().into());
        told.insert("moment".to_owned(), step.moment.to_string().into());
        let exchanges = step.http.iter().map(|exchange| exchange.written(&words));
        list(&mut told, "http", exchanges);

        let mut expect = Table::new();
        match &step.answered {
            Ok(result) => {
                expect.insert("result".to_owned(), words.json(result));
            }
            Err(error) => {
                expect.insert("error".to_owned(), outcome::failed(error, &words));
            }
        }
        if let Some(transaction) = &step.transaction {
            let status = transaction.status.as_str();
            expect.insert("transaction".to_owned(), status.into());
        }
        expect.insert("storage".to_owned(), outcome::stored(step, &words).into());
        let wakeups = outcome::waiting(step, &words);
        if !wakeups.is_empty() {
            expect.insert("wakeups".to_owned(), wakeups.into());
        }
        told.insert("expect".to_owned(), expect.into());
        Ok(told)
    }
}

/// Settings by name; a usual one that the host has not is taken away.
fn usual(settings: impl Iterator<Item = (String, String)>, usual: &str) -> Table {
    let mut table: Table = settings
        .map(|(name, value)| (name, Value::from(value)))
        .collect();
    table
        .entry(usual)
        .or_insert_with(|| Value::from("<absent>"));
    table
}

fn of(reference: &Reference) -> Table {
    Table::from_iter([
        ("model".to_owned(), Value::from(reference.model.clone())),
        ("pkid".to_owned(), Value::from(reference.pkid.as_str())),
    ])
}

fn list(table: &mut Table, name: &str, items: impl Iterator<Item = Table>) {
    let items: Vec<Value> = items.map(Value::Table).collect();
    if !items.is_empty() {
        table.insert(name.to_owned(), Value::Array(items));
    }
}
