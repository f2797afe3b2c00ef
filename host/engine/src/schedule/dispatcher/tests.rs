//! Tests of which wakeups a dispatcher starts, in which order, and when.

mod handled;
mod long_call;
mod shares;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::clock::SystemClock;
use crate::reports::WakeReport;
use crate::schedule::Throttle;
use crate::store::layer::{Layered, StoreLayer};
use crate::store::sqlite::SqliteStore;
use crate::store::{Change, Commit, DocumentStore as _, KindFilter};
use crate::types::{Document, Pkid, Wakeup};
use crate::{CallOutput, WakeupOutcome};

/// Returns the outcome of a call that found nothing to do.
fn success() -> WakeupOutcome {
    WakeupOutcome::Finished(Box::new(Ok(CallOutput {
        transaction: String::new(),
        value: WakeReport::Nothing(String::new()),
    })))
}

/// A runner that notifies when it is called, and finishes a moment later.
#[derive(Default)]
struct SlowRunner {
    called: Notify,
    scheduled: Notify,
}

#[async_trait]
impl WakeupRunner for SlowRunner {
    async fn run(&self, _: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        self.called.notify_one();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        Ok(success())
    }

    fn scheduled(&self) -> &Notify {
        &self.scheduled
    }
}

/// A runner that finishes immediately, and records the wakeup and the time.
struct RecordingRunner {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    ran: Mutex<Vec<(Duration, DueWakeup)>>,
    scheduled: Notify,
}

#[async_trait]
impl WakeupRunner for RecordingRunner {
    async fn run(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        let Wakeup { subject, id, .. } = due.wakeup.clone();
        self.ran.lock().push((self.clock.monotonic(), due));
        let changes = vec![Change::Cancel(subject, id)];
        self.store
            .commit(Commit {
                changes,
                ..Commit::default()
            })
            .await?;
        Ok(success())
    }

    fn scheduled(&self) -> &Notify {
        &self.scheduled
    }
}

fn seconds(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1000)
}

/// Creates a dispatcher with a rate limit and due wakeups: `(id, deadline)` of each, one per subject.
async fn rate_limited(
    rate: u32,
    wakeups: impl Iterator<Item = (&'static str, Option<Timestamp>)>,
) -> (Dispatcher, Arc<RecordingRunner>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let mut commit = Commit::default();
    for (id, deadline) in wakeups {
        schedule(&mut commit, id, deadline);
        if commit.changes.len() > 2000 {
            store.commit(std::mem::take(&mut commit)).await.unwrap();
        }
    }
    store.commit(commit).await.unwrap();
    let clock = Arc::new(ManualClock::new(seconds(1)));
    let runner = Arc::new(RecordingRunner {
        store: store.clone(),
        clock: clock.clone(),
        ran: Mutex::default(),
        scheduled: Notify::new(),
    });
    let options = DispatcherOptions {
        throttle: throttle_refreshes(rate),
        ..DispatcherOptions::default()
    };
    let dispatcher = Dispatcher::new(store, clock, runner.clone(), options);
    (dispatcher, runner)
}

fn schedule(commit: &mut Commit, id: &str, deadline: Option<Timestamp>) {
    let subject = Reference::record(Pkid::random());
    commit.changes.push(Change::Put(Document {
        reference: subject.clone(),
        hierarchy: "sys".parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: Vec::new(),
    }));
    commit.changes.push(Change::Schedule(Wakeup {
        id: id.to_owned(),
        subject,
        due: Timestamp(0),
        deadline,
        payload: String::new(),
    }));
}

fn throttle_refreshes(rate: u32) -> Option<Throttle> {
    NonZeroU32::new(rate).map(|per_second| Throttle {
        kind: "refresh".to_owned(),
        per_second,
    })
}

#[tokio::test]
async fn backlog_runs_by_deadline_within_the_rate_limit() {
    const MANY: u64 = 10_000;
    const RATE: u32 = 50;
    let deadlines = (0..MANY).map(|number| Some(seconds(1_000_000 + number * 7919 % MANY)));
    let (dispatcher, runner) = rate_limited(RATE, deadlines.map(|at| ("refresh", at))).await;
    let clock = runner.clock.clone();
    let ran = dispatcher.run_through(&clock, seconds(10_000)).await;
    assert_eq!(ran.unwrap().done, MANY);

    let ran = runner.ran.lock();
    let began: Vec<Duration> = ran.iter().map(|(at, _)| *at).collect();
    for pair in began.windows(RATE as usize + 1) {
        let (first, last) = (pair[0], pair[RATE as usize]);
        assert!(last - first >= Duration::from_secs(1), "{first:?} {last:?}");
    }
    let took = *began.last().unwrap() - began[0];
    assert_eq!(took, Duration::from_secs(MANY / u64::from(RATE) - 1));
    // Wakeups that begin at the same time run concurrently, in any order.
    let mut latest = Timestamp(0);
    for together in ran.chunk_by(|(one, _), (other, _)| one == other) {
        let deadlines = together.iter().map(|(_, due)| due.wakeup.deadline.unwrap());
        let (first, last) = (deadlines.clone().min().unwrap(), deadlines.max().unwrap());
        assert!(first > latest, "{first} ran after {latest}");
        latest = last;
    }
}

#[tokio::test]
async fn refresh_rate_limit_does_not_delay_other_wakeups() {
    let refreshes = (0..500).map(|_| ("refresh.users", Some(Timestamp(5))));
    let others = ["sync", "expiry", "refreshments"].map(|id| (id, None));
    let (dispatcher, runner) = rate_limited(10, refreshes.chain(others)).await;
    let clock = runner.clock.clone();
    let ran = dispatcher.run_through(&clock, clock.now()).await.unwrap();
    assert_eq!(ran.done, 13);
    let ran = runner.ran.lock();
    let others = ran.iter().filter(|(_, due)| due.wakeup.kind() != "refresh");
    assert_eq!(others.count(), 3);
}

#[tokio::test]
async fn run_until_idle_waits_for_the_rate_limit() {
    let (dispatcher, runner) = rate_limited(2, (0..5).map(|_| ("refresh", None))).await;
    let clock = runner.clock.clone();
    let idle = dispatcher.run_until_idle();
    let ticking = async {
        while runner.ran.lock().len() < 5 {
            clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    let (summary, ()) = tokio::join!(idle, ticking);
    assert_eq!(summary.unwrap().done, 5);

    // The clock does not advance: the rate limit does not allow a third call.
    let (dispatcher, runner) = rate_limited(2, (0..5).map(|_| ("refresh", None))).await;
    let rate_limit_is_used = async {
        while runner.ran.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    let stopped = dispatcher.run_until_idle_or(rate_limit_is_used);
    assert_eq!(stopped.await.unwrap().done, 2);
}

async fn store_with_due_wakeups(count: usize) -> Arc<dyn Store> {
    let store = SqliteStore::in_memory().unwrap();
    let mut commit = Commit::default();
    for _ in 0..count {
        schedule(&mut commit, "refresh", None);
    }
    store.commit(commit).await.unwrap();
    Arc::new(store)
}

/// Counts the searches for due wakeups.
#[derive(Clone, Default)]
struct Searches(Arc<AtomicUsize>);

impl StoreLayer for Searches {
    async fn due(
        &self,
        inner: &dyn Store,
        now: Timestamp,
        limit: u32,
        kinds: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        inner.due(now, limit, kinds).await
    }
}

#[tokio::test]
async fn one_search_serves_several_calls() {
    let searches = Searches::default();
    let store = store_with_due_wakeups(40).await;
    let store: Arc<dyn Store> = Arc::new(Layered::new(store, searches.clone()));
    let clock = Arc::new(ManualClock::new(seconds(1)));
    let runner = Arc::new(RecordingRunner {
        store: store.clone(),
        clock: clock.clone(),
        ran: Mutex::default(),
        scheduled: Notify::new(),
    });
    let options = DispatcherOptions {
        concurrency: 2,
        ..DispatcherOptions::default()
    };
    let dispatcher = Dispatcher::new(store, clock, runner, options);
    assert_eq!(dispatcher.run_until_idle().await.unwrap().done, 40);
    let searches = searches.0.load(Ordering::Relaxed);
    assert!(searches < 20, "{searches} searches for 40 calls");
}

#[tokio::test]
async fn stop_lets_running_calls_finish() {
    let runner = Arc::new(SlowRunner::default());
    let dispatcher = Dispatcher::new(
        store_with_due_wakeups(3).await,
        Arc::new(SystemClock::new()),
        runner.clone(),
        DispatcherOptions {
            concurrency: 1,
            ..DispatcherOptions::default()
        },
    );
    let stop = runner.called.notified();
    let summary = dispatcher.run_until_idle_or(stop).await.unwrap();
    assert_eq!((summary.done, summary.failed), (1, 0));
}

/// Schedules a wakeup at `now`, due a week later.
async fn scheduled_at(store: &Arc<dyn Store>, now: Timestamp) {
    let mut commit = Commit {
        now,
        ..Commit::default()
    };
    schedule(&mut commit, "refresh", None);
    for change in &mut commit.changes {
        if let Change::Schedule(wakeup) = change {
            wakeup.due = now.after(Duration::from_secs(7 * 86_400));
        }
    }
    store.commit(commit).await.unwrap();
}

#[tokio::test]
async fn start_runs_wakeups_of_a_fast_clock() {
    let (dispatcher, runner) = rate_limited(1_000, std::iter::empty()).await;
    scheduled_at(&runner.store, seconds(365 * 86_400)).await;
    scheduled_at(&runner.store, seconds(1)).await;
    let summary = dispatcher.run_until_idle().await.unwrap();
    assert_eq!(summary.done, 1);
}

#[tokio::test]
async fn setting_back_runs_wakeups_of_a_fast_clock() {
    let (dispatcher, runner) = rate_limited(1_000, std::iter::empty()).await;
    let clock = runner.clock.clone();
    assert_eq!(dispatcher.run_until_idle().await.unwrap().done, 0);
    clock.set_wall(seconds(60 * 86_400));
    scheduled_at(&runner.store, clock.now()).await;
    assert_eq!(dispatcher.run_until_idle().await.unwrap().done, 0);
    clock.set_wall(seconds(10));
    assert_eq!(dispatcher.run_until_idle().await.unwrap().done, 1);
}

#[tokio::test]
async fn running_dispatcher_notices_a_clock_set_back() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let clock = Arc::new(ManualClock::new(seconds(60 * 86_400)));
    let runner = Arc::new(RecordingRunner {
        store: store.clone(),
        clock: clock.clone(),
        ran: Mutex::default(),
        scheduled: Notify::new(),
    });
    let options = DispatcherOptions {
        poll: Duration::from_millis(1),
        ..DispatcherOptions::default()
    };
    let dispatcher = Dispatcher::new(store.clone(), clock.clone(), runner.clone(), options);
    scheduled_at(&store, clock.now()).await;
    let seen = async {
        while dispatcher.reading.lock().is_none() {
            tokio::task::yield_now().await;
        }
        clock.set_wall(seconds(10));
        while runner.ran.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(dispatcher.run(seen).await.done, 1);
}

/// A runner with ten parts of housekeeping to do.
#[derive(Default)]
struct HousekeepingRunner {
    parts: std::sync::atomic::AtomicU32,
    scheduled: Notify,
}

#[async_trait]
impl WakeupRunner for HousekeepingRunner {
    async fn run(&self, _: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        Ok(WakeupOutcome::Gone)
    }

    fn scheduled(&self) -> &Notify {
        &self.scheduled
    }

    async fn run_housekeeping(&self) -> bool {
        self.parts.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 9
    }
}

#[tokio::test]
async fn run_until_idle_does_housekeeping_unless_stopped() {
    for (stops, parts) in [(false, 10), (true, 1)] {
        let runner = Arc::new(HousekeepingRunner::default());
        let dispatcher = Dispatcher::new(
            store_with_due_wakeups(0).await,
            Arc::new(SystemClock::new()),
            runner.clone(),
            DispatcherOptions::default(),
        );
        let stop = async {
            if !stops {
                std::future::pending::<()>().await;
            }
        };
        dispatcher.run_until_idle_or(stop).await.unwrap();
        let done = runner.parts.load(std::sync::atomic::Ordering::SeqCst);
        assert!(if stops { done <= 2 } else { done == parts }, "{done}");
    }
}

/// A runner whose calls end as scripted, one after the other. It records their subjects.
struct ScriptedRunner {
    ends: fn(nth: usize) -> Result<WakeupOutcome, StoreError>,
    ran: Mutex<Vec<Reference>>,
    scheduled: Notify,
}

#[async_trait]
impl WakeupRunner for ScriptedRunner {
    async fn run(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        let nth = {
            let mut ran = self.ran.lock();
            ran.push(due.wakeup.subject);
            ran.len()
        };
        // The later a call begins, the longer it takes: others are in flight when one ends.
        for _ in 0..nth * 10 {
            tokio::task::yield_now().await;
        }
        (self.ends)(nth)
    }

    fn scheduled(&self) -> &Notify {
        &self.scheduled
    }
}

async fn calls_until_idle(
    store: Arc<dyn Store>,
    concurrency: usize,
    ends: fn(usize) -> Result<WakeupOutcome, StoreError>,
) -> (Result<DispatchSummary, StoreError>, Vec<Reference>) {
    let runner = Arc::new(ScriptedRunner {
        ends,
        ran: Mutex::default(),
        scheduled: Notify::new(),
    });
    let options = DispatcherOptions {
        concurrency,
        throttle: throttle_refreshes(20),
        ..DispatcherOptions::default()
    };
    let clock = Arc::new(SystemClock::new());
    let dispatcher = Dispatcher::new(store, clock, runner.clone(), options);
    let ended = dispatcher.run_until_idle().await;
    (ended, std::mem::take(&mut *runner.ran.lock()))
}

#[tokio::test]
async fn store_that_takes_no_calls_ends_a_run_until_idle() {
    let store = store_with_due_wakeups(100).await;
    let full = |_| Err(StoreError::Unavailable("the disk is full".to_owned()));
    let (ended, ran) = calls_until_idle(store, 3, full).await;
    assert!(
        matches!(ended, Err(StoreError::Unavailable(_))),
        "{ended:?}"
    );
    assert_eq!(ran.len(), 3);
}

#[tokio::test]
async fn busy_subject_is_tried_once_until_idle() {
    let store = store_with_due_wakeups(10).await;
    let (ended, ran) = calls_until_idle(store, 3, |_| Ok(WakeupOutcome::Busy(Timestamp(0)))).await;
    ended.unwrap();
    let subjects: HashSet<Reference> = ran.iter().cloned().collect();
    assert_eq!((ran.len(), subjects.len()), (10, 10));
}

#[tokio::test]
async fn wakeups_of_a_busy_subject_hide_no_others() {
    let store = SqliteStore::in_memory().unwrap();
    let mut commit = Commit::default();
    schedule(&mut commit, "first", Some(seconds(1)));
    let Some(Change::Schedule(first)) = commit.changes.last().cloned() else {
        panic!("no wakeup was scheduled");
    };
    for id in ["second", "third"] {
        let id = id.to_owned();
        commit.changes.push(Change::Schedule(Wakeup {
            id,
            ..first.clone()
        }));
    }
    schedule(&mut commit, "last", None);
    store.commit(commit).await.unwrap();
    let (ended, ran) = calls_until_idle(Arc::new(store), 1, |_| {
        Ok(WakeupOutcome::Busy(Timestamp(0)))
    })
    .await;
    ended.unwrap();
    assert_eq!(ran.len(), 2);
    assert_ne!(ran[0], ran[1]);
}
