//! Runs due wakeups: asks the store's index for them, keeps a bounded number in flight, stops
//! gracefully. It knows no wasm; what a wakeup means is the [`Runner`]'s.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::budget::Budget;
use super::clock::{Clock, ManualClock};
use super::jump::{ClockReading, Jump};
use super::tally::Tally;
pub use super::tally::{Condition, Effect, Summary};
use crate::store::{DueWakeup, Store, StoreError};
use crate::sync::lock;
use crate::types::{Reference, Timestamp};

/// What a dispatcher runs.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Answers one wakeup, and settles it in the store. An error means that the store could not be
    /// reached before the call began: the wakeup is still due.
    async fn run(&self, due: DueWakeup) -> Result<Ran, StoreError>;

    /// Told when a wakeup was scheduled in this process.
    fn scheduled(&self) -> &Notify;

    /// Does a part of what there is to do besides wakeups: at the start, and then once in a poll.
    /// Whether there is more to do at once, for a dispatcher that ends when it is idle.
    async fn tidy(&self) -> bool {
        false
    }
}

/// What came of running a wakeup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// The wakeup was answered, with this effect.
    Done(Effect),
    /// Its call failed; it is due again later.
    Failed(Effect),
    /// Another call holds its subject.
    Busy,
    /// Somebody else answered, moved or cancelled it.
    Gone,
}

/// The kind of wakeup ([`crate::types::Wakeup::kind`]) that draws from the budget of refreshes.
pub const REFRESH: &str = "refresh";

/// How a dispatcher works.
#[derive(Clone, Debug)]
pub struct DispatcherOptions {
    /// Calls in flight at most; 32 by default.
    pub concurrency: usize,
    /// How often to look for what other processes scheduled, in real time; 1 s by default.
    pub poll: Duration,
    /// Wakeups of the kind [`REFRESH`] that are begun in any second at most, so that many which are
    /// due at once, or tried again, leave Webex's patience to what people ask for, which never
    /// waits here; none by default.
    pub refresh_rate: Option<NonZeroU32>,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self {
            concurrency: 32,
            poll: Duration::from_secs(1),
            refresh_rate: None,
        }
    }
}

/// Runs due wakeups, the earliest deadline first, at most one for each subject at a time.
pub struct Dispatcher {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    runner: Arc<dyn Runner>,
    options: DispatcherOptions,
    budget: Mutex<Budget>,
    /// The last reading of the clocks; none: what the store holds is still to be held against them.
    reading: Mutex<Option<ClockReading>>,
}

/// What was started of what is due.
#[derive(Default)]
struct Launched {
    started: usize,
    /// How long the budget keeps the refreshes that are due; none: it keeps none.
    held: Option<Duration>,
}

/// Calls in flight, and whose they are.
#[derive(Default)]
struct Flight {
    calls: JoinSet<(Reference, Result<Ran, StoreError>)>,
    subjects: HashSet<Reference>,
    /// Held by another process: left to it, where nobody waits for it.
    passed_over: HashSet<Reference>,
}

/// The end of one call.
#[derive(Debug)]
enum Landed {
    /// It moved something forward.
    Moved,
    /// Another process holds the subject.
    Busy(Reference),
    /// The store did not take it; without an error, the host itself is at fault.
    Failed(Option<StoreError>),
}

impl Flight {
    fn room(&self, most: usize) -> usize {
        most.saturating_sub(self.calls.len())
    }

    /// Waits for one call to end, and counts it.
    async fn land(&mut self, tally: &mut Tally) -> Landed {
        match self.calls.join_next().await {
            Some(Ok((subject, ran))) => {
                self.subjects.remove(&subject);
                match ran {
                    Ok(Ran::Done(effect)) => tally.done(&subject, effect),
                    Ok(Ran::Failed(effect)) => tally.failed(&subject, effect),
                    Ok(Ran::Busy) => return Landed::Busy(subject),
                    Ok(Ran::Gone) => {}
                    Err(error) => {
                        tracing::error!(%subject, %error, "a wakeup could not be run");
                        return Landed::Failed(Some(error));
                    }
                }
                Landed::Moved
            }
            Some(Err(error)) => {
                // Only a bug in the host ends up here. Forget whose call it was: the store's lease
                // still keeps others out.
                tracing::error!(%error, "a call of the dispatcher broke");
                self.subjects.clear();
                Landed::Failed(None)
            }
            None => Landed::Failed(None),
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
        let budget = Mutex::new(Budget::of(options.refresh_rate));
        Self {
            store,
            clock,
            runner,
            options,
            budget,
            reading: Mutex::new(None),
        }
    }

    /// Runs what is due until nothing is and nothing is in flight. What fails is due again later,
    /// so it does not keep this going. Wakeups whose subject another process holds are left to it.
    /// What the budget holds back is waited for, by the clock.
    pub async fn run_until_idle(&self) -> Result<Summary, StoreError> {
        self.run_until_idle_or(std::future::pending()).await
    }

    /// As [`Dispatcher::run_until_idle`], but starts nothing more once `stop` resolves; the calls in
    /// flight finish.
    pub async fn run_until_idle_or(
        &self,
        stop: impl Future<Output = ()>,
    ) -> Result<Summary, StoreError> {
        let mut tally = Tally::default();
        let mut stopped = false;
        tokio::pin!(stop);
        loop {
            let held = self.drain(stop.as_mut(), &mut stopped, &mut tally).await?;
            let Some(wait) = held.filter(|_| !stopped) else {
                break;
            };
            tokio::select! {
                biased;
                () = &mut stop => return Ok(tally.summary()),
                () = self.clock.sleep_until(self.clock.now().after(wait)) => {}
            }
        }
        while !stopped && self.runner.tidy().await {
            tokio::select! {
                biased;
                () = &mut stop => stopped = true,
                () = tokio::task::yield_now() => {}
            }
        }
        Ok(tally.summary())
    }

    /// Runs what is due and allowed until there is nothing of it and nothing is in flight; says how
    /// long the budget keeps what it holds back. Once `stop` resolves, or the store has not taken a
    /// call, nothing more starts: a store that is full would be asked for ever.
    async fn drain(
        &self,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
        stopped: &mut bool,
        tally: &mut Tally,
    ) -> Result<Option<Duration>, StoreError> {
        self.runner.tidy().await;
        let mut flight = Flight::default();
        let mut starting = true;
        let mut held = None;
        let mut refused = None;
        loop {
            self.follow_clock().await;
            let mut started = 0;
            if starting && !*stopped {
                let launched = self.launch(&mut flight).await?;
                (started, held) = (launched.started, launched.held);
            }
            if started == 0 && flight.calls.is_empty() {
                return refused.map_or(Ok(held), Err);
            }
            tokio::select! {
                biased;
                () = &mut stop, if !*stopped => *stopped = true,
                landed = flight.land(tally) => match landed {
                    Landed::Moved => {}
                    Landed::Busy(subject) => {
                        flight.passed_over.insert(subject);
                    }
                    Landed::Failed(error) => {
                        starting = false;
                        refused = refused.or(error);
                    }
                },
            }
        }
    }

    /// Moves `clock` to `until`, stopping at every wakeup on the way and running it then, or when the
    /// budget allows it: days pass in milliseconds. The clock must be the one this dispatcher was
    /// made with.
    pub async fn run_through(
        &self,
        clock: &ManualClock,
        until: Timestamp,
    ) -> Result<Summary, StoreError> {
        let mut tally = Tally::default();
        loop {
            let never = std::pin::pin!(std::future::pending());
            let held = self.drain(never, &mut false, &mut tally).await?;
            let next = match held {
                Some(wait) => Some(clock.now().after(wait)),
                None => self.store.next_due().await?,
            };
            match next {
                Some(next) if next <= until && next > clock.now() => clock.advance_to(next),
                _ => {
                    clock.advance_to(until);
                    return Ok(tally.summary());
                }
            }
        }
    }

    /// Runs what is due until `stop` resolves, then lets the calls in flight finish.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Summary {
        let mut flight = Flight::default();
        let mut tally = Tally::default();
        let mut idle_polls = 0;
        let mut tidied: Option<tokio::time::Instant> = None;
        tokio::pin!(stop);
        loop {
            if tidied.is_none_or(|at| at.elapsed() >= self.options.poll) {
                self.runner.tidy().await;
                tidied = Some(tokio::time::Instant::now());
            }
            self.follow_clock().await;
            let wait = match self.launch(&mut flight).await {
                Ok(Launched {
                    held: Some(wait), ..
                }) => Wait::Until(self.clock.now().after(wait)),
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
                landed = flight.land(&mut tally), if !flight.calls.is_empty() => {
                    if !matches!(landed, Landed::Moved) {
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
            flight.land(&mut tally).await;
        }
        tally.summary()
    }

    /// Starts due wakeups while there is room and the budget allows it.
    async fn launch(&self, flight: &mut Flight) -> Result<Launched, StoreError> {
        let mut launched = Launched::default();
        self.launch_due(flight, None, &mut launched).await?;
        if launched.held.is_some() {
            // Refreshes that have to wait must not hide what need not.
            self.launch_due(flight, Some(REFRESH), &mut launched)
                .await?;
        }
        Ok(launched)
    }

    async fn launch_due(
        &self,
        flight: &mut Flight,
        without: Option<&str>,
        launched: &mut Launched,
    ) -> Result<(), StoreError> {
        let most = self.options.concurrency;
        if flight.room(most) == 0 {
            return Ok(());
        }
        for wakeup in self.due_besides(&flight.passed_over, without).await? {
            let subject = wakeup.wakeup.subject.clone();
            if flight.room(most) == 0 {
                break;
            }
            if flight.subjects.contains(&subject) || flight.passed_over.contains(&subject) {
                continue;
            }
            if wakeup.wakeup.kind() == REFRESH
                && let Err(wait) = lock(&self.budget).take(self.clock.monotonic())
            {
                launched.held = Some(in_whole_millis(wait));
                continue;
            }
            flight.subjects.insert(subject.clone());
            let runner = Arc::clone(&self.runner);
            flight
                .calls
                .spawn(async move { (subject, runner.run(wakeup).await) });
            launched.started += 1;
        }
        Ok(())
    }

    /// Due wakeups, among them others than those of subjects that were `passed_over`, if there are any.
    /// Those in flight may still be listed as due: as many are asked for as can be in flight.
    async fn due_besides(
        &self,
        passed_over: &HashSet<Reference>,
        without: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        let mut wanted = u32::try_from(self.options.concurrency).unwrap_or(u32::MAX);
        loop {
            let due = self.store.due(self.clock.now(), wanted, without).await?;
            let others = |due: &DueWakeup| !passed_over.contains(&due.wakeup.subject);
            if due.len() < wanted as usize || due.iter().any(others) {
                return Ok(due);
            }
            wanted = wanted.saturating_mul(2);
        }
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

    /// Says how the wall clock has jumped since the last look. At the first look, and when the clock
    /// went back, corrects what was written while it was ahead.
    async fn follow_clock(&self) {
        let reading = ClockReading::new(self.clock.as_ref());
        let before = lock(&self.reading).replace(reading);
        let jump = before.and_then(|before| before.jump(reading));
        match jump {
            Some(Jump::Ahead(by)) => tracing::warn!(
                "the wall clock went ahead by {}: it was set, or the machine was suspended; \
                 wakeups that came due with it run now",
                told(by)
            ),
            Some(Jump::Back(by)) => tracing::warn!(
                "the wall clock was set back by {}: wakeups that were scheduled before run now",
                told(by)
            ),
            None => {}
        }
        if before.is_none() || matches!(jump, Some(Jump::Back(_))) {
            self.redate().await;
        }
    }

    async fn redate(&self) {
        let now = self.clock.now();
        match self.store.redate(now).await {
            Ok(redating) => {
                if let Some(latest) = redating.latest {
                    tracing::warn!(
                        wakeups = redating.wakeups,
                        leases = redating.leases,
                        "the wall clock was ahead by up to {} when wakeups were scheduled: \
                         they run now",
                        told(latest.since(now))
                    );
                }
            }
            Err(error) => {
                tracing::error!(%error, "could not look for wakeups that were scheduled while the clock was ahead; trying again");
                // The next look is the first one again.
                *lock(&self.reading) = None;
            }
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

/// Clocks count in milliseconds: rounded up, so that the time has come when it is over.
fn in_whole_millis(wait: Duration) -> Duration {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// A duration for the log: whole days, and what is left in hours, minutes and seconds.
fn told(duration: Duration) -> String {
    const DAY: u64 = 86_400;
    let (days, rest) = (duration.as_secs() / DAY, duration.as_secs() % DAY);
    let rest = humantime::format_duration(Duration::from_secs(rest));
    match days {
        0 => rest.to_string(),
        days => format!("{days}days {rest}"),
    }
}

/// Until when there is nothing to do.
#[derive(Clone, Copy)]
enum Wait {
    Until(Timestamp),
    Poll,
}

#[cfg(test)]
mod tests;
