//! `storage`: writing and reading single documents.

use serde_json::Value;

use crate::bindings::automate::platform::storage::{self, Change, Comparison, Document, Key};
use crate::outcome::{Outcome, ensure, ensure_eq, fail};
use crate::samples::{self, CheckContext, commit, key, read};

pub fn absent(context: &CheckContext) -> Outcome {
    let absent = context.document();
    ensure(
        "a document that was never written exists",
        !samples::is_there(&absent)?,
    )
}

/// Sorts keys, whose order is not specified.
fn sorted(keys: &[Key]) -> Vec<(&str, &str)> {
    let mut keys: Vec<_> = keys
        .iter()
        .map(|key| (key.name.as_str(), key.value.as_str()))
        .collect();
    keys.sort_unstable();
    keys
}

pub fn content(context: &CheckContext) -> Outcome {
    let mut written = context.document_with_key("näme", "wért \u{1f980} \"'\\%_");
    written.body = "{\"text\": \"\u{1f980} \\u0000 \\\"\", \"n\": [1, 2.5, null, true, {}]}".into();
    commit(vec![Change::Put(written.clone())])?;
    let found = read(&written.reference)?;
    ensure_eq(
        "its model",
        &found.reference.model,
        &written.reference.model,
    )?;
    ensure_eq("its pkid", &found.reference.pkid, &written.reference.pkid)?;
    ensure_eq("its node", &found.hierarchy, &written.hierarchy)?;
    ensure_eq("its keys", sorted(&found.keys), sorted(&written.keys))?;
    let value = |document: &Document| serde_json::from_str::<Value>(&document.body).ok();
    ensure_eq("its body", value(&found), value(&written))
}

pub fn version(context: &CheckContext) -> Outcome {
    let mut document = context.document();
    document.version = 77;
    for expected in 1..=3 {
        commit(vec![Change::Put(document.clone())])?;
        ensure_eq("the version", read(&document.reference)?.version, expected)?;
    }
    let version = || read(&document.reference).map(|found| found.version);
    let put = || Change::Put(document.clone());
    commit(vec![put(), put()])?;
    ensure_eq("after two puts in one commit", version()?, 5)?;
    commit(vec![Change::Delete(document.reference.clone()), put()])?;
    ensure_eq("after a delete and a put", version()?, 1)
}

pub fn keys(context: &CheckContext) -> Outcome {
    let mut document = context.document_with_key("color", "red");
    commit(vec![Change::Put(document.clone())])?;
    document.keys.pop();
    document.keys.push(key("color", "blue"));
    commit(vec![Change::Put(document.clone())])?;
    let by = |value| context.find_pkids(vec![key("color", value)]);
    ensure_eq("found by the old key", by("red")?, Vec::new())?;
    ensure_eq(
        "found by the new key",
        by("blue")?,
        vec![document.reference.pkid],
    )
}

pub fn many(context: &CheckContext) -> Outcome {
    let (a, b) = (context.written_document()?, context.written_document()?);
    let absent = context.document();
    let references = [&b, &absent, &a, &b].map(|document| document.reference.clone());
    let found = storage::get_many(&references)?;
    if found.len() != references.len() {
        return fail(format!(
            "requested {} documents, got {}",
            references.len(),
            found.len()
        ));
    }
    let found: Vec<_> = found
        .iter()
        .map(|document| {
            document
                .as_ref()
                .map(|document| document.reference.pkid.as_str())
        })
        .collect();
    let (a, b) = (a.reference.pkid.as_str(), b.reference.pkid.as_str());
    ensure_eq(
        "the documents",
        found,
        vec![Some(b), None, Some(a), Some(b)],
    )
}

pub fn compared(context: &CheckContext) -> Outcome {
    let mut stored = context.document_with_key("color", "red");
    stored.keys.push(key("size", "large"));
    stored.body = "{\"a\": 1}".into();
    commit(vec![Change::Put(stored.clone())])?;
    let changed = |change: &dyn Fn(&mut Document)| {
        let mut document = stored.clone();
        change(&mut document);
        document
    };
    let documents = [
        changed(&|document| {
            document.version = 77;
            document.keys.reverse();
        }),
        context.document(),
        changed(&|document| document.body = "{\"a\": 2}".into()),
        changed(&|document| document.body = "{\"a\":1}".into()),
        changed(&|document| document.hierarchy.push_str(".A")),
        changed(&|document| document.keys.truncate(1)),
        changed(&|document| document.keys.push(key("size", "small"))),
        changed(&|document| {
            document.keys.pop();
            document.keys.push(key("size", "small"));
        }),
    ];
    let mut expected = vec![Comparison::Same, Comparison::Absent];
    expected.resize(documents.len(), Comparison::Different);
    ensure_eq("the comparison", storage::compare(&documents)?, expected)
}
