//! Graceful shutdown on SIGINT, SIGTERM and SIGHUP.

use std::io;
use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use tokio_util::sync::CancellationToken;

use super::error;
use super::streams::stderr;

/// Signals within this time count as one request: a service manager may send two, and a closing shell sends
/// its own.
const DEBOUNCE: Duration = Duration::from_secs(1);

/// The request to stop this process. The first signal stops gracefully, a later one immediately.
pub struct Shutdown {
    requested: CancellationToken,
}

impl Shutdown {
    /// Starts listening for signals.
    pub fn listen() -> Result<Self, AppError> {
        let listen_error = |error: io::Error| {
            AppError::new(
                ErrorKind::Failed,
                format!("cannot listen for signals: {error}"),
            )
        };
        let mut signals = signals().map_err(listen_error)?;
        let requested = CancellationToken::new();
        let requesting = requested.clone();
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!(
                "stopping: running calls are finished; a second signal, {} s after the first or later, stops immediately",
                DEBOUNCE.as_secs()
            );
            requesting.cancel();
            wait_for_second_signal(&mut signals).await;
            tracing::warn!("stopped immediately; wakeups that were running are due again");
            stderr::flush();
            std::process::exit(i32::from(error::exit_code(ErrorKind::Failed)));
        });
        Ok(Self { requested })
    }

    /// Returns the token that is canceled when a stop is requested.
    pub fn token(&self) -> &CancellationToken {
        &self.requested
    }

    /// Waits until a stop is requested.
    pub async fn wait(&self) {
        self.requested.cancelled().await;
    }
}

/// A source of signals.
trait SignalSource {
    /// Waits for the next signal.
    fn next(&mut self) -> impl Future<Output = ()> + Send;
}

/// Waits for a signal that counts as a second request. The first was received just now.
async fn wait_for_second_signal(signals: &mut impl SignalSource) {
    let first = tokio::time::Instant::now();
    loop {
        signals.next().await;
        if first.elapsed() >= DEBOUNCE {
            return;
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` if the process was started to outlive its terminal (`nohup`).
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
fn signals() -> io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    let hangup = SignalKind::hangup();
    Ok(Signals {
        hangup: match is_ignored(hangup.as_raw_value()) {
            true => None,
            false => Some(signal(hangup)?),
        },
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    })
}

#[cfg(unix)]
impl SignalSource for Signals {
    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Returns whether this process was started with the signal ignored. Only known on Linux, elsewhere `false`.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    mask_ignores(&status, signal)
}

#[cfg(unix)]
fn mask_ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
fn signals() -> io::Result<Signals> {
    Ok(Signals)
}

#[cfg(not(unix))]
impl SignalSource for Signals {
    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source of signals after these pauses, in milliseconds.
    struct DelayedSignals(std::vec::IntoIter<u64>);

    impl SignalSource for DelayedSignals {
        async fn next(&mut self) {
            let pause = self.0.next().unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn signals_within_a_second_count_once() {
        let mut signals = DelayedSignals(vec![0, 10, 900, 89, 1].into_iter());
        let began = tokio::time::Instant::now();
        wait_for_second_signal(&mut signals).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        assert_eq!(signals.0.next(), None);
    }

    #[cfg(unix)]
    #[test]
    fn hangup_ignored_by_nohup_is_detected() {
        let status = |mask| format!("Name:\trelation-host\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(mask_ignores(&status("0000000000001001"), 1));
        assert!(!mask_ignores(&status("0000000000001000"), 1));
        assert!(!mask_ignores("", 1));
    }
}
