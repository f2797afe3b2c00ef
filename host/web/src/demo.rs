//! The parts that only a demo has: a clock that visitors advance, and an address that logs visitors in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use relation_app::AppError;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::access::create_token;

/// The clock of a demo.
pub trait SimulatedTime: Send + Sync + 'static {
    /// Advances the clock, and runs each wakeup that becomes due on the way at its time. Advancing continues if the
    /// returned future is dropped.
    fn advance(&self, by: Duration) -> BoxFuture<'_, Result<(), AppError>>;
}

/// The options of a demo. In normal service there are none, and the routes of the demo do not exist.
#[derive(Clone)]
pub struct Demo {
    pub(crate) time: Arc<dyn SimulatedTime>,
    pub(crate) user: String,
    /// The last part of the address that logs visitors in.
    pub(crate) token: SecretString,
}

/// The path that logs visitors in; the token follows.
pub(crate) const LOG_IN_PATH: &str = "demo/log-in";

impl Demo {
    /// Creates the options of a demo on `time`, which must be that of the host's clock. Visitors are logged in as `user`.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(time: Arc<dyn SimulatedTime>, user: &str) -> Result<Self, AppError> {
        Ok(Self {
            time,
            user: user.to_owned(),
            token: create_token().map_err(|error| error.error)?,
        })
    }

    /// Returns the address below `public_url` that logs visitors in, as often as they open it.
    pub fn log_in_url(&self, public_url: &Url) -> Url {
        let mut url = public_url.clone();
        url.set_path(&format!("{LOG_IN_PATH}/{}", self.token.expose_secret()));
        url
    }
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
