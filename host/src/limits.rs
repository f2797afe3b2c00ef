//! What one call may use. Every bound has a setting, and the error that it causes names it.

use std::time::Duration;

/// The bounds of one call of a plugin.
///
/// The names in the configuration's `[limits]` are those of the fields with `-` for `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, in bytes; 64 MiB by default.
    pub memory: usize,
    /// Wall-clock time of one call from its start to its end; 60 s by default.
    pub time: Duration,
    /// Total time of one HTTP request, from resolving the name to the last byte of the answer;
    /// 15 s by default. A lease lasts at least four times as long.
    pub request_time: Duration,
    /// Bytes of one HTTP answer's body; 1 MiB by default.
    pub response: usize,
    /// Bytes of the header of one HTTP request or answer; 64 KiB by default.
    pub headers: usize,
    /// HTTP requests of one call; 32 by default.
    pub requests: u32,
    /// Bytes that one commit may write; 1 MiB by default.
    pub commit: usize,
    /// Changes and checks of one commit; 1000 by default.
    pub changes: usize,
    /// Calls that the plugin may make of the contract's own functions, those of `automate:platform`;
    /// 100 000 by default.
    pub host_calls: u64,
    /// Bytes that the plugin may hand over at once: as the arguments of one call of a host's function,
    /// or as its answer; 16 MiB by default.
    pub transfer: usize,
    /// Resources of the host, such as requests and header fields, that the plugin may hold at once;
    /// 1000 by default.
    pub handles: usize,
    /// Entries of one table of functions or references; 20 000 by default.
    pub table: usize,
    /// Different secrets that one call may know: those of the installation, what it is handed, opens or seals;
    /// 100 by default.
    pub secrets: usize,
    /// Bytes of transaction log that one call may write, 16 for each line besides its text; 64 KiB by
    /// default. What is more is cut.
    pub log: usize,
    /// Calls that may run at once; 128 by default.
    pub calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            time: Duration::from_secs(60),
            request_time: Duration::from_secs(15),
            response: 1 << 20,
            headers: 64 << 10,
            requests: 32,
            commit: 1 << 20,
            changes: 1000,
            host_calls: 100_000,
            transfer: 16 << 20,
            handles: 1000,
            table: 20_000,
            secrets: 100,
            log: 64 << 10,
            calls: 128,
        }
    }
}

impl Limits {
    /// How long a lease lasts: four times a request's total time, and longer than any call.
    pub fn lease(&self) -> Duration {
        let call = self.time.saturating_add(Duration::from_secs(5));
        self.request_time.saturating_mul(4).max(call)
    }
}
