//! A directory of compiled components: one process compiles a component, later ones load it.
//!
//! A loaded component runs as native code with all rights of this process. So a file is not loaded
//! if others could have written it, or if a single bit differs from what was stored. An unusable
//! file only costs the time of compiling. Wasmtime's own cache guarantees neither: two of three
//! flipped bits in its compressed files would run as different code.

use std::fs::{self, File, Metadata};
use std::hash::{Hash as _, Hasher};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The default size limit in bytes, above which the least recently used files are removed.
const CAPACITY: u64 = 256 << 20;

/// The version of the file layout.
const FORMAT: &str = "relation-host compiled component 1";

/// The file name suffix of a compiled component.
const SUFFIX: &str = ".compiled";

/// The file name prefix of an unfinished file.
const TEMPORARY_PREFIX: &str = ".unfinished-";

/// The size of the digest at the start of a file, in bytes.
const DIGEST_BYTES: usize = 32;

/// A directory of compiled components that several processes can share.
///
/// **Anyone who can write to the directory decides what this process executes.** The directory is
/// created with mode 0700. On Unix, a directory or file is used only if it belongs to this user or
/// to root and is not writable by others. On other systems, the directory must be protected by
/// other means.
///
/// The key of a component covers its bytes, the version of wasmtime, the engine's configuration and
/// the processor's features. So one directory serves several releases and machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentCache {
    directory: PathBuf,
    capacity: u64,
}

/// The source of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provenance {
    Cache,
    Compiler,
}

/// The use of the cache when a component was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheUse {
    /// The compiled component was in the cache.
    Hit,
    /// The component was not in the cache.
    Miss,
    /// The cache, or the file in it, could not be used.
    Refused,
    /// There is no cache.
    Off,
}

impl CacheUse {
    /// Returns the name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Refused => "refused",
            Self::Off => "off",
        }
    }
}

/// The reason why the cache could not be used.
#[derive(Debug, thiserror::Error)]
enum CacheError {
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    #[error(
        "{} is not used: it has to belong to this user, and others must not be able to write it (chmod go-w)",
        path.display()
    )]
    Untrusted { path: PathBuf },
    #[error("{} is damaged and is created again: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

impl CacheError {
    /// Logs the error. A full disk or read-only directory only costs time at each start, so it is logged at a low
    /// level. A possible attack or failing disk is always a warning.
    fn log(&self) {
        match self {
            Self::Io { .. } => tracing::info!("the cache of compiled components: {self}"),
            Self::Untrusted { .. } | Self::Damaged { .. } => {
                tracing::warn!("the cache of compiled components: {self}");
            }
        }
    }
}

impl ComponentCache {
    /// Creates a cache of 256 MiB in `directory`, which is created on first use.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            capacity: CAPACITY,
        }
    }

    /// Sets the size limit in bytes, above which the least recently used files are removed. The
    /// newest file always stays.
    #[must_use]
    pub fn with_capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// Returns the cache's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Loads the component, or compiles it. Blocks.
    fn component(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<(Component, CacheUse)> {
        let mut is_refused = false;
        let (component, origin) = self.find(engine, bytes, &mut is_refused)?;
        tracing::debug!(?origin, directory = %self.directory.display(), "component ready");
        let cache = match origin {
            _ if is_refused => CacheUse::Refused,
            Provenance::Cache => CacheUse::Hit,
            Provenance::Compiler => CacheUse::Miss,
        };
        Ok((component, cache))
    }

    /// Finds or compiles the component. Sets `is_refused` if the cache or its file could not be used.
    fn find(
        &self,
        engine: &Engine,
        bytes: &[u8],
        is_refused: &mut bool,
    ) -> wasmtime::Result<(Component, Provenance)> {
        if let Err(error) = self.open() {
            error.log();
            *is_refused = true;
            return Ok((Component::new(engine, bytes)?, Provenance::Compiler));
        }
        let name = name(engine, bytes);
        match self.load(engine, &name) {
            Ok(Some(component)) => return Ok((component, Provenance::Cache)),
            Ok(None) => {}
            Err(error) => {
                error.log();
                *is_refused = true;
            }
        }
        let component = Component::new(engine, bytes)?;
        if let Err(error) = self.store(&name, &component.serialize()?) {
            error.log();
        }
        Ok((component, Provenance::Compiler))
    }

    /// Creates the directory if missing, and checks that it is trusted.
    fn open(&self) -> Result<(), CacheError> {
        let failed = |action| io_error(action, &self.directory);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.directory).map_err(failed("make"))?;
        let metadata = fs::metadata(&self.directory).map_err(failed("look at"))?;
        check_trusted(&self.directory, &metadata)
    }

    /// Loads the file called `name`, if it exists.
    fn load(&self, engine: &Engine, name: &str) -> Result<Option<Component>, CacheError> {
        let path = self.directory.join(name);
        let failed = |action| io_error(action, &path);
        let damaged = |reason: String| CacheError::Damaged {
            path: path.clone(),
            reason,
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open")(error)),
        };
        // Checks the open file, which cannot be exchanged any more.
        check_trusted(&path, &file.metadata().map_err(failed("look at"))?)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(failed("read"))?;
        let Some((expected_digest, compiled)) = content.split_at_checked(DIGEST_BYTES) else {
            return Err(damaged("it is too short".to_owned()));
        };
        if digest(name, compiled) != expected_digest {
            return Err(damaged("its digest does not fit".to_owned()));
        }
        // SAFETY: `Component::serialize` produced these bytes for this component and configuration:
        // the digest covers them and the name. The name covers the component, the configuration and
        // the version of wasmtime. Only this user and root could have written the file, and both
        // could replace this program as well.
        let component = unsafe { Component::deserialize(engine, compiled) }
            .map_err(|error| damaged(format!("{error:#}")))?;
        // Marks the file as recently used; fails silently in a read-only directory.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(component))
    }

    /// Stores a compiled component as `name`, atomically, and replaces an existing file.
    fn store(&self, name: &str, compiled: &[u8]) -> Result<(), CacheError> {
        let path = self.directory.join(name);
        let failed = |action| io_error(action, &path);
        // The file's mode is 0600. It need not be durable: after a crash its digest does not match.
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(&self.directory)
            .map_err(failed("write"))?;
        file.write_all(&digest(name, compiled))
            .and_then(|()| file.write_all(compiled))
            .map_err(failed("write"))?;
        file.persist(&path)
            .map_err(|error| failed("name")(error.error))?;
        self.prune(name)
            .map_err(io_error("clean up", &self.directory))
    }

    /// Removes the least recently used files, including unfinished ones, while the total exceeds
    /// the limit.
    fn prune(&self, newest: &str) -> io::Result<()> {
        let mut files = Vec::new();
        for file in fs::read_dir(&self.directory)? {
            let file = file?;
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            if !(name.ends_with(SUFFIX) || name.starts_with(TEMPORARY_PREFIX)) {
                continue;
            }
            // Another process may have removed the file concurrently.
            let Ok(metadata) = file.metadata() else {
                continue;
            };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((name != newest, used, metadata.len(), file.path()));
        }
        // The new file first, then the others, most recently used first.
        files.sort_by(|(other, used, ..), (other_of, used_of, ..)| {
            other.cmp(other_of).then_with(|| used_of.cmp(used))
        });
        let mut taken = 0_u64;
        for (other, _, size, path) in files {
            taken = taken.saturating_add(size);
            if other && taken > self.capacity {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Loads the component from the cache, if there is one, or compiles it. Blocks.
pub(super) fn load_or_compile(
    engine: &Engine,
    bytes: &[u8],
    cache: Option<&ComponentCache>,
) -> wasmtime::Result<(Component, CacheUse)> {
    match cache {
        Some(cache) => cache.component(engine, bytes),
        None => Ok((Component::new(engine, bytes)?, CacheUse::Off)),
    }
}

/// Returns the file name of a component that this engine has compiled.
fn name(engine: &Engine, bytes: &[u8]) -> String {
    let mut all = Sha256Hasher(Sha256::new());
    FORMAT.hash(&mut all);
    engine.precompile_compatibility_hash().hash(&mut all);
    all.0.update(bytes);
    hex::encode(all.0.finalize()) + SUFFIX
}

fn digest(name: &str, compiled: &[u8]) -> [u8; DIGEST_BYTES] {
    let digest = Sha256::new().chain_update(name).chain_update(compiled);
    digest.finalize().into()
}

/// A collision-resistant hasher for values that only implement `Hash`.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns only the first bytes; `name` uses the whole digest.
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        let first = digest.iter().take(size_of::<u64>());
        first.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> CacheError + use<'a> {
    move |error| CacheError::Io {
        action,
        path: path.to_owned(),
        error,
    }
}

/// Checks that only this user and root can have written the file.
#[cfg(unix)]
fn check_trusted(path: &Path, metadata: &Metadata) -> Result<(), CacheError> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = metadata.uid();
    let ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(CacheError::Untrusted {
        path: path.to_owned(),
    })
}

/// Trusts each file. Without Unix owners and modes, the directory must protect its files.
#[cfg(not(unix))]
fn check_trusted(_path: &Path, _metadata: &Metadata) -> Result<(), CacheError> {
    Ok(())
}

#[cfg(test)]
mod tests;
