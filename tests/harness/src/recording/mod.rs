//! Recordings: the calls for due wakeups of a host, written as a scenario that replays them.
//!
//! A [`Recorder`] observes three places of a running host and changes nothing there:
//!
//! - around the store ([`Recorder::store`]): the data that calls find and leave;
//! - between the egress policy and the network ([`Recorder::transport`]): requests and responses;
//! - in place of the dispatcher's runner ([`Recorder::runner`]): the results of calls.
//!
//! [`Recorder::finish`] writes a file in the [format](crate::scenario) of scenarios. Secrets leave the process
//! only as placeholders, one per secret, so that the replay is consistent.
//!
//! Some calls cannot be expressed in a scenario. The file lists them as left out:
//!
//! - a call after one that was cut off;
//! - a call that got a store error or reached a limit of the host;
//! - every later call of a record that others have changed meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use relation_host::clock::Clock;
use relation_host::egress::Transport;
use relation_host::schedule::WakeupRunner;
use relation_host::store::Store;
use relation_host::store::layer::Layered;
use relation_host::store::seal::Sealer;
use relation_host::{Host, Limits, NodeSettings};
use secrecy::SecretString;

use self::notes::Notes;

mod exchange;
mod expectation_writer;
mod file;
mod layer;
mod limits;
mod node_settings;
mod notes;
mod outcome;
mod placeholders;
mod recorded_call;
mod runner;
#[cfg(test)]
mod tests;
mod transport;
mod writer;

/// The maximum number of calls that are noted, including omitted ones. Bounds the file's length and the memory.
pub const MAX_CALLS: usize = 1000;
/// The maximum number of bytes of documents and exchanges that a recording keeps in memory.
pub const MAX_BYTES: usize = 32 << 20;

/// The configuration of a recorded host, as far as the plugin can see it.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Plain settings, by name.
    pub settings: BTreeMap<String, String>,
    /// Secret settings, by name.
    pub secrets: BTreeMap<String, SecretString>,
    /// The limits of a call.
    pub limits: Limits,
}

/// The outcome of a recording.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RecordingSummary {
    /// The file; `None` if no call was recorded.
    #[serde(serialize_with = "lossy")]
    pub file: Option<PathBuf>,
    /// The number of recorded calls.
    pub calls: usize,
    /// The number of calls that a scenario cannot express.
    pub left_out: usize,
    /// Whether the recording ended before the run, at [`MAX_CALLS`] or [`MAX_BYTES`].
    pub full: bool,
}

/// Serializes a path as text; invalid UTF-8 is replaced.
fn lossy<S: serde::Serializer>(file: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = file.as_deref().map(std::path::Path::to_string_lossy);
    serde::Serialize::serialize(&shown, serializer)
}

/// The reason why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The path exists already, and is not overwritten.
    #[error("cannot record to {}: it exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be created or written.
    #[error("cannot record to {}: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// Another file of that name was created meanwhile and is kept. The recording is saved next to it.
    #[error("{} was created meanwhile: the recording is in {}", path.display(), saved_to.display())]
    PathTaken {
        /// The file.
        path: PathBuf,
        /// The path of the recording.
        saved_to: PathBuf,
    },
    /// The notes cannot be written as TOML.
    #[error("cannot record to {}: what was noted cannot be written as TOML: {error}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The serializer's error.
        error: toml::ser::Error,
    },
    /// A secret would have been in the file, so the file was not written.
    #[error("cannot record to {}: a secret would be in it in clear", path.display())]
    SecretInClear {
        /// The file.
        path: PathBuf,
    },
}

/// A recorder of one host's calls for due wakeups, one call at a time. Clones share their notes.
///
/// Create the recorder before the host: the host uses the recorder's store and transport, and the dispatcher
/// uses [`Recorder::runner`].
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    path: PathBuf,
    setup: Setup,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    notes: Mutex<Notes>,
}

impl Recorder {
    /// Begins a recording to `path` of a host on `store`, whose secrets `sealer` opens.
    ///
    /// # Errors
    /// [`RecordError::Exists`], or [`RecordError::Unwritable`] if the file could not be created at the end.
    pub fn begin(
        path: &Path,
        setup: Setup,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
        sealer: Arc<Sealer>,
    ) -> Result<Self, RecordError> {
        file::check_path(path)?;
        Ok(Self(Arc::new(Shared {
            path: path.to_owned(),
            setup,
            clock,
            store,
            sealer,
            notes: Mutex::default(),
        })))
    }

    /// Returns the observed store, for the host.
    pub fn store(&self) -> Arc<dyn Store> {
        let inner = Arc::clone(&self.0.store);
        Arc::new(Layered::new(inner, self.clone()))
    }

    /// Returns the observed transport, for the host. Requests are passed to `network`, such as a
    /// [`relation_host::egress::Client`] with the host's policy and limits.
    pub fn transport(&self, network: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(transport::RecordingTransport {
            network,
            recorder: self.clone(),
        })
    }

    /// Returns the observed source of settings of nodes, for a host that has such a `source`.
    pub fn node_settings(&self, source: Arc<dyn NodeSettings>) -> Arc<dyn NodeSettings> {
        Arc::new(node_settings::RecordingSettings {
            source,
            recorder: self.clone(),
        })
    }

    /// Returns the runner for the dispatcher. The runner runs the host's calls one at a time.
    pub fn runner(&self, host: Host) -> Arc<dyn WakeupRunner> {
        self.notes().plugin = host.plugin().name().to_owned();
        Arc::new(runner::RecordingRunner::new(host, self.clone()))
    }

    /// Writes the file atomically, readable by its owner only. Call this once, after the host has stopped.
    ///
    /// # Errors
    /// The file was not written, or not under that name.
    pub fn finish(&self) -> Result<RecordingSummary, RecordError> {
        let notes = self.notes();
        let recorded = RecordingSummary {
            file: (!notes.steps.is_empty()).then(|| self.0.path.clone()),
            calls: notes.steps.len(),
            left_out: notes.omitted.len(),
            full: notes.full.is_some(),
        };
        if notes.steps.is_empty() {
            return Ok(recorded);
        }
        let text = writer::render(&notes, &self.0.setup).map_err(|error| match error {
            writer::WriteError::NotToml(error) => RecordError::NotToml {
                path: self.0.path.clone(),
                error,
            },
            writer::WriteError::SecretInClear => RecordError::SecretInClear {
                path: self.0.path.clone(),
            },
        })?;
        file::write(&self.0.path, &text)?;
        Ok(recorded)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Each method of the notes leaves them consistent.
        self.0.notes.lock()
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
