//! Where secrets come from: a file, stdin, or a prompt at a terminal; never an argument, which other
//! users of the machine can see.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

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
    /// Reads everything. When stdin is a terminal, asks there for `what` on one line that is not
    /// shown. White space around it is dropped.
    pub fn read(&self, what: &str) -> Result<SecretString, Failed> {
        let failed = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound => Kind::Usage,
                _ => Kind::Failed,
            };
            Failed::new(kind, format!("cannot read {what} from {self}: {error}"))
        };
        let text = match self {
            Self::Stdin if io::stdin().is_terminal() => {
                rpassword::prompt_password(format!("{what} (not shown): "))
                    .map(Zeroizing::new)
                    .map_err(failed)?
            }
            Self::Stdin => bounded(io::stdin().lock()).map_err(failed)?,
            Self::File(path) => std::fs::File::open(path)
                .and_then(bounded)
                .map_err(failed)?,
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(Failed::usage(format!(
                "{self} holds no {what}: it is empty"
            )));
        }
        Ok(SecretString::from(text))
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
    pub fn read_token_answer(&self) -> Result<SecretString, Failed> {
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

fn bounded(reader: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let read = reader.take(MOST + 1).read_to_string(&mut text)?;
    if read as u64 > MOST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "more than 1 MiB",
        ));
    }
    Ok(text)
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

    fn source(content: &str) -> (tempfile::TempDir, Source) {
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
    fn a_token_answer_is_kept_as_it_was_written() {
        let text = r#"{"access_token": "a",  "expires_in": 10}"#;
        let (_directory, source) = source(text);
        let answer = source.read_token_answer().unwrap();
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
            let failed = source.read_token_answer().unwrap_err();
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
