//! Tables for people: a line for each row, no wider than the terminal.
//!
//! Where a table is wider, the least important columns are left out, and texts are shortened. An output
//! that is not a terminal gets every column in full, unless `COLUMNS` sets a width.

use std::fmt;
use std::io::{self, IsTerminal};

use unicode_width::UnicodeWidthChar;

use crate::output::shown;

/// Between two columns.
const GAP: usize = 2;
/// The least that a column is shortened to, whatever it asks for.
const LEAST: usize = 4;
const ELLIPSIS: char = '…';

/// A column: its heading, and what becomes of it where there is little room.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    heading: &'static str,
    fit: Fit,
    /// Columns with a rank are left out, the lowest first.
    rank: Option<u8>,
}

/// How a column's texts are made to fit. The number is the width down to which that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// Not at all: times, states, and keys, which are of no use in pieces.
    Whole,
    /// Shortened at the end.
    Shortened(usize),
    /// Shortened at the beginning, as a path whose end says most.
    Tail(usize),
    /// Broken between words.
    Wrapped(usize),
}

impl Column {
    /// A column that is always there and always whole.
    pub const fn new(heading: &'static str) -> Self {
        Self {
            heading,
            fit: Fit::Whole,
            rank: None,
        }
    }

    /// Shortens its texts at their end, to `width` at least.
    pub const fn shortened(self, width: usize) -> Self {
        Self {
            fit: Fit::Shortened(width),
            ..self
        }
    }

    /// Shortens its texts at their beginning, to `width` at least.
    pub const fn tail(self, width: usize) -> Self {
        Self {
            fit: Fit::Tail(width),
            ..self
        }
    }

    /// Breaks its texts between words, into lines of `width` at least.
    pub const fn wrapped(self, width: usize) -> Self {
        Self {
            fit: Fit::Wrapped(width),
            ..self
        }
    }

    /// Lets the column be left out; of several, the one with the lowest rank goes first.
    pub const fn dropped(self, rank: u8) -> Self {
        Self {
            rank: Some(rank),
            ..self
        }
    }
}

/// Rows under headings, or pairs of names and values.
pub struct Rows {
    columns: Vec<Column>,
    headed: bool,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// No rows yet, under these headings.
    pub fn under(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            headed: true,
            rows: Vec::new(),
        }
    }

    /// Adds a row. The texts may be somebody else's.
    pub fn add(&mut self, row: impl IntoIterator<Item = impl AsRef<str>>) {
        let texts = row.into_iter().map(|text| shown(text.as_ref()));
        self.rows.push(texts.collect());
    }

    /// The table in `width` columns of a terminal; in full without a width.
    pub fn render(&self, width: Option<usize>) -> String {
        let headings: Vec<String> = self.columns.iter().map(heading).collect();
        let headings = self.headed.then_some(headings);
        let lines: Vec<&Vec<String>> = headings.iter().chain(&self.rows).collect();
        let natural: Vec<usize> = (0..self.columns.len())
            .map(|index| {
                let cells = lines.iter().filter_map(|line| line.get(index));
                cells.map(|cell| measure(cell)).max().unwrap_or_default()
            })
            .collect();
        let layout = layout(&self.columns, &natural, width);
        let mut text = String::new();
        for line in lines {
            for cells in in_lines(line, &layout) {
                let end = text.len();
                for (cell, (_, _, width)) in cells.iter().zip(&layout) {
                    text.push_str(cell);
                    let padding = (width + GAP).saturating_sub(measure(cell));
                    text.extend(std::iter::repeat_n(' ', padding));
                }
                let trimmed = text.get(end..).map_or(0, |line| line.trim_end().len());
                text.truncate(end + trimmed);
                text.push('\n');
            }
        }
        text.pop();
        text
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(width()))
    }
}

/// Names and their values, one pair a line.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Rows {
    let mut rows = Rows {
        columns: vec![Column::new(""), Column::new("").wrapped(24)],
        headed: false,
        rows: Vec::new(),
    };
    for (name, value) in pairs {
        rows.add([name, value.as_str()]);
    }
    rows
}

/// How many columns there are to print to; none where that does not matter.
fn width() -> Option<usize> {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.trim().parse().ok());
    if let Some(columns @ 1..) = told {
        return Some(columns);
    }
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(io::stdout())
        .map(|(terminal_size::Width(columns), _)| usize::from(columns))
        .filter(|columns| *columns > 0)
}

fn heading(column: &Column) -> String {
    column.heading.to_uppercase()
}

/// The columns that are shown, by index, how they are made to fit, and the width of each.
fn layout(columns: &[Column], natural: &[usize], width: Option<usize>) -> Vec<(usize, Fit, usize)> {
    let mut shown: Vec<(usize, Column, usize)> = columns
        .iter()
        .zip(natural)
        .enumerate()
        .map(|(index, (column, natural))| (index, *column, *natural))
        .collect();
    if let Some(width) = width {
        while taken(shown.iter().map(least)) > width {
            let ranks = shown.iter().filter_map(|(_, column, _)| column.rank);
            let Some(lowest) = ranks.min() else {
                break;
            };
            shown.retain(|(_, column, _)| column.rank != Some(lowest));
        }
        for last_resort in [false, true] {
            let floor = |column: &(usize, Column, usize)| match (column.1.fit, last_resort) {
                (Fit::Whole, _) => column.2,
                (_, true) => column.2.min(LEAST),
                (_, false) => least(column),
            };
            let mut excess =
                taken(shown.iter().map(|(.., natural)| *natural)).saturating_sub(width);
            while excess > 0 {
                let wide = shown.iter_mut().filter(|column| column.2 > floor(column));
                let Some(widest) = wide.max_by_key(|(.., natural)| *natural) else {
                    break;
                };
                widest.2 -= 1;
                excess -= 1;
            }
        }
    }
    let shown = shown.into_iter();
    shown
        .map(|(index, column, width)| (index, column.fit, width))
        .collect()
}

/// The width down to which a column may be shortened.
fn least((_, column, natural): &(usize, Column, usize)) -> usize {
    match column.fit {
        Fit::Whole => *natural,
        Fit::Shortened(width) | Fit::Tail(width) | Fit::Wrapped(width) => {
            width.max(measure(&heading(column))).min(*natural)
        }
    }
}

fn taken(widths: impl Iterator<Item = usize>) -> usize {
    let (count, sum) = widths.fold((0, 0), |(count, sum), width| (count + 1, sum + width));
    sum + GAP * usize::saturating_sub(count, 1)
}

/// The cells of a row that are shown, made to fit; more than one line where some are wrapped.
fn in_lines(row: &[String], layout: &[(usize, Fit, usize)]) -> Vec<Vec<String>> {
    let cells: Vec<Vec<String>> = layout
        .iter()
        .map(|(index, fit, width)| {
            let cell = row.get(*index).map_or("", String::as_str);
            match fit {
                Fit::Whole => vec![cell.to_owned()],
                Fit::Shortened(_) => vec![shortened(cell, *width)],
                Fit::Tail(_) => vec![tail(cell, *width)],
                Fit::Wrapped(_) => wrapped(cell, *width),
            }
        })
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    (0..height)
        .map(|line| {
            let lines = cells.iter().map(|cell| cell.get(line).cloned());
            lines.map(Option::unwrap_or_default).collect()
        })
        .collect()
}

/// How many columns of a terminal a text takes.
fn measure(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or_default()).sum()
}

/// As many of `characters` as take `width` columns.
fn fitting(characters: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut taken = 0;
    characters
        .take_while(|c| {
            taken += c.width().unwrap_or_default();
            taken <= width
        })
        .collect()
}

fn shortened(text: &str, width: usize) -> String {
    if measure(text) <= width {
        return text.to_owned();
    }
    let head: String = fitting(text.chars(), width.saturating_sub(1))
        .into_iter()
        .collect();
    format!("{}{ELLIPSIS}", head.trim_end())
}

fn tail(text: &str, width: usize) -> String {
    if measure(text) <= width {
        return text.to_owned();
    }
    let end = fitting(text.chars().rev(), width.saturating_sub(1));
    std::iter::once(ELLIPSIS)
        .chain(end.into_iter().rev())
        .collect()
}

/// Lines of at most `width` columns, broken at spaces only; a longer word is whole on a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && measure(&line) + 1 + measure(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PKID: &str = "0123456789abcdef01234567";

    fn customers() -> Rows {
        let mut rows = Rows::under(&[
            Column::new("name").shortened(12),
            Column::new("hierarchy").tail(12).dropped(2),
            Column::new("state"),
            Column::new("pkid").dropped(1),
        ]);
        rows.add([
            "Contoso",
            "sys.Provider.Reseller.Contoso",
            "connected",
            PKID,
        ]);
        let long = "Gesellschaft für Öffentlichkeitsarbeit und Verwaltung mbH";
        rows.add([long, "sys.Provider", "not-connected", PKID]);
        rows.add(["株式会社コントソ東京本社営業部", "sys", "expired", PKID]);
        rows
    }

    #[test]
    fn every_line_fits_the_terminal_and_no_key_is_in_pieces() {
        for width in 32..200 {
            let text = customers().render(Some(width));
            for line in text.lines() {
                assert!(measure(line) <= width, "{width}: {line}");
            }
            assert_eq!(text.lines().count(), 4, "{text}");
            let whole = text.matches(PKID).count();
            assert!(
                whole == 3 || (whole == 0 && !text.contains("0123")),
                "{text}"
            );
            assert!(text.contains("not-connected"), "{text}");
        }
    }

    #[test]
    fn what_matters_least_is_left_out_first() {
        let headings = |width| {
            let text = customers().render(Some(width));
            let line = text.lines().next().unwrap_or_default();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(headings(200), "NAME HIERARCHY STATE PKID");
        assert_eq!(headings(60), "NAME HIERARCHY STATE");
        assert_eq!(headings(30), "NAME STATE");
    }

    #[test]
    fn a_text_is_shortened_at_its_end_and_a_path_at_its_beginning() {
        assert_eq!(
            customers().render(Some(43)).lines().nth(1),
            Some("Contoso        …ller.Contoso  connected")
        );
        assert_eq!(shortened("Contoso", 7), "Contoso");
        assert_eq!(shortened("Contoso GmbH", 9), "Contoso…");
        assert_eq!(shortened("株式会社", 6), "株式…");
        assert_eq!(tail("sys.Provider.Contoso", 9), "….Contoso");
    }

    #[test]
    fn off_the_terminal_a_row_is_a_line_in_full() {
        let mut rows = Rows::under(&[
            Column::new("name"),
            Column::new("state").shortened(3).dropped(1),
        ]);
        rows.add(["Acme\n", &"x".repeat(500)]);
        let text = rows.render(None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "NAME   STATE");
        assert_eq!(lines[1], format!("Acme\u{fffd}  {}", "x".repeat(500)));
    }

    #[test]
    fn a_value_is_broken_between_words_alone() {
        let scopes = "spark-admin:people_read spark-admin:roles_read";
        let long = "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi8wMTIzNDU2Nzg5";
        let shown = pairs([("scopes", scopes.to_owned()), ("account", long.to_owned())]);
        assert_eq!(
            shown.render(Some(40)),
            format!(
                "scopes   spark-admin:people_read\n         spark-admin:roles_read\naccount  {long}"
            )
        );
        assert_eq!(shown.render(None).lines().count(), 2);
    }
}
