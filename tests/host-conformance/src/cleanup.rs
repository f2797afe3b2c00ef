//! `delete`: takes everything away, and looks whether it is gone.

use crate::bindings::automate::platform::storage::{self, Change, Filter, Scope};
use crate::bindings::automate::platform::types::{Failure, Reference};
use crate::bindings::automate::platform::{scheduling, secrets};
use crate::samples::{self, OTHER, RECORD, SAMPLE, STATE, SUITE, WOKEN, key};
use crate::state::State;

/// How many documents one commit deletes.
const AT_ONCE: u32 = 200;

/// What was removed, or would be.
pub struct Removed {
    pub documents: Vec<Reference>,
    pub wakeups: Vec<String>,
}

impl Removed {
    fn has(&self, wanted: &Reference) -> bool {
        let of =
            |found: &Reference| (&*found.model, &*found.pkid) == (&*wanted.model, &*wanted.pkid);
        self.documents.iter().any(of)
    }
}

fn filter(model: &str, state: &State) -> Filter {
    Filter {
        model: model.into(),
        hierarchy: state.hierarchy.clone(),
        scope: Scope::Subtree,
        equals: vec![key(SUITE, &state.pkid)],
    }
}

/// Everything of a model that is left, or the first of it.
fn left(model: &str, state: &State, limit: u32) -> Result<Vec<Reference>, Failure> {
    let page = storage::find(&filter(model, state), None, limit)?;
    let documents = page.documents.into_iter();
    Ok(documents.map(|document| document.reference).collect())
}

/// Removes everything of a record, the record last.
pub fn delete(pkid: &str, dry_run: bool) -> Result<Removed, Failure> {
    let state = State::of(pkid)?;
    let record = samples::record(pkid);
    let wakeups = scheduling::wakeups(&record)?;
    let mut removed = Removed {
        documents: Vec::new(),
        wakeups: wakeups.into_iter().map(|wakeup| wakeup.id).collect(),
    };
    for model in [WOKEN, OTHER, SAMPLE] {
        loop {
            let some = left(model, &state, if dry_run { 1000 } else { AT_ONCE })?;
            // What is found again was not deleted: the look for remains says so.
            let again = some.first().is_some_and(|first| removed.has(first));
            if some.is_empty() || again {
                break;
            }
            removed.documents.extend(some.iter().cloned());
            if dry_run {
                break;
            }
            samples::commit(some.into_iter().map(Change::Delete).collect())?;
        }
    }
    let last = [STATE, RECORD].map(|model| Reference {
        model: model.into(),
        pkid: pkid.into(),
    });
    removed.documents.extend(last.iter().cloned());
    if dry_run {
        return Ok(removed);
    }
    samples::commit(last.iter().cloned().map(Change::Delete).collect())?;
    look_for_remains(&state, &removed)?;
    Ok(removed)
}

fn look_for_remains(state: &State, removed: &Removed) -> Result<(), Failure> {
    let mut remains = Vec::new();
    for model in [WOKEN, OTHER, SAMPLE, STATE, RECORD] {
        remains.extend(left(model, state, 1)?);
    }
    let found = removed.documents.chunks(500).map(storage::get_many);
    for documents in found {
        let documents = documents?.into_iter().flatten();
        remains.extend(documents.map(|document| document.reference));
    }
    let record = samples::record(&state.pkid);
    if !scheduling::wakeups(&record)?.is_empty() || secrets::reveal(&record, "s")?.is_some() {
        remains.push(record);
    }
    if remains.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = remains
        .iter()
        .take(5)
        .map(|of| format!("{}/{}", of.model, of.pkid))
        .collect();
    Err(Failure::Internal(format!(
        "delete.leaves-nothing: FAILED after the delete there is still {}",
        named.join(", ")
    )))
}
