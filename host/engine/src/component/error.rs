//! Errors of a plugin call that ended without a result: panic, memory, time, a limit, a trap, a bad
//! link.

use std::time::Duration;

use crate::limits::LimitExceeded;

/// A call without a result. The error names the plugin, so that a person knows whom to ask.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plugin {plugin}: {kind}")]
#[non_exhaustive]
pub struct GuestError {
    /// The plugin's name and version, such as `spark-customer 0.1.0`.
    pub plugin: String,
    /// The kind of error.
    pub kind: GuestErrorKind,
    /// The redacted standard error of the instance; may be empty.
    pub stderr: String,
}

/// The kind of error that ended a call.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestErrorKind {
    /// The plugin panicked.
    #[error("it panicked: {message}")]
    Panic {
        /// The redacted panic message.
        message: String,
    },
    /// The plugin exceeded the memory limit.
    #[error("it needs more memory than the {limit} bytes it may have (limits.memory)")]
    Memory {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The plugin exceeded the time limit.
    #[error("it did not return within {} ms (limits.time)", limit.as_millis())]
    Time {
        /// The limit.
        limit: Duration,
    },
    /// The plugin exceeded another limit.
    #[error("it ran into a limit: {0}")]
    Limit(LimitExceeded),
    /// The plugin trapped without a panic.
    #[error("it trapped: {message}")]
    Trap {
        /// The error text of wasmtime.
        message: String,
    },
    /// The component could not be compiled or linked.
    #[error("it does not fit this host: {message}")]
    Link {
        /// The reason.
        message: String,
    },
    /// The process has no address space for the instances of the component.
    #[error(
        "there is no address space for {calls} concurrent calls (limits.calls): {message}: raise the limit of this process (`ulimit -v`, LimitAS of systemd), or lower limits.calls, of which each takes 4 GiB"
    )]
    AddressSpace {
        /// The configured number of concurrent instances.
        calls: u32,
        /// The error text of the engine.
        message: String,
    },
    /// The host itself failed during the call.
    #[error("the host failed: {message}")]
    Host {
        /// The reason.
        message: String,
    },
}

impl GuestErrorKind {
    /// Returns the code of the error in JSON and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Panic { .. } => "panic",
            Self::Memory { .. } => "memory",
            Self::Time { .. } => "time",
            Self::Limit(_) => "limit",
            Self::Trap { .. } => "trap",
            Self::Link { .. } => "link",
            Self::AddressSpace { .. } => "room",
            Self::Host { .. } => "host",
        }
    }
}

/// Extracts the message from the output of Rust's panic handler: `thread '…' (1) panicked at
/// src/x.rs:1:2:` and the lines after it.
pub(crate) fn panic_message(stderr: &str) -> Option<String> {
    let (_, rest) = stderr.split_once("panicked at ")?;
    let (place, message) = rest.split_once('\n')?;
    let message = message
        .split("\nnote: run with")
        .next()
        .unwrap_or_default()
        .trim();
    let place = place.trim_end_matches(':');
    Some(if message.is_empty() {
        format!("at {place}")
    } else {
        format!("{message} (at {place})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_message_includes_its_location() {
        let stderr = "\nthread '<unnamed>' (1) panicked at src/lib.rs:12:5:\nindex out of bounds\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            panic_message(stderr).as_deref(),
            Some("index out of bounds (at src/lib.rs:12:5)")
        );
    }

    #[test]
    fn other_output_is_not_a_panic() {
        assert_eq!(panic_message("all is well\n"), None);
    }
}
