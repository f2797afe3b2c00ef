//! The files of a stash: reading, listing, and making what is written durable.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use super::StashError;
use crate::store::ownership::{Ownership, directory_of, explain};

/// After this long a file that is being written is taken for one whose writer has ended.
const ABANDONED: Duration = Duration::from_secs(3600);
/// More than an entry ever has: a commit is bounded, and its text grows by less than this.
const LONGEST: u64 = 64 << 20;

pub(super) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> StashError + 'a {
    move |source| StashError::Io {
        action,
        path: path.to_owned(),
        source: match explain(path, &source) {
            why if why.is_empty() => source,
            why => io::Error::new(source.kind(), format!("{source}{why}")),
        },
    }
}

/// Lists a directory; nothing when it is not there. That costs one failing system call, which
/// is what every call of a host pays whose store was never down.
pub(super) fn files(
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
    file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Whether a file that was being written is so old that nobody writes it any more.
pub(super) fn is_abandoned(file: &fs::DirEntry) -> bool {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
}

/// Makes a directory for its owner alone, unless it is there: by root for the owner of its parent. Returns
/// the directory when this call has made it.
pub(super) fn make_directory(directory: &Path) -> Result<Option<File>, StashError> {
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
    let parent = directory_of(directory);
    let passed_on = open_made(directory).and_then(|made| {
        Ownership::read(parent)?.give(&made)?;
        Ok(made)
    });
    let made = passed_on.map_err(io_error("pass on", directory))?;
    synchronise(parent)?;
    Ok(Some(made))
}

/// Opens a directory that was just made. Whoever owns its parent may have put a link in its place, and
/// root must not give away what that points to.
fn open_made(directory: &Path) -> io::Result<File> {
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

/// Makes a folder of a stash, for those who may use the stash, unless it is there.
pub(super) fn make_folder(folder: &Path) -> Result<(), StashError> {
    let Some(made) = make_directory(folder)? else {
        return Ok(());
    };
    Ownership::read(directory_of(folder))
        .and_then(|ownership| ownership.pass_to_directory(&made))
        .map_err(io_error("pass on", folder))
}

/// Makes what was named, renamed or removed in a directory durable.
pub(super) fn synchronise(directory: &Path) -> Result<(), StashError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error("synchronise", directory))
}
