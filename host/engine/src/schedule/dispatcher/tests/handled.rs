//! Wakeups of handled kinds, which run beside the calls of the plugin.

use super::*;
use crate::schedule::HandledKind;
use crate::wakeup_kinds::NOTICE_ROUTE;

/// A runner whose wakeups of one kind run until they are released, and stay. It finishes and cancels the others.
struct HangingRunner {
    store: Arc<dyn Store>,
    handled: Vec<HandledKind>,
    hangs: &'static str,
    hanging: AtomicUsize,
    released: tokio::sync::Semaphore,
    ran: Mutex<Vec<String>>,
    scheduled: Notify,
}

#[async_trait]
impl WakeupRunner for HangingRunner {
    async fn run(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        let kind = due.wakeup.kind().to_owned();
        let Wakeup { subject, id, .. } = due.wakeup;
        if kind == self.hangs {
            self.hanging.fetch_add(1, Ordering::Relaxed);
            let released = self.released.acquire().await;
            released.expect("the semaphore stays open").forget();
            return Ok(WakeupOutcome::Gone);
        }
        let commit = Commit {
            changes: vec![Change::Cancel(subject, id)],
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        self.ran.lock().push(kind);
        Ok(success())
    }

    fn handled_kinds(&self) -> Vec<HandledKind> {
        self.handled.clone()
    }

    fn scheduled(&self) -> &Notify {
        &self.scheduled
    }
}

/// Creates a dispatcher of these wakeups, without deadlines except for refreshes, with room for two calls and two notices.
async fn dispatcher(
    ids: impl Iterator<Item = &'static str>,
    hangs: &'static str,
    is_handled: bool,
) -> (Dispatcher, Arc<HangingRunner>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let mut commit = Commit::default();
    for id in ids {
        let deadline = (id == "refresh").then(|| seconds(9_000));
        schedule(&mut commit, id, deadline);
    }
    store.commit(commit).await.unwrap();
    let handled = HandledKind {
        kind: "notice".to_owned(),
        concurrency: 2,
    };
    let runner = Arc::new(HangingRunner {
        store: store.clone(),
        handled: Some(handled).filter(|_| is_handled).into_iter().collect(),
        hangs,
        hanging: AtomicUsize::default(),
        released: tokio::sync::Semaphore::new(0),
        ran: Mutex::default(),
        scheduled: Notify::new(),
    });
    let options = DispatcherOptions {
        concurrency: 2,
        poll: Duration::from_millis(1),
        ..DispatcherOptions::default()
    };
    let clock = Arc::new(ManualClock::new(seconds(1)));
    let dispatcher = Dispatcher::new(store, clock, runner.clone(), options);
    (dispatcher, runner)
}

/// Runs a dispatcher until two calls hang and `expected` others have run, and returns the kinds of these.
async fn run_beside_hanging(
    ids: impl Iterator<Item = &'static str>,
    hangs: &'static str,
    expected: usize,
) -> Vec<String> {
    let (dispatcher, runner) = dispatcher(ids, hangs, true).await;
    let seen = async {
        let is_done = || {
            let hanging = runner.hanging.load(Ordering::Relaxed);
            hanging == 2 && runner.ran.lock().len() == expected
        };
        while !is_done() {
            tokio::task::yield_now().await;
        }
        runner.released.add_permits(2);
    };
    dispatcher.run(seen).await;
    assert_eq!(runner.hanging.load(Ordering::Relaxed), 2);
    let mut ran = runner.ran.lock().clone();
    ran.sort_unstable();
    ran
}

#[tokio::test]
async fn hanging_handlers_delay_no_call() {
    let notices = std::iter::repeat_n(NOTICE_ROUTE, 1_000);
    let others = ["refresh", "refresh", "sync", "callback"];
    let ran = run_beside_hanging(notices.chain(others), "notice", 4).await;
    assert_eq!(ran, ["callback", "refresh", "refresh", "sync"]);
}

#[tokio::test]
async fn hanging_calls_delay_no_handler() {
    let refreshes = std::iter::repeat_n("refresh", 1_000);
    let notices = [NOTICE_ROUTE, "notice.deliver.mail", "notice"];
    let ran = run_beside_hanging(refreshes.chain(notices), "refresh", 3).await;
    assert_eq!(ran, ["notice", "notice", "notice"]);
}

#[tokio::test]
async fn stop_does_not_wait_for_hanging_handlers() {
    let (dispatcher, runner) = dispatcher([NOTICE_ROUTE].into_iter(), "notice", true).await;
    let hangs = async {
        while runner.hanging.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    dispatcher.run_until_idle_or(hangs).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&runner), 2, "the handler is stopped");
}

#[tokio::test]
async fn notices_wait_for_a_host_with_a_handler() {
    let (dispatcher, runner) = dispatcher([NOTICE_ROUTE, "sync"].into_iter(), "", false).await;
    let clock = Arc::new(ManualClock::new(seconds(1)));
    dispatcher.run_until_idle().await.unwrap();
    assert_eq!(*runner.ran.lock(), ["sync"]);
    // A waiting notice hides no wakeup that becomes due later.
    let mut commit = Commit::default();
    schedule(&mut commit, "expiry", None);
    if let Some(Change::Schedule(expiry)) = commit.changes.last_mut() {
        expiry.due = seconds(5);
    }
    runner.store.commit(commit).await.unwrap();
    let dispatcher = Dispatcher::new(
        runner.store.clone(),
        clock.clone(),
        runner.clone(),
        DispatcherOptions::default(),
    );
    dispatcher.run_through(&clock, seconds(9)).await.unwrap();
    assert_eq!(*runner.ran.lock(), ["sync", "expiry"]);
}

#[tokio::test]
async fn plugin_wakeups_are_left_to_another_engine() {
    let ids = ["refresh", "queued-call", "sync", "callback", NOTICE_ROUTE];
    let (dispatcher, runner) = dispatcher(ids.into_iter(), "", true).await;
    let options = DispatcherOptions {
        plugin_wakeups: false,
        ..dispatcher.options
    };
    let dispatcher = Dispatcher::new(
        dispatcher.store.clone(),
        dispatcher.clock.clone(),
        runner.clone(),
        options,
    );
    dispatcher.run_until_idle().await.unwrap();
    let mut ran = runner.ran.lock().clone();
    ran.sort_unstable();
    assert_eq!(ran, ["callback", "notice", "queued-call"]);
}
