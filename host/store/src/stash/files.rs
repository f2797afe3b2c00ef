//! The files of a stash: reading, listing, and making changes durable.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use super::StashError;
use crate::ownership::{Ownership, explain_denied, parent_directory};

/// The age at which an unfinished file counts as abandoned by its writer.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// An upper bound for the size of an entry, in bytes. The size of a commit is limited, and its text is
/// less than this much longer.
const MAX_ENTRY_BYTES: u64 = 64 << 20;

pub(super) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> StashError + 'a {
    move |source| StashError::Io {
        action,
        path: path.to_owned(),
        source: match explain_denied(path, &source) {
            reason if reason.is_empty() => source,
            reason => io::Error::new(source.kind(), format!("{source}{reason}")),
        },
    }
}

/// Lists a directory; a missing directory is empty. When the store was never down, this costs a call one
/// failing system call.
pub(super) fn list_files(
    directory: &Path,
) -> Result<impl Iterator<Item = fs::DirEntry> + use<>, StashError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(io_error("read", directory)(error)),
    };
    let mut files = Vec::new();
    for entry in entries.into_iter().flatten() {
        files.push(entry.map_err(io_error("read", directory))?);
    }
    Ok(files.into_iter())
}

pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StashError> {
    let failed = io_error("read", path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_ENTRY_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(bytes))
}

/// Returns whether an unfinished file is so old that its writer must have ended.
pub(super) fn is_abandoned(file: &fs::DirEntry) -> bool {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED_AFTER))
}

/// Creates a directory that only its owner may use, unless it exists. Root creates it for the owner of
/// its parent. Returns the directory if this call has created it.
pub(super) fn create_directory(directory: &Path) -> Result<Option<File>, StashError> {
    if directory.is_dir() {
        return Ok(None);
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(io_error("make", directory)(error)),
    }
    let parent = parent_directory(directory);
    let passed_on = open_created(directory).and_then(|made| {
        Ownership::read(parent)?.apply_owner(&made)?;
        Ok(made)
    });
    let made = passed_on.map_err(io_error("pass on", directory))?;
    sync_directory(parent)?;
    Ok(Some(made))
}

/// Opens a directory that was just created. The owner of its parent may have replaced it by a link, and
/// root must not give away the link's target.
fn open_created(directory: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.cast_signed());
    }
    options.open(directory)
}

/// Creates a directory in a stash, for all users of the stash, unless it exists.
pub(super) fn create_folder(folder: &Path) -> Result<(), StashError> {
    let Some(made) = create_directory(folder)? else {
        return Ok(());
    };
    Ownership::read(parent_directory(folder))
        .and_then(|ownership| ownership.apply_to_directory(&made))
        .map_err(io_error("pass on", folder))
}

/// Makes created, renamed and removed names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), StashError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error("synchronize", directory))
}
