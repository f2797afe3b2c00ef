//! `storage.commit`: all or nothing, on conditions, in order.

use crate::bindings::automate::platform::storage::{self, Change, Check, Document, OnUnavailable};
use crate::bindings::automate::platform::types::Failure;
use crate::bindings::automate::platform::{scheduling, secrets};
use crate::samples::{self, Scene, commit, commit_if, is_there, key, read, secret, wakeup};
use crate::verdict::{Outcome, holds, refused, same};

/// What a document has besides itself.
fn belongings(of: &Document) -> Result<(Option<String>, Vec<String>), Failure> {
    let secret = secrets::reveal(&of.reference, "s")?;
    let wakeups = scheduling::wakeups(&of.reference)?;
    Ok((
        secret,
        wakeups.into_iter().map(|wakeup| wakeup.id).collect(),
    ))
}

pub fn whole(scene: &Scene) -> Outcome {
    let (first, last, gone) = (scene.document(), scene.document(), scene.written()?);
    commit(vec![
        Change::Put(first.clone()),
        secret(&first, "s", "first's"),
        Change::Schedule(wakeup(&first, "w", "")),
        Change::Delete(gone.reference.clone()),
        Change::Put(last.clone()),
        secret(&last, "s", "last's"),
        Change::Schedule(wakeup(&last, "w", "")),
    ])?;
    holds("the first put is missing", is_there(&first)?)?;
    holds("the last put is missing", is_there(&last)?)?;
    holds("the delete is missing", !is_there(&gone)?)?;
    for (document, name) in [(&first, "first"), (&last, "last")] {
        same(
            &format!("secret and wakeups of the {name} document"),
            belongings(document)?,
            (Some(format!("{name}'s")), vec!["w".to_owned()]),
        )?;
    }
    Ok(())
}

/// One document with a secret and a wakeup, and a commit that would change everything about it and
/// about two others.
fn upheaval(scene: &Scene) -> Result<(Document, Document, Document, Vec<Change>), Failure> {
    let (old, other, new) = (scene.document(), scene.written()?, scene.document());
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

/// That nothing of an [`upheaval`] was done.
fn untouched(old: &Document, other: &Document, new: &Document) -> Outcome {
    holds("a document was made", !is_there(new)?)?;
    holds("a document was deleted", is_there(other)?)?;
    let found = read(&old.reference)?;
    same("the version of the document", found.version, 1)?;
    same("its body", found.body, old.body.clone())?;
    same(
        "its secret and its wakeups",
        belongings(old)?,
        (Some("old".to_owned()), vec!["w".to_owned()]),
    )
}

pub fn nothing(scene: &Scene) -> Outcome {
    let (old, other, new, changes) = upheaval(scene)?;
    let wrong = samples::version_check(other.reference.clone(), 9);
    refused("on a wrong version", commit_if(wrong, changes), "conflict")?;
    untouched(&old, &other, &new)
}

pub fn malformed(scene: &Scene) -> Outcome {
    let (old, other, new, mut changes) = upheaval(scene)?;
    let mut bad = scene.document();
    bad.body = "[]".into();
    changes.push(Change::Put(bad));
    refused("with a body that is a list", commit(changes), "invalid")?;
    untouched(&old, &other, &new)
}

pub fn order(scene: &Scene) -> Outcome {
    let (gone, kept) = (scene.document(), scene.document());
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
    holds("a put before a delete was kept", !is_there(&gone)?)?;
    same("the last put", read(&kept.reference)?.body, last.body)?;
    same(
        "secret and wakeups",
        belongings(&kept)?,
        (Some("kept".to_owned()), vec!["w".to_owned()]),
    )
}

fn rewrite(document: &Document) -> Vec<Change> {
    vec![Change::Put(document.clone())]
}

pub fn version_check(scene: &Scene) -> Outcome {
    let document = scene.written()?;
    let of = |version| samples::version_check(document.reference.clone(), version);
    commit_if(of(1), rewrite(&document))?;
    for wrong in [0, 1, 3] {
        refused(
            &format!("version {wrong} in place of 2"),
            commit_if(of(wrong), rewrite(&document)),
            "conflict",
        )?;
    }
    let nobody = scene.document();
    for version in [0, 1] {
        refused(
            &format!("version {version} of what does not exist"),
            commit_if(
                samples::version_check(nobody.reference.clone(), version),
                rewrite(&document),
            ),
            "conflict",
        )?;
    }
    same("the version", read(&document.reference)?.version, 2)
}

pub fn absent_check(scene: &Scene) -> Outcome {
    let document = scene.document();
    let absent = || Check::Absent(document.reference.clone());
    commit_if(absent(), rewrite(&document))?;
    let again = commit_if(absent(), rewrite(&document));
    refused("of what exists", again, "conflict")?;
    commit(vec![Change::Delete(document.reference.clone())])?;
    commit_if(absent(), rewrite(&document))?;
    Ok(())
}

pub fn unique_check(scene: &Scene) -> Outcome {
    let name = || scene.filter(vec![key("name", "only")]);
    let (first, second) = (scene.keyed("name", "only"), scene.keyed("name", "only"));
    commit_if(samples::unique_check(name(), None), rewrite(&first))?;
    let double = commit_if(samples::unique_check(name(), None), rewrite(&second));
    refused("with another of that name", double, "conflict")?;
    let itself = Some(first.reference.clone());
    commit_if(
        samples::unique_check(name(), itself.clone()),
        rewrite(&first),
    )?;
    let other = Some(second.reference.clone());
    let double = commit_if(samples::unique_check(name(), other), rewrite(&second));
    refused("with another than the one excepted", double, "conflict")?;
    commit(rewrite(&second))?;
    let two = commit_if(samples::unique_check(name(), itself), rewrite(&first));
    refused("with one besides the one excepted", two, "conflict")
}

pub fn every_check(scene: &Scene) -> Outcome {
    let (document, nobody) = (scene.written()?, scene.document());
    let good = samples::version_check(document.reference.clone(), 1);
    let bad = Check::Absent(document.reference.clone());
    for checks in [[good.clone(), bad.clone()], [bad, good.clone()]] {
        let tried = storage::commit(&checks, &rewrite(&nobody), OnUnavailable::Fail);
        refused("with a check that fails", tried, "conflict")?;
    }
    let both = [good, Check::Absent(nobody.reference.clone())];
    storage::commit(&both, &rewrite(&nobody), OnUnavailable::Fail)?;
    holds(
        "a commit whose checks hold was not done",
        is_there(&nobody)?,
    )
}

pub fn keep(scene: &Scene) -> Outcome {
    let (document, other) = (scene.document(), scene.written()?);
    let keep = |checks: &[Check]| storage::commit(checks, &rewrite(&document), OnUnavailable::Keep);
    refused("without a check", keep(&[]), "invalid")?;
    let others = samples::version_check(other.reference.clone(), 1);
    refused(
        "with a check of another document",
        keep(&[others]),
        "invalid",
    )?;
    holds("it was refused and done", !is_there(&document)?)?;
    let record = read(&samples::record(&scene.pkid))?;
    let of = |version| samples::version_check(record.reference.clone(), version);
    let wrong = keep(&[of(record.version + 1)]);
    refused("with a wrong version of the record", wrong, "conflict")?;
    keep(&[of(record.version)])?;
    holds("it was not done", is_there(&document)?)
}

pub fn idle_removal(scene: &Scene) -> Outcome {
    let nobody = scene.document();
    commit(vec![
        Change::Delete(nobody.reference.clone()),
        samples::removal(nobody.reference.clone(), "s".into()),
        samples::cancel(nobody.reference.clone(), "w".into()),
    ])?;
    Ok(())
}

pub fn own_record(scene: &Scene) -> Outcome {
    let mut foreign = scene.document();
    foreign.reference = samples::another_record(&scene.pkid);
    let written = commit(rewrite(&foreign));
    refused("of another record", written, "limit-exceeded")?;
    holds("it was refused and done", !is_there(&foreign)?)
}

pub fn cascade(scene: &Scene) -> Outcome {
    let (gone, left) = (scene.document(), scene.document());
    for document in [&gone, &left] {
        commit(vec![
            Change::Put(document.clone()),
            secret(document, "s", "secret"),
            Change::Schedule(wakeup(document, "w", "")),
        ])?;
    }
    commit(vec![Change::Delete(gone.reference.clone())])?;
    same("of the deleted", belongings(&gone)?, (None, Vec::new()))?;
    // Written again it begins with nothing.
    commit(rewrite(&gone))?;
    same("of its successor", belongings(&gone)?, (None, Vec::new()))?;
    same(
        "of the other",
        belongings(&left)?,
        (Some("secret".to_owned()), vec!["w".to_owned()]),
    )
}
