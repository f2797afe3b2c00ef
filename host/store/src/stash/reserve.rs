//! The reserve: preallocated files in the stash that become entries when the disk is full.
//!
//! Each file has the size of a usual entry. An entry that finds the disk full overwrites a file in place
//! and then renames it. The space thus goes to the entry and not to other processes that write to the
//! same disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::UNFINISHED_PREFIX;
use super::files::{create_folder, io_error};
use crate::ownership::Ownership;
use crate::stash::StashError;

/// The directory of the reserve in the stash.
const DIRECTORY: &str = "reserve";
/// The prefix of the file names.
const PREFIX: &str = "room-";
/// The size of one file, in bytes: larger than a usual entry.
pub(super) const SLOT: u64 = SLOT_BYTES as u64;
const SLOT_BYTES: usize = 32 << 10;

/// The reserve of one stash.
#[derive(Debug)]
pub(super) struct Reserve {
    stash: PathBuf,
    slots: u64,
}

impl Reserve {
    /// Creates a reserve for `bytes`, rounded up to whole files.
    pub(super) fn new(stash: &Path, bytes: u64) -> Self {
        Self {
            stash: stash.to_owned(),
            slots: bytes.div_ceil(SLOT),
        }
    }

    /// Returns the intended size, in bytes.
    pub(super) fn target_bytes(&self) -> u64 {
        self.slots.saturating_mul(SLOT)
    }

    /// Creates the missing files, as far as the disk has room.
    pub(super) fn fill(&self) -> Result<(), StashError> {
        if self.slots == 0 {
            return Ok(());
        }
        let directory = self.stash.join(DIRECTORY);
        create_folder(&directory)?;
        for number in 0..self.slots {
            let path = directory.join(format!("{PREFIX}{number}"));
            if !is_whole(&path) {
                create_slot(&directory, &path).map_err(io_error("reserve room in", &path))?;
            }
        }
        Ok(())
    }

    /// Writes `bytes` over a file of the reserve and renames it to `to`. Returns `None` when the reserve
    /// is used up.
    pub(super) fn write(&self, bytes: &[u8], to: &Path) -> Option<Result<(), StashError>> {
        let (mut file, path) = self.claim()?;
        let mut room = SLOT;
        while room < bytes.len() as u64 && self.release_one() {
            room += SLOT;
        }
        let failed = |action| io_error(action, to);
        let written = loop {
            match overwrite(&mut file, bytes) {
                // A copy-on-write file system needs additional space for the overwrite.
                Err(error) if is_full(&error) && self.release_one() => {}
                done => break done,
            }
        };
        let written = written
            .map_err(failed("write"))
            .and_then(|()| self.name(&path, to).map_err(failed("name")));
        if written.is_err() {
            // The file would not be found again, and its space may serve another entry.
            let _ = fs::remove_file(&path);
        }
        Some(written)
    }

    /// Renames a file; the directory may need space for the new name.
    fn name(&self, from: &Path, to: &Path) -> io::Result<()> {
        loop {
            match fs::rename(from, to) {
                Err(error) if is_full(&error) && self.release_one() => {}
                done => return done,
            }
        }
    }

    /// Takes a file out of the reserve, under a name that other processes ignore.
    fn claim(&self) -> Option<(File, PathBuf)> {
        for from in whole_files(&self.stash) {
            let name = format!("{UNFINISHED_PREFIX}{}", uuid::Uuid::new_v4());
            let to = self.stash.join(name);
            let Ok(file) = OpenOptions::new().write(true).open(&from) else {
                continue;
            };
            // Until it is written, a file as old as the reserve would count as abandoned.
            let _ = file.set_modified(SystemTime::now());
            // A missing file was taken by another process.
            let claimed = loop {
                match fs::rename(&from, &to) {
                    Err(error) if is_full(&error) && self.release_one_except(Some(&from)) => {}
                    done => break done.is_ok(),
                }
            };
            if claimed {
                return Some((file, to));
            }
        }
        None
    }

    /// Deletes one file to free its space; returns whether there was one.
    fn release_one(&self) -> bool {
        self.release_one_except(None)
    }

    fn release_one_except(&self, except: Option<&Path>) -> bool {
        let mut files = whole_files(&self.stash);
        files.any(|file| except != Some(file.as_path()) && fs::remove_file(file).is_ok())
    }
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Returns the size of the reserve of the stash at `stash`, in bytes.
pub(super) fn bytes_reserved(stash: &Path) -> u64 {
    (whole_files(stash).count() as u64).saturating_mul(SLOT)
}

/// Returns whether the disk or the user's quota is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

fn whole_files(stash: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(stash.join(DIRECTORY)).into_iter().flatten();
    let files = entries.filter_map(Result::ok).filter(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
    });
    files
        .map(|entry| entry.path())
        .filter(|path| is_whole(path))
}

fn is_whole(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == SLOT)
}

/// Creates a file of random bytes, which no file system can store as a hole or compress.
fn create_slot(directory: &Path, path: &Path) -> io::Result<()> {
    let mut bytes = vec![0; SLOT_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED_PREFIX)
        .tempfile_in(directory)?;
    Ownership::read(directory)?.apply_to_file(file.as_file())?;
    file.write_all(&bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(bytes: u64) -> (tempfile::TempDir, Reserve) {
        let place = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(&place.path().join("stash"), bytes);
        std::fs::create_dir(place.path().join("stash")).unwrap();
        (place, reserve)
    }

    #[test]
    fn reserve_occupies_disk_space() {
        let (_place, reserve) = reserve(100_000);
        assert_eq!(reserve.target_bytes(), 4 * SLOT);
        reserve.fill().unwrap();
        assert_eq!(bytes_reserved(&reserve.stash), reserve.target_bytes());
        #[cfg(unix)]
        for file in whole_files(&reserve.stash) {
            use std::os::unix::fs::MetadataExt;
            assert!(fs::metadata(file).unwrap().blocks() * 512 >= SLOT);
        }
        // Filling again adds nothing; a missing or short file is created again.
        reserve.release_one();
        let short = whole_files(&reserve.stash).next().unwrap();
        fs::write(&short, "short").unwrap();
        assert_eq!(bytes_reserved(&reserve.stash), 2 * SLOT);
        reserve.fill().unwrap();
        assert_eq!(bytes_reserved(&reserve.stash), reserve.target_bytes());
    }

    #[test]
    fn an_entry_takes_a_file_and_a_long_one_several() {
        let (_place, reserve) = reserve(4 * SLOT);
        reserve.fill().unwrap();
        let to = reserve.stash.join("entry");
        reserve.write(b"short", &to).unwrap().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"short");
        assert_eq!(bytes_reserved(&reserve.stash), 3 * SLOT);
        let long = vec![7; 2 * SLOT_BYTES];
        reserve.write(&long, &to).unwrap().unwrap();
        assert_eq!(fs::read(&to).unwrap(), long);
        assert_eq!(bytes_reserved(&reserve.stash), SLOT);
        reserve.write(b"last", &to).unwrap().unwrap();
        assert!(reserve.write(b"none", &to).is_none());
        let left = fs::read_dir(&reserve.stash).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn empty_reserve_creates_no_files() {
        let (_place, reserve) = reserve(0);
        reserve.fill().unwrap();
        assert_eq!(fs::read_dir(&reserve.stash).unwrap().count(), 0);
    }
}
