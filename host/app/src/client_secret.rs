//! The file with the client secret of the integration. A changed file is read again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use relation_host::SecretSetting;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{AppError, ErrorKind, quote_for_shell, secret_text};

/// The file with the client secret. If a changed file cannot be read, the last value stays in use.
pub struct ClientSecretFile {
    path: PathBuf,
    content: Mutex<Content>,
}

struct Content {
    stamp: Option<FileStamp>,
    secret: Option<SecretString>,
    /// The error of the latest attempt to read the file.
    error: Option<AppError>,
}

impl ClientSecretFile {
    /// Reads the file at `path`. [`ClientSecretFile::check`] returns the error, if there is one.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let stamp = FileStamp::read(&path);
        let (secret, error) = match read(&path) {
            Ok(secret) => (Some(secret), None),
            Err(error) => (None, Some(error)),
        };
        let content = Content {
            stamp,
            secret,
            error,
        };
        Self {
            path,
            content: Mutex::new(content),
        }
    }

    /// Checks that the file could be read.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold a secret.
    pub fn check(&self) -> Result<(), AppError> {
        self.content().error.clone().map_or(Ok(()), Err)
    }

    /// Returns a warning and its remedy if others can read the file.
    pub(crate) fn exposure(&self) -> Option<(&'static str, String)> {
        is_open_to_others(&self.path).then(|| {
            let file = self.path.to_string_lossy();
            (
                "others on this machine can read the client secret",
                format!("chmod 600 {}", quote_for_shell(&file)),
            )
        })
    }

    /// Logs a warning if others can read the file.
    pub(crate) fn warn_if_exposed(&self) {
        if let Some((message, hint)) = self.exposure() {
            tracing::warn!(hint = %hint, "{message}");
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SecretSetting for ClientSecretFile {
    fn current(&self) -> Option<SecretString> {
        // The metadata is read before the content, so that a change in between is detected by the next call.
        let stamp = FileStamp::read(&self.path);
        let mut content = self.content();
        if content.stamp != stamp {
            content.stamp = stamp;
            match read(&self.path) {
                Ok(secret) => {
                    let file = self.path.display();
                    tracing::info!("the client secret was read again: {file} has changed");
                    content.secret = Some(secret);
                    content.error = None;
                    self.warn_if_exposed();
                }
                Err(error) if content.error.as_ref() == Some(&error) => {}
                Err(error) => {
                    let kept = match content.secret {
                        Some(_) => "; the last one that was read stays in use",
                        None => "",
                    };
                    let hint = error.hint.as_deref().unwrap_or_default();
                    tracing::warn!(hint = %hint, "{error}{kept}");
                    content.error = Some(error);
                }
            }
        }
        content.secret.clone()
    }
}

/// The metadata by which a change of a file is detected.
#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    length: u64,
    modified: Option<std::time::SystemTime>,
    /// Device and inode, and the time of the last change of content or mode. Zeros on systems other than Unix.
    identity: [i64; 4],
}

impl FileStamp {
    /// Reads the metadata; `None` if the file does not exist or cannot be accessed.
    fn read(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            identity: identity(&metadata),
        })
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt as _;
    [
        metadata.dev().cast_signed(),
        metadata.ino().cast_signed(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ]
}

#[cfg(not(unix))]
fn identity(_metadata: &std::fs::Metadata) -> [i64; 4] {
    [0; 4]
}

fn read(file: &Path) -> Result<SecretString, AppError> {
    const NAME: &str = "the client secret (webex.client-secret-file)";
    let secret = secret_text::read_line_of_file(file, NAME);
    let checked = secret.and_then(|secret| {
        check_client_secret(&secret, NAME, &file.display())?;
        Ok(secret)
    });
    checked.map_err(|error| {
        // The operator must act, as with a secret that Webex refuses.
        let error = AppError {
            kind: ErrorKind::Problem,
            ..error
        };
        error.or_hint(format!(
            "write the secret of the integration at Webex to {}; `relation-host init --client-secret -` does so if the \
             file is missing or empty",
            file.display()
        ))
    })
}

/// Checks that a client secret, which comes from `source`, is plausible.
///
/// # Errors
/// The secret holds white space or a character that is not ASCII.
pub fn check_client_secret(
    secret: &SecretString,
    name: &str,
    source: &dyn fmt::Display,
) -> Result<(), AppError> {
    // RFC 6749, appendix A.2. Secrets of Webex contain no space either.
    match secret
        .expose_secret()
        .bytes()
        .all(|byte| byte.is_ascii_graphic())
    {
        true => Ok(()),
        false => Err(AppError::usage(format!(
            "cannot use {name}: {source} holds white space or a character that is not ASCII; write the secret \
             there and nothing else"
        ))),
    }
}

/// Returns whether others on this machine can read the file.
#[cfg(unix)]
pub(crate) fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_open_to_others(_file: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(file: &ClientSecretFile) -> Option<String> {
        let secret = file.current()?;
        Some(secret.expose_secret().to_owned())
    }

    #[test]
    fn changed_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client-secret");
        let file = ClientSecretFile::new(&path);
        assert_eq!(file.check().unwrap_err().kind, ErrorKind::Problem);
        assert_eq!(current(&file), None);
        std::fs::write(&path, "first\n").unwrap();
        assert_eq!(current(&file).as_deref(), Some("first"));
        file.check().unwrap();
        // Replaced by a rename, as editors and secret managers do.
        let new = directory.path().join("new");
        std::fs::write(&new, "other\n").unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert_eq!(current(&file).as_deref(), Some("other"));
    }

    #[test]
    fn unusable_file_keeps_the_last_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client-secret");
        std::fs::write(&path, "first").unwrap();
        let file = ClientSecretFile::new(&path);
        for content in ["", "two\nlines"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(current(&file).as_deref(), Some("first"), "{content:?}");
            assert!(file.check().is_err());
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(current(&file).as_deref(), Some("first"));
        std::fs::write(&path, "second").unwrap();
        assert_eq!(current(&file).as_deref(), Some("second"));
        file.check().unwrap();
    }
}
