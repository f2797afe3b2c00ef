//! Scheduling: the clock, and the dispatcher of due wakeups.

mod budget;
pub mod dispatcher;
mod jump;
mod tally;
