//! Gates: a test holds a request at a known point, observes the world, and releases it.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::faults::path_matches;

/// A stage in the processing of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessingStage {
    /// The request has arrived and is not carried out yet.
    Before,
    /// The request is carried out (for example, a token was refreshed) and no byte of the response
    /// is sent yet.
    After,
}

/// A hold on every request with a matching path, from its creation until [`Gate::release`] or drop.
#[must_use = "a gate that is dropped holds nothing"]
#[derive(Debug)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: String,
    stage: ProcessingStage,
    arrivals: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// Resolves once a request is, or has been, held here.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Resolves once `count` requests in all have reached this gate.
    pub async fn reached_by(&self, count: usize) {
        let mut arrivals = self.inner.arrivals.subscribe();
        // The sender is in `self`, so waiting cannot fail.
        let _ = arrivals.wait_for(|seen| *seen >= count).await;
    }

    /// Returns how many requests have reached this gate so far.
    pub fn arrivals(&self) -> usize {
        *self.inner.arrivals.borrow()
    }

    /// Releases every held request and holds no other.
    pub fn release(&self) {
        self.inner.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

/// Every gate that still has an owner.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: Mutex<Vec<Weak<Inner>>>,
}

impl Gates {
    pub(crate) fn add(&self, path: String, stage: ProcessingStage) -> Gate {
        let inner = Arc::new(Inner {
            path,
            stage,
            arrivals: watch::Sender::new(0),
            open: watch::Sender::new(false),
        });
        let mut gates = self.gates.lock();
        gates.retain(|gate| gate.strong_count() > 0);
        gates.push(Arc::downgrade(&inner));
        Gate { inner }
    }

    /// Waits at every closed gate that matches.
    pub(crate) async fn pass(&self, path: &str, stage: ProcessingStage) {
        let matching: Vec<_> = {
            let gates = self.gates.lock();
            gates
                .iter()
                .filter_map(Weak::upgrade)
                .filter(|gate| gate.stage == stage && path_matches(&gate.path, path))
                .collect()
        };
        for gate in matching {
            let mut open = gate.open.subscribe();
            if *open.borrow() {
                continue;
            }
            gate.arrivals.send_modify(|seen| *seen += 1);
            let _ = open.wait_for(|open| *open).await;
        }
    }
}
