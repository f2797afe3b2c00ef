//! `secrets`: sealing, and revealing.

use crate::bindings::automate::platform::secrets;
use crate::bindings::automate::platform::storage::Change;
use crate::outcome::{Outcome, ensure, ensure_eq, ensure_refused, fail, skip};
use crate::samples::{self, CheckContext, commit, secret};

/// The secret setting that hosts should have, and its value.
pub const SETTING: (&str, &str) = ("conformance.secret", "a-secret-of-the-installation");

pub fn reveal(context: &CheckContext) -> Outcome {
    let owner = context.written_document()?;
    let long = "x".repeat(8192);
    for value in ["plain", "", "\u{1f980} \" \\ \u{0} %", &long] {
        commit(vec![secret(&owner, "s", value)])?;
        let found = secrets::reveal(&owner.reference, "s")?;
        ensure_eq("the value", found.as_deref(), Some(value))?;
    }
    Ok(())
}

pub fn absent(context: &CheckContext) -> Outcome {
    let (owner, absent) = (context.written_document()?, context.document());
    ensure_eq(
        "of a document",
        secrets::reveal(&owner.reference, "s")?,
        None,
    )?;
    ensure_eq(
        "of an absent document",
        secrets::reveal(&absent.reference, "s")?,
        None,
    )
}

pub fn replace(context: &CheckContext) -> Outcome {
    let owner = context.written_document()?;
    commit(vec![secret(&owner, "s", "one"), secret(&owner, "t", "two")])?;
    commit(vec![secret(&owner, "s", "three")])?;
    let value = |name| secrets::reveal(&owner.reference, name);
    ensure_eq("the replaced one", value("s")?.as_deref(), Some("three"))?;
    ensure_eq("the other one", value("t")?.as_deref(), Some("two"))
}

pub fn remove(context: &CheckContext) -> Outcome {
    let owner = context.written_document()?;
    commit(vec![secret(&owner, "s", "one"), secret(&owner, "t", "two")])?;
    commit(vec![samples::removal(owner.reference.clone(), "s".into())])?;
    let value = |name| secrets::reveal(&owner.reference, name);
    ensure_eq("the removed one", value("s")?, None)?;
    ensure_eq("the other one", value("t")?.as_deref(), Some("two"))
}

pub fn own(context: &CheckContext) -> Outcome {
    let (a, b) = (context.written_document()?, context.written_document()?);
    commit(vec![secret(&a, "s", "a's"), secret(&b, "s", "b's")])?;
    let reveal = |owner: &crate::bindings::automate::platform::storage::Document| {
        secrets::reveal(&owner.reference, "s")
    };
    ensure_eq("of the first", reveal(&a)?.as_deref(), Some("a's"))?;
    ensure_eq("of the second", reveal(&b)?.as_deref(), Some("b's"))
}

pub fn owner(context: &CheckContext) -> Outcome {
    let (absent, other) = (context.document(), context.document());
    let tried = commit(vec![
        Change::Put(other.clone()),
        secret(&absent, "s", "absent"),
    ]);
    if tried.is_ok() {
        return fail("a secret was sealed for a document that does not exist");
    }
    ensure(
        "the commit was refused but another change was made",
        !crate::samples::is_there(&other)?,
    )?;
    ensure_eq("absent", secrets::reveal(&absent.reference, "s")?, None)?;
    // The owner may be created in the same commit, even after the secret.
    commit(vec![
        secret(&absent, "s", "present"),
        Change::Put(absent.clone()),
    ])?;
    let found = secrets::reveal(&absent.reference, "s")?;
    ensure_eq("present", found.as_deref(), Some("present"))
}

pub fn own_record(context: &CheckContext) -> Outcome {
    let foreign = samples::another_record(&context.pkid);
    let revealed = secrets::reveal(&foreign, "s");
    ensure_refused("of another record", revealed, "limit-exceeded")?;
    let own = secrets::reveal(&samples::record(&context.pkid), "s")?;
    ensure_eq("of the call's own record", own, None)
}

pub fn setting(_: &CheckContext) -> Outcome {
    let absent = secrets::reveal_setting("conformance.not-configured")?;
    ensure_eq("one that is not configured", absent, None)?;
    match secrets::reveal_setting(SETTING.0)? {
        None => skip(format!(
            "there is no secret setting {} with the value {}",
            SETTING.0, SETTING.1
        )),
        Some(value) => ensure_eq("the secret setting", value.as_str(), SETTING.1),
    }
}
