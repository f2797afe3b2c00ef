//! When things run: the clock, and the dispatcher of due wakeups.

pub mod clock;
pub mod dispatcher;
