//! Where secrets come from: a file, stdin, or a prompt at a terminal; never an argument, which other
//! users of the machine can see.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use relation_host::text;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::failure::{Failed, Kind};

/// The most that is read of a file or of stdin, in bytes; a token answer has about 1 KiB.
const MOST: u64 = 1 << 20;

/// Where to read from: a file, or stdin as `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `-`
    Stdin,
    /// A path.
    File(PathBuf),
}

impl From<OsString> for Source {
    fn from(argument: OsString) -> Self {
        if argument == "-" {
            Self::Stdin
        } else {
            Self::File(argument.into())
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Source {
    /// Reads everything, as UTF-8. When stdin is a terminal, asks there for `what` on one line that is
    /// not shown. A byte order mark and white space around it are dropped.
    pub fn read(&self, what: &str) -> Result<SecretString, Failed> {
        let failed = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound => Kind::Usage,
                _ => Kind::Failed,
            };
            Failed::new(kind, format!("cannot read {what} from {self}: {error}"))
        };
        let bytes = match self {
            Self::Stdin if io::stdin().is_terminal() => {
                rpassword::prompt_password(format!("{what} (not shown): "))
                    .map(|line| Zeroizing::new(line.into_bytes()))
                    .map_err(failed)?
            }
            Self::Stdin => bounded(io::stdin().lock()).map_err(failed)?,
            Self::File(path) => std::fs::File::open(path)
                .and_then(bounded)
                .map_err(failed)?,
        };
        let text = text::decode(&bytes).map_err(|found| {
            let place = match self {
                Self::Stdin => "stdin".to_owned(),
                Self::File(path) => format!("the file {}", path.display()),
            };
            Failed::usage(format!("cannot read {what}: {place} {found}"))
        })?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Failed::usage(format!(
                "cannot read {what}: {self} is empty"
            )));
        }
        Ok(SecretString::from(text))
    }

    /// Reads a secret of one line, as [`Source::read`] does. Refuses likely mistakes: several lines, a
    /// secret in quotes, characters that cannot be seen.
    pub fn read_line(&self, what: &str) -> Result<SecretString, Failed> {
        const QUOTES: [char; 9] = [
            '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}',
        ];
        let secret = self.read(what)?;
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
            Some(wrong) => Err(Failed::usage(format!("cannot use {what}: {self} {wrong}"))),
            None => Ok(secret),
        }
    }

    /// Reads one JSON object.
    pub fn read_object(
        &self,
        what: &str,
    ) -> Result<serde_json::Map<String, serde_json::Value>, Failed> {
        let text = self.read(what)?;
        object(&text).map_err(|place| {
            Failed::usage(format!(
                "{what} from {self} must be one JSON object, {place}"
            ))
        })
    }

    /// Reads the token endpoint's JSON answer. Only its form is looked at here.
    pub fn read_token_response(&self) -> Result<SecretString, Failed> {
        const WHAT: &str = "the token endpoint's JSON answer";
        let text = self.read(WHAT)?;
        match object(&text) {
            Ok(_) => Ok(text),
            Err(place) => Err(Failed::usage(format!(
                "{WHAT} from {self} must be one JSON object, {place}"
            ))
            .hint("{\"access_token\": …, \"refresh_token\": …, \"expires_in\": …}")),
        }
    }
}

fn bounded(reader: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = reader.take(MOST + 1).read_to_end(&mut bytes)?;
    if read as u64 > MOST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "more than 1 MiB",
        ));
    }
    Ok(bytes)
}

/// The object, or the place of what is wrong: what serde says of a value could quote a secret.
fn object(text: &SecretString) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    match serde_json::from_str(text.expose_secret()) {
        Ok(serde_json::Value::Object(object)) => Ok(object),
        Ok(_) => Err("and is something else".to_owned()),
        Err(error) => Err(format!(
            "and has a mistake at line {}, column {}",
            error.line(),
            error.column()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(content: impl AsRef<[u8]>) -> (tempfile::TempDir, Source) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        std::fs::write(&path, content).unwrap();
        (directory, Source::File(path))
    }

    #[test]
    fn a_dash_is_stdin_and_all_else_a_file() {
        assert_eq!(Source::from(OsString::from("-")), Source::Stdin);
        assert_eq!(
            Source::from(OsString::from("./-")),
            Source::File("./-".into())
        );
    }

    #[test]
    fn white_space_around_a_secret_is_no_part_of_it() {
        let (_directory, source) = source("\n s3cret \r\n");
        assert_eq!(source.read("it").unwrap().expose_secret(), "s3cret");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_secret() {
        let (_directory, source) = source("\u{feff}s3cret\r\n");
        assert_eq!(source.read_line("it").unwrap().expose_secret(), "s3cret");
    }

    #[test]
    fn another_encoding_is_named() {
        let utf16: Vec<u8> = "\u{feff}{\"access_token\": \"s3cret\"}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (content, found) in [
            (utf16.as_slice(), "is UTF-16; save it as UTF-8"),
            (b"{\"name\": \"M\xfcller\"}", "Latin-1"),
        ] {
            let (_directory, source) = source(content);
            let failed = source.read_token_response().unwrap_err();
            assert_eq!(failed.kind, Kind::Usage);
            assert!(failed.message.contains(found), "{failed}");
            assert!(!format!("{failed:?}").contains("s3cret"), "{failed}");
        }
    }

    #[test]
    fn a_secret_is_one_line_without_quotes() {
        for (content, found) in [
            ("s3cret\n\ns3cret\n", "holds 3 lines"),
            ("s3cret\r\nmore", "holds 2 lines"),
            ("\"s3cret\"\n", "is in quotes"),
            ("'s3cret'", "is in quotes"),
            ("\u{201c}s3cret\u{201d}", "is in quotes"),
            ("s3cret\u{200b}", "U+200B"),
            ("\u{200b}s3cret", "U+200B"),
            ("s3c\0ret", "U+0000"),
        ] {
            let (_directory, source) = source(content);
            let failed = source.read_line("it").unwrap_err();
            assert_eq!(failed.kind, Kind::Usage);
            assert!(failed.message.contains(found), "{content:?}: {failed}");
            assert!(!format!("{failed:?}").contains("s3c"), "{failed}");
        }
    }

    #[test]
    fn a_token_answer_is_kept_as_it_was_written() {
        let text = r#"{"access_token": "a",  "expires_in": 10}"#;
        let (_directory, source) = source(text);
        let answer = source.read_token_response().unwrap();
        assert_eq!(answer.expose_secret(), text);
    }

    #[test]
    fn what_is_wrong_is_told_without_quoting_it() {
        for content in [
            "\"s3cret\"",
            "s3cret",
            "{\"access_token\": s3cret}",
            "[\"s3cret\"]",
        ] {
            let (_directory, source) = source(content);
            let failed = source.read_token_response().unwrap_err();
            assert_eq!(failed.kind, Kind::Usage);
            assert!(!format!("{failed:?}").contains("s3cret"), "{failed}");
        }
    }

    #[test]
    fn an_empty_file_and_an_absent_one_are_told_apart() {
        let (directory, empty) = source(" \n");
        assert!(empty.read("it").unwrap_err().message.contains("empty"));
        let absent = Source::File(directory.path().join("absent"));
        let failed = absent.read("it").unwrap_err();
        assert!(failed.message.contains("absent"), "{failed}");
        assert_eq!(failed.kind, Kind::Usage);
    }
}
