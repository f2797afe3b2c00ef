//! Room in reserve: files in the stash that become entries when the disk is full.
//!
//! Each file has the size of a usual entry. An entry that finds no space overwrites a file in place,
//! and the file gets the entry's name. The room thus goes to the entry, not to other processes that
//! write to the same disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::UNFINISHED;
use super::files::{io_error, make_folder};
use crate::store::ownership::Ownership;
use crate::store::stash::StashError;

/// The folder of the stash that has the files.
const DIRECTORY: &str = "reserve";
/// Precedes the names of the files.
const PREFIX: &str = "room-";
/// The size of one file, in bytes: more than a usual entry has.
pub(super) const SLOT: u64 = SLOT_BYTES as u64;
const SLOT_BYTES: usize = 32 << 10;

/// The room in reserve of one stash.
#[derive(Debug)]
pub(super) struct Reserve {
    stash: PathBuf,
    slots: u64,
}

impl Reserve {
    /// Room for `bytes`, in whole files.
    pub(super) fn new(stash: &Path, bytes: u64) -> Self {
        Self {
            stash: stash.to_owned(),
            slots: bytes.div_ceil(SLOT),
        }
    }

    /// The bytes that there are to be.
    pub(super) fn wanted(&self) -> u64 {
        self.slots.saturating_mul(SLOT)
    }

    /// Makes the files that are missing, as far as the disk has room.
    pub(super) fn fill(&self) -> Result<(), StashError> {
        if self.slots == 0 {
            return Ok(());
        }
        let directory = self.stash.join(DIRECTORY);
        make_folder(&directory)?;
        for number in 0..self.slots {
            let path = directory.join(format!("{PREFIX}{number}"));
            if !is_whole(&path) {
                make(&directory, &path).map_err(io_error("reserve room in", &path))?;
            }
        }
        Ok(())
    }

    /// Writes `bytes` over a file of the reserve, which gets the name `to`. None: the reserve is used
    /// up.
    pub(super) fn write(&self, bytes: &[u8], to: &Path) -> Option<Result<(), StashError>> {
        let (mut file, path) = self.claim()?;
        let mut room = SLOT;
        while room < bytes.len() as u64 && self.give_up_one() {
            room += SLOT;
        }
        let failed = |action| io_error(action, to);
        let written = loop {
            match write_over(&mut file, bytes) {
                // A file system that copies on write needs room of its own for it.
                Err(error) if is_full(&error) && self.give_up_one() => {}
                done => break done,
            }
        };
        let written = written
            .map_err(failed("write"))
            .and_then(|()| self.name(&path, to).map_err(failed("name")));
        if written.is_err() {
            // It would not be found again, and its room may serve another.
            let _ = fs::remove_file(&path);
        }
        Some(written)
    }

    /// A directory may need room for another name.
    fn name(&self, from: &Path, to: &Path) -> io::Result<()> {
        loop {
            match fs::rename(from, to) {
                Err(error) if is_full(&error) && self.give_up_one() => {}
                done => return done,
            }
        }
    }

    /// Takes a file out of the reserve, under a name that no other process takes.
    fn claim(&self) -> Option<(File, PathBuf)> {
        for from in whole_files(&self.stash) {
            let name = format!("{UNFINISHED}{}", uuid::Uuid::new_v4());
            let to = self.stash.join(name);
            let Ok(file) = OpenOptions::new().write(true).open(&from) else {
                continue;
            };
            // Until it is written, one as old as the reserve would be taken for abandoned.
            let _ = file.set_modified(SystemTime::now());
            // One that is not there any more was taken by another process.
            let claimed = loop {
                match fs::rename(&from, &to) {
                    Err(error) if is_full(&error) && self.give_up_one_besides(Some(&from)) => {}
                    done => break done.is_ok(),
                }
            };
            if claimed {
                return Some((file, to));
            }
        }
        None
    }

    /// Gives the room of one file back to the disk; whether there was one.
    fn give_up_one(&self) -> bool {
        self.give_up_one_besides(None)
    }

    fn give_up_one_besides(&self, kept: Option<&Path>) -> bool {
        let mut files = whole_files(&self.stash);
        files.any(|file| kept != Some(file.as_path()) && fs::remove_file(file).is_ok())
    }
}

fn write_over(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// The bytes in reserve of the stash at `stash`.
pub(super) fn size(stash: &Path) -> u64 {
    (whole_files(stash).count() as u64).saturating_mul(SLOT)
}

/// Whether the disk, or what a user may have of it, is full.
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

/// Random bytes, of which no file system saves any: neither as a hole, nor by compression.
fn make(directory: &Path, path: &Path) -> io::Result<()> {
    let mut bytes = vec![0; SLOT_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(directory)?;
    Ownership::read(directory)?.pass_to_file(file.as_file())?;
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
    fn what_is_reserved_takes_room_on_the_disk() {
        let (_place, reserve) = reserve(100_000);
        assert_eq!(reserve.wanted(), 4 * SLOT);
        reserve.fill().unwrap();
        assert_eq!(size(&reserve.stash), reserve.wanted());
        #[cfg(unix)]
        for file in whole_files(&reserve.stash) {
            use std::os::unix::fs::MetadataExt;
            assert!(fs::metadata(file).unwrap().blocks() * 512 >= SLOT);
        }
        // Again, nothing is added; one that is missing or short is made again.
        reserve.give_up_one();
        let short = whole_files(&reserve.stash).next().unwrap();
        fs::write(&short, "short").unwrap();
        assert_eq!(size(&reserve.stash), 2 * SLOT);
        reserve.fill().unwrap();
        assert_eq!(size(&reserve.stash), reserve.wanted());
    }

    #[test]
    fn an_entry_takes_a_file_and_a_long_one_several() {
        let (_place, reserve) = reserve(4 * SLOT);
        reserve.fill().unwrap();
        let to = reserve.stash.join("entry");
        reserve.write(b"short", &to).unwrap().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"short");
        assert_eq!(size(&reserve.stash), 3 * SLOT);
        let long = vec![7; 2 * SLOT_BYTES];
        reserve.write(&long, &to).unwrap().unwrap();
        assert_eq!(fs::read(&to).unwrap(), long);
        assert_eq!(size(&reserve.stash), SLOT);
        reserve.write(b"last", &to).unwrap().unwrap();
        assert!(reserve.write(b"none", &to).is_none());
        let left = fs::read_dir(&reserve.stash).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn no_reserve_makes_nothing() {
        let (_place, reserve) = reserve(0);
        reserve.fill().unwrap();
        assert_eq!(fs::read_dir(&reserve.stash).unwrap().count(), 0);
    }
}
