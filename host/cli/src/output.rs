//! What goes to stdout: one JSON document, or tables for people; and nothing else.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

use super::failure::{Failed, Kind};

/// A terminal of fewer columns wraps whole lines: cells would become a few characters wide.
const NARROW: u16 = 60;

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
            eprintln!("nothing found");
        } else {
            write(&human(items))?;
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

/// Rows under headings, or pairs of names and values.
pub struct Rows {
    table: Table,
    /// Columns of keys, which are of no use in pieces.
    whole: Vec<usize>,
}

impl Rows {
    /// No rows yet, under these headings.
    pub fn under(headings: &[&str]) -> Self {
        let mut table = bare();
        table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
        let keys = headings.iter().enumerate();
        Self {
            table,
            whole: keys
                .filter(|(_, heading)| matches!(**heading, "pkid" | "id"))
                .map(|(column, _)| column)
                .collect(),
        }
    }

    /// Adds a row. The texts may be somebody else's.
    pub fn add(&mut self, row: impl IntoIterator<Item = impl AsRef<str>>) {
        let texts = row.into_iter().map(|text| shown(text.as_ref()));
        self.table.add_row(texts.collect::<Vec<_>>());
    }
}

impl fmt::Display for Rows {
    /// At a terminal as wide as that at most; elsewhere, and at a narrow one, each row is one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = self.table.clone();
        table.discover_columns();
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.whole.contains(&index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        f.write_str(&table.trim_fmt())
    }
}

/// Names and their values, one pair a line.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Rows {
    let mut rows = Rows {
        table: bare(),
        whole: Vec::new(),
    };
    for (name, value) in pairs {
        rows.add([name, value.as_str()]);
    }
    rows
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !io::stdout().is_terminal() {
        table.force_no_tty();
    } else if table.width().is_some_and(|width| width >= NARROW) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
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
        let mut rows = Rows::under(&["name", "state"]);
        rows.add(["Acme\n", &"x".repeat(500)]);
        let text = rows.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "NAME   STATE");
        assert!(lines[1].starts_with("Acme\u{fffd}  xxx"), "{text}");
    }
}
