//! The dispatcher of due wakeups.
//!
//! `budget` limits the rate of one kind of wakeup, `jump` detects that the wall clock was set, and `tally` counts calls
//! and the health of connections.

mod budget;
mod dispatcher;
mod jump;
mod options;
mod tally;

pub use dispatcher::{Dispatcher, Runner};
pub use options::{DispatcherOptions, Throttle};
pub use tally::Summary;
pub(crate) use tally::{ConnectionHealth, Effect};
