//! The file of a recording: made at the end, whole, for its owner alone, in nobody's place.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::RecordError;

/// Finds out before anything runs whether there could be such a file.
pub(super) fn try_out(path: &Path) -> Result<(), RecordError> {
    // Also a link that leads nowhere.
    if path.symlink_metadata().is_ok() {
        return Err(RecordError::Exists {
            path: path.to_owned(),
        });
    }
    let tried = match path.file_name() {
        Some(_) => beside(path).map(drop),
        None => Err(io::Error::other("it names no file")),
    };
    tried.map_err(|why| unwritable(path, why))
}

/// Writes `text`.
pub(super) fn write(path: &Path, text: &str) -> Result<(), RecordError> {
    let written = || -> io::Result<NamedTempFile> {
        let mut file = beside(path)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    let file = written().map_err(|why| unwritable(path, why))?;
    let Err(refused) = file.persist_noclobber(path) else {
        return Ok(());
    };
    if refused.error.kind() != io::ErrorKind::AlreadyExists {
        return Err(unwritable(path, refused.error));
    }
    let (_, kept) = refused
        .file
        .keep()
        .map_err(|error| unwritable(path, error.error))?;
    Err(RecordError::Overtaken {
        path: path.to_owned(),
        kept,
    })
}

fn unwritable(path: &Path, why: io::Error) -> RecordError {
    RecordError::Unwritable {
        path: path.to_owned(),
        why,
    }
}

/// A new file in the folder of `path`, which its owner alone can read.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    tempfile::Builder::new()
        .prefix(".recording-")
        .tempfile_in(folder)
}
