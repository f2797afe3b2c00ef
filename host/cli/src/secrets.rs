//! Reads secrets from a file, from stdin, or from a prompt at a terminal. Arguments are not used, because
//! other users of the machine can see them.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use relation_app::AppError;
use relation_app::secret_text;
use relation_web::find_repeated_members;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The source of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `-`: stdin, or a prompt at a terminal.
    Stdin,
    /// A path.
    File(PathBuf),
}

impl From<OsString> for SecretSource {
    fn from(argument: OsString) -> Self {
        if argument == "-" {
            Self::Stdin
        } else {
            Self::File(argument.into())
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl SecretSource {
    /// Reads everything, as UTF-8. If stdin is a terminal, prompts for `what` on one line without echo.
    /// Removes a byte order mark and surrounding white space.
    pub fn read(&self, what: &str) -> Result<SecretString, AppError> {
        let read_error = |error: io::Error| secret_text::read_error(what, self, &error);
        let bytes = match self {
            Self::Stdin if io::stdin().is_terminal() => {
                rpassword::prompt_password(format!("{what} (not shown): "))
                    .map(|line| Zeroizing::new(line.into_bytes()))
                    .map_err(read_error)?
            }
            Self::Stdin => secret_text::read_bounded(io::stdin().lock()).map_err(read_error)?,
            Self::File(path) => secret_text::read_file(path).map_err(read_error)?,
        };
        let place = match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) => format!("the file {}", path.display()),
        };
        secret_text::decode(&bytes, what, &place, self)
    }

    /// Reads a secret of one line, like [`SecretSource::read`]. Refuses likely mistakes: several lines, a
    /// quoted secret, invisible characters.
    pub fn read_line(&self, what: &str) -> Result<SecretString, AppError> {
        let secret = self.read(what)?;
        secret_text::check_line(&secret, what, self)?;
        Ok(secret)
    }

    /// Reads secrets of one line each, in this order. At a terminal, prompts for each of them.
    pub fn read_lines(&self, names: &[&str]) -> Result<Vec<SecretString>, AppError> {
        if let [name] = names {
            return Ok(vec![self.read_line(name)?]);
        }
        let what = names.join(" and ");
        if *self == Self::Stdin && io::stdin().is_terminal() {
            return names.iter().map(|name| self.read_line(name)).collect();
        }
        let text = self.read(&what)?;
        let lines: Vec<&str> = text.expose_secret().lines().map(str::trim).collect();
        if lines.len() != names.len() {
            let (found, expected) = (lines.len(), names.len());
            return Err(AppError::usage(format!(
                "cannot use {what}: {self} holds {found} lines, and {expected} are expected, one for each"
            )));
        }
        let lines = lines.into_iter().zip(names).map(|(line, name)| {
            let secret = SecretString::from(line);
            secret_text::check_line(&secret, name, self)?;
            Ok(secret)
        });
        lines.collect()
    }

    /// Reads one JSON object.
    pub fn read_object(
        &self,
        what: &str,
    ) -> Result<serde_json::Map<String, serde_json::Value>, AppError> {
        let text = self.read(what)?;
        let object = parse_object(&text).map_err(|place| {
            AppError::usage(format!(
                "{what} from {self} must be one JSON object, {place}"
            ))
        })?;
        let repeated = find_repeated_members(text.expose_secret());
        if !repeated.is_empty() {
            let message = format!("{what} from {self}: members are given more than once");
            let mut error = AppError::usage(message);
            error.field_errors = repeated;
            return Err(error.hint("give each member of an object once"));
        }
        Ok(object)
    }

    /// Reads the token endpoint's JSON response. Only its syntax is checked.
    pub fn read_token_response(&self) -> Result<SecretString, AppError> {
        const NAME: &str = "the token endpoint's JSON response";
        let text = self.read(NAME)?;
        match parse_object(&text) {
            Ok(_) => Ok(text),
            Err(place) => Err(AppError::usage(format!(
                "{NAME} from {self} must be one JSON object, {place}"
            ))
            .hint("{\"access_token\": …, \"refresh_token\": …, \"expires_in\": …}")),
        }
    }
}

/// Prompts for a secret of one line at a terminal. Returns `None` if the line is empty.
pub fn prompt_optional_line(what: &str) -> Result<Option<SecretString>, AppError> {
    const SOURCE: &str = "the typed text";
    let line = rpassword::prompt_password(format!("{what} (not shown; empty: later): "))
        .map_err(|error| secret_text::read_error(what, &SOURCE, &error))?;
    let line = Zeroizing::new(line.into_bytes());
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let secret = secret_text::decode(&line, what, SOURCE, &SOURCE)?;
    secret_text::check_line(&secret, what, &SOURCE)?;
    Ok(Some(secret))
}

/// Parses a JSON object. Errors give only the position, because serde's message could quote a secret.
fn parse_object(text: &SecretString) -> Result<serde_json::Map<String, serde_json::Value>, String> {
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
    use relation_app::ErrorKind;

    use super::*;

    fn source(content: impl AsRef<[u8]>) -> (tempfile::TempDir, SecretSource) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        std::fs::write(&path, content).unwrap();
        (directory, SecretSource::File(path))
    }

    #[test]
    fn a_dash_is_stdin_and_all_else_a_file() {
        assert_eq!(SecretSource::from(OsString::from("-")), SecretSource::Stdin);
        assert_eq!(
            SecretSource::from(OsString::from("./-")),
            SecretSource::File("./-".into())
        );
    }

    #[test]
    fn secret_is_trimmed() {
        let (_directory, source) = source("\n s3cret \r\n");
        assert_eq!(source.read("it").unwrap().expose_secret(), "s3cret");
    }

    #[test]
    fn byte_order_mark_is_removed_from_secret() {
        let (_directory, source) = source("\u{feff}s3cret\r\n");
        assert_eq!(source.read_line("it").unwrap().expose_secret(), "s3cret");
    }

    #[test]
    fn other_encodings_are_named() {
        let utf16: Vec<u8> = "\u{feff}{\"access_token\": \"s3cret\"}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (content, found) in [
            (utf16.as_slice(), "is UTF-16; save it as UTF-8"),
            (b"{\"name\": \"M\xfcller\"}", "Latin-1"),
        ] {
            let (_directory, source) = source(content);
            let error = source.read_token_response().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage);
            assert!(error.message.contains(found), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error}");
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
            let error = source.read_line("it").unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage);
            assert!(error.message.contains(found), "{content:?}: {error}");
            assert!(!format!("{error:?}").contains("s3c"), "{error}");
        }
    }

    #[test]
    fn secrets_of_several_lines_are_one_for_each_name() {
        let (_directory, two) = source("first-s3cret\r\nsecond-s3cret\n");
        let secrets = two.read_lines(&["one", "other"]).unwrap();
        let texts: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(texts, ["first-s3cret", "second-s3cret"]);
        for (content, names) in [
            ("s3cret", &["one", "other"][..]),
            ("s3cret\ns3cret\ns3cret", &["one", "other"]),
            ("s3cret\n\"s3cret\"", &["one", "other"]),
            ("s3cret\ns3cret", &["one"]),
        ] {
            let (_directory, source) = source(content);
            let error = source.read_lines(names).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage);
            assert!(!format!("{error:?}").contains("s3c"), "{error}");
        }
    }

    #[test]
    fn token_response_is_kept_verbatim() {
        let text = r#"{"access_token": "a",  "expires_in": 10}"#;
        let (_directory, source) = source(text);
        let response = source.read_token_response().unwrap();
        assert_eq!(response.expose_secret(), text);
    }

    #[test]
    fn malformed_token_response_is_not_quoted() {
        for content in [
            "\"s3cret\"",
            "s3cret",
            "{\"access_token\": s3cret}",
            "[\"s3cret\"]",
        ] {
            let (_directory, source) = source(content);
            let error = source.read_token_response().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage);
            assert!(!format!("{error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn empty_and_absent_files_have_different_errors() {
        let (directory, empty) = source(" \n");
        assert!(empty.read("it").unwrap_err().message.contains("empty"));
        let absent = SecretSource::File(directory.path().join("absent"));
        let error = absent.read("it").unwrap_err();
        assert!(error.message.contains("absent"), "{error}");
        assert_eq!(error.kind, ErrorKind::Usage);
    }
}
