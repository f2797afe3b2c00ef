//! The dispatcher of due wakeups.
//!
//! `rate_limit` limits one kind of wakeup, `clock_jump` detects that the wall clock was set, and `tally` counts calls
//! and the health of connections.

mod clock_jump;
mod dispatcher;
mod options;
mod rate_limit;
mod tally;

pub use dispatcher::{Dispatcher, WakeupRunner};
pub use options::{DispatcherOptions, Throttle};
pub use tally::DispatchSummary;
pub(crate) use tally::{ConnectionHealth, WakeupEffect};
