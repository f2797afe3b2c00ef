//! The rows of the table, a file for each group.

pub mod echoes;
pub mod garbled;
pub mod lives;
pub mod patience;
pub mod plain;
pub mod refusals;
pub mod statuses;
