//! `delete`: removes everything, and checks that nothing remains.

use crate::bindings::automate::platform::storage::{self, Change, Filter, Scope};
use crate::bindings::automate::platform::types::{Failure, Reference};
use crate::bindings::automate::platform::{scheduling, secrets};
use crate::samples::{self, OTHER, RECORD, SAMPLE, STATE, SUITE, WAKEUP_SUBJECT, key};
use crate::state::State;

/// The number of documents that one commit deletes.
const DELETE_BATCH: u32 = 200;

/// The removed items, or those that would be.
pub struct Removal {
    pub documents: Vec<Reference>,
    pub wakeups: Vec<String>,
}

impl Removal {
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

/// Returns the first remaining documents of a model.
fn find_remaining(model: &str, state: &State, limit: u32) -> Result<Vec<Reference>, Failure> {
    let page = storage::find(&filter(model, state), None, limit)?;
    let documents = page.documents.into_iter();
    Ok(documents.map(|document| document.reference).collect())
}

/// Removes everything of a record, the record last.
pub fn delete(pkid: &str, dry_run: bool) -> Result<Removal, Failure> {
    let state = State::load(pkid)?;
    let record = samples::record(pkid);
    let wakeups = scheduling::wakeups(&record)?;
    let mut removed = Removal {
        documents: Vec::new(),
        wakeups: wakeups.into_iter().map(|wakeup| wakeup.id).collect(),
    };
    for model in [WAKEUP_SUBJECT, OTHER, SAMPLE] {
        loop {
            let some = find_remaining(model, &state, if dry_run { 1000 } else { DELETE_BATCH })?;
            // A document that is found again was not deleted, which the check for remains reports.
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
    check_nothing_remains(&state, &removed)?;
    Ok(removed)
}

fn check_nothing_remains(state: &State, removed: &Removal) -> Result<(), Failure> {
    let mut remains = Vec::new();
    for model in [WAKEUP_SUBJECT, OTHER, SAMPLE, STATE, RECORD] {
        remains.extend(find_remaining(model, state, 1)?);
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
        "delete.leaves-nothing: FAILED these documents remain after the delete: {}",
        named.join(", ")
    )))
}
