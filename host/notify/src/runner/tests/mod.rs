//! Tests of routing and delivery on SQLite, under the manual clock. A test host claims and settles wakeups as the engine
//! does. The engine's own claims are tested with the engine.

mod changes;
mod clocks;
mod crashes;
mod endpoints;
mod fakes;
mod hanging;
mod host_channels;
mod letters;
mod listings;
mod plans;
mod quarter;
mod rechecks;
mod reminders;
mod storm;
mod thresholds;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use relation_host::clock::{Clock, ManualClock};
use relation_host::store::layer::Layered;
use relation_host::store::sqlite::SqliteStore;
use relation_host::store::{Change, Check, Commit, DueWakeup, KindFilter, Store, StoreError};
use relation_host::types::{
    AlertNotice, Document, Hierarchy, Key, NOTICE_MODEL, NoticeChange, Pkid, RECORD_KEY, Reference,
    Timestamp, Wakeup,
};
use relation_host::{NextRun, WakeupResult, wakeup_kinds};
use serde_json::{Value, json};

use self::fakes::{FakeChannels, FakeFacts, Kill, Rechecks, Sent};
use super::model::to_time;
use super::{
    DeliveryFilter, DeliveryState, NoticeRunner, Run, RunnerOptions, StoredDelivery,
    list_deliveries,
};
use crate::settings;
use crate::{DeliveryErrorKind, Message, NoticeKind};

const NODE: &str = "sys.Provider.Contoso";
/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp(1_767_225_600_000);
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);
/// The end of a claim, as in the engine with the default options.
const CLAIM: Duration = Duration::from_secs(390);

fn node(path: &str) -> Hierarchy {
    path.parse().unwrap()
}

/// One process.
#[derive(Clone)]
struct TestHost {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    runner: Arc<NoticeRunner>,
    facts: Arc<FakeFacts>,
}

impl TestHost {
    /// Runs a wakeup as the engine's `run_handler` does.
    async fn run(&self, due: &DueWakeup) -> Result<(), StoreError> {
        let subject = &due.wakeup.subject;
        let found = self.store.get(std::slice::from_ref(subject)).await?;
        let Some(mut document) = found.into_iter().flatten().next() else {
            return Ok(());
        };
        if !self.store.wakeups(subject).await?.contains(due) {
            return Ok(());
        }
        let attempts = document.keys.iter().find(|key| key.name == "attempts");
        let attempt = attempts.map_or(0, |key| key.value.parse().unwrap()) + 1;
        document.keys.retain(|key| key.name != "attempts");
        let record = document.keys.iter().find(|key| key.name == RECORD_KEY);
        if let Some(record) = record {
            let record = Reference::record(record.value.parse().unwrap());
            if self.store.get(&[record]).await? == [None] {
                let check = Check::Version(subject.clone(), document.version);
                return self
                    .commit(vec![check], vec![Change::Delete(subject.clone())])
                    .await;
            }
        }
        let mut claimed = document.clone();
        claimed.keys.push(Key {
            name: "attempts".to_owned(),
            value: attempt.to_string(),
        });
        let until = self.clock.now().after(CLAIM);
        let check = Check::Version(subject.clone(), document.version);
        let changes = vec![Change::Put(claimed), self.schedule(due, until)];
        match self.commit(vec![check], changes).await {
            Err(StoreError::Conflict(_)) => return Ok(()),
            done => done?,
        }
        document.version += 1;
        let run = Run {
            store: self.store.as_ref(),
            facts: self.facts.as_ref(),
            clock: self.clock.as_ref(),
            wakeup: &due.wakeup,
            document: &document,
            attempt,
        };
        let mut checks = vec![Check::Version(subject.clone(), document.version)];
        let ran = self.runner.run_once(&run).await;
        let changes = match ran {
            Ok(result) => {
                checks.extend(result.checks.clone());
                self.settle(due, &document, result)
            }
            Err(_) => vec![self.schedule(due, self.clock.now().after(Duration::from_secs(60)))],
        };
        match self.commit(checks, changes).await {
            Err(StoreError::Conflict(_)) => Ok(()),
            done => done,
        }
    }

    fn settle(&self, due: &DueWakeup, document: &Document, result: WakeupResult) -> Vec<Change> {
        let subject = &due.wakeup.subject;
        let mut changes = result.changes;
        let puts_own = changes
            .iter()
            .any(|change| matches!(change, Change::Put(put) if put.reference == *subject));
        if !puts_own {
            changes.insert(0, Change::Put(document.clone()));
        }
        changes.push(match result.next {
            NextRun::Never => Change::Cancel(subject.clone(), due.wakeup.id.clone()),
            NextRun::At(at) => self.schedule(due, at),
            NextRun::DeleteSubject => Change::Delete(subject.clone()),
        });
        changes
    }

    fn schedule(&self, due: &DueWakeup, at: Timestamp) -> Change {
        Change::Schedule(Wakeup {
            due: at,
            ..due.wakeup.clone()
        })
    }

    async fn commit(&self, checks: Vec<Check>, changes: Vec<Change>) -> Result<(), StoreError> {
        let commit = Commit {
            checks,
            changes,
            now: self.clock.now(),
            ..Commit::default()
        };
        self.store.commit(commit).await
    }

    async fn find_due(&self) -> Result<Vec<DueWakeup>, StoreError> {
        let notices = KindFilter::Only(wakeup_kinds::NOTICE);
        self.store.due(self.clock.now(), 64, notices).await
    }
}

/// A store with settings and records, and the hosts on it.
struct World {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    channels: FakeChannels,
    rechecks: Arc<Mutex<Rechecks>>,
}

impl World {
    fn new() -> Self {
        Self {
            store: Arc::new(SqliteStore::in_memory().unwrap()),
            clock: Arc::new(ManualClock::new(START)),
            channels: FakeChannels::default(),
            rechecks: Arc::default(),
        }
    }

    /// Starts a world with settings of the provider.
    async fn with_settings(settings: Value) -> Self {
        let world = Self::new();
        world.set("sys.Provider", settings).await;
        world
    }

    fn now(&self) -> DateTime<Utc> {
        to_time(self.clock.now())
    }

    fn host(&self) -> TestHost {
        self.host_on(Arc::clone(&self.store), self.channels.clone())
    }

    fn host_on(&self, store: Arc<dyn Store>, channels: FakeChannels) -> TestHost {
        let facts = Arc::new(FakeFacts {
            store: Arc::clone(&store),
            rechecks: Arc::clone(&self.rechecks),
        });
        let options = RunnerOptions::default();
        TestHost {
            store,
            clock: Arc::clone(&self.clock),
            runner: Arc::new(NoticeRunner::new(
                |_| unreachable!("the tests run wakeups without a host"),
                Arc::new(channels),
                options,
            )),
            facts,
        }
    }

    /// Starts a host that dies at a store operation.
    fn mortal_host(&self, operation: i64, is_after: bool) -> (TestHost, Arc<AtomicBool>) {
        let is_dead = Arc::new(AtomicBool::new(false));
        let layer = Kill {
            left: Arc::new(AtomicI64::new(operation)),
            is_after,
            is_dead: Arc::clone(&is_dead),
        };
        let channels = FakeChannels {
            is_dead: Arc::clone(&is_dead),
            ..self.channels.clone()
        };
        let store: Arc<dyn Store> = Arc::new(Layered::new(Arc::clone(&self.store), layer));
        (self.host_on(store, channels), is_dead)
    }

    async fn commit(&self, changes: Vec<Change>) {
        let commit = Commit {
            changes,
            ..Commit::default()
        };
        self.store.commit(commit).await.unwrap();
    }

    /// Stores the settings of a node.
    async fn set(&self, path: &str, body: Value) {
        let reference = settings::reference(&node(path));
        self.commit(vec![put(reference, path, &body)]).await;
    }

    /// Stores a record whose refresh token expires `expires_in` after the start.
    async fn add_record(&self, number: u32, path: &str, expires_in: Duration) -> Pkid {
        let pkid: Pkid = format!("{number:024x}").parse().unwrap();
        let body = json!({
            "name": format!("Customer {number}"), "generation": 1, "state": "connected",
            "expires": to_time(START.after(expires_in)), "email": "owner@contoso.example",
        });
        self.commit(vec![put(Reference::record(pkid.clone()), path, &body)])
            .await;
        pkid
    }

    async fn change_record(&self, record: &Pkid, path: &str, change: impl FnOnce(&mut Value)) {
        let reference = Reference::record(record.clone());
        let found = self
            .store
            .get(std::slice::from_ref(&reference))
            .await
            .unwrap();
        let mut body: Value = serde_json::from_str(&found[0].as_ref().unwrap().body).unwrap();
        change(&mut body);
        self.commit(vec![put(reference, path, &body)]).await;
    }

    /// Stores a notice as the outbox does. `number` tells two alerts apart.
    async fn notice(&self, record: &Pkid, alert: &Alert, change: NoticeChange, number: u64) {
        let pkid: Pkid = format!("{number:012x}{}", &record.as_str()[12..])
            .parse()
            .unwrap();
        let reference = Reference::new(NOTICE_MODEL, pkid.clone());
        let found = self
            .store
            .get(&[Reference::record(record.clone())])
            .await
            .unwrap();
        let document = found.into_iter().flatten().next();
        let facts: Option<Value> = document
            .as_ref()
            .map(|document| serde_json::from_str(&document.body).unwrap());
        let generation = facts.map_or(1, |facts| facts["generation"].as_u64().unwrap());
        let body = json!({
            "id": alert.pkid(record), "code": alert.code, "severity": alert.severity,
            "message": "connect this customer again", "count": 1, "first": "2026-01-01T00:00:00.000Z",
            "subject": record, "threshold": alert.threshold.as_secs() * 1000, "generation": generation,
            "grant": "organization",
        });
        let notice = AlertNotice {
            change,
            alert: Reference::new("data/Alert", alert.pkid(record)),
            record: Some(Reference::record(record.clone())),
            transaction: "t".to_owned(),
            time: self.clock.now(),
            earlier_severity: None,
            body: Some(body),
        };
        let path = document.map_or(node(NODE), |document| document.hierarchy);
        let Change::Put(mut document) = put(
            reference.clone(),
            path.as_str(),
            &serde_json::to_value(&notice).unwrap(),
        ) else {
            unreachable!()
        };
        document.keys.push(Key {
            name: RECORD_KEY.to_owned(),
            value: record.to_string(),
        });
        let wakeup = Wakeup {
            id: wakeup_kinds::NOTICE_ROUTE.to_owned(),
            subject: reference,
            due: self.clock.now(),
            deadline: None,
            payload: String::new(),
        };
        self.commit(vec![Change::Put(document), Change::Schedule(wakeup)])
            .await;
    }

    /// Runs all that is due at the present time, one after the other.
    async fn run_due(&self) {
        let host = self.host();
        for _ in 0..10_000 {
            let due = host.find_due().await.unwrap();
            if due.is_empty() {
                return;
            }
            for due in due {
                host.run(&due).await.unwrap();
            }
        }
        panic!("the wakeups do not end");
    }

    /// Advances the clock, and runs all that becomes due.
    async fn run_for(&self, time: Duration) {
        let end = self.clock.now().after(time);
        self.run_due().await;
        while let Some(next) = self.store.next_due(None).await.unwrap() {
            if next > end {
                break;
            }
            self.clock.advance_to(next);
            self.run_due().await;
        }
        self.clock.advance_to(end);
    }

    /// Returns all deliveries, as the reader of a node sees them.
    async fn deliveries_from(&self, path: &str) -> Vec<StoredDelivery> {
        let filter = DeliveryFilter {
            node: node(path),
            state: None,
            record: None,
            day: None,
        };
        let page = list_deliveries(self.store.as_ref(), &filter, None, 200).await;
        let items = page.unwrap().items.into_iter();
        items.map(|each| each.stored).collect()
    }

    async fn states(&self) -> Vec<DeliveryState> {
        let deliveries = self.deliveries_from("sys").await.into_iter();
        deliveries.map(|each| each.state).collect()
    }
}

fn put(reference: Reference, path: &str, body: &Value) -> Change {
    Change::Put(Document {
        reference,
        hierarchy: node(path),
        version: 0,
        body: body.to_string(),
        keys: Vec::new(),
    })
}

/// An alert of the plugin.
#[derive(Clone, Copy)]
struct Alert {
    code: &'static str,
    severity: &'static str,
    threshold: Duration,
}

impl Alert {
    const EXPIRED: Self = Self {
        code: "WEBEX_REFRESH_TOKEN_EXPIRED",
        severity: "critical",
        threshold: Duration::ZERO,
    };
    const REAUTHORIZE: Self = Self {
        code: "WEBEX_REAUTHORIZE",
        severity: "critical",
        threshold: Duration::ZERO,
    };

    fn expiring(days: u32) -> Self {
        Self {
            code: "WEBEX_REFRESH_TOKEN_EXPIRING",
            severity: "minor",
            threshold: days * DAY,
        }
    }

    fn pkid(&self, record: &Pkid) -> Pkid {
        let days = self.threshold.as_secs() / 86_400;
        let code = self.code.len() as u64;
        format!("{code:04x}{days:08x}{}", &record.as_str()[12..])
            .parse()
            .unwrap()
    }
}
