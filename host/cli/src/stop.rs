//! The signals that stop a command which waits or works on: SIGINT and SIGTERM.

use std::io;

use super::failure::{Failed, Kind};

/// The signals that stop this process: the first gracefully, the second at once.
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
            tracing::info!("asked to stop; a second signal stops at once");
            ask.send_replace(true);
            signals.next().await;
            tracing::warn!("stopped at once; what was running is due again");
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

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
fn signals() -> io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok(Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    })
}

#[cfg(unix)]
impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
fn signals() -> io::Result<Signals> {
    Ok(Signals)
}

#[cfg(not(unix))]
impl Signals {
    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
