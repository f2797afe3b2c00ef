//! What goes to stdout: one JSON document, or tables for people; and nothing else.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;

use super::failure::{Failed, Kind};

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

    /// Prints a page as `{"items": […], "next": …}`, or else the table that `human` makes of it,
    /// with how to go on behind it on stderr.
    pub fn page<T: Serialize>(
        self,
        items: &[T],
        next: Option<&str>,
        human: impl FnOnce(&[T]) -> Table,
    ) -> Result<(), Failed> {
        if self.json {
            return write(&pretty(&json!({ "items": items, "next": next }))?);
        }
        if items.is_empty() {
            eprintln!("nothing found");
        } else {
            write(&human(items).to_string())?;
        }
        if let Some(next) = next {
            eprintln!("there is more: --cursor {next}, or --all");
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

fn pretty<T: Serialize>(value: &T) -> Result<String, Failed> {
    serde_json::to_string_pretty(value).map_err(|error| unprintable(&error))
}

fn unprintable(error: &serde_json::Error) -> Failed {
    Failed::new(
        Kind::Internal,
        format!("the result cannot be written as JSON: {error}"),
    )
}

/// Writes `text` and the end of its line, if it has none, to stdout.
pub fn write(text: &str) -> Result<(), Failed> {
    let mut stdout = io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.write_all(end.as_bytes()))
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failed::new(Kind::BrokenPipe, ""),
            _ => Failed::new(Kind::Failed, format!("cannot write to stdout: {error}")),
        })
}

/// A table with these headings. At a terminal it is as wide as the terminal at most; elsewhere
/// each row is one line.
pub fn table(headings: &[&str]) -> Table {
    let mut table = bare();
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    table
}

/// Names and their values, one pair a line.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Table {
    let mut table = bare();
    for (name, value) in pairs {
        table.add_row([Cell::new(name), Cell::new(shown(&value))]);
    }
    table
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    table
}

/// Text that somebody else wrote, without what a terminal would obey.
pub fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
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
    fn a_table_off_the_terminal_has_one_line_a_row() {
        let mut table = table(&["name", "state"]);
        table.add_row(["Acme", &"x".repeat(500)]);
        let text = table.to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with(" NAME"), "{text}");
    }
}
