//! The resource limits of one call. Every limit has a setting, and its error names the setting.

use std::time::Duration;

/// The resource limits of one plugin call.
///
/// The keys of the configuration's `[limits]` are the field names with `-` for `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, in bytes; 64 MiB by default.
    pub memory: usize,
    /// Wall-clock time of one call from its start to its end; 60 s by default.
    pub time: Duration,
    /// Total time of one HTTP request, from name resolution to the last byte of the response; 15 s
    /// by default. A lease lasts at least four times as long.
    pub request_time: Duration,
    /// Bytes of one HTTP response body; 1 MiB by default.
    pub response: usize,
    /// Bytes of the header of one HTTP request or response; 64 KiB by default.
    pub headers: usize,
    /// HTTP requests of one call; 32 by default.
    pub requests: u32,
    /// Bytes of one commit; 1 MiB by default.
    pub commit: usize,
    /// Changes and checks of one commit; 1000 by default.
    pub changes: usize,
    /// Calls of the contract's own functions (`automate:platform`); 100 000 by default.
    pub host_calls: u64,
    /// Bytes that the plugin may transfer in one call of a host function or in one result; 16 MiB
    /// by default.
    pub transfer: usize,
    /// Host resources, such as requests and header fields, that the plugin may hold concurrently;
    /// 1000 by default.
    pub handles: usize,
    /// Entries of one table of functions or references; 20 000 by default.
    pub table: usize,
    /// Different secrets that one call may know; 100 by default. Secret settings, secret input,
    /// revealed and sealed secrets count.
    pub secrets: usize,
    /// Bytes of transaction log of one call; each line counts 16 bytes besides its text; 64 KiB by
    /// default. The excess is cut.
    pub log: usize,
    /// Concurrent calls; 128 by default.
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
    /// The duration of a lease: four times the total time of a request, and longer than any call.
    pub fn lease(&self) -> Duration {
        let call = self.time.saturating_add(Duration::from_secs(5));
        self.request_time.saturating_mul(4).max(call)
    }
}
