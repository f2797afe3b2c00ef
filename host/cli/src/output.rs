//! Writes results to stdout: one JSON document, or text for people.

use relation_app::{AppError, ErrorKind};
use relation_host::text::is_invisible;
use serde::Serialize;

use super::invocation::complete;
use super::streams::stderr;
pub use super::streams::stdout::write;

/// The printer of results, as JSON or as text.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// JSON instead of text.
    pub json: bool,
}

impl Output {
    /// Prints `value` as JSON, or as `render_text` renders it.
    pub fn print<T: Serialize>(
        self,
        value: &T,
        render_text: impl FnOnce(&T) -> String,
    ) -> Result<(), AppError> {
        if self.json {
            write(&to_pretty_json(value)?)
        } else {
            write(&complete(&render_text(value)))
        }
    }

    /// Prints a page as `{"items": […], "next": …}`, or as `render_text` renders it, with the cursor of the
    /// next page on stderr.
    pub fn page<T: Serialize>(
        self,
        items: &[T],
        next: Option<&str>,
        render_text: impl FnOnce(&[T]) -> String,
    ) -> Result<(), AppError> {
        self.page_with(items, next, &NoMembers {}, render_text)
    }

    /// Prints like [`Output::page`], in JSON with further `members`.
    pub fn page_with<T: Serialize, M: Serialize>(
        self,
        items: &[T],
        next: Option<&str>,
        members: &M,
        render_text: impl FnOnce(&[T]) -> String,
    ) -> Result<(), AppError> {
        if self.json {
            return write(&to_pretty_json(&Listing {
                items,
                next,
                members,
            })?);
        }
        if items.is_empty() {
            stderr::note("nothing found");
        } else {
            write(&complete(&render_text(items)))?;
        }
        if let Some(next) = next {
            stderr::note(&format!("there is more: --cursor {next}, or --all"));
        }
        Ok(())
    }

    /// Prints one of several values on a line of its own.
    pub fn line<T: Serialize>(
        self,
        value: &T,
        render_text: impl FnOnce(&T) -> String,
    ) -> Result<(), AppError> {
        if self.json {
            let line = serde_json::to_string(value).map_err(|error| serialize_error(&error))?;
            write(&line)
        } else {
            write(&complete(&render_text(value)))
        }
    }
}

#[derive(Serialize)]
struct Listing<'a, T, M> {
    items: &'a [T],
    next: Option<&'a str>,
    #[serde(flatten)]
    members: &'a M,
}

/// No further members of a page.
#[derive(Serialize)]
struct NoMembers {}

fn to_pretty_json<T: Serialize>(value: &T) -> Result<String, AppError> {
    serde_json::to_string_pretty(value).map_err(|error| serialize_error(&error))
}

fn serialize_error(error: &serde_json::Error) -> AppError {
    AppError::new(
        ErrorKind::Internal,
        format!("the result cannot be written as JSON: {error}"),
    )
}

/// Replaces control characters in untrusted text, which a terminal would interpret. Escapes characters that
/// are invisible or change the direction of the text: `\u{202e}`.
pub fn escape_control_chars(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            escaped.push('\u{fffd}');
        } else if is_invisible(c) {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Escapes like [`escape_control_chars`], but keeps line breaks.
pub fn escape_control_chars_in_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(escape_control_chars).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(
            escape_control_chars("Äcme\u{1b}[2J\r\n"),
            "Äcme\u{fffd}[2J\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn invisible_characters_are_escaped() {
        assert_eq!(
            escape_control_chars("Con\u{202e}osot\u{200b}\u{feff}\u{2066}株式会社 é"),
            "Con\\u{202e}osot\\u{200b}\\u{feff}\\u{2066}株式会社 é"
        );
        assert_eq!(
            escape_control_chars_in_lines("a\nb\u{1b}\n\u{200f}"),
            "a\nb\u{fffd}\n\\u{200f}"
        );
    }
}
