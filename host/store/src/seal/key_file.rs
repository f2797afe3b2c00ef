//! The key-encryption key in a file that only its owner may read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::key_text::{LABEL, MAX_KEY_TEXT_BYTES, decode, parse_file};
use super::keys::{KeyEncryptionKey, KeyError, KeyProvider};
use crate::ownership::{create_private_file, explain_denied, parent_directory};

const HEADER: &str = "\
# The key of the secrets in a relation store. Anyone with this file and the database can read every
# token. Keep a copy of it apart from the copies of the database: without it the tokens are lost.
";

/// A file with the key: comments that begin with `#`, and one line with a label and 64 hexadecimal
/// digits.
///
/// The file is created with mode 0600; root creates it for the owner of its directory. A file that
/// others than its owner may read or write is refused.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// Uses the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> KeyError {
        let path = self.path.clone();
        move |source: io::Error| {
            let reason = explain_denied(&path, &source);
            KeyError::Io {
                action,
                path: path.clone(),
                source: io::Error::new(source.kind(), format!("{source}{reason}")),
            }
        }
    }

    fn malformed(&self, reason: &'static str) -> KeyError {
        KeyError::Malformed {
            path: self.path.clone(),
            reason,
        }
    }
}

impl KeyProvider for KeyFile {
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("open")(error)),
        };
        let metadata = file.metadata().map_err(self.failed("read"))?;
        if !metadata.is_file() {
            return Err(self.malformed("it is not a file"));
        }
        refuse_exposed(&self.path, &metadata)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
        file.take(MAX_KEY_TEXT_BYTES)
            .read_to_end(&mut bytes)
            .map_err(self.failed("read"))?;
        let key = decode(&bytes).and_then(parse_file);
        let key = key.map_err(|reason| self.malformed(reason))?;
        Ok(Some(key))
    }

    fn create(&self) -> Result<KeyEncryptionKey, KeyError> {
        let directory = parent_directory(&self.path);
        if !directory.is_dir() {
            return Err(KeyError::NoDirectory {
                path: self.path.clone(),
                directory: directory.to_owned(),
            });
        }
        let key = KeyEncryptionKey::random()?;
        let mut text = Zeroizing::new(String::with_capacity(1024));
        text.push_str(HEADER);
        text.push_str(LABEL);
        for byte in key.bytes() {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        text.push('\n');

        match create_private_file(&self.path, text.as_bytes()) {
            Ok(()) => Ok(key),
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self
                .load()?
                .ok_or_else(|| self.failed("make")(io::Error::from(ErrorKind::NotFound))),
            Err(error) => Err(self.failed("make")(error)),
        }
    }

    fn describe(&self) -> String {
        format!("the key file {}", self.path.display())
    }
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;

    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyError::Exposed {
            path: path.to_owned(),
            mode,
        })
    }
}

/// Accepts each file: on other systems, the access rules of the directory must suffice.
#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _metadata: &fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}
