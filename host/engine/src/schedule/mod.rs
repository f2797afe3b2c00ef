//! The dispatcher of due wakeups.

mod budget;
mod dispatcher;
mod jump;
mod options;
mod tally;

pub use dispatcher::{Dispatcher, Runner};
pub use options::{DispatcherOptions, Throttle};
pub use tally::Summary;
pub(crate) use tally::{ConnectionHealth, Effect};
