//! The deliveries that run beside the dispatcher.
//!
//! A delivery is taken only when it may send its request: callbacks that wait for a place are in the store, not in memory.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::egress::{Client, Policy};
use crate::types::Pkid;

/// The maximum number of concurrent requests to one receiver.
const MAX_REQUESTS_PER_RECEIVER: usize = 4;
/// The maximum number of concurrent requests.
const MAX_REQUESTS: usize = 64;

/// The policy of a host without a client: it permits nothing, and its errors name the setting.
static EMPTY: LazyLock<Policy> = LazyLock::new(|| Policy::parse_callbacks(&[]).unwrap_or_default());

/// The client of callbacks, and the deliveries in progress.
pub(in crate::host) struct Callbacks {
    client: Option<Client>,
    deliveries: Mutex<Deliveries>,
    ended: Notify,
}

/// The reason why a delivery cannot begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// A delivery of the same callback is in progress.
    Running,
    /// The receiver has as many requests as it may have.
    Receiver,
    /// The host has as many requests as it may have.
    Host,
}

#[derive(Default)]
struct Deliveries {
    running: HashSet<Pkid>,
    /// The requests in progress by receiver.
    requests: HashMap<String, usize>,
}

impl Deliveries {
    fn total(&self) -> usize {
        self.requests.values().sum()
    }

    fn begin(&mut self, pkid: &Pkid, origin: &str) -> Result<(), NoPlace> {
        let requests = self.requests.get(origin).copied().unwrap_or_default();
        if self.running.contains(pkid) {
            return Err(NoPlace::Running);
        }
        if requests >= MAX_REQUESTS_PER_RECEIVER {
            return Err(NoPlace::Receiver);
        }
        if self.total() >= MAX_REQUESTS {
            return Err(NoPlace::Host);
        }
        self.requests.insert(origin.to_owned(), requests + 1);
        self.running.insert(pkid.clone());
        Ok(())
    }

    fn free(&mut self, origin: &str) {
        if let Some(requests) = self.requests.get_mut(origin) {
            *requests = requests.saturating_sub(1);
        }
        self.requests.retain(|_, requests| *requests > 0);
    }

    fn room(&self, origin: Option<&str>) -> usize {
        let room = MAX_REQUESTS.saturating_sub(self.total());
        let Some(origin) = origin else {
            return room;
        };
        let requests = self.requests.get(origin).copied().unwrap_or_default();
        room.min(MAX_REQUESTS_PER_RECEIVER.saturating_sub(requests))
    }
}

impl Callbacks {
    pub(in crate::host) fn new(client: Option<Client>) -> Self {
        Self {
            client,
            deliveries: Mutex::default(),
            ended: Notify::new(),
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

    /// Takes a place for a request to a receiver.
    pub(super) fn begin(&self, pkid: &Pkid, origin: &str) -> Result<(), NoPlace> {
        self.deliveries.lock().begin(pkid, origin)
    }

    /// Frees the place of [`Callbacks::begin`]. The delivery is still in progress.
    pub(super) fn free(&self, origin: &str) {
        self.deliveries.lock().free(origin);
    }

    /// Ends a delivery whose place is free.
    pub(super) fn end(&self, pkid: &Pkid) {
        self.deliveries.lock().running.remove(pkid);
        self.ended.notify_waiters();
    }

    /// Returns the number of free places at a receiver; `None`: of the host.
    pub(super) fn room(&self, origin: Option<&str>) -> usize {
        self.deliveries.lock().room(origin)
    }

    /// Waits until no delivery is in progress. Returns whether one was.
    pub(in crate::host) async fn wait(&self) -> bool {
        let mut has_waited = false;
        loop {
            let ended = self.ended.notified();
            if self.deliveries.lock().running.is_empty() {
                return has_waited;
            }
            ended.await;
            has_waited = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(deliveries: &mut Deliveries, origin: &str) -> Result<(), NoPlace> {
        deliveries.begin(&Pkid::random(), origin)
    }

    #[test]
    fn slow_receiver_leaves_room_for_others() {
        let mut deliveries = Deliveries::default();
        for _ in 0..MAX_REQUESTS_PER_RECEIVER {
            begin(&mut deliveries, "slow").unwrap();
        }
        assert_eq!(begin(&mut deliveries, "slow"), Err(NoPlace::Receiver));
        assert_eq!(deliveries.room(Some("slow")), 0);
        begin(&mut deliveries, "fast").unwrap();
        deliveries.free("slow");
        assert_eq!(deliveries.room(Some("slow")), 1);
        begin(&mut deliveries, "slow").unwrap();
    }

    #[test]
    fn deliveries_are_bounded() {
        let mut deliveries = Deliveries::default();
        let pkid = Pkid::random();
        deliveries.begin(&pkid, "0").unwrap();
        assert_eq!(deliveries.begin(&pkid, "0"), Err(NoPlace::Running));
        for number in 1..MAX_REQUESTS {
            begin(&mut deliveries, &number.to_string()).unwrap();
        }
        assert_eq!(begin(&mut deliveries, "another"), Err(NoPlace::Host));
        assert_eq!(deliveries.room(None), 0);
        deliveries.free("7");
        begin(&mut deliveries, "another").unwrap();
        assert!(deliveries.requests.len() <= MAX_REQUESTS);
    }
}
