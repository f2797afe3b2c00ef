//! The options of a dispatcher.

use std::num::NonZeroU32;
use std::time::Duration;

use super::runner::HandledKind;
use crate::wakeup_kinds;

/// A limit on the wakeups of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// The kind of wakeup ([`crate::types::Wakeup::kind`]).
    pub kind: String,
    /// The largest number of these wakeups that begin in any second.
    pub per_second: NonZeroU32,
}

/// The options of a dispatcher.
#[derive(Clone, Debug)]
pub struct DispatcherOptions {
    /// The largest number of calls in flight; 32 by default.
    pub concurrency: usize,
    /// How often to look for wakeups of other processes, in real time; 1 s by default.
    pub poll: Duration,
    /// Limits one kind of wakeup; no limit by default. A limit on refreshes leaves a part of Webex's rate
    /// limit to interactive calls when many refreshes are due or retried. Interactive calls do not wait
    /// for it.
    pub throttle: Option<Throttle>,
    /// Whether to run the plugin's wakeups; true by default. False: another engine runs them by
    /// [`Host::run_wakeup`](crate::Host::run_wakeup). The dispatcher then runs queued calls, callbacks and handled kinds.
    pub plugin_wakeups: bool,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self {
            concurrency: 32,
            poll: Duration::from_secs(1),
            throttle: None,
            plugin_wakeups: true,
        }
    }
}

impl DispatcherOptions {
    /// Returns the kinds of wakeups that have a lane of their own.
    pub(super) fn kinds_with_lanes(&self, mut handled: Vec<HandledKind>) -> Vec<HandledKind> {
        if !self.plugin_wakeups {
            handled.push(HandledKind {
                kind: wakeup_kinds::CALLBACK.to_owned(),
                concurrency: self.concurrency,
            });
        }
        handled
    }
}
