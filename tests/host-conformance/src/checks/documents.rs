//! `storage`: single documents, as they are written and read.

use serde_json::Value;

use crate::bindings::automate::platform::storage::{self, Change, Document, Key};
use crate::samples::{self, Scene, commit, key, read};
use crate::verdict::{Outcome, failed, holds, same};

pub fn absent(scene: &Scene) -> Outcome {
    let nobody = scene.document();
    holds(
        "a document that was never written is there",
        !samples::is_there(&nobody)?,
    )
}

/// Keys have no order of their own.
fn sorted(keys: &[Key]) -> Vec<(&str, &str)> {
    let mut keys: Vec<_> = keys
        .iter()
        .map(|key| (key.name.as_str(), key.value.as_str()))
        .collect();
    keys.sort_unstable();
    keys
}

pub fn content(scene: &Scene) -> Outcome {
    let mut written = scene.keyed("näme", "wért \u{1f980} \"'\\%_");
    written.body = "{\"text\": \"\u{1f980} \\u0000 \\\"\", \"n\": [1, 2.5, null, true, {}]}".into();
    commit(vec![Change::Put(written.clone())])?;
    let found = read(&written.reference)?;
    same(
        "its model",
        &found.reference.model,
        &written.reference.model,
    )?;
    same("its pkid", &found.reference.pkid, &written.reference.pkid)?;
    same("its node", &found.hierarchy, &written.hierarchy)?;
    same("its keys", sorted(&found.keys), sorted(&written.keys))?;
    let value = |document: &Document| serde_json::from_str::<Value>(&document.body).ok();
    same("its body", value(&found), value(&written))
}

pub fn version(scene: &Scene) -> Outcome {
    let mut document = scene.document();
    document.version = 77;
    for expected in 1..=3 {
        commit(vec![Change::Put(document.clone())])?;
        same("the version", read(&document.reference)?.version, expected)?;
    }
    let version = || read(&document.reference).map(|found| found.version);
    let put = || Change::Put(document.clone());
    commit(vec![put(), put()])?;
    same("after two puts in one commit", version()?, 5)?;
    commit(vec![Change::Delete(document.reference.clone()), put()])?;
    same("after a delete and a put", version()?, 1)
}

pub fn keys(scene: &Scene) -> Outcome {
    let mut document = scene.keyed("colour", "red");
    commit(vec![Change::Put(document.clone())])?;
    document.keys.pop();
    document.keys.push(key("colour", "blue"));
    commit(vec![Change::Put(document.clone())])?;
    let by = |value| scene.found(vec![key("colour", value)]);
    same("found by the old key", by("red")?, Vec::new())?;
    same(
        "found by the new key",
        by("blue")?,
        vec![document.reference.pkid],
    )
}

pub fn many(scene: &Scene) -> Outcome {
    let (a, b) = (scene.written()?, scene.written()?);
    let nobody = scene.document();
    let asked = [&b, &nobody, &a, &b].map(|document| document.reference.clone());
    let found = storage::get_many(&asked)?;
    if found.len() != asked.len() {
        return failed(format!(
            "asked for {} documents, answered with {}",
            asked.len(),
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
    same("the answers", found, vec![Some(b), None, Some(a), Some(b)])
}
