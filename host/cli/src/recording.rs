//! `run --record`: adds a recorder to the host.

use std::path::Path;
use std::sync::Arc;

use relation_harness::recording::{RecordError, Recorder, RecordingSummary, Setup};
use relation_host::Host;
use relation_host::egress::Client;
use relation_host::schedule::dispatcher::{Dispatcher, DispatcherOptions};

use crate::config::Config;
use crate::context::{self, CLIENT_SECRET, HostParts};
use crate::error::{CliError, ErrorKind};

/// A running recording.
pub struct Recording(Recorder);

impl Recording {
    /// Starts a recorder, and puts it in front of the host's store and egress.
    pub fn begin(file: &Path, config: &Config, parts: &mut HostParts) -> Result<Self, CliError> {
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
        let client = parts.egress.clone();
        let policy = client.policy().clone();
        let transport = recorder.transport(Arc::new(client));
        parts.egress = Client::with_transport(policy, context::client_options(config), transport);
        Ok(Self(recorder))
    }

    /// Returns a dispatcher whose calls are recorded.
    pub fn dispatcher(&self, host: &Host, options: DispatcherOptions) -> Dispatcher {
        let runner = self.0.runner(host.clone());
        Dispatcher::new(host.store().clone(), host.clock().clone(), runner, options)
    }

    /// Writes the file, and logs a summary.
    pub fn finish(self) -> Result<RecordingSummary, CliError> {
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

impl From<RecordError> for CliError {
    fn from(error: RecordError) -> Self {
        let message = error.to_string();
        match error {
            RecordError::Exists { .. } => {
                Self::usage(message).hint("name another file, or remove this one")
            }
            RecordError::Unwritable { .. } => {
                Self::usage(message).hint("name a file in a folder that can be written")
            }
            _ => Self::new(ErrorKind::Failed, message),
        }
    }
}
