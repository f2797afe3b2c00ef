//! Request budgets: requests to an API that publishes a limit are spread evenly over time.

use std::num::NonZeroU32;
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::origin::Origin;

/// The number of requests that an API accepts in a minute, from all customers together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestBudget {
    /// The root of the API, such as `https://api.example.com/v1`.
    pub root: Uri,
    /// The number of requests.
    pub per_minute: NonZeroU32,
}

/// The times of the requests to one API.
pub(super) struct Pacer {
    origin: Origin,
    // Without a slash at the end.
    path: String,
    interval: Duration,
    // The time of the next request; none: there was no request.
    next: Mutex<Option<Instant>>,
}

impl Pacer {
    /// Creates the pacer of a budget. `None` if the root is not the address of a server.
    pub(super) fn new(budget: &RequestBudget) -> Option<Self> {
        Some(Self {
            origin: Origin::from_uri(&budget.root).ok()?,
            path: budget.root.path().trim_end_matches('/').to_owned(),
            interval: Duration::from_secs(60) / budget.per_minute.get(),
            next: Mutex::new(None),
        })
    }

    /// Returns whether a request to `path` at `origin` counts.
    pub(super) fn covers(&self, origin: &Origin, path: &str) -> bool {
        let rest = path.strip_prefix(self.path.as_str());
        self.origin == *origin && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Waits until a request may be sent. Returns false without a wait if that is not before `deadline`.
    pub(super) async fn wait(&self, deadline: Instant) -> bool {
        let at = {
            let mut next = self.next.lock();
            let now = Instant::now();
            let at = next.map_or(now, |next| next.max(now));
            if at >= deadline {
                return false;
            }
            *next = Some(at + self.interval);
            at
        };
        sleep_until(at).await;
        true
    }
}
