//! Recordings: what a host did for its due wakeups, written as a scenario that replays it.
//!
//! A [`Recorder`] stands at three places of a running host and changes nothing there: around its store
//! ([`Recorder::store`]), where it sees what calls find and leave; between the policy of the way out and
//! the network ([`Recorder::way_out`]), where it sees what is asked and answered; and in place of the
//! dispatcher's runner ([`Recorder::runner`]), where it sees what calls answer. [`Recorder::finish`]
//! writes a file in the [format](crate::scenario) of scenarios. Secrets leave the process only as
//! placeholders, the same one for the same secret, so that what is replayed fits together.
//!
//! What a scenario cannot say is left out, and the file says so: a call that was begun after one
//! that was cut off, that met a store which did not do as asked, or a limit of the host; and, from
//! then on, every call of a record that somebody else has changed meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use relation_host::egress::Transport;
use relation_host::schedule::clock::Clock;
use relation_host::schedule::dispatcher::Runner;
use relation_host::store::Store;
use relation_host::store::layer::Layered;
use relation_host::store::seal::Sealer;
use relation_host::{Host, Limits};
use secrecy::SecretString;

use self::notes::Notes;

mod exchange;
mod expectation;
mod file;
mod limits;
mod notes;
mod outcome;
mod placeholders;
mod runner;
mod step;
#[cfg(test)]
mod tests;
mod watch;
mod way_out;
mod written;

/// How many calls are noted at most, those that are left out among them: what a person can still read,
/// and a bound of the memory.
pub const MOST_CALLS: usize = 1000;
/// How many bytes of documents and exchanges a recording keeps in memory at most.
pub const MOST_BYTES: usize = 32 << 20;

/// With what a recorded host was set up, as far as it is the plugin's to know.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Plain settings, by name.
    pub settings: BTreeMap<String, String>,
    /// Secret settings, by name.
    pub secrets: BTreeMap<String, SecretString>,
    /// What a call may use.
    pub limits: Limits,
}

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Recorded {
    /// The file; none: nothing was recorded, and none was written.
    #[serde(serialize_with = "lossy")]
    pub file: Option<PathBuf>,
    /// Calls that are in it.
    pub calls: usize,
    /// Calls that a scenario cannot say.
    pub left_out: usize,
    /// Whether it ended before the run did, at [`MOST_CALLS`] or [`MOST_BYTES`].
    pub full: bool,
}

/// A name that is not UTF-8 is shown as well as it can be.
fn lossy<S: serde::Serializer>(file: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = file.as_deref().map(std::path::Path::to_string_lossy);
    serde::Serialize::serialize(&shown, serializer)
}

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Something of that name is there, and stays.
    #[error("cannot record to {}: it exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be made or written.
    #[error("cannot record to {}: {why}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// Somebody has made a file of that name meanwhile: it stays, and the recording is beside it.
    #[error("{} came to be meanwhile: the recording is in {}", path.display(), kept.display())]
    Overtaken {
        /// The file.
        path: PathBuf,
        /// Where the recording is.
        kept: PathBuf,
    },
    /// TOML has no words for what was noted.
    #[error("cannot record to {}: what was noted cannot be written as TOML: {why}", path.display())]
    Unsayable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: toml::ser::Error,
    },
    /// A secret would have been in the file. It was not written.
    #[error("cannot record to {}: a secret would be in it in clear", path.display())]
    InClear {
        /// The file.
        path: PathBuf,
    },
}

/// Notes what one host does for its due wakeups, one call at a time. Clones note together.
///
/// Put together before the host is: its store and its way out are the recorder's, the wakeups are run
/// by [`Recorder::runner`].
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
    /// [`RecordError::Exists`], or [`RecordError::Unwritable`] where no file could be made at the end.
    pub fn begin(
        path: &Path,
        setup: Setup,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
        sealer: Arc<Sealer>,
    ) -> Result<Self, RecordError> {
        file::try_out(path)?;
        Ok(Self(Arc::new(Shared {
            path: path.to_owned(),
            setup,
            clock,
            store,
            sealer,
            notes: Mutex::default(),
        })))
    }

    /// The store that the host is to have: the one that was given, watched.
    pub fn store(&self) -> Arc<dyn Store> {
        let inner = Arc::clone(&self.0.store);
        Arc::new(Layered::new(inner, self.clone()))
    }

    /// What is to carry the host's requests: hands them to `network`, such as a
    /// [`relation_host::egress::Client`] of the same policy and limits as the host's.
    pub fn way_out(&self, network: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(way_out::WayOut {
            network,
            recorder: self.clone(),
        })
    }

    /// What a dispatcher is to run in place of the host: it does the same, one call at a time.
    pub fn runner(&self, host: Host) -> Arc<dyn Runner> {
        self.notes().plugin = host.plugin().name().to_owned();
        Arc::new(runner::Noted::new(host, self.clone()))
    }

    /// Writes the file, whole or not at all, for its owner alone to read. Once, when nothing runs any more.
    ///
    /// # Errors
    /// Nothing was written, or not under that name.
    pub fn finish(&self) -> Result<Recorded, RecordError> {
        let notes = self.notes();
        let recorded = Recorded {
            file: (!notes.steps.is_empty()).then(|| self.0.path.clone()),
            calls: notes.steps.len(),
            left_out: notes.left_out.len(),
            full: notes.full.is_some(),
        };
        if notes.steps.is_empty() {
            return Ok(recorded);
        }
        let text = written::text(&notes, &self.0.setup).map_err(|why| match why {
            written::Unwritten::Toml(why) => RecordError::Unsayable {
                path: self.0.path.clone(),
                why,
            },
            written::Unwritten::InClear => RecordError::InClear {
                path: self.0.path.clone(),
            },
        })?;
        file::write(&self.0.path, &text)?;
        Ok(recorded)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Notes are whole after each of their methods.
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
