//! Secrets as people and programs write them: in a file, on stdin, or typed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use relation_host::text;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{AppError, ErrorKind};

/// The maximum size of a secret, in bytes. A token response has about 1 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the secret `name` in a file, which is one line, and refuses likely mistakes.
///
/// # Errors
/// The file cannot be read or does not hold one secret.
pub fn read_line_of_file(file: &Path, name: &str) -> Result<SecretString, AppError> {
    let bytes = read_file(file).map_err(|error| read_error(name, &file.display(), &error))?;
    let source = format!("the file {}", file.display());
    let secret = decode(&bytes, name, &source, &file.display())?;
    check_line(&secret, name, &file.display())?;
    Ok(secret)
}

/// Reads a file of at most 1 MiB.
///
/// # Errors
/// The file cannot be read or is too large.
pub fn read_file(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    File::open(file).and_then(read_bounded)
}

/// Reads at most 1 MiB.
///
/// # Errors
/// The reader fails or has more.
pub fn read_bounded(reader: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "more than 1 MiB",
        ));
    }
    Ok(bytes)
}

/// Builds the error of a source that cannot be read.
pub fn read_error(name: &str, source: &impl std::fmt::Display, error: &io::Error) -> AppError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::Usage,
        _ => ErrorKind::Failed,
    };
    AppError::new(kind, format!("cannot read {name} from {source}: {error}"))
}

/// Decodes UTF-8, and removes a byte order mark and surrounding white space. `place` is the full and `source` the
/// short name of where the bytes are from.
///
/// # Errors
/// The bytes are in another encoding, or hold nothing.
pub fn decode(
    bytes: &[u8],
    name: &str,
    place: &str,
    source: &impl std::fmt::Display,
) -> Result<SecretString, AppError> {
    let text = text::decode(bytes)
        .map_err(|found| AppError::usage(format!("cannot read {name}: {place} {found}")))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(AppError::usage(format!(
            "cannot read {name}: {source} is empty"
        )));
    }
    Ok(SecretString::from(text))
}

/// Refuses likely mistakes in a secret of one line: several lines, a quoted secret, invisible characters.
///
/// # Errors
/// The secret has one of the mistakes.
pub fn check_line(
    secret: &SecretString,
    name: &str,
    source: &impl std::fmt::Display,
) -> Result<(), AppError> {
    const QUOTES: [char; 9] = [
        '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}',
    ];
    let text = secret.expose_secret();
    let wrong = match text.lines().count() {
        lines @ 2.. => Some(format!("holds {lines} lines; write it on one line, alone")),
        _ if text.starts_with(QUOTES) || text.ends_with(QUOTES) => {
            Some("is in quotes; write it without them".to_owned())
        }
        _ => text.chars().find(|c| text::is_invisible(*c)).map(|c| {
            let code = u32::from(c);
            format!("holds the invisible character U+{code:04X}; copy it again")
        }),
    };
    match wrong {
        Some(wrong) => Err(AppError::usage(format!(
            "cannot use {name}: {source} {wrong}"
        ))),
        None => Ok(()),
    }
}
