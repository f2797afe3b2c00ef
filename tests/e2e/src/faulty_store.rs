//! A store that fails, is slow or loses its answers when a test wants it to, under the world's clock.
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
//! // The next commit is carried out, ten seconds later than asked.
//! world.store_faults.inject(StoreFault::slow(Operation::Commit, seconds(10)));
//! // The next commit is carried out, and said to have failed.
//! world.store_faults.inject(StoreFault::losing_the_answer(Operation::Commit));
//! // Everything fails until the faults are cleared.
//! world.store_faults.inject(StoreFault::down());
//! world.store_faults.clear();
//! ```
//!
//! A workflow's commit of what Webex answered is `Operation::Commit`; the begin and the end of its
//! call are operations of their own. Nothing sleeps: what takes time moves the clock, which
//! is how a host that waits between two tries gets on. A fault that takes no time (`taking(ZERO)`) leaves such
//! a host waiting until the test itself moves the clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use relation_host::schedule::clock::{Clock, ManualClock};
use relation_host::store::StoreError;
pub use relation_host::store::layer::Operation;
use relation_host::store::layer::{Layered, StoreLayer};
use relation_host::types::Timestamp;

/// What a fault says; tests find it in messages.
pub const INJECTED: &str = "injected by the test";

/// How long an operation that fails takes by default: as long as SQLite waits for another writer.
const FAILING_TAKES: Duration = Duration::from_secs(5);

/// Before or after an operation of the inner store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It was asked and nothing was done about it.
    Before,
    /// It was done and nobody was told.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Fail,
    Slow,
    LoseAnswer,
}

type Condition = Arc<dyn Fn() -> bool + Send + Sync>;

/// One thing that goes wrong, once unless [`times`](Self::times) or [`until`](Self::until) say
/// otherwise.
#[derive(Clone)]
pub struct StoreFault {
    operations: Vec<Operation>,
    effect: Effect,
    left: u32,
    until: Option<Timestamp>,
    takes: Duration,
    condition: Option<Condition>,
}

impl StoreFault {
    fn new(operations: &[Operation], effect: Effect, takes: Duration) -> Self {
        Self {
            operations: operations.to_vec(),
            effect,
            left: 1,
            until: None,
            takes,
            condition: None,
        }
    }

    /// The operation does nothing and answers that the store is unavailable.
    pub fn failing(operation: Operation) -> Self {
        Self::new(&[operation], Effect::Fail, FAILING_TAKES)
    }

    /// Whatever writes for a call does nothing and answers that the store is unavailable, until the
    /// faults are cleared; reads go on.
    pub fn failing_to_write() -> Self {
        use Operation::{Begin, Commit, End, Report};
        Self::new(&[Begin, Commit, Report, End], Effect::Fail, FAILING_TAKES).times(u32::MAX)
    }

    /// Nothing works until the faults are cleared.
    pub fn down() -> Self {
        use Operation::{Begin, Commit, End, Other, Read, Report};
        Self::new(
            &[Read, Begin, Commit, Report, End, Other],
            Effect::Fail,
            FAILING_TAKES,
        )
        .times(u32::MAX)
    }

    /// The clock moves by `time`, then the operation is carried out.
    pub fn slow(operation: Operation, time: Duration) -> Self {
        Self::new(&[operation], Effect::Slow, time)
    }

    /// The operation is carried out, and answered as if the store were unavailable.
    pub fn losing_the_answer(operation: Operation) -> Self {
        Self::new(&[operation], Effect::LoseAnswer, FAILING_TAKES)
    }

    /// So many operations are hit.
    pub fn times(mut self, times: u32) -> Self {
        self.left = times;
        self
    }

    /// Every operation is hit as long as the clock is before this moment.
    pub fn until(mut self, moment: Timestamp) -> Self {
        self.until = Some(moment);
        self.left = u32::MAX;
        self
    }

    /// By how much the clock moves each time; 5 s by default.
    pub fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// Operations are hit only while this holds.
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
    hit: u32,
}

/// The faults of the stores of one world. Clones are the same.
#[derive(Clone)]
pub struct StoreFaults {
    clock: Arc<ManualClock>,
    state: Arc<Mutex<State>>,
}

impl StoreFaults {
    /// None yet, under this clock.
    pub fn under(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// Adds a fault after those already there; of those that fit the first one acts.
    pub fn inject(&self, fault: StoreFault) {
        self.lock().faults.push(fault);
    }

    /// Forgets every fault.
    pub fn clear(&self) {
        self.lock().faults.clear();
    }

    /// How many operations were hit so far.
    pub fn hits(&self) -> u32 {
        self.lock().hit
    }

    /// Calls `watcher` before and after each operation that reaches the inner store.
    pub fn watch(&self, watcher: impl Fn(Operation, Moment) + Send + Sync + 'static) {
        self.lock().watcher = Some(Arc::new(watcher));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, operation: Operation) -> Option<(Effect, Duration)> {
        let now = self.clock.now();
        let mut state = self.lock();
        let fault = state
            .faults
            .iter_mut()
            .find(|fault| fault.hits(operation, now))?;
        if fault.until.is_none() && fault.left < u32::MAX {
            fault.left -= 1;
        }
        let struck = (fault.effect, fault.takes);
        state.hit += 1;
        Some(struck)
    }

    fn tell(&self, operation: Operation, moment: Moment) {
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
        let struck = self.strike(operation);
        if let Some((Effect::Fail, takes)) = struck {
            self.clock.advance(takes);
            return unavailable();
        }
        if let Some((Effect::Slow, takes)) = struck {
            self.clock.advance(takes);
        }
        self.tell(operation, Moment::Before);
        let done = work.await;
        self.tell(operation, Moment::After);
        if let Some((Effect::LoseAnswer, takes)) = struck {
            self.clock.advance(takes);
            return unavailable();
        }
        done
    }
}

/// A store with faults.
pub type FaultyStore = Layered<StoreFaults>;
