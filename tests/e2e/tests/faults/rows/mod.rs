//! The rows of the table, one file per group.

pub mod certificates;
pub mod clocks;
pub mod echoes;
pub mod garbled;
pub mod lifetimes;
pub mod plain;
pub mod proxies;
pub mod rate_limits;
pub mod refusals;
pub mod slow;
pub mod statuses;
pub mod store;
