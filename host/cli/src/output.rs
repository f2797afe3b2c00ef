//! What goes to stdout: one JSON document, or tables for people; and nothing else.

use relation_host::text::is_invisible;
use serde::Serialize;

use super::failure::{Failed, Kind};
use super::streams::stderr;
pub use super::streams::stdout::write;

/// Prints results, as JSON or for people.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// JSON instead of tables.
    pub json: bool,
}

impl Output {
    /// Prints `value` as JSON, or else what `human` makes of it.
    pub fn print<T: Serialize>(
        self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failed> {
        if self.json {
            write(&pretty(value)?)
        } else {
            write(&human(value))
        }
    }

    /// Prints a page as `{"items": […], "next": …}`, or else what `human` makes of it, with
    /// how to go on behind it on stderr.
    pub fn page<T: Serialize>(
        self,
        items: &[T],
        next: Option<&str>,
        human: impl FnOnce(&[T]) -> String,
    ) -> Result<(), Failed> {
        if self.json {
            return write(&pretty(&Listing { items, next })?);
        }
        if items.is_empty() {
            stderr::note("nothing found");
        } else {
            write(&human(items))?;
        }
        if let Some(next) = next {
            stderr::note(&format!("there is more: --cursor {next}, or --all"));
        }
        Ok(())
    }

    /// Prints one of many values on a line of its own.
    pub fn line<T: Serialize>(
        self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failed> {
        if self.json {
            let line = serde_json::to_string(value).map_err(|error| unprintable(&error))?;
            write(&line)
        } else {
            write(&human(value))
        }
    }
}

#[derive(Serialize)]
struct Listing<'a, T> {
    items: &'a [T],
    next: Option<&'a str>,
}

fn pretty<T: Serialize>(value: &T) -> Result<String, Failed> {
    serde_json::to_string_pretty(value).map_err(|error| unprintable(&error))
}

fn unprintable(error: &serde_json::Error) -> Failed {
    Failed::new(
        Kind::Internal,
        format!("the result cannot be written as JSON: {error}"),
    )
}

/// Removes the characters that a terminal would obey from foreign text. Escapes characters that change the
/// direction of the text or cannot be seen: `\u{202e}`.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.push('\u{fffd}');
        } else if is_invisible(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// As [`shown`], of a text of several lines.
pub fn shown_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(shown).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(
            shown("Äcme\u{1b}[2J\r\n"),
            "Äcme\u{fffd}[2J\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(
            shown("Con\u{202e}osot\u{200b}\u{feff}\u{2066}株式会社 é"),
            "Con\\u{202e}osot\\u{200b}\\u{feff}\\u{2066}株式会社 é"
        );
        assert_eq!(
            shown_lines("a\nb\u{1b}\n\u{200f}"),
            "a\nb\u{fffd}\n\\u{200f}"
        );
    }
}
