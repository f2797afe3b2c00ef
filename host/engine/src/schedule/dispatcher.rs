//! Runs due wakeups: queries the store for them, limits the calls in flight and stops gracefully. The
//! dispatcher is independent of WebAssembly; a [`WakeupRunner`] executes the wakeups.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::clock_jump::ClockReading;
use super::in_flight::{InFlight, JoinOutcome, PLUGIN};
use super::options::DispatcherOptions;
use super::rate_limit::RateLimit;
use super::runner::{HandledKind, WakeupRunner};
use super::tally::{DispatchSummary, Tally};
use super::wait::Wait;
use crate::clock::{Clock, ManualClock};
use crate::store::{DueWakeup, HostShare, KindFilter, Store, StoreError};
use crate::types::{Reference, Timestamp};
use crate::wakeup_kinds;

mod corrections;

/// How long a dispatcher that stops waits for handlers and for work in the background. Both are done again later.
const BACKGROUND_GRACE: Duration = Duration::from_secs(3);

/// The largest number of wakeups that a search asks for because several hosts share them.
const MOST_WANTED: u32 = 1024;

/// The runner of due wakeups, the earliest deadline first, at most one per subject at a time.
pub struct Dispatcher {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    runner: Arc<dyn WakeupRunner>,
    options: DispatcherOptions,
    /// The kinds of wakeups that run beside the calls of the plugin.
    handled: Vec<HandledKind>,
    rate_limit: Mutex<RateLimit>,
    /// Since when the rate limit delays due wakeups, by the monotonic clock.
    held: Mutex<HashMap<(Reference, String), Duration>>,
    /// The last reading of the clocks; `None`: the stored times are still to be compared with the
    /// clocks.
    reading: Mutex<Option<ClockReading>>,
}

/// The result of starting due wakeups.
#[derive(Default)]
struct LaunchReport {
    started: usize,
    /// How long the throttle delays due wakeups; `None`: no delay.
    held: Option<Duration>,
}

impl Dispatcher {
    /// How often ended hosts are looked for, in idle polls.
    const RECOVER_EVERY: u32 = 30;

    /// Creates a dispatcher of the wakeups of `store`.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        runner: Arc<dyn WakeupRunner>,
        options: DispatcherOptions,
    ) -> Self {
        let rate_limit = Mutex::new(RateLimit::new(
            options
                .throttle
                .as_ref()
                .map(|throttle| throttle.per_second),
        ));
        Self {
            handled: options.kinds_with_lanes(runner.handled_kinds()),
            store,
            clock,
            runner,
            options,
            rate_limit,
            held: Mutex::default(),
            reading: Mutex::new(None),
        }
    }

    /// Runs due wakeups until none is due and no call is in flight.
    ///
    /// Failed wakeups are due again later, so they do not keep this running. Wakeups whose subject
    /// another process holds are left to it. Wakeups that the rate limit delays are waited for, by the
    /// clock.
    pub async fn run_until_idle(&self) -> Result<DispatchSummary, StoreError> {
        self.run_until_idle_or(std::future::pending()).await
    }

    /// Works like [`Dispatcher::run_until_idle`], but starts no more calls once `stop` resolves; the
    /// calls in flight finish.
    pub async fn run_until_idle_or(
        &self,
        stop: impl Future<Output = ()>,
    ) -> Result<DispatchSummary, StoreError> {
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
        while !stopped && self.runner.run_housekeeping().await {
            tokio::select! {
                biased;
                () = &mut stop => stopped = true,
                () = tokio::task::yield_now() => {}
            }
        }
        Ok(tally.summary())
    }

    /// Runs due wakeups within the rate limit until none is left and no call is in flight. Returns how long the rate
    /// limit delays the rest.
    ///
    /// Starts no more calls once `stop` resolves or the store has refused a call: a full store would be
    /// queried forever.
    async fn drain(
        &self,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
        stopped: &mut bool,
        tally: &mut Tally,
    ) -> Result<Option<Duration>, StoreError> {
        self.runner.run_housekeeping().await;
        let mut flight = InFlight::new(&self.options, &self.handled);
        let mut starting = true;
        let mut held = None;
        let mut refused = None;
        loop {
            self.check_clock().await;
            let mut started = 0;
            if starting && !*stopped {
                let launched = self.launch(&mut flight).await?;
                (started, held) = (launched.started, launched.held);
            }
            if *stopped && !flight.has_plugin_calls() {
                let _ = tokio::time::timeout(BACKGROUND_GRACE, flight.join_all(tally)).await;
                return refused.map_or(Ok(held), Err);
            }
            if started == 0 && flight.is_empty() {
                let has_waited = tokio::select! {
                    biased;
                    () = &mut stop, if !*stopped => {
                        *stopped = true;
                        false
                    }
                    has_waited = self.runner.wait_for_background(), if !*stopped => has_waited,
                    else => false,
                };
                if has_waited && starting {
                    continue;
                }
                return refused.map_or(Ok(held), Err);
            }
            tokio::select! {
                biased;
                () = &mut stop, if !*stopped => *stopped = true,
                ended = flight.join_next(tally) => match ended {
                    JoinOutcome::Progressed => {}
                    JoinOutcome::Busy(subject) => {
                        flight.skipped.insert(subject, None);
                    }
                    JoinOutcome::Failed(error) => {
                        starting = false;
                        refused = refused.or(error);
                    }
                },
            }
        }
    }

    /// Advances `clock` to `until` and runs each wakeup on the way at its time, or when the rate limit
    /// allows it: days pass in milliseconds. The clock must be this dispatcher's clock.
    pub async fn run_through(
        &self,
        clock: &ManualClock,
        until: Timestamp,
    ) -> Result<DispatchSummary, StoreError> {
        let mut tally = Tally::default();
        loop {
            let never = std::pin::pin!(std::future::pending());
            let held = self.drain(never, &mut false, &mut tally).await?;
            let next = match held {
                Some(wait) => Some(clock.now().after(wait)),
                None => self.store.next_due(Some(clock.now())).await?,
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

    /// Runs due wakeups until `stop` resolves, then waits for the calls in flight.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> DispatchSummary {
        let mut flight = InFlight::new(&self.options, &self.handled);
        let mut tally = Tally::default();
        let mut idle_polls = 0;
        let mut last_housekeeping: Option<Instant> = None;
        let mut known_wait: Option<(Instant, Wait)> = None;
        tokio::pin!(stop);
        loop {
            if last_housekeeping.is_none_or(|at| at.elapsed() >= self.options.poll) {
                self.runner.run_housekeeping().await;
                last_housekeeping = Some(Instant::now());
            }
            self.check_clock().await;
            flight.share = Some(self.store.share());
            flight.forget_skipped();
            let looked = self.clock.now();
            let wait = match self.launch(&mut flight).await {
                Ok(LaunchReport {
                    held: Some(wait), ..
                }) => Wait::Until(self.clock.now().after(wait)),
                Ok(_) => {
                    // While the plugin's calls wait for each other, a look at each end would only cost.
                    let known = known_wait.filter(|(since, wait)| {
                        flight.is_full()
                            && since.elapsed() < self.options.poll
                            && wait.is_after(looked)
                    });
                    match known {
                        Some((_, wait)) => wait,
                        None => {
                            let wait = self.next_wait(looked).await;
                            known_wait = Some((Instant::now(), wait));
                            wait
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the store cannot be reached; trying again");
                    Wait::Poll
                }
            };
            flight.is_patient = true;
            let full = !flight.has_room();
            tokio::select! {
                biased;
                () = &mut stop => break,
                ended = flight.join_next(&mut tally), if !flight.is_empty() => match ended {
                    JoinOutcome::Progressed => {}
                    // An immediate retry would only spin.
                    JoinOutcome::Busy(subject) => {
                        flight.skipped.insert(subject, Some(Instant::now() + self.pause()));
                    }
                    JoinOutcome::Failed(_) => tokio::time::sleep(self.pause()).await,
                },
                () = self.runner.scheduled().notified(), if !full => {
                    flight.is_patient = false;
                    known_wait = None;
                }
                () = self.wait_until_due(wait), if !full => {}
                () = tokio::time::sleep(self.pause()), if !flight.skipped.is_empty() => {}
                () = tokio::time::sleep(self.options.poll) => {
                    idle_polls += 1;
                    if idle_polls % Self::RECOVER_EVERY == 0 {
                        self.recover().await;
                    }
                }
            }
        }
        tracing::info!(in_flight = flight.len(), "stopping: finishing what runs");
        while flight.has_plugin_calls() {
            flight.join_next(&mut tally).await;
        }
        let rest = async {
            flight.join_all(&mut tally).await;
            self.runner.wait_for_background().await
        };
        // Unfinished work is done again later.
        let _ = tokio::time::timeout(BACKGROUND_GRACE, rest).await;
        tally.summary()
    }

    /// Returns the pause before an attempt is repeated that could not begin.
    fn pause(&self) -> Duration {
        self.options.poll.min(Duration::from_millis(50))
    }

    fn throttled_kind(&self) -> Option<&str> {
        let throttle = self.options.throttle.as_ref();
        throttle.map(|throttle| throttle.kind.as_str())
    }

    /// Starts due wakeups while the concurrency limits and the rate limit allow it.
    async fn launch(&self, flight: &mut InFlight) -> Result<LaunchReport, StoreError> {
        let mut launched = LaunchReport::default();
        for lane in 0..flight.lanes.len() {
            self.launch_lane(lane, flight, &mut launched).await?;
        }
        if launched.held.is_none() {
            // Another host may have begun those that are left.
            self.held.lock().clear();
        }
        Ok(launched)
    }

    async fn launch_lane(
        &self,
        lane: usize,
        flight: &mut InFlight,
        launched: &mut LaunchReport,
    ) -> Result<(), StoreError> {
        if let Some(lane) = flight.lanes.get_mut(lane) {
            lane.found.expire(self.clock.monotonic());
        }
        self.launch_found(lane, flight, launched);
        self.search(lane, flight, None).await?;
        self.launch_found(lane, flight, launched);
        if lane == PLUGIN && launched.held.is_some() {
            // Delayed refreshes must not hide other wakeups.
            self.search(lane, flight, self.throttled_kind()).await?;
            self.launch_found(lane, flight, launched);
        }
        Ok(())
    }

    /// Starts the wakeups that were found, while the concurrency limit allows it. The budget may delay some.
    fn launch_found(&self, lane: usize, flight: &mut InFlight, launched: &mut LaunchReport) {
        while let Some(due) = flight.next_found(lane) {
            if lane == PLUGIN
                && self.throttled_kind() == Some(due.wakeup.kind())
                && let Err(wait) = self.take_budget(&due)
            {
                launched.held = Some(round_up_to_millis(wait));
                continue;
            }
            let runner = Arc::clone(&self.runner);
            let wakeup = due.wakeup.clone();
            flight.start(lane, wakeup, async move { runner.run(due).await });
            launched.started += 1;
        }
    }

    /// Takes one run of the rate limit for a due wakeup.
    ///
    /// # Errors
    /// The limit is reached; the error is the time to wait.
    fn take_budget(&self, due: &DueWakeup) -> Result<(), Duration> {
        let now = self.clock.monotonic();
        let key = || (due.wakeup.subject.clone(), due.wakeup.id.clone());
        let taken = self.rate_limit.lock().take(now);
        let mut held = self.held.lock();
        if taken.is_err() {
            held.entry(key()).or_insert(now);
            return taken;
        }
        let since = match held.is_empty() {
            true => None,
            false => held.remove(&key()),
        };
        drop(held);
        let waited = since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        self.runner.note_budget_wait(waited);
        taken
    }

    /// Searches for due wakeups of a lane that has a free slot and none left. The plugin's lane leaves out the kinds that
    /// a handler runs, also a handler of another process.
    async fn search(
        &self,
        lane: usize,
        flight: &mut InFlight,
        throttled: Option<&str>,
    ) -> Result<(), StoreError> {
        let is_patient = flight.is_patient && lane != PLUGIN && flight.is_full();
        let Some(lane) = flight.lanes.get_mut(lane) else {
            return Ok(());
        };
        let is_known = !lane.found.wakeups.is_empty() || is_patient && lane.found.at.is_some();
        if is_known || !lane.has_room() {
            return Ok(());
        }
        let handled = self.handled.iter().map(|handled| handled.kind.as_str());
        let others: Vec<&str> = handled
            .chain([wakeup_kinds::NOTICE])
            .chain(throttled)
            .collect();
        let at = self.clock.monotonic();
        let share = flight.share.unwrap_or(HostShare::WHOLE);
        let wanted = lane.wanted();
        let wanted = wanted
            .saturating_mul(share.hosts())
            .min(wanted.max(MOST_WANTED));
        let found = self.find_due(wanted, &flight.skipped, lane.kinds(&others));
        let found = found.await?;
        lane.found.wakeups = self.select(share, found).into();
        lane.found.at = Some(at);
        Ok(())
    }

    /// Selects the wakeups of this host's share. If there are none, selects those that another host should have begun by
    /// now: it may have ended.
    fn select(&self, share: HostShare, mut found: Vec<DueWakeup>) -> Vec<DueWakeup> {
        let now = self.clock.now();
        let has_own = found.iter().any(|due| share.owns(&due.wakeup.subject));
        found.retain(|due| match has_own {
            true => share.owns(&due.wakeup.subject),
            false => due.wakeup.due.after(2 * self.options.poll) <= now,
        });
        found
    }

    /// Finds due wakeups, including some of subjects that are not in `skipped` if there are any.
    async fn find_due(
        &self,
        mut wanted: u32,
        skipped: &HashMap<Reference, Option<Instant>>,
        kinds: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        loop {
            let due = self.store.due(self.clock.now(), wanted, kinds).await?;
            let others = |due: &DueWakeup| !skipped.contains_key(&due.wakeup.subject);
            if due.len() < wanted as usize || due.iter().any(others) {
                return Ok(due);
            }
            wanted = wanted.saturating_mul(2);
        }
    }

    /// Returns the wait after a look for wakeups at `looked`. Those that were due then do not count: the wakeup of a call
    /// in flight is stored until the call ends.
    async fn next_wait(&self, looked: Timestamp) -> Wait {
        match self.store.next_due(Some(looked)).await {
            Ok(Some(at)) => Wait::Until(at),
            Ok(None) => Wait::Poll,
            Err(error) => {
                tracing::error!(%error, "the store cannot be reached; trying again");
                Wait::Poll
            }
        }
    }

    async fn wait_until_due(&self, wait: Wait) {
        match wait {
            Wait::Until(at) => self.clock.sleep_until(at).await,
            Wait::Poll => std::future::pending().await,
        }
    }
}

/// Rounds up to milliseconds, the resolution of clocks, so that the wait is over afterwards.
fn round_up_to_millis(wait: Duration) -> Duration {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
