//! `run --record`: adds a recorder to the host.

use std::path::Path;
use std::sync::Arc;

use relation_app::{AppError, CLIENT_SECRET, ErrorKind, HostParts, Installation, client_options};
use relation_harness::recording::{RecordError, Recorder, RecordingSummary, Setup};
use relation_host::egress::Client;
use relation_host::schedule::{Dispatcher, DispatcherOptions};
use relation_host::{Host, SecretSetting};

/// A running recording.
pub struct Recording(Recorder);

impl Recording {
    /// Starts a recorder, and puts it in front of the host's store and egress.
    pub fn begin(
        file: &Path,
        installation: &Installation,
        parts: &mut HostParts,
    ) -> Result<Self, AppError> {
        let secret = parts.client_secret.as_ref();
        let secret = secret.and_then(SecretSetting::current);
        let setup = Setup {
            settings: installation.config.settings.clone(),
            secrets: secret
                .map(|secret| (CLIENT_SECRET.to_owned(), secret))
                .into_iter()
                .collect(),
            limits: installation.config.limits.clone(),
        };
        let (clock, sealer) = (Arc::clone(&installation.clock), Arc::clone(&parts.sealer));
        let recorder = Recorder::begin(file, setup, clock, Arc::clone(&parts.store), sealer)
            .map_err(record_error)?;
        parts.store = recorder.store();
        let settings = recorder.node_settings(parts.notices.node_settings());
        parts.notices = parts.notices.clone().with_node_settings(settings);
        let client = parts.egress.clone();
        let policy = client.policy().clone();
        let transport = recorder.transport(Arc::new(client));
        parts.egress =
            Client::with_transport(policy, client_options(&installation.config), transport);
        Ok(Self(recorder))
    }

    /// Returns a dispatcher whose calls are recorded.
    pub fn dispatcher(&self, host: &Host, options: DispatcherOptions) -> Dispatcher {
        let runner = self.0.runner(host.clone());
        Dispatcher::new(host.store().clone(), host.clock().clone(), runner, options)
    }

    /// Writes the file, and logs a summary.
    pub fn finish(self) -> Result<RecordingSummary, AppError> {
        let recorded = self.0.finish().map_err(record_error)?;
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

fn record_error(error: RecordError) -> AppError {
    let message = error.to_string();
    match error {
        RecordError::Exists { .. } => {
            AppError::usage(message).hint("name another file, or remove this one")
        }
        RecordError::Unwritable { .. } => {
            AppError::usage(message).hint("name a file in a folder that can be written")
        }
        _ => AppError::new(ErrorKind::Failed, message),
    }
}
