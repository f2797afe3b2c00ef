//! Why a call of a plugin ended without an answer: panic, memory, time, a limit, a trap, a bad link.

use std::time::Duration;

use crate::imports::LimitHit;

/// A call that the plugin did not answer. It names the plugin, so that a person knows whom to ask.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plugin {plugin}: {kind}")]
pub struct GuestError {
    /// The plugin's name and version, such as `spark-customer 0.1.0`.
    pub plugin: String,
    /// What happened.
    pub kind: GuestErrorKind,
    /// What the instance wrote to its standard error, without secrets; may be empty.
    pub stderr: String,
}

/// What happened to a call that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GuestErrorKind {
    /// The plugin panicked.
    #[error("it panicked: {message}")]
    Panic {
        /// The panic's message, without secrets.
        message: String,
    },
    /// It wanted more memory than it may have.
    #[error("it needs more memory than the {limit} bytes it may have (limits.memory)")]
    Memory {
        /// The bound, in bytes.
        limit: usize,
    },
    /// It did not answer in time.
    #[error("it did not answer within {} ms (limits.time)", limit.as_millis())]
    Time {
        /// The bound.
        limit: Duration,
    },
    /// It ran into another bound.
    #[error("it ran into a limit: {0}")]
    Limit(LimitHit),
    /// It trapped without a panic.
    #[error("it trapped: {message}")]
    Trap {
        /// What wasmtime says of it.
        message: String,
    },
    /// It could not be compiled or linked.
    #[error("it does not fit this host: {message}")]
    Link {
        /// What is wrong.
        message: String,
    },
    /// The process has no address space for the instances of the component.
    #[error(
        "there is no address space for {calls} calls at once (limits.calls): {message}: raise the limit of this process (`ulimit -v`, LimitAS of systemd), or lower limits.calls, of which each takes 4 GiB"
    )]
    Room {
        /// The configured number of concurrent instances.
        calls: u32,
        /// The error text of the engine.
        message: String,
    },
    /// The host itself failed while it ran.
    #[error("the host failed: {message}")]
    Host {
        /// What is wrong.
        message: String,
    },
}

impl GuestErrorKind {
    /// The word for it in JSON and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Panic { .. } => "panic",
            Self::Memory { .. } => "memory",
            Self::Time { .. } => "time",
            Self::Limit(_) => "limit",
            Self::Trap { .. } => "trap",
            Self::Link { .. } => "link",
            Self::Room { .. } => "room",
            Self::Host { .. } => "host",
        }
    }
}

/// Takes the message out of what Rust's panic handler writes:
/// `thread '…' (1) panicked at src/x.rs:1:2:` and the message in the lines after it.
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
    fn a_panic_message_comes_with_its_place() {
        let stderr = "\nthread '<unnamed>' (1) panicked at src/lib.rs:12:5:\nindex out of bounds\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            panic_message(stderr).as_deref(),
            Some("index out of bounds (at src/lib.rs:12:5)")
        );
    }

    #[test]
    fn other_output_is_no_panic() {
        assert_eq!(panic_message("all is well\n"), None);
    }
}
