//! The pool of idle connections, keyed by target, proxy and proxy credentials.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1::SendRequest;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::error::Peer;
use super::origin::Scheme;
use super::policy::Target;
use super::proxy::ProxyUrl;

/// The error of the caller's request body. Its text may be confidential and is dropped.
#[derive(Debug, thiserror::Error)]
#[error("the request's body failed")]
pub(super) struct RequestBodyError;

pub(super) type RequestBody = UnsyncBoxBody<Bytes, RequestBodyError>;
pub(super) type Sender = SendRequest<RequestBody>;

/// The key of the pool: requests with equal routes may share a connection.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Route {
    pub(super) target: Target,
    pub(super) proxy: Option<ProxyUrl>,
}

impl Route {
    /// Returns the peer that the connection is made to: the proxy, or the target.
    pub(super) fn next_hop(&self) -> Peer {
        match &self.proxy {
            Some(proxy) => Peer::Proxy(proxy.origin().clone()),
            None => Peer::Target(self.target.origin().clone()),
        }
    }

    /// Returns the peer that sends the response: a proxy in absolute form, or the target.
    pub(super) fn responder(&self) -> Peer {
        match self.target.origin().scheme() {
            Scheme::Http => self.next_hop(),
            Scheme::Https => Peer::Target(self.target.origin().clone()),
        }
    }
}

/// The limits of the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolLimits {
    pub(super) per_route: usize,
    pub(super) total: usize,
    pub(super) idle_timeout: Duration,
}

pub(super) struct Pool {
    limits: PoolLimits,
    idle: Mutex<IdleConnections>,
}

#[derive(Default)]
struct IdleConnections {
    by_route: HashMap<Route, VecDeque<IdleConnection>>,
    count: usize,
    has_sweeper: bool,
}

struct IdleConnection {
    sender: Sender,
    since: Instant,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            idle: Mutex::default(),
        })
    }

    /// Takes the most recently used open connection of the route.
    pub(super) fn take(&self, route: &Route) -> Option<Sender> {
        let oldest = Instant::now().checked_sub(self.limits.idle_timeout);
        let mut idle = self.lock();
        let entries = idle.by_route.get_mut(route)?;
        let before = entries.len();
        let usable = |entry: &IdleConnection| {
            !entry.sender.is_closed() && oldest.is_none_or(|oldest| entry.since > oldest)
        };
        let mut found = None;
        while let Some(entry) = entries.pop_back() {
            if usable(&entry) {
                found = Some(entry.sender);
                break;
            }
        }
        let (after, none_left) = (entries.len(), entries.is_empty());
        if none_left {
            idle.by_route.remove(route);
        }
        idle.count = idle.count.saturating_sub(before - after);
        found
    }

    /// Returns a connection to the pool after its response was read completely. Dropping the sender
    /// instead closes the connection.
    pub(super) fn put(self: &Arc<Self>, route: Route, sender: Sender) {
        let limits = self.limits;
        if sender.is_closed() || limits.per_route == 0 {
            return;
        }
        let mut idle = self.lock();
        if idle.count >= limits.total {
            return;
        }
        let entries = idle.by_route.entry(route).or_default();
        let full = entries.len() >= limits.per_route;
        if full {
            entries.pop_front();
        }
        entries.push_back(IdleConnection {
            sender,
            since: Instant::now(),
        });
        idle.count += usize::from(!full);
        if !std::mem::replace(&mut idle.has_sweeper, true) {
            tokio::spawn(sweep(Arc::downgrade(self), limits.idle_timeout));
        }
    }

    /// Closes expired connections. Returns whether any are left.
    fn close_expired(&self) -> bool {
        let Some(oldest) = Instant::now().checked_sub(self.limits.idle_timeout) else {
            return true;
        };
        let mut idle = self.lock();
        idle.by_route.retain(|_, entries| {
            entries.retain(|entry| entry.since > oldest && !entry.sender.is_closed());
            !entries.is_empty()
        });
        idle.count = idle.by_route.values().map(VecDeque::len).sum();
        idle.has_sweeper = idle.count > 0;
        idle.has_sweeper
    }

    fn lock(&self) -> MutexGuard<'_, IdleConnections> {
        // A panic elsewhere cannot leave this data half-written.
        self.idle.lock()
    }

    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.lock().count
    }
}

/// Closes expired connections even without requests. Ends when the pool is empty or dropped.
async fn sweep(pool: Weak<Pool>, idle_timeout: Duration) {
    loop {
        tokio::time::sleep(idle_timeout).await;
        let any_left = pool.upgrade().is_some_and(|pool| pool.close_expired());
        if !any_left {
            return;
        }
    }
}
