//! Concurrent calls of a scenario step. The calls begin in the order in which they are written, each when the
//! earlier ones are blocked. Leases and locks decide the rest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use serde_json::{Value, json};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::model::{Call, ConcurrentCall};
use super::observation::Observation;
use super::run::{PreparedAction, Problem};
use super::world::World;
use crate::harness::{Harness, ObservedCall};

/// The number of yields in which any call becomes blocked.
const YIELD_ROUNDS: usize = 64;

/// The concurrency of calls on a store that takes its time.
const PACED: usize = usize::MAX;

/// A transport that holds requests of concurrent calls until all calls have begun and are blocked.
pub struct ConcurrentTransport {
    inner: Arc<dyn Transport>,
    /// The number of concurrent calls; 0 outside of concurrent steps.
    concurrency: AtomicUsize,
    /// The requests that wait until [`Pace`] releases them.
    held: Mutex<VecDeque<oneshot::Sender<()>>>,
}

impl ConcurrentTransport {
    /// Creates a transport without concurrent calls.
    pub fn new(inner: Arc<dyn Transport>) -> Self {
        Self {
            inner,
            concurrency: AtomicUsize::new(0),
            held: Mutex::default(),
        }
    }

    /// Waits until the request is released.
    async fn hold(&self) {
        let (release, released) = oneshot::channel();
        self.held.lock().push_back(release);
        // Requests without a pace are dropped with their step.
        let _ = released.await;
    }

    /// Releases the first request that is held.
    fn release_next(&self) {
        let mut held = self.held.lock();
        while let Some(release) = held.pop_front() {
            if release.send(()).is_ok() {
                return;
            }
        }
    }
}

#[async_trait]
impl Transport for ConcurrentTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let concurrency = self.concurrency.load(Ordering::Relaxed);
        match concurrency {
            0 => {}
            PACED => self.hold().await,
            concurrency => yield_to(concurrency.saturating_add(1)).await,
        }
        self.inner.send(request, proxy).await
    }
}

/// Yields until this many other tasks are blocked.
async fn yield_to(others: usize) {
    for _ in 0..others.saturating_mul(YIELD_ROUNDS) {
        tokio::task::yield_now().await;
    }
}

/// Waits until every call is blocked: by the transport, or by another call.
async fn wait_until_blocked(harness: &Harness) {
    let mut quiet = 0;
    let mut was = harness.count_operations();
    while quiet < YIELD_ROUNDS {
        tokio::task::yield_now().await;
        let is = harness.count_operations();
        quiet = match is.running == 0 && is.begun == was.begun {
            true => quiet + 1,
            false => 0,
        };
        was = is;
    }
}

impl World {
    /// Runs actions on a store in memory: an action is blocked after a number of yields, and an interval passes when all
    /// are blocked.
    async fn run_by_yields<F: Future>(&self, actions: Vec<F>) -> Vec<F::Output> {
        let concurrency = &self.transport.concurrency;
        concurrency.store(actions.len(), Ordering::Relaxed);
        let actions = actions.into_iter().enumerate();
        let actions = actions.map(|(index, action)| async move {
            yield_to(index).await;
            action.await
        });
        // A call that waits for a lease polls after an interval, which passes when all tasks are idle.
        tokio::time::pause();
        let done = join_all(actions).await;
        tokio::time::resume();
        concurrency.store(0, Ordering::Relaxed);
        done
    }

    /// Runs actions on a store that takes its time: an action is blocked when its operations of the store have ended and
    /// it begins no other.
    async fn run_by_operations<F: Future>(&self, actions: Vec<F>) -> Vec<F::Output> {
        let concurrency = &self.transport.concurrency;
        concurrency.store(PACED, Ordering::Relaxed);
        let (starts, actions): (Vec<_>, Vec<_>) = actions
            .into_iter()
            .map(|action| {
                let (start, started) = oneshot::channel::<()>();
                let action = async move {
                    let _ = started.await;
                    action.await
                };
                (start, action)
            })
            .unzip();
        let pace = async {
            for start in starts {
                wait_until_blocked(&self.harness).await;
                let _ = start.send(());
            }
            loop {
                wait_until_blocked(&self.harness).await;
                self.transport.release_next();
            }
        };
        let done = tokio::select! {
            done = join_all(actions) => done,
            never = pace => never,
        };
        concurrency.store(0, Ordering::Relaxed);
        done
    }

    /// Makes all calls. Adds the own effects of each call, and the joint changes of all.
    pub(super) async fn run_concurrently(
        &mut self,
        callers: &[ConcurrentCall],
        observation: &mut Observation,
    ) -> Result<(), Problem> {
        let one_thread = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        if !one_thread {
            return Err("concurrent calls need a runtime with one thread".to_owned());
        }
        let hosts = callers.iter().map(|caller| caller.host).max();
        while self.harness.host_count() < hosts.unwrap_or(1) {
            let another = self.harness.another_host().await;
            another.map_err(|error| error.to_string())?;
        }
        let mut all: Vec<(&Call, usize, PreparedAction)> = Vec::new();
        for ConcurrentCall {
            call, times, host, ..
        } in callers
        {
            for _ in 0..*times {
                let prepared = self.prepare(call).await?;
                all.push((call, host.saturating_sub(1), prepared));
            }
        }
        let before = self.harness.snapshot().await;
        let before = before.map_err(|error| error.to_string())?;
        let requests = self.harness.http().len();
        let world = &*self;
        let (calls, actions): (Vec<&Call>, Vec<_>) = all
            .into_iter()
            .map(|(call, host, prepared)| (call, world.run_one(host, prepared)))
            .unzip();
        let done = match self.harness.is_in_memory() {
            true => self.run_by_yields(actions).await,
            false => self.run_by_operations(actions).await,
        };
        for (call, done) in calls.into_iter().zip(done) {
            match done? {
                Some(observed) => {
                    observation.calls.push(Observation::from_call(&observed));
                    self.bind_results(call, &observed)?;
                }
                None => observation.calls.push(Observation {
                    error: Some(json!({ "case": "not-found", "text": "the wakeup is gone" })),
                    ..Observation::default()
                }),
            }
        }
        let after = self.harness.snapshot().await;
        let after = after.map_err(|error| error.to_string())?;
        observation.add_changes(&before.difference(&after));
        let http = self.harness.http();
        observation.add_requests(http.get(requests..).unwrap_or_default());
        Ok(())
    }

    /// Performs one of the actions; `None` if its wakeup is gone.
    async fn run_one(
        &self,
        host: usize,
        prepared: PreparedAction,
    ) -> Result<Option<ObservedCall<Value>>, Problem> {
        match prepared {
            PreparedAction::Call(call) => Ok(Some(self.harness.call_on(host, call).await)),
            PreparedAction::Wake(subject, id) => {
                let called = self.harness.wake(&subject, &id).await;
                called.map_err(|error| error.to_string())
            }
            PreparedAction::Advance(_) => Err("time does not pass at one moment".to_owned()),
        }
    }
}
