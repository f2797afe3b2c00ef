//! Runs due wakeups: asks the store's index for them, keeps a bounded number in flight, stops
//! gracefully. It knows no wasm; what a wakeup means is the [`Runner`]'s.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::clock::{Clock, ManualClock};
use crate::store::{DueWakeup, Store, StoreError};
use crate::types::{Reference, Timestamp};

/// What a dispatcher runs.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Answers one wakeup, and settles it in the store. An error means that the store could not be
    /// reached before the call began: the wakeup is still due.
    async fn run(&self, due: DueWakeup) -> Result<Ran, StoreError>;

    /// Told when a wakeup was scheduled in this process.
    fn scheduled(&self) -> &Notify;

    /// What there is to do besides wakeups: at the start, and then once in a poll.
    async fn tidy(&self) {}
}

/// What came of running a wakeup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It was answered.
    Done,
    /// Its call failed; it is due again later.
    Failed,
    /// Another call holds its subject.
    Busy,
    /// Somebody else answered, moved or cancelled it.
    Gone,
}

/// How a dispatcher works.
#[derive(Clone, Debug)]
pub struct DispatcherOptions {
    /// Calls in flight at most; 32 by default.
    pub concurrency: usize,
    /// How often to look for what other processes scheduled, in real time; 1 s by default.
    pub poll: Duration,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self {
            concurrency: 32,
            poll: Duration::from_secs(1),
        }
    }
}

/// What a dispatcher has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Wakeups answered.
    pub done: u64,
    /// Calls that failed, and whose wakeup is due again later.
    pub failed: u64,
}

/// Runs due wakeups, the earliest first, at most one for each subject at a time.
pub struct Dispatcher {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    runner: Arc<dyn Runner>,
    options: DispatcherOptions,
}

/// Calls in flight, and whose they are.
#[derive(Default)]
struct Flight {
    calls: JoinSet<(Reference, Result<Ran, StoreError>)>,
    subjects: HashSet<Reference>,
    summary: Summary,
}

impl Flight {
    fn room(&self, most: usize) -> usize {
        most.saturating_sub(self.calls.len())
    }

    /// Waits for one call to end; true when it moved something forward.
    async fn land(&mut self) -> bool {
        match self.calls.join_next().await {
            Some(Ok((subject, ran))) => {
                self.subjects.remove(&subject);
                match ran {
                    Ok(Ran::Done) => self.summary.done += 1,
                    Ok(Ran::Failed) => self.summary.failed += 1,
                    Ok(Ran::Busy) => return false,
                    Ok(Ran::Gone) => {}
                    Err(error) => {
                        tracing::error!(%subject, %error, "a wakeup could not be run");
                        return false;
                    }
                }
                true
            }
            Some(Err(error)) => {
                // Only a bug in the host ends up here. Forget whose call it was: the store's lease
                // still keeps others out.
                tracing::error!(%error, "a call of the dispatcher broke");
                self.subjects.clear();
                false
            }
            None => false,
        }
    }
}

impl Dispatcher {
    /// How often hosts that are gone are looked for, counted in idle polls.
    const RECOVER_EVERY: u32 = 30;

    /// A dispatcher of the wakeups of `store`.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        runner: Arc<dyn Runner>,
        options: DispatcherOptions,
    ) -> Self {
        Self {
            store,
            clock,
            runner,
            options,
        }
    }

    /// Runs what is due until nothing is and nothing is in flight. What fails is due again later,
    /// so it does not keep this going. Wakeups whose subject another process holds are left to it.
    pub async fn run_until_idle(&self) -> Result<Summary, StoreError> {
        self.run_until_idle_or(std::future::pending()).await
    }

    /// As [`Dispatcher::run_until_idle`], but starts nothing more once `stop` resolves; the calls in
    /// flight finish.
    pub async fn run_until_idle_or(
        &self,
        stop: impl Future<Output = ()>,
    ) -> Result<Summary, StoreError> {
        self.runner.tidy().await;
        let mut flight = Flight::default();
        let mut starting = true;
        let mut stopped = false;
        tokio::pin!(stop);
        loop {
            let launched = if starting && !stopped {
                self.launch(&mut flight).await?
            } else {
                0
            };
            if launched == 0 && flight.calls.is_empty() {
                return Ok(flight.summary);
            }
            tokio::select! {
                biased;
                () = &mut stop, if !stopped => stopped = true,
                moved = flight.land() => starting = moved || !flight.calls.is_empty(),
            }
        }
    }

    /// Moves `clock` to `until`, stopping at every wakeup on the way and running it then: days pass
    /// in milliseconds. The clock must be the one this dispatcher was made with.
    pub async fn run_through(
        &self,
        clock: &ManualClock,
        until: Timestamp,
    ) -> Result<Summary, StoreError> {
        let mut all = Summary::default();
        loop {
            let ran = self.run_until_idle().await?;
            all.done += ran.done;
            all.failed += ran.failed;
            match self.store.next_due().await? {
                Some(next) if next <= until && next > clock.now() => clock.advance_to(next),
                _ => {
                    clock.advance_to(until);
                    return Ok(all);
                }
            }
        }
    }

    /// Runs what is due until `stop` resolves, then lets the calls in flight finish.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Summary {
        let mut flight = Flight::default();
        let mut idle_polls = 0;
        let mut tidied: Option<tokio::time::Instant> = None;
        tokio::pin!(stop);
        loop {
            if tidied.is_none_or(|at| at.elapsed() >= self.options.poll) {
                self.runner.tidy().await;
                tidied = Some(tokio::time::Instant::now());
            }
            let wait = match self.launch(&mut flight).await {
                Ok(_) => self.next_look().await,
                Err(error) => {
                    tracing::error!(%error, "the store does not answer; trying again");
                    Wait::Poll
                }
            };
            let full = flight.room(self.options.concurrency) == 0;
            tokio::select! {
                biased;
                () = &mut stop => break,
                moved = flight.land(), if !flight.calls.is_empty() => {
                    if !moved {
                        // Busy or out of reach: asking again at once would only spin.
                        tokio::time::sleep(self.options.poll.min(Duration::from_millis(50))).await;
                    }
                }
                () = self.runner.scheduled().notified(), if !full => {}
                () = self.due(wait), if !full => {}
                () = tokio::time::sleep(self.options.poll) => {
                    idle_polls += 1;
                    if idle_polls % Self::RECOVER_EVERY == 0 {
                        self.recover().await;
                    }
                }
            }
        }
        tracing::info!(
            in_flight = flight.calls.len(),
            "stopping: finishing what runs"
        );
        while !flight.calls.is_empty() {
            flight.land().await;
        }
        flight.summary
    }

    /// Starts due wakeups while there is room; says how many.
    async fn launch(&self, flight: &mut Flight) -> Result<usize, StoreError> {
        let room = flight.room(self.options.concurrency);
        if room == 0 {
            return Ok(0);
        }
        // Those in flight may still be listed as due: ask for enough to see past them.
        let wanted = u32::try_from(room + flight.calls.len()).unwrap_or(u32::MAX);
        let due = self.store.due(self.clock.now(), wanted).await?;
        let mut launched = 0;
        for wakeup in due {
            if launched == room {
                break;
            }
            let subject = wakeup.wakeup.subject.clone();
            if !flight.subjects.insert(subject.clone()) {
                continue;
            }
            let runner = Arc::clone(&self.runner);
            flight
                .calls
                .spawn(async move { (subject, runner.run(wakeup).await) });
            launched += 1;
        }
        Ok(launched)
    }

    async fn next_look(&self) -> Wait {
        match self.store.next_due().await {
            Ok(Some(at)) if at > self.clock.now() => Wait::Until(at),
            Ok(_) => Wait::Poll,
            Err(error) => {
                tracing::error!(%error, "the store does not answer; trying again");
                Wait::Poll
            }
        }
    }

    async fn due(&self, wait: Wait) {
        match wait {
            Wait::Until(at) => self.clock.sleep_until(at).await,
            Wait::Poll => std::future::pending().await,
        }
    }

    async fn recover(&self) {
        match self.store.recover(self.clock.now()).await {
            Ok(found) if found.leases > 0 || found.transactions > 0 => {
                tracing::warn!(
                    leases = found.leases,
                    transactions = found.transactions,
                    "resolved what an interrupted host left"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "could not look for hosts that are gone"),
        }
    }
}

/// Until when there is nothing to do.
#[derive(Clone, Copy)]
enum Wait {
    Until(Timestamp),
    Poll,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::clock::SystemClock;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Change, Commit};
    use crate::types::{Document, Pkid, Wakeup};

    /// Says that it was called, and answers a moment later.
    #[derive(Default)]
    struct Slow {
        called: Notify,
        scheduled: Notify,
    }

    #[async_trait]
    impl Runner for Slow {
        async fn run(&self, _: DueWakeup) -> Result<Ran, StoreError> {
            self.called.notify_one();
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            Ok(Ran::Done)
        }

        fn scheduled(&self) -> &Notify {
            &self.scheduled
        }
    }

    async fn store_with_due_wakeups(count: usize) -> Arc<dyn Store> {
        let store = SqliteStore::in_memory().unwrap();
        let mut commit = Commit::default();
        for _ in 0..count {
            let subject = Reference::record(Pkid::random());
            commit.changes.push(Change::Put(Document {
                reference: subject.clone(),
                hierarchy: "sys".parse().unwrap(),
                version: 0,
                body: "{}".to_owned(),
                keys: Vec::new(),
            }));
            commit.changes.push(Change::Schedule(Wakeup {
                id: "refresh".to_owned(),
                subject,
                due: Timestamp(0),
                deadline: None,
                payload: String::new(),
            }));
        }
        store.commit(commit).await.unwrap();
        Arc::new(store)
    }

    #[tokio::test]
    async fn what_runs_when_it_is_stopped_finishes_and_nothing_more_starts() {
        let runner = Arc::new(Slow::default());
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
}
