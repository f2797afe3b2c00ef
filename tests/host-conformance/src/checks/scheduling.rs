//! `scheduling`: writing and listing wakeups. Delivery is checked in `deliveries.rs`.

use crate::bindings::automate::platform::scheduling::{self, Wakeup};
use crate::bindings::automate::platform::storage::{Change, Document};
use crate::bindings::automate::platform::types::Failure;
use crate::outcome::{Outcome, ensure_eq, ensure_refused};
use crate::samples::{self, CheckContext, commit, wakeup};

/// The compared parts of a wakeup.
type WakeupFields = (String, String, u64, Option<u64>, String);

fn wakeup_fields(wakeup: &Wakeup) -> WakeupFields {
    (
        wakeup.id.clone(),
        wakeup.subject.pkid.clone(),
        wakeup.due,
        wakeup.deadline,
        wakeup.payload.clone(),
    )
}

fn listed(of: &Document) -> Result<Vec<WakeupFields>, Failure> {
    let wakeups = scheduling::wakeups(&of.reference)?;
    Ok(wakeups.iter().map(wakeup_fields).collect())
}

pub fn list(context: &CheckContext) -> Outcome {
    let (subject, other) = (context.written_document()?, context.written_document()?);
    ensure_eq(
        "of a subject without wakeups",
        listed(&subject)?,
        Vec::new(),
    )?;
    let first = wakeup(&subject, "a", "");
    let mut wakeups: Vec<Wakeup> = ["c", "b", "z"]
        .into_iter()
        .zip(1..)
        .map(|(id, n)| Wakeup {
            due: first.due + n * 1000,
            deadline: (n % 2 == 0).then_some(first.due + n),
            ..wakeup(
                &subject,
                id,
                &format!("{{\"n\": {n}, \"s\": \"\u{1f980}\"}}"),
            )
        })
        .collect();
    wakeups.insert(0, first);
    let backwards = wakeups.iter().rev().cloned().map(Change::Schedule);
    let changes = backwards.chain([Change::Schedule(wakeup(&other, "a", "other's"))]);
    commit(changes.collect())?;
    ensure_eq(
        "the wakeups",
        listed(&subject)?,
        wakeups.iter().map(wakeup_fields).collect(),
    )
}

pub fn moved(context: &CheckContext) -> Outcome {
    let subject = context.written_document()?;
    let was = wakeup(&subject, "w", "was");
    commit(vec![Change::Schedule(was.clone())])?;
    let is = Wakeup {
        due: was.due - 5000,
        deadline: Some(was.due),
        payload: "is".into(),
        ..was
    };
    commit(vec![Change::Schedule(is.clone())])?;
    ensure_eq("the wakeups", listed(&subject)?, vec![wakeup_fields(&is)])
}

pub fn cancel(context: &CheckContext) -> Outcome {
    let (subject, other) = (context.written_document()?, context.written_document()?);
    let kept = [wakeup(&subject, "x", ""), wakeup(&other, "w", "")];
    let mut changes: Vec<Change> = kept.iter().cloned().map(Change::Schedule).collect();
    changes.push(Change::Schedule(wakeup(&subject, "w", "")));
    commit(changes)?;
    commit(vec![samples::cancel(subject.reference.clone(), "w".into())])?;
    let [x, w] = kept.each_ref().map(wakeup_fields);
    ensure_eq("those of the subject", listed(&subject)?, vec![x])?;
    ensure_eq("those of another", listed(&other)?, vec![w])
}

pub fn subject(context: &CheckContext) -> Outcome {
    let absent = context.document();
    let alone = commit(vec![Change::Schedule(wakeup(&absent, "w", ""))]);
    ensure_refused("of a document that does not exist", alone, "invalid")?;
    ensure_eq("its wakeups", listed(&absent)?.len(), 0)?;
    let changes = vec![
        Change::Schedule(wakeup(&absent, "w", "")),
        Change::Put(absent.clone()),
    ];
    commit(changes)?;
    ensure_eq(
        "those of a document made with it",
        listed(&absent)?.len(),
        1,
    )
}

pub fn bounds(context: &CheckContext) -> Outcome {
    let subject = context.written_document()?;
    let tried =
        |id: &str, payload: &str| commit(vec![Change::Schedule(wakeup(&subject, id, payload))]);
    tried(&"i".repeat(64), &"p".repeat(4096))?;
    ensure_refused("an empty id", tried("", ""), "invalid")?;
    ensure_refused("an id of 65 bytes", tried(&"i".repeat(65), ""), "invalid")?;
    let long = "p".repeat(4097);
    ensure_refused("a payload of 4097 bytes", tried("i", &long), "invalid")?;
    ensure_eq("how many there are", listed(&subject)?.len(), 1)
}
