//! A directory of compiled components: what one process has compiled, the next one loads.
//!
//! What is loaded runs as native code with all the rights of this process. So nothing is loaded that
//! others could have written, nor what differs by a bit from what was kept; what cannot be used
//! costs the time of compiling and nothing else. The cache that comes with wasmtime promises
//! neither: two in three flipped bits of its compressed files would run as other code.

use std::fs::{self, File, Metadata};
use std::hash::{Hash as _, Hasher};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// What the files may take before the longest unused are removed.
const CAPACITY: u64 = 256 << 20;

/// Changes when the layout of a file does.
const LAYOUT: &str = "relation-host compiled component 1";

/// How the name of a compiled component ends.
const COMPILED: &str = ".compiled";

/// How the name of a file begins that is being written.
const UNFINISHED: &str = ".unfinished-";

/// Bytes of a file's digest, which stands before the compiled component.
const DIGEST: usize = 32;

/// A directory of compiled components, for any number of processes at once.
///
/// **Whoever can write into it decides what this process executes.** It is made with mode 0700; on
/// Unix a directory or a file is used only if it belongs to this user or to root, and nobody else
/// may write it. Elsewhere the directory has to be protected by other means.
///
/// A component is found by its own bytes, the version of wasmtime, the engine's configuration and
/// the features of the processor, so one directory serves several releases and machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentCache {
    directory: PathBuf,
    capacity: u64,
}

/// Where a component came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Cache,
    Compiler,
}

/// Why the cache could not be used.
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
    #[error("{} is damaged, and is made anew: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

impl CacheError {
    /// A full disk or a read-only directory costs time at each start, of which only a host that
    /// keeps running tells; what may be an attack or a failing disk is always told.
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
    /// The cache in `directory`, which is made when it is first needed. It holds 256 MiB.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            capacity: CAPACITY,
        }
    }

    /// Sets how many bytes its files may take before the longest unused are removed. The newest
    /// one stays in any case.
    #[must_use]
    pub fn with_capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The component, compiled by this process or an earlier one. Blocks.
    fn component(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
        let (component, origin) = self.find(engine, bytes)?;
        tracing::debug!(?origin, directory = %self.directory.display(), "component ready");
        Ok(component)
    }

    fn find(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<(Component, Origin)> {
        if let Err(error) = self.open() {
            error.log();
            return Ok((Component::new(engine, bytes)?, Origin::Compiler));
        }
        let name = name(engine, bytes);
        match self.load(engine, &name) {
            Ok(Some(component)) => return Ok((component, Origin::Cache)),
            Ok(None) => {}
            Err(error) => error.log(),
        }
        let component = Component::new(engine, bytes)?;
        if let Err(error) = self.keep(&name, &component.serialize()?) {
            error.log();
        }
        Ok((component, Origin::Compiler))
    }

    /// Makes the directory unless it is there, and makes sure that it is to be trusted.
    fn open(&self) -> Result<(), CacheError> {
        let failed = |action| io_error(action, &self.directory);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.directory).map_err(failed("make"))?;
        let metadata = fs::metadata(&self.directory).map_err(failed("look at"))?;
        trusted(&self.directory, &metadata)
    }

    /// What is kept under `name`, if it is there.
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
        // Of the open file, which nobody can exchange any more.
        trusted(&path, &file.metadata().map_err(failed("look at"))?)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(failed("read"))?;
        let Some((kept, compiled)) = content.split_at_checked(DIGEST) else {
            return Err(damaged("it is too short".to_owned()));
        };
        if digest(name, compiled) != kept {
            return Err(damaged("its digest does not fit".to_owned()));
        }
        // SAFETY: these are the bytes that `Component::serialize` gave for this component under this
        // configuration: the digest covers them and the name, and the name covers the component, the
        // configuration and the version of wasmtime. Only this user and root could have written the
        // file, and both can replace this program as well.
        let component = unsafe { Component::deserialize(engine, compiled) }
            .map_err(|error| damaged(format!("{error:#}")))?;
        // Tells that it is in use; a read-only directory cannot be told.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(component))
    }

    /// Keeps a compiled component under `name`, in place of what may be there: whole or not at all.
    fn keep(&self, name: &str, compiled: &[u8]) -> Result<(), CacheError> {
        let path = self.directory.join(name);
        let failed = |action| io_error(action, &path);
        // Its mode is 0600. It need not be durable: after a crash its digest does not fit.
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
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

    /// Removes the longest unused files, also unfinished ones, while all take more than they may.
    fn prune(&self, newest: &str) -> io::Result<()> {
        let mut files = Vec::new();
        for file in fs::read_dir(&self.directory)? {
            let file = file?;
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            if !(name.ends_with(COMPILED) || name.starts_with(UNFINISHED)) {
                continue;
            }
            // Another process may have removed it meanwhile.
            let Ok(metadata) = file.metadata() else {
                continue;
            };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((name != newest, used, metadata.len(), file.path()));
        }
        // The one that was just written, then the others, the latest used first.
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

/// The component of these bytes: from the cache, if there is one and has it. Blocks.
pub(super) fn compiled(
    engine: &Engine,
    bytes: &[u8],
    cache: Option<&ComponentCache>,
) -> wasmtime::Result<Component> {
    match cache {
        Some(cache) => cache.component(engine, bytes),
        None => Component::new(engine, bytes),
    }
}

/// Under which name a component is kept when this engine has compiled it.
fn name(engine: &Engine, bytes: &[u8]) -> String {
    let mut all = Sha256Hasher(Sha256::new());
    LAYOUT.hash(&mut all);
    engine.precompile_compatibility_hash().hash(&mut all);
    all.0.update(bytes);
    let name: String = all
        .0
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    name + COMPILED
}

fn digest(name: &str, compiled: &[u8]) -> [u8; DIGEST] {
    let digest = Sha256::new().chain_update(name).chain_update(compiled);
    digest.finalize().into()
}

/// A hasher whose result cannot be made to collide, for values that know only how to be hashed.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The first bytes; whoever needs all of them takes the digest.
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

/// Whether nobody but this user and root can have written it.
#[cfg(unix)]
fn trusted(path: &Path, metadata: &Metadata) -> Result<(), CacheError> {
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

/// What has no owner and mode as on Unix is protected by its directory.
#[cfg(not(unix))]
fn trusted(_path: &Path, _metadata: &Metadata) -> Result<(), CacheError> {
    Ok(())
}

#[cfg(test)]
mod tests;
