//! What came of a call, as a scenario expects it.

use std::collections::BTreeMap;

use relation_host::types::Document;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::expectation::{Words, braces};
use super::step::{Became, Names, Step};

/// Of more documents than these that a call makes of one model, only the number is expected.
const MOST_DOCUMENTS: usize = 50;

/// An error, in a scenario's words.
pub(super) fn failed(error: &Json, words: &Words<'_>) -> Value {
    let part = |name: &str| error.get(name).and_then(Json::as_str).unwrap_or_default();
    let mut told = Table::new();
    told.insert("case".to_owned(), part("case").into());
    // A trap's words hold addresses of the code.
    if part("case") != "trap" {
        told.insert("text".to_owned(), words.text(part("text")).into());
    }
    told.into()
}

/// What became of documents and secrets.
pub(super) fn stored(step: &Step, words: &Words<'_>) -> Table {
    let mut added: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    let mut changed: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
    let mut removed: BTreeMap<&str, i64> = BTreeMap::new();
    for document in &step.documents {
        match document {
            Became::Added(document) => {
                let of_model = added.entry(&document.reference.model);
                of_model.or_default().push(document);
            }
            Became::Changed(document) => {
                let of_model = changed.entry(&document.reference.model);
                of_model.or_default().push(document);
            }
            Became::Removed(reference) => *removed.entry(&reference.model).or_default() += 1,
        }
    }
    let listed = |of_models: BTreeMap<&str, Vec<&Document>>| -> Table {
        let listed = of_models.into_iter().map(|(model, documents)| {
            let count = documents.len();
            let value = match count > MOST_DOCUMENTS {
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
    let Names {
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
    let mut told = Table::from_iter([("secrets".to_owned(), secrets.into())]);
    for (name, part) in [
        ("added", listed(added)),
        ("changed", listed(changed)),
        ("removed", removed.collect()),
    ] {
        if !part.is_empty() {
            told.insert(name.to_owned(), part.into());
        }
    }
    told
}

/// The members of a document's body; any document where it is no object.
fn content(document: &Document, words: &Words<'_>) -> Value {
    let body = serde_json::from_str::<Json>(&document.body).ok();
    let body = body.filter(Json::is_object);
    let body = body.map(|body| words.json(&words.placeholders().json(&body)));
    body.unwrap_or_else(|| Value::Table(Table::new()))
}

/// When wakeups are due afterwards.
pub(super) fn waiting(step: &Step, words: &Words<'_>) -> Table {
    let name = |id: &str| braces(&format!("{} {id}", step.wakeup.subject.pkid));
    // When a failed one is tried again follows from how often it has failed before, which a replay does
    // not know.
    let again = |id: &str| step.answered.is_err() && id == step.wakeup.id;
    let due = step.wakeups.iter().filter(|wakeup| !again(&wakeup.id));
    let due = due.map(|wakeup| (name(&wakeup.id), words.moment(wakeup.due)));
    let gone = step.gone.iter().map(|id| (name(id), "<absent>".into()));
    due.chain(gone).collect()
}
