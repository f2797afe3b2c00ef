//! The file of a recording: written at the end, atomically, readable by its owner only, and never over another
//! file.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::RecordError;

/// Checks, before anything runs, that the file could be created.
pub(super) fn check_path(path: &Path) -> Result<(), RecordError> {
    // Includes dangling links.
    if path.symlink_metadata().is_ok() {
        return Err(RecordError::Exists {
            path: path.to_owned(),
        });
    }
    let tried = match path.file_name() {
        Some(_) => temporary_file(path).map(drop),
        None => Err(io::Error::other("it names no file")),
    };
    tried.map_err(|error| write_error(path, error))
}

/// Writes `text`.
pub(super) fn write(path: &Path, text: &str) -> Result<(), RecordError> {
    let written = || -> io::Result<NamedTempFile> {
        let mut file = temporary_file(path)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    let file = written().map_err(|error| write_error(path, error))?;
    let Err(refused) = file.persist_noclobber(path) else {
        return Ok(());
    };
    if refused.error.kind() != io::ErrorKind::AlreadyExists {
        return Err(write_error(path, refused.error));
    }
    let (_, saved_to) = refused
        .file
        .keep()
        .map_err(|error| write_error(path, error.error))?;
    Err(RecordError::PathTaken {
        path: path.to_owned(),
        saved_to,
    })
}

fn write_error(path: &Path, error: io::Error) -> RecordError {
    RecordError::Unwritable {
        path: path.to_owned(),
        error,
    }
}

/// Creates a temporary file in the directory of `path`, readable by its owner only.
fn temporary_file(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    tempfile::Builder::new()
        .prefix(".recording-")
        .tempfile_in(folder)
}
