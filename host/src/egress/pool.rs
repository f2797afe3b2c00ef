//! Connections kept open between requests, each for one target by way of one proxy and its credentials.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::error::Peer;
use super::origin::Scheme;
use super::policy::Target;
use super::proxy::ProxyUrl;

/// The caller's body failed; what it said is the caller's own and not repeated.
#[derive(Debug, thiserror::Error)]
#[error("the request's body failed")]
pub(super) struct BodyFailed;

pub(super) type RequestBody = UnsyncBoxBody<Bytes, BodyFailed>;
pub(super) type Sender = SendRequest<RequestBody>;

/// What two requests must have in common to share a connection.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Route {
    pub(super) target: Target,
    pub(super) proxy: Option<ProxyUrl>,
}

impl Route {
    /// Whom a connection of this route is made to.
    pub(super) fn near_end(&self) -> Peer {
        match &self.proxy {
            Some(proxy) => Peer::Proxy(proxy.origin().clone()),
            None => Peer::Target(self.target.origin().clone()),
        }
    }

    /// Who speaks at the other end once it is made: a proxy asked in absolute form, or the target.
    pub(super) fn far_end(&self) -> Peer {
        match self.target.origin().scheme() {
            Scheme::Http => self.near_end(),
            Scheme::Https => Peer::Target(self.target.origin().clone()),
        }
    }
}

/// How many connections are kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) per_route: usize,
    pub(super) in_all: usize,
    pub(super) idle: Duration,
}

pub(super) struct Pool {
    keep: Keep,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_route: HashMap<Route, VecDeque<Idle>>,
    count: usize,
    swept: bool,
}

struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    pub(super) fn new(keep: Keep) -> Arc<Self> {
        Arc::new(Self {
            keep,
            kept: Mutex::default(),
        })
    }

    /// The connection to the route that was used last and is still open, if there is one.
    pub(super) fn take(&self, route: &Route) -> Option<Sender> {
        let oldest = Instant::now().checked_sub(self.keep.idle);
        let mut kept = self.lock();
        let idle = kept.by_route.get_mut(route)?;
        let before = idle.len();
        let usable = |entry: &Idle| {
            !entry.sender.is_closed() && oldest.is_none_or(|oldest| entry.since > oldest)
        };
        let mut found = None;
        while let Some(entry) = idle.pop_back() {
            if usable(&entry) {
                found = Some(entry.sender);
                break;
            }
        }
        let (after, none_left) = (idle.len(), idle.is_empty());
        if none_left {
            kept.by_route.remove(route);
        }
        kept.count = kept.count.saturating_sub(before - after);
        found
    }

    /// Keeps a connection whose answer has been read to its end. Dropping the sender instead closes it.
    pub(super) fn put(self: &Arc<Self>, route: Route, sender: Sender) {
        let keep = self.keep;
        if sender.is_closed() || keep.per_route == 0 {
            return;
        }
        let mut kept = self.lock();
        if kept.count >= keep.in_all {
            return;
        }
        let idle = kept.by_route.entry(route).or_default();
        let full = idle.len() >= keep.per_route;
        if full {
            idle.pop_front();
        }
        idle.push_back(Idle {
            sender,
            since: Instant::now(),
        });
        kept.count += usize::from(!full);
        if !std::mem::replace(&mut kept.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), keep.idle));
        }
    }

    /// Closes what has been idle for too long; whether anything is left.
    fn close_expired(&self) -> bool {
        let Some(oldest) = Instant::now().checked_sub(self.keep.idle) else {
            return true;
        };
        let mut kept = self.lock();
        kept.by_route.retain(|_, idle| {
            idle.retain(|entry| entry.since > oldest && !entry.sender.is_closed());
            !idle.is_empty()
        });
        kept.count = kept.by_route.values().map(VecDeque::len).sum();
        kept.swept = kept.count > 0;
        kept.swept
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves nothing here that could be half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.lock().count
    }
}

/// Closes idle connections even when no request comes by. Ends when there are none, or no pool.
async fn sweep(pool: Weak<Pool>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        let any_left = pool.upgrade().is_some_and(|pool| pool.close_expired());
        if !any_left {
            return;
        }
    }
}
