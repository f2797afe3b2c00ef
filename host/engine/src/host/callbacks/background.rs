//! The deliveries that run beside the dispatcher.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::egress::{Client, Policy};
use crate::types::Pkid;

/// The maximum number of concurrent requests to one receiver.
const MAX_REQUESTS_PER_RECEIVER: usize = 4;

/// The policy of a host without a client: it permits nothing, and its errors name the setting.
static EMPTY: LazyLock<Policy> = LazyLock::new(|| Policy::parse_callbacks(&[]).unwrap_or_default());

/// The client of callbacks, and the deliveries in progress.
pub(in crate::host) struct Callbacks {
    client: Option<Client>,
    running: Mutex<HashSet<Pkid>>,
    ended: Notify,
    receivers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Callbacks {
    pub(in crate::host) fn new(client: Option<Client>) -> Self {
        Self {
            client,
            running: Mutex::default(),
            ended: Notify::new(),
            receivers: Mutex::default(),
        }
    }

    pub(super) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    pub(super) fn policy(&self) -> &Policy {
        match &self.client {
            Some(client) => client.policy(),
            None => &EMPTY,
        }
    }

    /// Marks the callback as in progress. Returns false if it is already.
    pub(super) fn begin(&self, pkid: &Pkid) -> bool {
        self.running.lock().insert(pkid.clone())
    }

    /// Ends the mark of [`Callbacks::begin`].
    pub(super) fn end(&self, pkid: &Pkid) {
        self.running.lock().remove(pkid);
        self.ended.notify_waiters();
    }

    /// Waits until no delivery is in progress. Returns whether one was.
    pub(in crate::host) async fn wait(&self) -> bool {
        let mut has_waited = false;
        loop {
            let ended = self.ended.notified();
            if self.running.lock().is_empty() {
                return has_waited;
            }
            ended.await;
            has_waited = true;
        }
    }

    /// Waits for a place at a receiver. A receiver that does not respond so delays only its own callbacks.
    pub(super) async fn wait_for_receiver(&self, origin: &str) -> Option<OwnedSemaphorePermit> {
        let places = {
            let mut receivers = self.receivers.lock();
            receivers.retain(|_, places| Arc::strong_count(places) > 1);
            let new = || Arc::new(Semaphore::new(MAX_REQUESTS_PER_RECEIVER));
            Arc::clone(receivers.entry(origin.to_owned()).or_insert_with(new))
        };
        places.acquire_owned().await.ok()
    }
}
