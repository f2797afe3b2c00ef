//! The outcome of a call, as a scenario expects it.

use std::collections::BTreeMap;

use relation_host::types::Document;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::expectation_writer::{ExpectationWriter, escape_braces};
use super::recorded_call::{DocumentChange, RecordedCall, SecretChanges};

/// The maximum number of documents per model that are expected in full. Of more, only the number is.
const MAX_DOCUMENTS: usize = 50;

/// Writes an error.
pub(super) fn expected_error(error: &Json, words: &ExpectationWriter<'_>) -> Value {
    let part = |name: &str| error.get(name).and_then(Json::as_str).unwrap_or_default();
    let mut table = Table::new();
    table.insert("case".to_owned(), part("case").into());
    // The text of a trap contains code addresses.
    if part("case") != "trap" {
        table.insert("text".to_owned(), words.text(part("text")).into());
    }
    table.into()
}

/// Writes the changes of documents and secrets.
pub(super) fn expected_storage(step: &RecordedCall, words: &ExpectationWriter<'_>) -> Table {
    let mut added: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    let mut changed: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    let mut removed: BTreeMap<&str, i64> = BTreeMap::new();
    for document in &step.documents {
        match document {
            DocumentChange::Added(document) => {
                let of_model = added.entry(&document.reference.model);
                of_model.or_default().push(document);
            }
            DocumentChange::Changed(document) => {
                let of_model = changed.entry(&document.reference.model);
                of_model.or_default().push(document);
            }
            DocumentChange::Removed(reference) => {
                *removed.entry(&reference.model).or_default() += 1
            }
        }
    }
    let listed = |of_models: BTreeMap<&str, Vec<&Document>>| -> Table {
        let listed = of_models.into_iter().map(|(model, documents)| {
            let count = documents.len();
            let value = match count > MAX_DOCUMENTS {
                true => i64::try_from(count).unwrap_or(i64::MAX).into(),
                false => {
                    let contents = documents.into_iter().map(|one| content(one, words));
                    Value::Array(contents.collect())
                }
            };
            (model.to_owned(), value)
        });
        listed.collect()
    };
    let SecretChanges {
        set,
        changed: new,
        unset,
        ..
    } = &step.secrets;
    let names = |names: &std::collections::BTreeSet<String>| {
        let names = names.iter().map(|name| words.plain(name).into());
        Value::Array(names.collect())
    };
    let secrets = Table::from_iter([
        ("set".to_owned(), names(set)),
        ("changed".to_owned(), names(new)),
        ("unset".to_owned(), names(unset)),
    ]);
    let removed = removed
        .into_iter()
        .map(|(model, count)| (model.to_owned(), count.into()));
    let mut table = Table::from_iter([("secrets".to_owned(), secrets.into())]);
    for (name, part) in [
        ("added", listed(added)),
        ("changed", listed(changed)),
        ("removed", removed.collect()),
    ] {
        if !part.is_empty() {
            table.insert(name.to_owned(), part.into());
        }
    }
    table
}

/// Writes the members of a document's body; an empty table if the body is not an object.
fn content(document: &Document, words: &ExpectationWriter<'_>) -> Value {
    let body = serde_json::from_str::<Json>(&document.body).ok();
    let body = body.filter(Json::is_object);
    let body = body.map(|body| words.json(&words.placeholders().json(&body)));
    body.unwrap_or_else(|| Value::Table(Table::new()))
}

/// Writes the due times of wakeups after the call.
pub(super) fn expected_wakeups(step: &RecordedCall, words: &ExpectationWriter<'_>) -> Table {
    let name = |id: &str| escape_braces(&format!("{} {id}", step.wakeup.subject.pkid));
    // The retry delay depends on the number of earlier failures, which a replay does not know.
    let again = |id: &str| step.outcome.is_err() && id == step.wakeup.id;
    let due = step.wakeups.iter().filter(|wakeup| !again(&wakeup.id));
    let due = due.map(|wakeup| (name(&wakeup.id), words.moment(wakeup.due)));
    let gone = step
        .removed_wakeups
        .iter()
        .map(|id| (name(id), "<absent>".into()));
    due.chain(gone).collect()
}
