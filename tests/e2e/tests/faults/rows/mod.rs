//! The rows of the table, a file for each group.

pub mod certificates;
pub mod clocks;
pub mod echoes;
pub mod garbled;
pub mod lives;
pub mod patience;
pub mod plain;
pub mod proxies;
pub mod refusals;
pub mod slow;
pub mod statuses;
pub mod store;
