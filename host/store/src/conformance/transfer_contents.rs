//! Random contents of a store, with every kind of row.

use super::builders::{LEASE, at, ended, key, pkid, transaction};
use crate::seal::{Rotation, Sealer};
use crate::transfer::TransferStore;
use crate::{
    BeginOutcome, CallEnd, CallStart, Change, Commit, DueWakeup, Lease, Quarantine, ResealAction,
    ResealStep, SecretScope, WakeupSettlement,
};
use relation_types::transactions::{
    Level, LogLine, NewTransaction, Originator, Progress, SecretAccess, SecretAccessOutcome,
    Status, TransactionOutcome, TransactionPart, TransactionUpdate,
};
use relation_types::{
    Document, Pkid, QUEUED_CALL_MODEL, RECORD_MODEL, Reference, Timestamp, Wakeup,
};

const NODES: [&str; 4] = ["sys", "sys.A", "sys.A.B", "sys.AB"];

/// A source of numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        // A linear congruential generator; its high bits are good enough here.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Fills an empty store. Clear values of secrets begin with `canary`.
pub(super) async fn fill(store: &dyn TransferStore, sealer: &Sealer, seed: u64, canary: &str) {
    let mut numbers = Numbers(seed);
    for step in 0..30 {
        let subject = Reference::record(pkid(numbers.below(9)));
        commit(store, sealer, &mut numbers, &subject, canary).await;
        if numbers.below(3) == 0 {
            call(store, &mut numbers, &subject, step).await;
        }
        if step == 10 {
            let now = || at(10);
            let rotation = Rotation::new(store, sealer, &now, 5);
            rotation.rotate(true, |_| {}).await.unwrap();
        }
    }
    // Each kind of row exists, whatever the numbers were.
    let subject = Reference::record(pkid(100));
    let ending = Reference::record(pkid(101));
    for one in [&subject, &ending] {
        commit(store, sealer, &mut numbers, one, canary).await;
    }
    put_fixed(store, sealer, &subject, canary).await;
    for (id, outcome) in [("interrupted", true), ("ended", false)] {
        let lease = begin(store, id, &subject, None).await.unwrap();
        let end = CallEnd {
            transaction: ended(id, Status::Fail, at(300)),
            lease: Some(lease),
            wakeup: None,
            interrupted: outcome,
        };
        store.end(end).await.unwrap();
    }
    let lease = begin(store, "last", &subject, None).await.unwrap();
    let end = CallEnd {
        transaction: ended("last", Status::Success, at(300)),
        lease: Some(lease),
        wakeup: None,
        interrupted: true,
    };
    store.end(end).await.unwrap();
    bulk(store, &ending).await;
    damage(store, &subject).await;
}

async fn write(store: &dyn TransferStore, sealer: &Sealer, changes: Vec<Change>) {
    let commit = Commit {
        changes,
        now: at(5),
        ..Commit::default()
    };
    sealer.commit(store, commit).await.unwrap();
}

/// Writes a document, and perhaps secrets and wakeups of it.
async fn commit(
    store: &dyn TransferStore,
    sealer: &Sealer,
    numbers: &mut Numbers,
    subject: &Reference,
    canary: &str,
) {
    let mut changes = Vec::new();
    if numbers.below(8) == 0 {
        changes.push(Change::Delete(subject.clone()));
    }
    let name = format!("Ümlaut {} \u{10ffff}", numbers.below(4));
    let b = numbers.below(3).to_string();
    let node = NODES[usize::try_from(numbers.below(4)).unwrap()];
    changes.push(Change::Put(Document {
        reference: subject.clone(),
        hierarchy: node.parse().unwrap(),
        version: 0,
        body: r#"{"text":"\u0000 é \\ \""}"#.to_owned(),
        keys: vec![key("name", &name), key("b", &b), key("urgency", &b)],
    }));
    if numbers.below(2) == 0 {
        let name = format!("secret {}", numbers.below(3));
        let value = format!("{canary} {}", numbers.below(1000)).into();
        let sealed = sealer.seal(subject, &name, &value).unwrap();
        changes.push(Change::PutSecret {
            owner: subject.clone(),
            name,
            sealed,
        });
    }
    if numbers.below(2) == 0 {
        changes.push(Change::Schedule(Wakeup {
            id: format!("refresh.{}", numbers.below(3)),
            subject: subject.clone(),
            due: at(numbers.below(1000)),
            deadline: (numbers.below(2) == 0).then(|| at(2000)),
            payload: "a payload with \0 in it".to_owned(),
        }));
    }
    write(store, sealer, changes).await;
}

async fn put_fixed(store: &dyn TransferStore, sealer: &Sealer, subject: &Reference, canary: &str) {
    let mut changes = Vec::new();
    for name in ["sound", "damaged", "empty"] {
        let value = match name {
            "empty" => String::new(),
            name => format!("{canary} {name}"),
        };
        changes.push(Change::PutSecret {
            owner: subject.clone(),
            name: name.to_owned(),
            sealed: sealer.seal(subject, name, &value.into()).unwrap(),
        });
    }
    changes.push(Change::Schedule(Wakeup {
        id: "refresh.fixed".to_owned(),
        subject: subject.clone(),
        due: at(100),
        deadline: None,
        payload: String::new(),
    }));
    for (number, model) in (0..).zip(["data/Alert", "host/NoticeDelivery"]) {
        changes.push(Change::Put(Document {
            reference: Reference::new(model, pkid(number)),
            hierarchy: "sys.A".parse().unwrap(),
            version: 0,
            body: "{}".to_owned(),
            keys: vec![key("severity", "0 critical"), key("created", "1")],
        }));
    }
    write(store, sealer, changes).await;
}

async fn begin(
    store: &dyn TransferStore,
    id: &str,
    subject: &Reference,
    wakeup: Option<DueWakeup>,
) -> Option<Lease> {
    let start = CallStart {
        transaction: NewTransaction {
            subject: Some(subject.clone()),
            subject_name: format!("the name of {id}"),
            originator: Some(Originator {
                user: "Ada".to_owned(),
                external_id: Some("7".to_owned()),
                external_reference: None,
            }),
            ..transaction(id, at(200))
        },
        subject: Some(subject.clone()),
        lease: LEASE,
        now: at(200),
        wakeup,
    };
    match store.begin(start).await.unwrap() {
        BeginOutcome::Started(lease) => lease,
        other => panic!("not begun: {other:?}"),
    }
}

/// Runs a call with a log, for a wakeup if the subject has one.
async fn call(store: &dyn TransferStore, numbers: &mut Numbers, subject: &Reference, step: u32) {
    let id = format!("call-{step:02}");
    let wakeup = store.wakeups(subject).await.unwrap().pop();
    let lease = begin(store, &id, subject, wakeup.clone()).await;
    let access = |outcome| SecretAccess {
        at: at(210),
        owner: Some(subject.clone()),
        name: "token".to_owned(),
        outcome,
    };
    for lines in 0..numbers.below(3) {
        let update = TransactionUpdate {
            id: id.clone(),
            progress: Some(Progress {
                done: 1,
                total: 3,
                message: "reading".to_owned(),
            }),
            lines: vec![
                LogLine {
                    at: at(210),
                    level: Level::Warning,
                    message: format!("line {lines}\nwith\ttwo lines"),
                };
                2
            ],
            secret_accesses: vec![access(SecretAccessOutcome::Opened)],
            omitted_accesses: lines,
            parts: vec![TransactionPart {
                number: u32::try_from(lines).unwrap() + 1,
                action: "a part".to_owned(),
                started: at(211),
                outcome: outcome(Status::Success),
            }],
            ..TransactionUpdate::default()
        };
        store.report(update).await.unwrap();
    }
    let failed = numbers.below(2) == 0;
    let status = match failed {
        true => Status::Fail,
        false => Status::SuccessWithAsyncFailures,
    };
    let settlement = |found| match failed {
        true => WakeupSettlement::Retry(found, at(400)),
        false => WakeupSettlement::Done(found),
    };
    let end = CallEnd {
        transaction: ended(&id, status, at(220)),
        lease,
        wakeup: wakeup.map(settlement),
        interrupted: numbers.below(2) == 0,
    };
    store.end(end).await.unwrap();
}

fn outcome(status: Status) -> TransactionOutcome {
    TransactionOutcome {
        status,
        message: "a message".to_owned(),
        completed: at(212),
    }
}

/// Queues a bulk at one node, with a call at a node that is not below.
async fn bulk(store: &dyn TransferStore, subject: &Reference) {
    let new = |id: &str, node: &str, request: Option<Pkid>| NewTransaction {
        hierarchy: Some(node.parse().unwrap()),
        request,
        ..transaction(id, Timestamp(7))
    };
    let request = Reference::new(QUEUED_CALL_MODEL, pkid(5));
    let commit = Commit {
        changes: vec![Change::Put(Document {
            reference: request.clone(),
            hierarchy: "sys.AB".parse().unwrap(),
            version: 0,
            body: "{}".to_owned(),
            keys: Vec::new(),
        })],
        queued: vec![
            new("bulk", "sys.A.B", None),
            NewTransaction {
                subject: Some(subject.clone()),
                ..new("bulk.0001", "sys.AB", Some(request.pkid))
            },
        ],
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
}

/// Marks a secret as not opening, after its bytes were replaced by those of another one.
async fn damage(store: &dyn TransferStore, subject: &Reference) {
    assert_eq!(subject.model, RECORD_MODEL);
    let page = store.secrets(SecretScope::All, None, 10_000).await.unwrap();
    let named = |name: &str| {
        let found = page.items.iter();
        let mut found = found.filter(|secret| secret.owner == *subject && secret.name == name);
        found.next().cloned()
    };
    let (damaged, other) = (named("damaged").unwrap(), named("sound").unwrap());
    let swapped = crate::seal::Sealed::try_from(other.bytes.clone()).unwrap();
    let step = ResealStep {
        secret: damaged.clone(),
        to: ResealAction::Sealed(swapped),
    };
    assert_eq!(store.reseal(vec![step]).await.unwrap(), [true]);
    let step = ResealStep {
        secret: crate::StoredSecret {
            bytes: other.bytes,
            ..damaged
        },
        to: ResealAction::Quarantined(Quarantine {
            reason: "it was swapped".to_owned(),
            since: at(50),
        }),
    };
    assert_eq!(store.reseal(vec![step]).await.unwrap(), [true]);
}
