//! The dispatcher of due wakeups.
//!
//! `in_flight` has the calls in flight, and `rate_limit` limits one kind of wakeup. `clock_jump` detects that the wall
//! clock was set, and `wait` computes how long a dispatcher waits. `tally` counts calls and the health of connections.

mod clock_jump;
mod dispatcher;
mod in_flight;
mod options;
mod rate_limit;
mod runner;
mod tally;
mod wait;

pub use dispatcher::Dispatcher;
pub use options::{DispatcherOptions, Throttle};
pub use runner::{HandledKind, WakeupRunner};
pub use tally::DispatchSummary;
pub(crate) use tally::{ConnectionHealth, WakeupEffect};
