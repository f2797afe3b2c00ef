//! A store with injected faults: it fails, is slow or loses its results, under the world's clock.
//!
//! Every [`World`](crate::World) has one around its database; its faults are `world.store_faults`:
//!
//! ```ignore
//! // The next three commits fail, each after two seconds of the world's clock.
//! world.store_faults.inject(StoreFault::failing(Operation::Commit).times(3).taking(seconds(2)));
//! // From the first token request on nothing can be written, for an hour.
//! world.store_faults.inject(
//!     StoreFault::failing_to_write().until(at).when(move || requests.load(Relaxed) > 0),
//! );
//! // The next commit is carried out, ten seconds late.
//! world.store_faults.inject(StoreFault::slow(Operation::Commit, seconds(10)));
//! // The next commit is carried out, but reported as failed.
//! world.store_faults.inject(StoreFault::losing_result(Operation::Commit));
//! // Everything fails until the faults are cleared.
//! world.store_faults.inject(StoreFault::down());
//! world.store_faults.clear();
//! ```
//!
//! A workflow's commit of Webex's response is `Operation::Commit`; the begin and the end of its
//! call are operations of their own. No fault sleeps: one that takes time advances the clock, and
//! so a host that waits between two attempts gets on. With a fault that takes no time
//! (`taking(ZERO)`) such a host waits until the test itself advances the clock.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relation_host::clock::{Clock, ManualClock};
use relation_host::store::StoreError;
pub use relation_host::store::layer::Operation;
use relation_host::store::layer::{Layered, StoreLayer};
use relation_host::types::Timestamp;

/// Message of an injected fault; tests look for it in messages.
pub const INJECTED: &str = "injected by the test";

/// Default time of an operation that fails: as long as SQLite waits for another writer.
const FAILURE_DELAY: Duration = Duration::from_secs(5);

/// Before or after an operation of the inner store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The operation was called and has done nothing.
    Before,
    /// The operation is done and its result not yet returned.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Fail,
    Slow,
    LoseResult,
    Hang,
}

type Condition = Arc<dyn Fn() -> bool + Send + Sync>;

/// One fault. It acts once unless [`times`](Self::times) or [`until`](Self::until) say otherwise.
#[derive(Clone)]
pub struct StoreFault {
    operations: Vec<Operation>,
    effect: Effect,
    left: u32,
    until: Option<Timestamp>,
    delay: Duration,
    condition: Option<Condition>,
}

impl StoreFault {
    fn new(operations: &[Operation], effect: Effect, delay: Duration) -> Self {
        Self {
            operations: operations.to_vec(),
            effect,
            left: 1,
            until: None,
            delay,
            condition: None,
        }
    }

    /// Makes the operation do nothing and report that the store is unavailable.
    pub fn failing(operation: Operation) -> Self {
        Self::new(&[operation], Effect::Fail, FAILURE_DELAY)
    }

    /// Makes every write of a call do nothing and report that the store is unavailable, until the
    /// faults are cleared; reads succeed.
    pub fn failing_to_write() -> Self {
        use Operation::{Begin, Commit, End, Report};
        Self::new(&[Begin, Commit, Report, End], Effect::Fail, FAILURE_DELAY).times(u32::MAX)
    }

    /// Makes every operation fail until the faults are cleared.
    pub fn down() -> Self {
        use Operation::{Begin, Commit, End, Other, Read, Report};
        Self::new(
            &[Read, Begin, Commit, Report, End, Other],
            Effect::Fail,
            FAILURE_DELAY,
        )
        .times(u32::MAX)
    }

    /// Advances the clock by `time`, then carries out the operation.
    pub fn slow(operation: Operation, time: Duration) -> Self {
        Self::new(&[operation], Effect::Slow, time)
    }

    /// Carries the operation out, but reports that the store is unavailable.
    pub fn losing_result(operation: Operation) -> Self {
        Self::new(&[operation], Effect::LoseResult, FAILURE_DELAY)
    }

    /// Makes the operation do nothing and never return.
    pub fn hanging(operation: Operation) -> Self {
        Self::new(&[operation], Effect::Hang, Duration::ZERO)
    }

    /// Sets how many operations the fault hits.
    pub fn times(mut self, times: u32) -> Self {
        self.left = times;
        self
    }

    /// Hits every operation while the clock is before this moment.
    pub fn until(mut self, moment: Timestamp) -> Self {
        self.until = Some(moment);
        self.left = u32::MAX;
        self
    }

    /// Sets how far the clock advances each time; 5 s by default.
    pub fn taking(mut self, time: Duration) -> Self {
        self.delay = time;
        self
    }

    /// Hits operations only while this condition holds.
    pub fn when(mut self, condition: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.condition = Some(Arc::new(condition));
        self
    }

    fn hits(&self, operation: Operation, now: Timestamp) -> bool {
        self.left > 0
            && self.operations.contains(&operation)
            && self.until.is_none_or(|until| now < until)
            && self.condition.as_ref().is_none_or(|holds| holds())
    }
}

type Watcher = Arc<dyn Fn(Operation, Moment) + Send + Sync>;

#[derive(Default)]
struct State {
    faults: Vec<StoreFault>,
    watcher: Option<Watcher>,
    hit_count: u32,
}

/// The faults of the stores of one world. Clones share them.
#[derive(Clone)]
pub struct StoreFaults {
    clock: Arc<ManualClock>,
    state: Arc<Mutex<State>>,
}

impl StoreFaults {
    /// Creates an empty set of faults under this clock.
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// Adds a fault after the existing ones; the first that matches an operation acts.
    pub fn inject(&self, fault: StoreFault) {
        self.lock().faults.push(fault);
    }

    /// Removes every fault.
    pub fn clear(&self) {
        self.lock().faults.clear();
    }

    /// Returns how many operations were hit so far.
    pub fn hits(&self) -> u32 {
        self.lock().hit_count
    }

    /// Calls `watcher` before and after each operation that reaches the inner store.
    pub fn watch(&self, watcher: impl Fn(Operation, Moment) + Send + Sync + 'static) {
        self.lock().watcher = Some(Arc::new(watcher));
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    fn take_fault(&self, operation: Operation) -> Option<(Effect, Duration)> {
        let now = self.clock.now();
        let mut state = self.lock();
        let fault = state
            .faults
            .iter_mut()
            .find(|fault| fault.hits(operation, now))?;
        if fault.until.is_none() && fault.left < u32::MAX {
            fault.left -= 1;
        }
        let effect = (fault.effect, fault.delay);
        state.hit_count += 1;
        Some(effect)
    }

    fn notify(&self, operation: Operation, moment: Moment) {
        let watcher = self.lock().watcher.clone();
        if let Some(watcher) = watcher {
            watcher(operation, moment);
        }
    }
}

impl StoreLayer for StoreFaults {
    async fn wrap<T: Send>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        // A test that lets reads fail means secrets as well.
        let operation = match operation {
            Operation::Sealed => Operation::Read,
            operation => operation,
        };
        let unavailable = || Err(StoreError::Unavailable(INJECTED.to_owned()));
        let effect = self.take_fault(operation);
        if let Some((Effect::Fail, delay)) = effect {
            self.clock.advance(delay);
            return unavailable();
        }
        if let Some((Effect::Hang, _)) = effect {
            std::future::pending::<()>().await;
        }
        if let Some((Effect::Slow, delay)) = effect {
            self.clock.advance(delay);
        }
        self.notify(operation, Moment::Before);
        let done = work.await;
        self.notify(operation, Moment::After);
        if let Some((Effect::LoseResult, delay)) = effect {
            self.clock.advance(delay);
            return unavailable();
        }
        done
    }
}

/// A store with faults.
pub type FaultyStore = Layered<StoreFaults>;
