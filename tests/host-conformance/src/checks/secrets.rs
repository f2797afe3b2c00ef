//! `secrets`: sealed by a commit, clear only when revealed.

use crate::bindings::automate::platform::secrets;
use crate::bindings::automate::platform::storage::Change;
use crate::samples::{self, Scene, commit, secret};
use crate::verdict::{Outcome, failed, holds, refused, same, skipped};

/// The secret setting by which a host is checked, and its value.
pub const SETTING: (&str, &str) = ("conformance.secret", "a-secret-of-the-installation");

pub fn reveal(scene: &Scene) -> Outcome {
    let owner = scene.written()?;
    let long = "x".repeat(8192);
    for value in ["plain", "", "\u{1f980} \" \\ \u{0} %", &long] {
        commit(vec![secret(&owner, "s", value)])?;
        let found = secrets::reveal(&owner.reference, "s")?;
        same("the value", found.as_deref(), Some(value))?;
    }
    Ok(())
}

pub fn absent(scene: &Scene) -> Outcome {
    let (owner, nobody) = (scene.written()?, scene.document());
    same(
        "of a document",
        secrets::reveal(&owner.reference, "s")?,
        None,
    )?;
    same("of nobody", secrets::reveal(&nobody.reference, "s")?, None)
}

pub fn replace(scene: &Scene) -> Outcome {
    let owner = scene.written()?;
    commit(vec![secret(&owner, "s", "one"), secret(&owner, "t", "two")])?;
    commit(vec![secret(&owner, "s", "three")])?;
    let value = |name| secrets::reveal(&owner.reference, name);
    same("the replaced one", value("s")?.as_deref(), Some("three"))?;
    same("the other one", value("t")?.as_deref(), Some("two"))
}

pub fn remove(scene: &Scene) -> Outcome {
    let owner = scene.written()?;
    commit(vec![secret(&owner, "s", "one"), secret(&owner, "t", "two")])?;
    commit(vec![samples::removal(owner.reference.clone(), "s".into())])?;
    let value = |name| secrets::reveal(&owner.reference, name);
    same("the removed one", value("s")?, None)?;
    same("the other one", value("t")?.as_deref(), Some("two"))
}

pub fn own(scene: &Scene) -> Outcome {
    let (a, b) = (scene.written()?, scene.written()?);
    commit(vec![secret(&a, "s", "a's"), secret(&b, "s", "b's")])?;
    let of = |owner: &crate::bindings::automate::platform::storage::Document| {
        secrets::reveal(&owner.reference, "s")
    };
    same("of the first", of(&a)?.as_deref(), Some("a's"))?;
    same("of the second", of(&b)?.as_deref(), Some("b's"))
}

pub fn owner(scene: &Scene) -> Outcome {
    let (nobody, other) = (scene.document(), scene.document());
    let tried = commit(vec![
        Change::Put(other.clone()),
        secret(&nobody, "s", "nobody's"),
    ]);
    if tried.is_ok() {
        return failed("a secret was sealed for a document that does not exist");
    }
    holds(
        "it was refused and another change of it done",
        !crate::samples::is_there(&other)?,
    )?;
    same("nobody's", secrets::reveal(&nobody.reference, "s")?, None)?;
    // The owner may come in the same commit, also behind the secret.
    commit(vec![
        secret(&nobody, "s", "somebody's"),
        Change::Put(nobody.clone()),
    ])?;
    let found = secrets::reveal(&nobody.reference, "s")?;
    same("somebody's", found.as_deref(), Some("somebody's"))
}

pub fn own_record(scene: &Scene) -> Outcome {
    let foreign = samples::another_record(&scene.pkid);
    let revealed = secrets::reveal(&foreign, "s");
    refused("of another record", revealed, "limit-exceeded")?;
    let own = secrets::reveal(&samples::record(&scene.pkid), "s")?;
    same("of the call's own record", own, None)
}

pub fn setting(_: &Scene) -> Outcome {
    let absent = secrets::reveal_setting("conformance.nobody-configured-this")?;
    same("one that is not configured", absent, None)?;
    match secrets::reveal_setting(SETTING.0)? {
        None => skipped(format!(
            "the operator configured no secret setting {} with the value {}",
            SETTING.0, SETTING.1
        )),
        Some(value) => same("the secret setting", value.as_str(), SETTING.1),
    }
}
