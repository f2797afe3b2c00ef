//! `storage.commit`: atomicity, conditions and order.

use crate::bindings::automate::platform::storage::{self, Change, Check, Document, OnUnavailable};
use crate::bindings::automate::platform::types::Failure;
use crate::bindings::automate::platform::{scheduling, secrets};
use crate::outcome::{Outcome, ensure, ensure_eq, ensure_refused};
use crate::samples::{self, CheckContext, commit, commit_if, is_there, key, read, secret, wakeup};

/// Returns the secret and the wakeups of a document.
fn belongings(of: &Document) -> Result<(Option<String>, Vec<String>), Failure> {
    let secret = secrets::reveal(&of.reference, "s")?;
    let wakeups = scheduling::wakeups(&of.reference)?;
    Ok((
        secret,
        wakeups.into_iter().map(|wakeup| wakeup.id).collect(),
    ))
}

pub fn whole(context: &CheckContext) -> Outcome {
    let (first, last, gone) = (
        context.document(),
        context.document(),
        context.written_document()?,
    );
    commit(vec![
        Change::Put(first.clone()),
        secret(&first, "s", "first's"),
        Change::Schedule(wakeup(&first, "w", "")),
        Change::Delete(gone.reference.clone()),
        Change::Put(last.clone()),
        secret(&last, "s", "last's"),
        Change::Schedule(wakeup(&last, "w", "")),
    ])?;
    ensure("the first put is missing", is_there(&first)?)?;
    ensure("the last put is missing", is_there(&last)?)?;
    ensure("the delete is missing", !is_there(&gone)?)?;
    for (document, name) in [(&first, "first"), (&last, "last")] {
        ensure_eq(
            &format!("secret and wakeups of the {name} document"),
            belongings(document)?,
            (Some(format!("{name}'s")), vec!["w".to_owned()]),
        )?;
    }
    Ok(())
}

/// Stores a document with a secret and a wakeup, and returns a commit that would change everything about it and
/// two others.
fn upheaval(
    context: &CheckContext,
) -> Result<(Document, Document, Document, Vec<Change>), Failure> {
    let (old, other, new) = (
        context.document(),
        context.written_document()?,
        context.document(),
    );
    commit(vec![
        Change::Put(old.clone()),
        secret(&old, "s", "old"),
        Change::Schedule(wakeup(&old, "w", "")),
    ])?;
    let mut changed = old.clone();
    changed.body = "{\"changed\":true}".into();
    let changes = vec![
        Change::Put(new.clone()),
        Change::Put(changed),
        secret(&old, "s", "new"),
        secret(&new, "s", "new"),
        samples::cancel(old.reference.clone(), "w".into()),
        Change::Schedule(wakeup(&old, "x", "")),
        Change::Delete(other.reference.clone()),
    ];
    Ok((old, other, new, changes))
}

/// Checks that no change of an [`upheaval`] was made.
fn untouched(old: &Document, other: &Document, new: &Document) -> Outcome {
    ensure("a document was created", !is_there(new)?)?;
    ensure("a document was deleted", is_there(other)?)?;
    let found = read(&old.reference)?;
    ensure_eq("the version of the document", found.version, 1)?;
    ensure_eq("its body", found.body, old.body.clone())?;
    ensure_eq(
        "its secret and its wakeups",
        belongings(old)?,
        (Some("old".to_owned()), vec!["w".to_owned()]),
    )
}

pub fn nothing(context: &CheckContext) -> Outcome {
    let (old, other, new, changes) = upheaval(context)?;
    let wrong = samples::version_check(other.reference.clone(), 9);
    ensure_refused("on a wrong version", commit_if(wrong, changes), "conflict")?;
    untouched(&old, &other, &new)
}

pub fn malformed(context: &CheckContext) -> Outcome {
    let (old, other, new, mut changes) = upheaval(context)?;
    let mut bad = context.document();
    bad.body = "[]".into();
    changes.push(Change::Put(bad));
    ensure_refused("with a body that is a list", commit(changes), "invalid")?;
    untouched(&old, &other, &new)
}

pub fn order(context: &CheckContext) -> Outcome {
    let (gone, kept) = (context.document(), context.document());
    let mut last = kept.clone();
    last.body = "{\"last\":true}".into();
    commit(vec![
        Change::Put(gone.clone()),
        secret(&gone, "s", "gone"),
        Change::Delete(gone.reference.clone()),
        Change::Put(kept.clone()),
        Change::Delete(kept.reference.clone()),
        Change::Put(last.clone()),
        samples::cancel(kept.reference.clone(), "w".into()),
        Change::Schedule(wakeup(&kept, "w", "")),
        Change::Schedule(wakeup(&kept, "x", "")),
        samples::cancel(kept.reference.clone(), "x".into()),
        samples::removal(kept.reference.clone(), "s".into()),
        secret(&kept, "s", "kept"),
    ])?;
    ensure("a put before a delete was kept", !is_there(&gone)?)?;
    ensure_eq("the last put", read(&kept.reference)?.body, last.body)?;
    ensure_eq(
        "secret and wakeups",
        belongings(&kept)?,
        (Some("kept".to_owned()), vec!["w".to_owned()]),
    )
}

fn rewrite(document: &Document) -> Vec<Change> {
    vec![Change::Put(document.clone())]
}

pub fn version_check(context: &CheckContext) -> Outcome {
    let document = context.written_document()?;
    let version_is = |version| samples::version_check(document.reference.clone(), version);
    commit_if(version_is(1), rewrite(&document))?;
    for wrong in [0, 1, 3] {
        ensure_refused(
            &format!("version {wrong} in place of 2"),
            commit_if(version_is(wrong), rewrite(&document)),
            "conflict",
        )?;
    }
    let absent = context.document();
    for version in [0, 1] {
        ensure_refused(
            &format!("version {version} of a missing document"),
            commit_if(
                samples::version_check(absent.reference.clone(), version),
                rewrite(&document),
            ),
            "conflict",
        )?;
    }
    ensure_eq("the version", read(&document.reference)?.version, 2)
}

pub fn absent_check(context: &CheckContext) -> Outcome {
    let document = context.document();
    let absent = || Check::Absent(document.reference.clone());
    commit_if(absent(), rewrite(&document))?;
    let again = commit_if(absent(), rewrite(&document));
    ensure_refused("of an existing document", again, "conflict")?;
    commit(vec![Change::Delete(document.reference.clone())])?;
    commit_if(absent(), rewrite(&document))?;
    Ok(())
}

pub fn unique_check(context: &CheckContext) -> Outcome {
    let name = || context.filter(vec![key("name", "only")]);
    let (first, second) = (
        context.document_with_key("name", "only"),
        context.document_with_key("name", "only"),
    );
    commit_if(samples::unique_check(name(), None), rewrite(&first))?;
    let duplicate = commit_if(samples::unique_check(name(), None), rewrite(&second));
    ensure_refused("with another match", duplicate, "conflict")?;
    let itself = Some(first.reference.clone());
    commit_if(
        samples::unique_check(name(), itself.clone()),
        rewrite(&first),
    )?;
    let other = Some(second.reference.clone());
    let duplicate = commit_if(samples::unique_check(name(), other), rewrite(&second));
    ensure_refused(
        "with another match than the excepted one",
        duplicate,
        "conflict",
    )?;
    commit(rewrite(&second))?;
    let two = commit_if(samples::unique_check(name(), itself), rewrite(&first));
    ensure_refused("with a match besides the excepted one", two, "conflict")
}

pub fn every_check(context: &CheckContext) -> Outcome {
    let (document, absent) = (context.written_document()?, context.document());
    let good = samples::version_check(document.reference.clone(), 1);
    let bad = Check::Absent(document.reference.clone());
    for checks in [[good.clone(), bad.clone()], [bad, good.clone()]] {
        let tried = storage::commit(&checks, &rewrite(&absent), OnUnavailable::Fail);
        ensure_refused("with a check that fails", tried, "conflict")?;
    }
    let both = [good, Check::Absent(absent.reference.clone())];
    storage::commit(&both, &rewrite(&absent), OnUnavailable::Fail)?;
    ensure(
        "a commit whose checks hold was not made",
        is_there(&absent)?,
    )
}

pub fn keep(context: &CheckContext) -> Outcome {
    let (document, other) = (context.document(), context.written_document()?);
    let keep = |checks: &[Check]| storage::commit(checks, &rewrite(&document), OnUnavailable::Keep);
    ensure_refused("without a check", keep(&[]), "invalid")?;
    let others = samples::version_check(other.reference.clone(), 1);
    ensure_refused(
        "with a check of another document",
        keep(&[others]),
        "invalid",
    )?;
    ensure("it was refused and done", !is_there(&document)?)?;
    let record = read(&samples::record(&context.pkid))?;
    let version_is = |version| samples::version_check(record.reference.clone(), version);
    let wrong = keep(&[version_is(record.version + 1)]);
    ensure_refused("with a wrong version of the record", wrong, "conflict")?;
    keep(&[version_is(record.version)])?;
    ensure("it was not done", is_there(&document)?)
}

pub fn idle_removal(context: &CheckContext) -> Outcome {
    let absent = context.document();
    commit(vec![
        Change::Delete(absent.reference.clone()),
        samples::removal(absent.reference.clone(), "s".into()),
        samples::cancel(absent.reference.clone(), "w".into()),
    ])?;
    Ok(())
}

pub fn own_record(context: &CheckContext) -> Outcome {
    let mut foreign = context.document();
    foreign.reference = samples::another_record(&context.pkid);
    let written = commit(rewrite(&foreign));
    ensure_refused("of another record", written, "limit-exceeded")?;
    ensure("the commit was refused but made", !is_there(&foreign)?)
}

pub fn cascade(context: &CheckContext) -> Outcome {
    let (gone, left) = (context.document(), context.document());
    for document in [&gone, &left] {
        commit(vec![
            Change::Put(document.clone()),
            secret(document, "s", "secret"),
            Change::Schedule(wakeup(document, "w", "")),
        ])?;
    }
    commit(vec![Change::Delete(gone.reference.clone())])?;
    ensure_eq("of the deleted", belongings(&gone)?, (None, Vec::new()))?;
    // A document written again starts without secrets and wakeups.
    commit(rewrite(&gone))?;
    ensure_eq("of its successor", belongings(&gone)?, (None, Vec::new()))?;
    ensure_eq(
        "of the other",
        belongings(&left)?,
        (Some("secret".to_owned()), vec!["w".to_owned()]),
    )
}
