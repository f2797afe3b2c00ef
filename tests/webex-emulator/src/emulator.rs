//! An emulator with a listener.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::builder::Builder;
use crate::webex::Webex;

/// A running emulator: a [`Webex`] with a listener. It stops when dropped.
pub struct Emulator {
    webex: Webex,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// Its own threads, if the caller that started it has none.
    pub(crate) runtime: Option<Runtime>,
}

impl Deref for Emulator {
    type Target = Webex;

    fn deref(&self) -> &Webex {
        &self.webex
    }
}

impl Emulator {
    /// Returns a builder.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        webex: Webex,
        address: SocketAddr,
        stop: watch::Sender<bool>,
        task: JoinHandle<()>,
    ) -> Self {
        Self {
            webex,
            address,
            stop,
            task,
            runtime: None,
        }
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base of the emulated API: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Stops: no new connections; requests in flight have two seconds to end.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // Canceled or done, the task is over.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
