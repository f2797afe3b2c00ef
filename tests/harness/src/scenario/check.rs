//! Compares the effects of a step with its expectations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::matching::Matcher;
use super::mismatch::{Mismatch, Segment};
use super::model::{
    Action, Amount, Expectations, ExpectedChanges, ExpectedDocuments, ExpectedStorage,
    ExpectedWakeups, Lines, OccurrenceCount, Occurrences, Step,
};
use super::observation::Observation;
use super::pattern::{Expected, Pattern};
use super::template::Template;
use relation_toml::SourcePosition;

/// Returns all mismatches of a step.
pub fn check(step: &Step, observation: &Observation, matcher: &mut Matcher) -> Vec<Mismatch> {
    let mut check = Check {
        matcher,
        found: Vec::new(),
        at: Vec::new(),
    };
    check.check_outcome(&step.expect, step.position, observation);
    check.check_call(&step.expect, observation);
    check.check_concurrent(step, observation);
    check.check_expectations(step, observation);
    check.found
}

struct Check<'m> {
    matcher: &'m mut Matcher,
    found: Vec<Mismatch>,
    /// The path of the present expectations; empty in `[step.expect]`.
    at: Vec<Segment>,
}

fn key(name: &str) -> Segment {
    Segment::Key(name.to_owned())
}

impl Check<'_> {
    /// Checks the result or the error: an error must be expected.
    fn check_outcome(
        &mut self,
        expect: &Expectations,
        position: SourcePosition,
        observation: &Observation,
    ) {
        match (&expect.error, &observation.error) {
            (Some(pattern), error) => self.check_value("error", pattern, error.as_ref()),
            (None, Some(error)) => {
                let note = "a step that does not expect an error must not have one";
                let mismatch = Mismatch::unexpected(&self.path("error"), position, error);
                self.found.push(mismatch.with_note(note));
            }
            (None, None) => {}
        }
        if let Some(pattern) = &expect.result
            && observation.error.is_none()
        {
            self.check_value("result", pattern, observation.result.as_ref());
        }
    }

    /// Checks the expectations of each of several concurrent calls.
    fn check_concurrent(&mut self, step: &Step, observation: &Observation) {
        let Action::Concurrent(callers) = &step.action else {
            return;
        };
        let mut calls = observation.calls.iter();
        for (index, caller) in callers.iter().enumerate() {
            self.at = vec![key("concurrently"), Segment::Index(index)];
            for _ in 0..caller.times {
                // If there are fewer results, the step has a problem already.
                if let Some(observation) = calls.next() {
                    self.check_outcome(&caller.expect, caller.position, observation);
                    self.check_call(&caller.expect, observation);
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

    fn check_call(&mut self, expect: &Expectations, observation: &Observation) {
        if let Some(log) = &expect.log {
            self.check_lines("log", log, &observation.log);
        }
        if let Some(progress) = &expect.progress {
            self.check_lines("progress", progress, &observation.progress);
        }
        if let Some(pattern) = &expect.transaction {
            self.check_value("transaction", pattern, observation.transaction.as_ref());
        }
    }

    fn check_expectations(&mut self, step: &Step, observation: &Observation) {
        let expect = &step.expect;
        let time_passes = matches!(step.action, Action::Advance(_) | Action::At(_));
        if expect.fired.is_none() && time_passes {
            for (index, fired) in observation.fired.iter().enumerate() {
                if let Some(error) = fired.get("error") {
                    let path = [key("fired"), Segment::Index(index), key("error")];
                    let note = "what fails while time passes has to be expected in `fired`";
                    let mismatch = Mismatch::unexpected(&path, step.position, error);
                    self.found.push(mismatch.with_note(note));
                }
            }
        }
        if let Some(fired) = &expect.fired {
            self.check_occurrences("fired", fired, &observation.fired);
        }
        if let Some(http) = &expect.http {
            self.check_occurrences("http", http, &observation.http);
        }
        if let Some(storage) = &expect.storage {
            self.check_storage(storage, observation);
        }
        if let Some(documents) = &expect.documents {
            self.check_documents(&[key("documents")], documents, &observation.documents);
        }
        if let Some(wakeups) = &expect.wakeups {
            self.check_wakeups(wakeups, observation);
        }
        if let Some(alerts) = &expect.alerts {
            self.check_amount(&[key("alerts")], alerts, &observation.alerts);
        }
        for (position, template) in &expect.nowhere {
            self.check_nowhere(*position, template, observation);
        }
    }

    fn check_value(&mut self, name: &str, pattern: &Pattern, found: Option<&Value>) {
        let path = &mut self.path(name);
        self.matcher
            .check_value(pattern, found, path, &mut self.found);
    }

    fn check_occurrences(&mut self, name: &str, expected: &Occurrences, observation: &[Value]) {
        match expected {
            Occurrences::Listed(pattern) => {
                self.check_value(name, pattern, Some(&Value::Array(observation.to_vec())));
            }
            Occurrences::Counted(counts) => {
                for OccurrenceCount {
                    written,
                    pattern,
                    times,
                } in counts
                {
                    let fitting = observation
                        .iter()
                        .filter(|one| self.matcher.accepts(pattern, Some(one)));
                    let count = json!(fitting.count());
                    let path = &mut vec![key(name), key(written)];
                    self.matcher
                        .check_value(times, Some(&count), path, &mut self.found);
                }
            }
        }
    }

    fn check_amount(&mut self, path: &[Segment], amount: &Amount, found: &[Value]) {
        let path = &mut path.to_vec();
        match amount {
            Amount::Count(pattern) => {
                let count = json!(found.len());
                self.matcher
                    .check_value(pattern, Some(&count), path, &mut self.found);
            }
            Amount::Listed {
                position,
                items,
                open,
            } => {
                self.matcher
                    .check_unordered(items, *open, *position, found, path, &mut self.found);
            }
        }
    }

    fn check_documents(
        &mut self,
        path: &[Segment],
        expected: &ExpectedDocuments,
        found: &BTreeMap<String, Vec<Value>>,
    ) {
        if expected.by_model.is_empty() {
            let counts = found.iter().filter(|(_, documents)| !documents.is_empty());
            let counts: BTreeMap<_, _> = counts
                .map(|(model, documents)| (model, documents.len()))
                .collect();
            if !counts.is_empty() {
                let mismatch =
                    Mismatch::differs(path, expected.position, "no documents", &json!(counts));
                self.found.push(mismatch);
            }
        }
        for (model, amount) in &expected.by_model {
            let mut path = path.to_vec();
            path.push(key(model));
            let found = found.get(model).map(Vec::as_slice).unwrap_or_default();
            self.check_amount(&path, amount, found);
        }
    }

    fn check_storage(&mut self, expected: &ExpectedStorage, observation: &Observation) {
        let changes = &observation.changes;
        match expected {
            ExpectedStorage::Unchanged(position) => {
                if !changes.is_empty() {
                    let path = [key("storage")];
                    let mismatch =
                        Mismatch::differs(&path, *position, "unchanged", &json!(changes));
                    self.found.push(mismatch);
                }
            }
            ExpectedStorage::Changed(expected) => {
                let ExpectedChanges {
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
                        self.check_documents(&[key("storage"), key(name)], expected, found);
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
                        self.check_amount(&path, amount, found);
                    }
                }
            }
        }
    }

    /// Checks wakeups by id. If several records have a wakeup of that id, the record comes before it: `{first}
    /// refresh`.
    fn check_wakeups(&mut self, expected: &ExpectedWakeups, observation: &Observation) {
        let due = match expected {
            ExpectedWakeups::None(position) => {
                let found: Vec<&Value> = observation
                    .wakeups
                    .iter()
                    .filter_map(|one| one.get("id"))
                    .collect();
                if !found.is_empty() {
                    let path = [key("wakeups")];
                    let mismatch = Mismatch::differs(&path, *position, "none", &json!(found));
                    self.found.push(mismatch);
                }
                return;
            }
            ExpectedWakeups::Due(due) => due,
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
            let found = observation.wakeups.iter().find(|wakeup| {
                is(wakeup, "id", id) && record.is_none_or(|record| is(wakeup, "record", record))
            });
            // A moment is the due time; a table can name more.
            let held = match pattern.expected {
                Expected::Object { .. } => found,
                _ => found.and_then(|wakeup| wakeup.get("due")),
            };
            let path = &mut vec![key("wakeups"), key(name)];
            self.matcher
                .check_value(pattern, held, path, &mut self.found);
        }
    }

    /// Checks that lines occur in this order, possibly with others between them. A text is compared with the
    /// message.
    fn check_lines(&mut self, name: &str, expected: &Lines, observation: &[Value]) {
        if expected.lines.is_empty() && !observation.is_empty() {
            let path = self.path(name);
            let mismatch =
                Mismatch::differs(&path, expected.position, "no lines", &json!(observation));
            self.found.push(mismatch);
        }
        let mut rest = observation.iter();
        for (index, pattern) in expected.lines.iter().enumerate() {
            let found_line = rest.any(|line| {
                let held = match pattern.expected {
                    Expected::Object { .. } => line,
                    _ => line.get("message").unwrap_or(line),
                };
                self.matcher.accepts(pattern, Some(held))
            });
            if !found_line {
                let mut path = self.path(name);
                path.push(Segment::Index(index));
                let mut mismatch = Vec::new();
                self.matcher
                    .check_value(pattern, None, &mut path, &mut mismatch);
                let messages = observation
                    .iter()
                    .map(|line| line.get("message").unwrap_or(line));
                let note = match observation.is_empty() {
                    true => "there are no lines at all".to_owned(),
                    false => format!("the lines are {}", json!(messages.collect::<Vec<_>>())),
                };
                let noted = mismatch
                    .into_iter()
                    .map(|mismatch| mismatch.with_note(&note));
                self.found.extend(noted);
                return;
            }
        }
    }

    fn check_nowhere(
        &mut self,
        position: SourcePosition,
        template: &Template,
        observation: &Observation,
    ) {
        let path = [key("nowhere")];
        let Ok(text) = template.fill(&self.matcher.bindings) else {
            let unknown = Mismatch::missing(&path, position, format!("a value for {template}"));
            self.found.push(unknown);
            return;
        };
        let everywhere = json!({
            "seen": observation,
            "documents": observation.documents,
            "wakeups": observation.wakeups,
        });
        let mut open = vec![(String::new(), &everywhere)];
        while let Some((at, value)) = open.pop() {
            match value {
                Value::String(found) if !text.is_empty() && found.contains(&text) => {
                    let mismatch =
                        Mismatch::unexpected(&path, position, &json!(template.to_string()));
                    self.found
                        .push(mismatch.with_note(format!("it occurs in {at}")));
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
