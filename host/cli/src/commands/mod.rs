//! The commands: one file for each, with its arguments and its implementation.

pub mod add;
pub mod backup;
pub mod check_expiry;
pub mod completions;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod connect;
pub mod delete;
pub mod describe;
pub mod inspect;
pub mod invoke;
pub mod keys;
pub mod list;
pub mod modify;
pub mod page;
pub mod refresh;
pub mod run;
pub mod show;
pub mod stash;
pub mod sync;
#[cfg(feature = "scenarios")]
pub mod test;
pub mod transactions;
pub mod view;
pub mod wakeups;
