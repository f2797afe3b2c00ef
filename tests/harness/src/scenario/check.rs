//! Holds what a step did against what it expects.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::format::source::Place;
use super::matching::Matcher;
use super::mismatch::{Mismatch, Segment};
use super::model::{
    Action, Amount, Changes, Documents, Expect, Happened, Lines, Often, Step, Storage, Wakeups,
};
use super::observation::Observation;
use super::pattern::{Expected, Pattern};
use super::template::Template;

/// Everything in which a step is not as it should be.
pub fn check(step: &Step, seen: &Observation, matcher: &mut Matcher) -> Vec<Mismatch> {
    let mut check = Check {
        matcher,
        found: Vec::new(),
        at: Vec::new(),
    };
    check.outcome(&step.expect, step.place, seen);
    check.of_call(&step.expect, seen);
    check.at_once(step, seen);
    check.expectations(step, seen);
    check.found
}

struct Check<'m> {
    matcher: &'m mut Matcher,
    found: Vec<Mismatch>,
    /// Where the expectations stand that are looked at; empty: in `[step.expect]`.
    at: Vec<Segment>,
}

fn key(name: &str) -> Segment {
    Segment::Key(name.to_owned())
}

impl Check<'_> {
    /// A call fails where that is expected, and nowhere else.
    fn outcome(&mut self, expect: &Expect, place: Place, seen: &Observation) {
        match (&expect.error, &seen.error) {
            (Some(pattern), error) => self.hold("error", pattern, error.as_ref()),
            (None, Some(error)) => {
                let note = "a step that does not expect an error must not have one";
                let mismatch = Mismatch::unexpected(&self.path("error"), place, error);
                self.found.push(mismatch.noting(note));
            }
            (None, None) => {}
        }
        if let Some(pattern) = &expect.result
            && seen.error.is_none()
        {
            self.hold("result", pattern, seen.result.as_ref());
        }
    }

    /// What each of several calls at once has for itself.
    fn at_once(&mut self, step: &Step, seen: &Observation) {
        let Action::AtOnce(callers) = &step.action else {
            return;
        };
        let mut calls = seen.calls.iter();
        for (index, caller) in callers.iter().enumerate() {
            self.at = vec![key("at-once"), Segment::Index(index)];
            for _ in 0..caller.times {
                // Where there are fewer, the step could not be done.
                if let Some(seen) = calls.next() {
                    self.outcome(&caller.expect, caller.place, seen);
                    self.of_call(&caller.expect, seen);
                }
            }
        }
        self.at.clear();
    }

    fn path(&self, name: &str) -> Vec<Segment> {
        let mut path = self.at.clone();
        path.push(key(name));
        path
    }

    fn of_call(&mut self, expect: &Expect, seen: &Observation) {
        if let Some(log) = &expect.log {
            self.lines("log", log, &seen.log);
        }
        if let Some(progress) = &expect.progress {
            self.lines("progress", progress, &seen.progress);
        }
        if let Some(pattern) = &expect.transaction {
            self.hold("transaction", pattern, seen.transaction.as_ref());
        }
    }

    fn expectations(&mut self, step: &Step, seen: &Observation) {
        let expect = &step.expect;
        let time_passes = matches!(step.action, Action::Advance(_) | Action::At(_));
        if expect.fired.is_none() && time_passes {
            for (index, fired) in seen.fired.iter().enumerate() {
                if let Some(error) = fired.get("error") {
                    let path = [key("fired"), Segment::Index(index), key("error")];
                    let note = "what fails while time passes has to be expected in `fired`";
                    let mismatch = Mismatch::unexpected(&path, step.place, error);
                    self.found.push(mismatch.noting(note));
                }
            }
        }
        if let Some(fired) = &expect.fired {
            self.happened("fired", fired, &seen.fired);
        }
        if let Some(http) = &expect.http {
            self.happened("http", http, &seen.http);
        }
        if let Some(storage) = &expect.storage {
            self.storage(storage, seen);
        }
        if let Some(documents) = &expect.documents {
            self.documents(&[key("documents")], documents, &seen.documents);
        }
        if let Some(wakeups) = &expect.wakeups {
            self.wakeups(wakeups, seen);
        }
        if let Some(alerts) = &expect.alerts {
            self.amount(&[key("alerts")], alerts, &seen.alerts);
        }
        for (place, template) in &expect.nowhere {
            self.nowhere(*place, template, seen);
        }
    }

    fn hold(&mut self, name: &str, pattern: &Pattern, found: Option<&Value>) {
        let path = &mut self.path(name);
        self.matcher.hold(pattern, found, path, &mut self.found);
    }

    fn happened(&mut self, name: &str, expected: &Happened, seen: &[Value]) {
        match expected {
            Happened::Listed(pattern) => {
                self.hold(name, pattern, Some(&Value::Array(seen.to_vec())));
            }
            Happened::Counted(counts) => {
                for Often {
                    written,
                    what,
                    times,
                } in counts
                {
                    let fitting = seen
                        .iter()
                        .filter(|one| self.matcher.accepts(what, Some(one)));
                    let count = json!(fitting.count());
                    let path = &mut vec![key(name), key(written)];
                    self.matcher
                        .hold(times, Some(&count), path, &mut self.found);
                }
            }
        }
    }

    fn amount(&mut self, path: &[Segment], amount: &Amount, found: &[Value]) {
        let path = &mut path.to_vec();
        match amount {
            Amount::Count(pattern) => {
                let count = json!(found.len());
                self.matcher
                    .hold(pattern, Some(&count), path, &mut self.found);
            }
            Amount::Listed { place, items, open } => {
                self.matcher
                    .unordered(items, *open, *place, found, path, &mut self.found);
            }
        }
    }

    fn documents(
        &mut self,
        path: &[Segment],
        expected: &Documents,
        found: &BTreeMap<String, Vec<Value>>,
    ) {
        if expected.by_model.is_empty() {
            let counts = found.iter().filter(|(_, documents)| !documents.is_empty());
            let counts: BTreeMap<_, _> = counts
                .map(|(model, documents)| (model, documents.len()))
                .collect();
            if !counts.is_empty() {
                let mismatch =
                    Mismatch::differs(path, expected.place, "no documents", &json!(counts));
                self.found.push(mismatch);
            }
        }
        for (model, amount) in &expected.by_model {
            let mut path = path.to_vec();
            path.push(key(model));
            let found = found.get(model).map(Vec::as_slice).unwrap_or_default();
            self.amount(&path, amount, found);
        }
    }

    fn storage(&mut self, expected: &Storage, seen: &Observation) {
        let changes = &seen.changes;
        match expected {
            Storage::Unchanged(place) => {
                if !changes.is_empty() {
                    let path = [key("storage")];
                    let mismatch = Mismatch::differs(&path, *place, "unchanged", &json!(changes));
                    self.found.push(mismatch);
                }
            }
            Storage::Changed(expected) => {
                let Changes {
                    added,
                    changed,
                    removed,
                    secrets_set,
                    secrets_changed,
                    secrets_unset,
                } = expected.as_ref();
                let documents = [
                    ("added", added, &changes.added),
                    ("changed", changed, &changes.changed),
                    ("removed", removed, &changes.removed),
                ];
                for (name, expected, found) in documents {
                    if let Some(expected) = expected {
                        self.documents(&[key("storage"), key(name)], expected, found);
                    }
                }
                let secrets = [
                    ("set", secrets_set, &changes.secrets_set),
                    ("changed", secrets_changed, &changes.secrets_changed),
                    ("unset", secrets_unset, &changes.secrets_unset),
                ];
                for (name, amount, found) in secrets {
                    if let Some(amount) = amount {
                        let path = [key("storage"), key("secrets"), key(name)];
                        self.amount(&path, amount, found);
                    }
                }
            }
        }
    }

    /// A wakeup is named by its id, where several records have one of that id with the record before it:
    /// `{first} refresh`.
    fn wakeups(&mut self, expected: &Wakeups, seen: &Observation) {
        let due = match expected {
            Wakeups::None(place) => {
                let found: Vec<&Value> = seen
                    .wakeups
                    .iter()
                    .filter_map(|one| one.get("id"))
                    .collect();
                if !found.is_empty() {
                    let path = [key("wakeups")];
                    let mismatch = Mismatch::differs(&path, *place, "none", &json!(found));
                    self.found.push(mismatch);
                }
                return;
            }
            Wakeups::Due(due) => due,
        };
        for (name, pattern) in due {
            let filled = Template::parse(name).fill(&self.matcher.bindings);
            let filled = filled.unwrap_or_else(|_| name.clone());
            let (record, id) = match filled.split_once(' ') {
                Some((record, id)) => (Some(record), id),
                None => (None, filled.as_str()),
            };
            let is = |wakeup: &&Value, name: &str, value: &str| {
                wakeup.get(name).and_then(Value::as_str) == Some(value)
            };
            let found = seen.wakeups.iter().find(|wakeup| {
                is(wakeup, "id", id) && record.is_none_or(|record| is(wakeup, "record", record))
            });
            // A moment is when it is due; a table says more of it.
            let held = match pattern.expected {
                Expected::Object { .. } => found,
                _ => found.and_then(|wakeup| wakeup.get("due")),
            };
            let path = &mut vec![key("wakeups"), key(name)];
            self.matcher.hold(pattern, held, path, &mut self.found);
        }
    }

    /// Lines that occur in this order, others between them. A text is held against the message.
    fn lines(&mut self, name: &str, expected: &Lines, seen: &[Value]) {
        if expected.lines.is_empty() && !seen.is_empty() {
            let path = self.path(name);
            let mismatch = Mismatch::differs(&path, expected.place, "no lines", &json!(seen));
            self.found.push(mismatch);
        }
        let mut rest = seen.iter();
        for (index, pattern) in expected.lines.iter().enumerate() {
            let met = rest.any(|line| {
                let held = match pattern.expected {
                    Expected::Object { .. } => line,
                    _ => line.get("message").unwrap_or(line),
                };
                self.matcher.accepts(pattern, Some(held))
            });
            if !met {
                let mut path = self.path(name);
                path.push(Segment::Index(index));
                let mut mismatch = Vec::new();
                self.matcher.hold(pattern, None, &mut path, &mut mismatch);
                let messages = seen.iter().map(|line| line.get("message").unwrap_or(line));
                let note = match seen.is_empty() {
                    true => "there are no lines at all".to_owned(),
                    false => format!("the lines are {}", json!(messages.collect::<Vec<_>>())),
                };
                let noted = mismatch.into_iter().map(|mismatch| mismatch.noting(&note));
                self.found.extend(noted);
                return;
            }
        }
    }

    fn nowhere(&mut self, place: Place, template: &Template, seen: &Observation) {
        let path = [key("nowhere")];
        let Ok(text) = template.fill(&self.matcher.bindings) else {
            let unknown = Mismatch::missing(&path, place, format!("a value for {template}"));
            self.found.push(unknown);
            return;
        };
        let everywhere = json!({
            "seen": seen,
            "documents": seen.documents,
            "wakeups": seen.wakeups,
        });
        let mut open = vec![(String::new(), &everywhere)];
        while let Some((at, value)) = open.pop() {
            match value {
                Value::String(found) if !text.is_empty() && found.contains(&text) => {
                    let mismatch = Mismatch::unexpected(&path, place, &json!(template.to_string()));
                    self.found
                        .push(mismatch.noting(format!("it occurs in {at}")));
                }
                Value::Array(items) => {
                    let items = items.iter().enumerate();
                    open.extend(
                        items.map(|(index, value)| (format!("{at}[{}]", index + 1), value)),
                    );
                }
                Value::Object(entries) => {
                    let entries = entries.iter();
                    open.extend(entries.map(|(name, value)| (format!("{at}.{name}"), value)));
                }
                _ => {}
            }
        }
    }
}
