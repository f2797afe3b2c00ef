//! The number of calls in flight. A call whose future is dropped does not count any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Host;

/// The number of calls in flight.
#[derive(Default)]
pub(super) struct CallsInFlight(Arc<AtomicUsize>);

/// One of the calls in flight, until it is dropped.
pub(super) struct CountedCall(Arc<AtomicUsize>);

impl CallsInFlight {
    /// Counts one more call.
    pub fn count(&self) -> CountedCall {
        self.0.fetch_add(1, Ordering::Relaxed);
        CountedCall(Arc::clone(&self.0))
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Host {
    /// Returns the number of calls that hold their record's lease now.
    pub fn calls_in_flight(&self) -> usize {
        self.parts.calls_in_flight.0.load(Ordering::Relaxed)
    }
}
