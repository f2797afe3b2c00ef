//! `run --record`: puts a recorder into the host, and tells what became of the recording.

use std::path::Path;
use std::sync::Arc;

use relation_harness::recording::{RecordError, Recorded, Recorder, Setup};
use relation_host::Host;
use relation_host::egress::Client;
use relation_host::schedule::dispatcher::{Dispatcher, DispatcherOptions};

use crate::config::Config;
use crate::failure::{Failed, Kind};
use crate::session::{self, CLIENT_SECRET, Parts};

/// A recording that goes on.
pub struct Recording(Recorder);

impl Recording {
    /// Puts a recorder between the parts of a host and the host.
    pub fn begin(file: &Path, config: &Config, parts: &mut Parts) -> Result<Self, Failed> {
        let secret = parts.client_secret.clone();
        let setup = Setup {
            settings: config.settings.clone(),
            secrets: secret
                .map(|secret| (CLIENT_SECRET.to_owned(), secret))
                .into_iter()
                .collect(),
            limits: config.limits.clone(),
        };
        let (clock, sealer) = (Arc::clone(&parts.clock), Arc::clone(&parts.sealer));
        let recorder = Recorder::begin(file, setup, clock, Arc::clone(&parts.store), sealer)?;
        parts.store = recorder.store();
        let network = parts.way_out.clone();
        let policy = network.policy().clone();
        let seen = recorder.way_out(Arc::new(network));
        parts.way_out = Client::with_transport(policy, session::client_options(config), seen);
        Ok(Self(recorder))
    }

    /// A dispatcher whose calls are recorded.
    pub fn dispatcher(&self, host: &Host, options: DispatcherOptions) -> Dispatcher {
        let runner = self.0.runner(host.clone());
        Dispatcher::new(host.store().clone(), host.clock().clone(), runner, options)
    }

    /// Writes the file, and says what became of it.
    pub fn finish(self) -> Result<Recorded, Failed> {
        let recorded = self.0.finish()?;
        match &recorded.file {
            Some(file) => tracing::info!(
                calls = recorded.calls,
                left_out = recorded.left_out,
                "recorded to {}; it holds customers' data",
                file.display()
            ),
            None => tracing::warn!("no call was recorded: there is no file"),
        }
        Ok(recorded)
    }
}

impl From<RecordError> for Failed {
    fn from(error: RecordError) -> Self {
        let told = error.to_string();
        match error {
            RecordError::Exists { .. } => {
                Self::usage(told).hint("name another file, or remove this one")
            }
            RecordError::Unwritable { .. } => {
                Self::usage(told).hint("name a file in a folder that can be written")
            }
            _ => Self::new(Kind::Failed, told),
        }
    }
}
