//! Owner and mode of files that a host creates in a directory of another user.
//!
//! An administrator may run a command as root on the store of a service. Files that the command creates
//! must belong to the service, or the service cannot read them.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// The owner, group and mode of a file or directory, to be applied to new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ownership {
    #[cfg(unix)]
    user: u32,
    #[cfg(unix)]
    group: u32,
    #[cfg(unix)]
    mode: u32,
}

#[cfg(unix)]
impl Ownership {
    /// Reads the ownership of the file or directory at `path`.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            user: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode(),
        })
    }

    /// Sets the owner of `file`, if this process may, and the read and write bits of its mode.
    pub(crate) fn apply_to_file(self, file: &File) -> io::Result<()> {
        self.apply_owner(file)?;
        log_failure(file.set_permissions(PermissionsExt::from_mode(self.mode & 0o666)));
        Ok(())
    }

    /// Works like [`Ownership::apply_to_file`], for a directory: users who may read its files may also
    /// search it.
    pub(crate) fn apply_to_directory(self, directory: &File) -> io::Result<()> {
        self.apply_owner(directory)?;
        let read = self.mode & 0o666;
        let search = (read & 0o444) >> 2;
        log_failure(directory.set_permissions(PermissionsExt::from_mode(read | search)));
        Ok(())
    }

    /// Sets the owner of `file`, but not the mode.
    pub(crate) fn apply_owner(self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        let changes = |wanted: u32, found: u32| (wanted != found).then_some(wanted);
        let user = changes(self.user, metadata.uid());
        let group = changes(self.group, metadata.gid());
        if user.is_none() && group.is_none() {
            return Ok(());
        }
        if rustix::process::geteuid().is_root() {
            log_failure(std::os::unix::fs::fchown(file, user, group));
            return Ok(());
        }
        // A user may change a file's group only to one of their own groups. The file works for this
        // process in any case, and a host that cannot read it reports that.
        if let Err(error) = std::os::unix::fs::fchown(file, None, group) {
            tracing::debug!(%error, "a new file keeps the group of this process");
        }
        Ok(())
    }
}

/// Logs a refused change of owner or mode: the write itself must not fail because of it.
#[cfg(unix)]
fn log_failure(passed_on: io::Result<()>) {
    if let Err(error) = passed_on {
        tracing::warn!(%error, "a new file beside the database keeps the owner or the mode of this process");
    }
}

#[cfg(not(unix))]
impl Ownership {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|_| Self {})
    }

    pub(crate) fn apply_to_file(self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn apply_to_directory(self, _directory: &File) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn apply_owner(self, _file: &File) -> io::Result<()> {
        Ok(())
    }
}

/// Creates the file at `path` durably, with mode 0600. Root creates the file for the owner of its directory.
///
/// The content is written to a temporary file that is then renamed. No crash leaves, and no other process reads, half a
/// file.
///
/// # Errors
/// `AlreadyExists` if there is a file, which stays as it is; every other error of the file system.
pub fn create_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = parent_directory(path);
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    Ownership::read(directory)?.apply_owner(file.as_file())?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

/// Returns the directory that contains the file at `path`; `.` for a name alone.
pub fn parent_directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Adds the path, its owner and a remedy to `error`, which an access to `path` caused.
pub(crate) fn with_path(path: &Path, error: &io::Error) -> io::Error {
    let text = format!("{}: {error}{}", path.display(), explain_denied(path, error));
    io::Error::new(error.kind(), text)
}

/// Explains a denied access: the owner of the file at `path` and a remedy.
pub(crate) fn explain_denied(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    match describe_denied(path) {
        Some(found) => format!(" ({found})"),
        None => String::new(),
    }
}

/// Describes the file, or its nearest accessible parent directory, and how to grant access.
#[cfg(unix)]
fn describe_denied(path: &Path) -> Option<String> {
    let mut at: PathBuf = path.to_owned();
    loop {
        if let Ok(metadata) = std::fs::metadata(&at) {
            let us = rustix::process::geteuid().as_raw();
            let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
            let what = if metadata.is_dir() {
                "directory"
            } else {
                "file"
            };
            let todo = if owner == us {
                format!("give its owner access to the {what} with chmod")
            } else {
                format!("run it as user {owner}, or give the {what} to user {us} with chown")
            };
            return Some(format!(
                "the {what} {} belongs to user {owner}, group {}, and has mode {mode:04o}; this process \
                 runs as user {us}: {todo}",
                at.display(),
                metadata.gid()
            ));
        }
        at = at.parent()?.to_owned();
    }
}

#[cfg(not(unix))]
fn describe_denied(_path: &Path) -> Option<String> {
    None
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn mode_is_applied_without_its_special_bits() {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("from");
        let to = directory.path().join("to");
        let folder = directory.path().join("folder");
        File::create(&from).unwrap();
        std::fs::create_dir(&folder).unwrap();
        for (mode_of_source, file, search) in [
            (0o600, 0o600, 0o700),
            (0o660, 0o660, 0o770),
            (0o640, 0o640, 0o750),
            (0o2775, 0o664, 0o775),
        ] {
            set_mode(&from, mode_of_source);
            let ownership = Ownership::read(&from).unwrap();
            ownership
                .apply_to_file(&File::create(&to).unwrap())
                .unwrap();
            ownership
                .apply_to_directory(&File::open(&folder).unwrap())
                .unwrap();
            assert_eq!(
                (mode(&to), mode(&folder)),
                (file, search),
                "{mode_of_source:o}"
            );
        }
    }

    #[test]
    fn access_denied_error_names_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        File::create(&path).unwrap();
        set_mode(&path, 0);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let text = with_path(&path, &denied).to_string();
        for part in [
            path.to_str().unwrap(),
            "belongs to user",
            "mode 0000",
            "chmod",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert!(!with_path(&path, &missing).to_string().contains("chmod"));
    }
}
