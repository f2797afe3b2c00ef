//! The dispatcher of due wakeups.

mod budget;
pub mod dispatcher;
mod jump;
mod options;
mod tally;
