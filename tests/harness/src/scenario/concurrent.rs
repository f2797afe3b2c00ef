//! Concurrent calls of a scenario step. The calls begin in the order in which they are written, each when the
//! earlier ones are blocked. Leases and locks decide the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use serde_json::{Value, json};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::model::{Call, ConcurrentCall};
use super::observation::Observation;
use super::run::{PreparedAction, Problem};
use super::world::World;
use crate::harness::ObservedCall;

/// The number of yields in which any call becomes blocked.
const YIELD_ROUNDS: usize = 64;

/// A transport that holds requests of concurrent calls until all calls have begun and are blocked.
pub struct ConcurrentTransport {
    inner: Arc<dyn Transport>,
    /// The number of concurrent calls; 0 outside of concurrent steps.
    concurrency: AtomicUsize,
}

impl ConcurrentTransport {
    /// Creates a transport without concurrent calls.
    pub fn new(inner: Arc<dyn Transport>) -> Self {
        Self {
            inner,
            concurrency: AtomicUsize::new(0),
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
        if concurrency > 0 {
            yield_to(concurrency.saturating_add(1)).await;
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

impl World {
    /// Makes all calls. Adds the effects of each call, and the joint changes of all.
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
            .enumerate()
            .map(|(index, (call, host, prepared))| {
                let prepared = async move {
                    yield_to(index).await;
                    world.run_one(host, prepared).await
                };
                (call, prepared)
            })
            .unzip();
        // A call that waits for a lease polls after an interval, which passes when all tasks are idle.
        tokio::time::pause();
        self.transport
            .concurrency
            .store(calls.len(), Ordering::Relaxed);
        let done = join_all(actions).await;
        self.transport.concurrency.store(0, Ordering::Relaxed);
        tokio::time::resume();
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
