//! The calls in flight, by lane: the plugin's wakeups have one, and each handled kind has one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::options::DispatcherOptions;
use super::runner::HandledKind;
use super::tally::{Tally, WakeupEffect};
use crate::WakeupOutcome;
use crate::store::{DueWakeup, HostShare, KindFilter, StoreError};
use crate::types::{Reference, Wakeup};
use crate::wakeup_kinds;

/// The index of the lane of the plugin's wakeups.
pub(super) const PLUGIN: usize = 0;

/// Calls in flight and their subjects.
#[derive(Default)]
pub(super) struct InFlight {
    calls: JoinSet<Result<WakeupOutcome, StoreError>>,
    running: HashMap<Id, (usize, Wakeup)>,
    subjects: HashSet<Reference>,
    /// Subjects that another process holds, and that this run leaves to it until the given time; `None`: until it ends.
    pub skipped: HashMap<Reference, Option<Instant>>,
    pub lanes: Vec<Lane>,
    /// The share of the wakeups that begin first; `None`: all are alike.
    pub share: Option<HostShare>,
    /// Whether other kinds are not looked for at each end of a call while the plugin's lane is full.
    pub is_patient: bool,
}

/// Wakeups with a concurrency limit of their own. The lanes do not wait for each other.
pub(super) struct Lane {
    /// The kind of the wakeups; `None`: all that have no lane of their own.
    kind: Option<String>,
    /// The largest number of calls in flight.
    pub concurrency: usize,
    in_flight: usize,
    /// Due wakeups that wait for a free slot.
    pub found: FoundWakeups,
}

/// Due wakeups of one search that have not been started. A search after each call would cost more than the rest of the
/// dispatcher. A wakeup that changes meanwhile does not begin.
#[derive(Default)]
pub(super) struct FoundWakeups {
    pub wakeups: VecDeque<DueWakeup>,
    /// The monotonic time of the search; `None`: there was none.
    pub at: Option<Duration>,
}

impl FoundWakeups {
    /// The maximum age of a search, after which wakeups with earlier deadlines may be due.
    const MAX_AGE: Duration = Duration::from_millis(100);

    /// Forgets the wakeups if the search is too old.
    pub fn expire(&mut self, now: Duration) {
        if !self.is_recent(now) {
            self.wakeups.clear();
            self.at = None;
        }
    }

    /// Whether the search was a moment ago.
    fn is_recent(&self, now: Duration) -> bool {
        self.at
            .is_some_and(|at| now.saturating_sub(at) <= Self::MAX_AGE)
    }
}

impl Lane {
    /// The wakeups that one search asks for, as a multiple of the calls in flight.
    const PER_CALL: u32 = 4;

    fn new(kind: Option<String>, concurrency: usize) -> Self {
        Self {
            kind,
            concurrency,
            in_flight: 0,
            found: FoundWakeups::default(),
        }
    }

    /// Returns the wakeups of this lane; `others` are the kinds that the plugin does not run.
    pub fn kinds<'a>(&'a self, others: &'a [&'a str]) -> KindFilter<'a> {
        match &self.kind {
            Some(kind) => KindFilter::Only(kind),
            None => KindFilter::Except(others),
        }
    }

    pub fn has_room(&self) -> bool {
        self.in_flight < self.concurrency
    }

    /// Returns how many wakeups a search asks for. Wakeups in flight may still be listed as due, so this is more than can
    /// be in flight.
    pub fn wanted(&self) -> u32 {
        let concurrency = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        concurrency.saturating_mul(Self::PER_CALL)
    }
}

/// The end of one call.
#[derive(Debug)]
pub(super) enum JoinOutcome {
    /// The call made progress.
    Progressed,
    /// Another process holds the subject.
    Busy(Reference),
    /// The store did not accept the call; without an error, the host has a bug.
    Failed(Option<StoreError>),
}

impl InFlight {
    /// Creates the lane of the plugin's wakeups and of queued calls, and one of each handled kind.
    pub fn new(options: &DispatcherOptions, handled: &[HandledKind]) -> Self {
        let only = (!options.plugin_wakeups).then(|| wakeup_kinds::QUEUED_CALL.to_owned());
        let handled = handled.iter();
        let handled = handled.map(|each| Lane::new(Some(each.kind.clone()), each.concurrency));
        Self {
            lanes: std::iter::once(Lane::new(only, options.concurrency))
                .chain(handled)
                .collect(),
            ..Self::default()
        }
    }

    pub fn len(&self) -> usize {
        self.calls.len()
    }

    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Returns whether a call of the plugin is in flight.
    pub fn has_plugin_calls(&self) -> bool {
        self.lanes
            .get(PLUGIN)
            .is_some_and(|lane| lane.in_flight > 0)
    }

    /// Returns whether any lane has a free slot.
    pub fn has_room(&self) -> bool {
        self.lanes.iter().any(Lane::has_room)
    }

    /// Whether no other call of the plugin can start.
    pub fn is_full(&self) -> bool {
        self.lanes.get(PLUGIN).is_some_and(|lane| !lane.has_room())
    }

    /// Forgets the skipped subjects whose time has come.
    pub fn forget_skipped(&mut self) {
        let now = Instant::now();
        self.skipped
            .retain(|_, until| until.is_none_or(|until| until > now));
    }

    /// Returns the next wakeup of a lane that was found and can start now.
    pub fn next_found(&mut self, lane: usize) -> Option<DueWakeup> {
        let lane = self.lanes.get_mut(lane).filter(|lane| lane.has_room())?;
        while let Some(due) = lane.found.wakeups.pop_front() {
            let subject = &due.wakeup.subject;
            if !self.subjects.contains(subject) && !self.skipped.contains_key(subject) {
                return Some(due);
            }
        }
        None
    }

    /// Starts the call of a wakeup.
    pub fn start(
        &mut self,
        lane: usize,
        wakeup: Wakeup,
        call: impl Future<Output = Result<WakeupOutcome, StoreError>> + Send + 'static,
    ) {
        self.subjects.insert(wakeup.subject.clone());
        let task = self.calls.spawn(call);
        self.running.insert(task.id(), (lane, wakeup));
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.in_flight += 1;
        }
    }

    /// Waits for one call to end, and counts the call.
    pub async fn join_next(&mut self, tally: &mut Tally) -> JoinOutcome {
        let Some(ended) = self.calls.join_next_with_id().await else {
            return JoinOutcome::Failed(None);
        };
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some((lane, wakeup)) = self.running.remove(&id) else {
            return JoinOutcome::Failed(None);
        };
        self.subjects.remove(&wakeup.subject);
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        match ended {
            Ok((_, Ok(WakeupOutcome::Finished(result)))) => {
                let effect = WakeupEffect::new(wakeup.kind(), &result);
                tally.add(&wakeup.subject, result.is_ok(), effect);
            }
            Ok((_, Ok(WakeupOutcome::Busy(_)))) => return JoinOutcome::Busy(wakeup.subject),
            Ok((_, Ok(WakeupOutcome::Gone | WakeupOutcome::Handled))) => {}
            Ok((_, Err(error))) => {
                tracing::error!(subject = %wakeup.subject, %error, "a wakeup could not be run");
                return JoinOutcome::Failed(Some(error));
            }
            // Only a bug in the host leads here.
            Err(error) => {
                tracing::error!(subject = %wakeup.subject, %error, "a call of the dispatcher panicked");
                return JoinOutcome::Failed(None);
            }
        }
        JoinOutcome::Progressed
    }

    /// Waits for all calls to end.
    pub async fn join_all(&mut self, tally: &mut Tally) {
        while !self.is_empty() {
            self.join_next(tally).await;
        }
    }
}
