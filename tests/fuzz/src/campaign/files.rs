//! Inputs as files: the corpus of a campaign, and its findings.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Reproducer;
use crate::targets::Target;

/// Reads the inputs in `directory`, ordered by name; returns none if it does not exist.
///
/// # Errors
/// A file that cannot be read.
pub fn read(directory: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut files = match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<PathBuf>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    files.sort();
    files.retain(|file| file.is_file());
    files.iter().map(fs::read).collect()
}

/// Writes one input, named after its bytes, and returns the file.
///
/// # Errors
/// The file cannot be written.
pub fn write(directory: &Path, input: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let mut name = String::new();
    // FNV-1a, 64 bits: names only have to differ.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Writing to a String cannot fail.
    let _ = write!(name, "{hash:016x}");
    let file = directory.join(name);
    fs::write(&file, input)?;
    Ok(file)
}

/// Describes a finding, with the command that reproduces it.
pub fn describe(target: Target, found: &Reproducer) -> String {
    let Reproducer { finding, input } = found;
    let input = match input.as_slice() {
        // A shell needs a visible empty argument.
        [] => "''".to_owned(),
        bytes => hex::encode(bytes),
    };
    format!("{finding}\n    again: cargo xtask fuzz --target {target} --replay {input}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_round_trips_through_a_file() {
        let input = [0, 1, 0x7f, 0xff];
        let directory = tempfile::tempdir().unwrap();
        let file = write(directory.path(), &input).unwrap();
        assert_eq!(fs::read(file).unwrap(), input);
        assert_eq!(read(directory.path()).unwrap(), [input.to_vec()]);
        assert!(read(&directory.path().join("missing")).unwrap().is_empty());
    }
}
