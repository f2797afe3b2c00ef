//! The bounds of a recording, and calls that are not noted to their end.

use relation_host::store::{DueWakeup, Lease};
use relation_host::transactions::NewTransaction;
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp(1_767_225_600_000);

fn record(number: u32) -> Reference {
    Reference::record(format!("{number:024x}").parse().unwrap())
}

fn wakeup(subject: &Reference) -> Wakeup {
    Wakeup {
        id: "refresh".to_owned(),
        subject: subject.clone(),
        due: NOW,
        deadline: None,
        payload: String::new(),
    }
}

fn document(reference: &Reference, version: u64, length: usize) -> Document {
    Document {
        reference: reference.clone(),
        hierarchy: "sys.Provider".parse().unwrap(),
        version,
        body: json!("x".repeat(length)).to_string(),
        keys: Vec::new(),
    }
}

/// Claims a call on the record `document`.
fn claim(notes: &mut Notes, document: &Document) {
    let subject = &document.reference;
    let due = DueWakeup {
        wakeup: wakeup(subject),
        revision: 1,
        attempts: 0,
    };
    notes.note_begin(&CallStart {
        transaction: NewTransaction {
            id: String::new(),
            action: "refresh".to_owned(),
            subject: Some(subject.clone()),
            submitted: NOW,
            started: NOW,
            ..NewTransaction::default()
        },
        subject: Some(subject.clone()),
        lease: Duration::from_secs(60),
        now: NOW,
        wakeup: Some(due),
    });
    notes.note_record(subject, Some(document.clone()), vec![wakeup(subject)]);
}

fn started(notes: &mut Notes, subject: &Reference, interrupted: Option<Timestamp>) {
    notes.note_begun(&BeginOutcome::Started(Some(Lease {
        subject: subject.clone(),
        epoch: 1,
        expires: Timestamp(NOW.0 + 60_000),
        interrupted,
    })));
}

/// Ends a call that changed nothing.
fn end(notes: &mut Notes, document: &Document) {
    let subject = &document.reference;
    let left = CallEffects {
        documents: vec![(subject.clone(), Some(document.clone()))],
        secrets: Vec::new(),
        wakeups: vec![wakeup(subject)],
    };
    notes.note_end(NOW, Ok(json!({})), None, left);
}

fn call(notes: &mut Notes, document: &Document) {
    claim(notes, document);
    started(notes, &document.reference, None);
    end(notes, document);
}

#[test]
fn recording_ends_after_max_calls() {
    let mut notes = Notes::default();
    let cut_off = document(&record(0), 1, 10);
    claim(&mut notes, &cut_off);
    started(&mut notes, &cut_off.reference, Some(NOW));
    end(&mut notes, &cut_off);
    assert_eq!(notes.omitted.len(), 1);
    assert_eq!(notes.omitted[0].reason, "the call before it was cut off");
    let document = document(&record(1), 1, 10);
    for _ in 2..MAX_CALLS {
        call(&mut notes, &document);
    }
    assert_eq!(notes.full, None);
    call(&mut notes, &document);
    let full = notes.full.clone().unwrap();
    assert!(full.contains("1000 calls"), "{full}");
    call(&mut notes, &document);
    assert_eq!((notes.steps.len(), notes.omitted.len()), (MAX_CALLS - 1, 1));
}

#[test]
fn omitted_calls_count_towards_max_calls() {
    let mut notes = Notes::default();
    let mut document = document(&record(0), 1, 10);
    call(&mut notes, &document);
    for version in 2..=2 * MAX_CALLS as u64 {
        document.version = version;
        call(&mut notes, &document);
    }
    assert!(notes.full.is_some());
    assert_eq!((notes.steps.len(), notes.omitted.len()), (1, MAX_CALLS - 1));
    assert_eq!(notes.omitted[0].reason, CHANGED);
}

#[test]
fn recording_ends_at_max_bytes() {
    let mut notes = Notes::default();
    call(&mut notes, &document(&record(0), 1, MAX_BYTES / 2));
    assert_eq!(notes.full, None);
    call(&mut notes, &document(&record(1), 1, MAX_BYTES / 2));
    let full = notes.full.clone().unwrap();
    assert!(full.contains("32 MiB"), "{full}");
}

#[test]
fn omitted_calls_use_no_memory() {
    let mut notes = Notes::default();
    for number in 0..3 {
        let document = document(&record(number), 1, 10);
        claim(&mut notes, &document);
        started(&mut notes, &document.reference, Some(NOW));
        let body = Bytes::from(vec![0; MAX_BYTES / 2]);
        notes.note_request(Request::post("https://webexapis.com/").body(body).unwrap());
        end(&mut notes, &document);
    }
    assert_eq!(notes.omitted.len(), 3);
    assert_eq!(notes.full, None);
    assert!(notes.documents.is_empty() && notes.wakeups.is_empty());
}

#[test]
fn failed_or_refused_claim_leaves_no_notes() {
    type NotesAction = fn(&mut Notes);
    let failed: NotesAction = |_| ();
    let refused: NotesAction = |notes| notes.note_begun(&BeginOutcome::Busy(NOW));
    for reply in [failed, refused] {
        let mut notes = Notes::default();
        claim(&mut notes, &document(&record(0), 1, 10));
        reply(&mut notes);
        // Another host changes the record before the next attempt.
        call(&mut notes, &document(&record(0), 2, 10));
        let reason = notes.omitted.first().map(|left_out| &left_out.reason);
        assert_eq!((notes.steps.len(), reason), (1, None));
        assert_eq!(notes.documents[&record(0)].version, 2);
    }
}

#[test]
fn changed_settings_of_a_node_leave_the_call_out() {
    let one = document(&record(1), 1, 1);
    let settings = |thresholds: &str| {
        BTreeMap::from([("expiry.thresholds".to_owned(), thresholds.to_owned())])
    };
    let mut notes = Notes::default();
    claim(&mut notes, &one);
    notes.note_node_settings("sys.Provider", &settings("2d"));
    // A call that is not recorded leaves no settings.
    notes.discard_running();
    assert!(notes.node_settings.is_empty());
    for (thresholds, reason) in [("30d", None), ("30d", None), ("14d", Some("changed"))] {
        claim(&mut notes, &one);
        notes.note_node_settings("sys.Provider", &settings(thresholds));
        let running = notes.running.take().unwrap();
        let found = running.inexpressible.as_deref();
        assert_eq!(found.is_some(), reason.is_some(), "{found:?}");
    }
    assert_eq!(notes.node_settings["sys.Provider"], settings("30d"));
}

#[test]
fn documents_of_the_host_are_not_noted() {
    let one = document(&record(1), 1, 1);
    let notice = Reference::new(relation_host::types::NOTICE_MODEL, Pkid::random());
    let mut notes = Notes::default();
    claim(&mut notes, &one);
    notes.note_commit(&Commit {
        changes: vec![
            Change::Put(document(&notice, 0, 1)),
            Change::Delete(record(2)),
        ],
        now: NOW,
        ..Commit::default()
    });
    assert_eq!(notes.take_unread().0, [record(2)]);
}
