//! The owner and the mode of files that a host adds to a directory which another user may own.
//!
//! An administrator runs a command as root on the store of a service. The files that the command
//! leaves must be the service's own, or the service cannot read them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// The owner, the group and the mode of a file or a directory, to be passed on to new files.
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
    /// Reads the ownership of what is at `path`.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            user: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode(),
        })
    }

    /// Gives `file` the owner, if this process may, and for a file the bits of the mode that say who
    /// reads and writes.
    pub(crate) fn pass_to_file(self, file: &File) -> io::Result<()> {
        self.give(file)?;
        tolerate(file.set_permissions(PermissionsExt::from_mode(self.mode & 0o666)));
        Ok(())
    }

    /// As [`Ownership::pass_to_file`], for a directory: who reads files in it may also search it.
    pub(crate) fn pass_to_directory(self, directory: &File) -> io::Result<()> {
        self.give(directory)?;
        let read = self.mode & 0o666;
        let search = (read & 0o444) >> 2;
        tolerate(directory.set_permissions(PermissionsExt::from_mode(read | search)));
        Ok(())
    }

    /// Gives `file` the owner alone.
    pub(crate) fn give(self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        let changes = |wanted: u32, found: u32| (wanted != found).then_some(wanted);
        let user = changes(self.user, metadata.uid());
        let group = changes(self.group, metadata.gid());
        if user.is_none() && group.is_none() {
            return Ok(());
        }
        if rustix::process::geteuid().is_root() {
            tolerate(std::os::unix::fs::fchown(file, user, group));
            return Ok(());
        }
        // A user may pass a file on to one of their groups only. The file works for this process in
        // any case, and a host that cannot read it says so.
        if let Err(error) = std::os::unix::fs::fchown(file, None, group) {
            tracing::debug!(%error, "a new file keeps the group of this process");
        }
        Ok(())
    }
}

/// Logs what a file system does not do: what is written must not be lost because of an owner or a mode.
#[cfg(unix)]
fn tolerate(passed_on: io::Result<()>) {
    if let Err(error) = passed_on {
        tracing::warn!(%error, "a new file beside the database keeps the owner or the mode of this process");
    }
}

#[cfg(not(unix))]
impl Ownership {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|_| Self {})
    }

    pub(crate) fn pass_to_file(self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn pass_to_directory(self, _directory: &File) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn give(self, _file: &File) -> io::Result<()> {
        Ok(())
    }
}

/// The directory in which the file at `path` is.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Adds to `error`, which came of an access to `path`, the path, its owner and what to do.
pub(crate) fn name_file(path: &Path, error: &io::Error) -> io::Error {
    let told = format!("{}: {error}{}", path.display(), explain(path, error));
    io::Error::new(error.kind(), told)
}

/// Names the owner of the file at `path` and what to do, if an access was denied.
pub(crate) fn explain(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    match denied_by(path) {
        Some(found) => format!(" ({found})"),
        None => String::new(),
    }
}

/// The file or the directory above it that can be looked at, and how it can be opened up.
#[cfg(unix)]
fn denied_by(path: &Path) -> Option<String> {
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
fn denied_by(_path: &Path) -> Option<String> {
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
    fn a_mode_is_passed_on_without_its_special_bits() {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("from");
        let to = directory.path().join("to");
        let folder = directory.path().join("folder");
        File::create(&from).unwrap();
        std::fs::create_dir(&folder).unwrap();
        for (given, file, search) in [
            (0o600, 0o600, 0o700),
            (0o660, 0o660, 0o770),
            (0o640, 0o640, 0o750),
            (0o2775, 0o664, 0o775),
        ] {
            set_mode(&from, given);
            let ownership = Ownership::read(&from).unwrap();
            ownership.pass_to_file(&File::create(&to).unwrap()).unwrap();
            ownership
                .pass_to_directory(&File::open(&folder).unwrap())
                .unwrap();
            assert_eq!((mode(&to), mode(&folder)), (file, search), "{given:o}");
        }
    }

    #[test]
    fn a_denied_file_is_named_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        File::create(&path).unwrap();
        set_mode(&path, 0);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let told = name_file(&path, &denied).to_string();
        for part in [
            path.to_str().unwrap(),
            "belongs to user",
            "mode 0000",
            "chmod",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert!(!name_file(&path, &missing).to_string().contains("chmod"));
    }
}
