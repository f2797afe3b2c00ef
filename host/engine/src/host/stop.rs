//! Ends calls early, at the request of their caller.

use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{CallErrorKind, Host};
use crate::imports::UnreportedEffects;

impl Host {
    /// Returns this host for calls that `stop` ends early. A call ends at its next import, with
    /// [`CallErrorKind::Stopped`], and releases its record. After a call has sent a request that may change something,
    /// such as a refresh of tokens, the call runs to its end: the response would be lost.
    #[must_use]
    pub fn stopped_by(&self, stop: CancellationToken) -> Self {
        Self {
            stop: Some(stop),
            ..self.clone()
        }
    }

    /// Waits until calls may be stopped; forever if nobody can stop this host's calls.
    async fn wait_for_stop(&self) {
        match &self.stop {
            Some(stop) => stop.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Runs the instance of a call unless it is stopped before it has `effects`.
    pub(super) async fn run_unless_stopped<T>(
        &self,
        call: impl Future<Output = T>,
        effects: &UnreportedEffects,
    ) -> Result<T, CallErrorKind> {
        let mut call = pin!(call);
        tokio::select! {
            biased;
            output = &mut call => Ok(output),
            () = self.wait_for_stop() => match effects.is_sent() {
                true => Ok(call.await),
                false => Err(CallErrorKind::Stopped),
            },
        }
    }

    /// Pauses before the next attempt to claim a lease.
    pub(super) async fn sleep_unless_stopped(&self, pause: Duration) -> Result<(), CallErrorKind> {
        tokio::select! {
            biased;
            () = self.wait_for_stop() => Err(CallErrorKind::Stopped),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}
