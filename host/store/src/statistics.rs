//! Figures that a store has about itself, for metrics.

use std::time::Duration;

/// Figures of a store. Numbers of events count since the store was opened in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatistics {
    /// The store's clock minus this machine's, in milliseconds; 0 for a store on this machine.
    pub clock_skew_millis: i64,
    /// The processes that have the store open, by their heartbeats; `None` for a store without heartbeats.
    pub hosts: Option<u32>,
    /// Writes that wait for their turn or for their answer.
    pub queued_writes: u64,
    /// Writes that were made in groups.
    pub grouped_writes: u64,
    /// The groups of these writes.
    pub groups: u64,
    /// Connections that were made in place of broken ones.
    pub reconnects: u64,
    /// Writes whose answer was lost.
    pub lost_answers: LostAnswers,
    /// The size of the log beside a database file, in bytes.
    pub log_bytes: Option<u64>,
    /// Rows that the server has not removed yet.
    pub dead_rows: Option<u64>,
    /// How long the oldest transaction at the server has run; zero if there is none.
    pub oldest_transaction: Option<Duration>,
}

/// Writes whose answer was lost, by what was found out about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostAnswers {
    /// The write had been made.
    pub made: u64,
    /// The write had not been made, and never will be.
    pub prevented: u64,
    /// The outcome could not be found out in time.
    pub unknown: u64,
}
