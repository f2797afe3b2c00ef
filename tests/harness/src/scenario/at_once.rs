//! Calls at the same moment: they begin in the order in which they are written, each when those before have
//! come as far as they can. Leases and turns decide the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use serde_json::{Value, json};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::model::{Call, Caller};
use super::observation::Observation;
use super::run::{Doing, Problem};
use super::world::World;
use crate::harness::Observed;

/// How often everybody else gets the thread until a call has come as far as it can: more often than any
/// does something between two things that it waits for.
const ROUNDS: usize = 64;

/// Carries requests; while calls are made at once, each is on its way until all calls have begun and cannot
/// go on without it.
pub struct Crossing {
    carrier: Arc<dyn Transport>,
    /// How many calls are made at once; 0: each is made alone.
    crowd: AtomicUsize,
}

impl Crossing {
    /// Nobody else is there yet.
    pub fn new(carrier: Arc<dyn Transport>) -> Self {
        Self {
            carrier,
            crowd: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl Transport for Crossing {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let crowd = self.crowd.load(Ordering::Relaxed);
        if crowd > 0 {
            give_way(crowd.saturating_add(1)).await;
        }
        self.carrier.send(request, proxy).await
    }
}

/// Lets others go on until so many of them have come as far as they can.
async fn give_way(others: usize) {
    for _ in 0..others.saturating_mul(ROUNDS) {
        tokio::task::yield_now().await;
    }
}

impl World {
    /// Makes all calls, and tells of each what it alone did, of the rest what all of them did.
    pub(super) async fn at_once(
        &mut self,
        callers: &[Caller],
        seen: &mut Observation,
    ) -> Result<(), Problem> {
        let one_thread = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        if !one_thread {
            return Err("calls at once need a runtime with one thread".to_owned());
        }
        let hosts = callers.iter().map(|caller| caller.host).max();
        while self.harness.hosts() < hosts.unwrap_or(1) {
            let another = self.harness.another_host().await;
            another.map_err(|error| error.to_string())?;
        }
        let mut all: Vec<(&Call, usize, Doing)> = Vec::new();
        for Caller {
            call, times, host, ..
        } in callers
        {
            for _ in 0..*times {
                let doing = self.doing(call).await?;
                all.push((call, host.saturating_sub(1), doing));
            }
        }
        let before = self.harness.snapshot().await;
        let before = before.map_err(|error| error.to_string())?;
        let requests = self.harness.http().len();
        let world = &*self;
        let (calls, doings): (Vec<&Call>, Vec<_>) = all
            .into_iter()
            .enumerate()
            .map(|(place, (call, host, doing))| {
                let doing = async move {
                    give_way(place).await;
                    world.alone(host, doing).await
                };
                (call, doing)
            })
            .unzip();
        // Whoever waits for a lease asks again after a while, which passes when nobody else can go on.
        tokio::time::pause();
        self.crossing.crowd.store(calls.len(), Ordering::Relaxed);
        let done = join_all(doings).await;
        self.crossing.crowd.store(0, Ordering::Relaxed);
        tokio::time::resume();
        for (call, done) in calls.into_iter().zip(done) {
            match done? {
                Some(observed) => {
                    seen.calls.push(Observation::of_call(&observed));
                    self.know(call, &observed)?;
                }
                None => seen.calls.push(Observation {
                    error: Some(json!({ "case": "not-found", "text": "the wakeup is gone" })),
                    ..Observation::default()
                }),
            }
        }
        let after = self.harness.snapshot().await;
        let after = after.map_err(|error| error.to_string())?;
        seen.changed(&before.difference(&after));
        let http = self.harness.http();
        seen.requests(http.get(requests..).unwrap_or_default());
        Ok(())
    }

    /// What one of them does; none: what was to be woken is gone.
    async fn alone(&self, host: usize, doing: Doing) -> Result<Option<Observed<Value>>, Problem> {
        match doing {
            Doing::Call(call) => Ok(Some(self.harness.call_on(host, call).await)),
            Doing::Wake(subject, id) => {
                let woken = self.harness.wake(&subject, &id).await;
                woken.map_err(|error| error.to_string())
            }
            Doing::Advance(_) => Err("time does not pass at one moment".to_owned()),
        }
    }
}
