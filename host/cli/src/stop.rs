//! The signals that stop a command which waits or works on: SIGINT, SIGTERM and SIGHUP.

use std::io;
use std::time::Duration;

use super::failure::{Failed, Kind};
use super::streams::stderr;

/// Signals that come within this time are one request: a service manager may send two to a process, and
/// a shell that ends sends its own besides.
const TOGETHER: Duration = Duration::from_secs(1);

/// The signals that stop this process: the first gracefully, a later one at once.
pub struct Stop {
    asked: tokio::sync::watch::Receiver<bool>,
}

impl Stop {
    /// Listens from now on.
    pub fn listen() -> Result<Self, Failed> {
        let failed = |error: io::Error| {
            Failed::new(Kind::Failed, format!("cannot listen for signals: {error}"))
        };
        let mut signals = signals().map_err(failed)?;
        let (ask, asked) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!(
                "asked to stop: finishing what runs; a second signal, {} s after the first or later, stops at once",
                TOGETHER.as_secs()
            );
            ask.send_replace(true);
            later(&mut signals).await;
            tracing::warn!("stopped at once; what was running is due again");
            stderr::flush();
            std::process::exit(i32::from(Kind::Failed.exit_code()));
        });
        Ok(Self { asked })
    }

    /// Whether somebody has asked.
    pub fn asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Returns once somebody has asked.
    pub async fn signalled(&self) {
        let mut asked = self.asked.clone();
        // The sender lives as long as the task, which ends with the process.
        let _ = asked.wait_for(|asked| *asked).await;
    }
}

/// Signals, one after the other.
trait Source {
    /// Returns with the next one.
    fn next(&mut self) -> impl Future<Output = ()> + Send;
}

/// Returns with a signal that does not belong to the first one, which came just now.
async fn later(signals: &mut impl Source) {
    let first = tokio::time::Instant::now();
    loop {
        signals.next().await;
        if first.elapsed() >= TOGETHER {
            return;
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// None if the process is to outlive its terminal (`nohup`).
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
impl Source for Signals {
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

/// Whether this process was started with a signal ignored; known on Linux, elsewhere taken as not.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal)
}

#[cfg(unix)]
fn ignores(status: &str, signal: i32) -> bool {
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
impl Source for Signals {
    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signals after these pauses, in milliseconds.
    struct After(std::vec::IntoIter<u64>);

    impl Source for After {
        async fn next(&mut self) {
            let pause = self.0.next().unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn signals_within_a_second_count_once() {
        let mut signals = After(vec![0, 10, 900, 89, 1].into_iter());
        let began = tokio::time::Instant::now();
        later(&mut signals).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        assert_eq!(signals.0.next(), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_hangup_that_nohup_ignores_is_left_alone() {
        let status = |mask| format!("Name:\trelation-host\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores(&status("0000000000001001"), 1));
        assert!(!ignores(&status("0000000000001000"), 1));
        assert!(!ignores("", 1));
    }
}
