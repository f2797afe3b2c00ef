//! Tables for people: one line per row, no wider than the terminal.
//!
//! If a table is too wide, the least important columns are dropped, and texts are shortened. An output that
//! is not a terminal gets every column in full, unless `COLUMNS` sets a width.

use std::fmt;
use std::io::{self, IsTerminal};

use unicode_width::UnicodeWidthChar;

use crate::output::escape_control_chars;

/// The space between two columns.
const GAP: usize = 2;
/// The minimum width of a shortened column, as a last resort.
const MIN_WIDTH: usize = 4;
/// The maximum width of a name on a terminal, so that one long name does not widen every row.
pub const MAX_NAME_WIDTH: usize = 40;
const ELLIPSIS: char = '…';

/// A column: its heading, and how it adapts to a narrow terminal.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    heading: &'static str,
    fit: Fit,
    /// Columns with a rank may be dropped, the lowest rank first.
    rank: Option<u8>,
    /// The maximum width, if the width of the output is limited.
    max: Option<usize>,
}

/// The way in which a column's texts are made to fit. The number is the minimum width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// Never changed: times, states and keys are of no use if cut.
    Whole,
    /// Shortened at the end.
    Shortened(usize),
    /// Shortened at the start, for a path whose end is most significant.
    Tail(usize),
    /// Wrapped between words.
    Wrapped(usize),
}

impl Column {
    /// Creates a column that is always shown in full.
    pub const fn new(heading: &'static str) -> Self {
        Self {
            heading,
            fit: Fit::Whole,
            rank: None,
            max: None,
        }
    }

    /// Shortens texts at their end, to `width` at least.
    pub const fn shortened(self, width: usize) -> Self {
        Self {
            fit: Fit::Shortened(width),
            ..self
        }
    }

    /// Shortens texts at their start, to `width` at least.
    pub const fn tail(self, width: usize) -> Self {
        Self {
            fit: Fit::Tail(width),
            ..self
        }
    }

    /// Shortens texts to `width` also where there is room for more, unless the width of the output is not limited.
    pub const fn at_most(self, width: usize) -> Self {
        Self {
            max: Some(width),
            ..self
        }
    }

    /// Wraps texts between words, into lines of `width` at least.
    pub const fn wrapped(self, width: usize) -> Self {
        Self {
            fit: Fit::Wrapped(width),
            ..self
        }
    }

    /// Lets the column be dropped. The column with the lowest rank is dropped first.
    pub const fn droppable(self, rank: u8) -> Self {
        Self {
            rank: Some(rank),
            ..self
        }
    }
}

/// A table of rows under headings, or of name and value pairs.
pub struct Table {
    columns: Vec<Column>,
    has_headings: bool,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates an empty table with headings.
    pub fn with_columns(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            has_headings: true,
            rows: Vec::new(),
        }
    }

    /// Adds a row. Its texts are escaped, because they may be untrusted.
    pub fn add(&mut self, row: impl IntoIterator<Item = impl AsRef<str>>) {
        let texts = row
            .into_iter()
            .map(|text| escape_control_chars(text.as_ref()));
        self.rows.push(texts.collect());
    }

    /// Renders the table in `width` terminal columns, or in full without a width.
    pub fn render(&self, width: Option<usize>) -> String {
        let headings: Vec<String> = self.columns.iter().map(heading_text).collect();
        let headings = self.has_headings.then_some(headings);
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
            for cells in layout_row(line, &layout) {
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

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(output_width()))
    }
}

/// Builds a table of names and values, one pair per line.
pub fn pair_table<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Table {
    let mut rows = Table {
        columns: vec![Column::new(""), Column::new("").wrapped(24)],
        has_headings: false,
        rows: Vec::new(),
    };
    for (name, value) in pairs {
        rows.add([name, value.as_str()]);
    }
    rows
}

/// Returns the width of the output in terminal columns, or `None` if it is not limited.
fn output_width() -> Option<usize> {
    let configured = std::env::var("COLUMNS").ok();
    let configured = configured.and_then(|columns| columns.trim().parse().ok());
    if let Some(columns @ 1..) = configured {
        return Some(columns);
    }
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(io::stdout())
        .map(|(terminal_size::Width(columns), _)| usize::from(columns))
        .filter(|columns| *columns > 0)
}

fn heading_text(column: &Column) -> String {
    column.heading.to_uppercase()
}

/// Returns the columns to show: index, fit and width of each.
fn layout(columns: &[Column], natural: &[usize], width: Option<usize>) -> Vec<(usize, Fit, usize)> {
    let mut shown: Vec<(usize, Column, usize)> = columns
        .iter()
        .zip(natural)
        .enumerate()
        .map(|(index, (column, natural))| {
            let max = column.max.filter(|_| width.is_some());
            (
                index,
                *column,
                max.map_or(*natural, |max| max.min(*natural)),
            )
        })
        .collect();
    if let Some(width) = width {
        while total_width(shown.iter().map(min_width)) > width {
            let ranks = shown.iter().filter_map(|(_, column, _)| column.rank);
            let Some(lowest) = ranks.min() else {
                break;
            };
            shown.retain(|(_, column, _)| column.rank != Some(lowest));
        }
        for last_resort in [false, true] {
            let floor = |column: &(usize, Column, usize)| match (column.1.fit, last_resort) {
                (Fit::Whole, _) => column.2,
                (_, true) => column.2.min(MIN_WIDTH),
                (_, false) => min_width(column),
            };
            let mut excess =
                total_width(shown.iter().map(|(.., natural)| *natural)).saturating_sub(width);
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

/// Returns the minimum width of a column.
fn min_width((_, column, natural): &(usize, Column, usize)) -> usize {
    match column.fit {
        Fit::Whole => *natural,
        Fit::Shortened(width) | Fit::Tail(width) | Fit::Wrapped(width) => {
            width.max(measure(&heading_text(column))).min(*natural)
        }
    }
}

fn total_width(widths: impl Iterator<Item = usize>) -> usize {
    let (count, sum) = widths.fold((0, 0), |(count, sum), width| (count + 1, sum + width));
    sum + GAP * usize::saturating_sub(count, 1)
}

/// Renders a row, in several lines if cells are wrapped.
fn layout_row(row: &[String], layout: &[(usize, Fit, usize)]) -> Vec<Vec<String>> {
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

/// Returns the number of terminal columns that a text takes.
fn measure(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or_default()).sum()
}

/// Takes characters while they fit into `width` terminal columns.
fn take_fitting(characters: impl Iterator<Item = char>, width: usize) -> Vec<char> {
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
    let head: String = take_fitting(text.chars(), width.saturating_sub(1))
        .into_iter()
        .collect();
    format!("{}{ELLIPSIS}", head.trim_end())
}

fn tail(text: &str, width: usize) -> String {
    if measure(text) <= width {
        return text.to_owned();
    }
    let end = take_fitting(text.chars().rev(), width.saturating_sub(1));
    std::iter::once(ELLIPSIS)
        .chain(end.into_iter().rev())
        .collect()
}

/// Wraps a text at spaces into lines of at most `width` columns. A longer word gets a line of its own.
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

    fn customers() -> Table {
        let mut rows = Table::with_columns(&[
            Column::new("name").shortened(12),
            Column::new("hierarchy").tail(12).droppable(2),
            Column::new("state"),
            Column::new("pkid").droppable(1),
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
    fn lines_fit_the_terminal_and_keys_stay_whole() {
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
    fn lowest_rank_is_dropped_first() {
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
    fn text_is_cut_at_its_end_and_path_at_its_start() {
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
    fn rows_are_not_cut_without_a_terminal() {
        let mut rows = Table::with_columns(&[
            Column::new("name"),
            Column::new("state").shortened(3).droppable(1),
        ]);
        rows.add(["Acme\n", &"x".repeat(500)]);
        let text = rows.render(None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "NAME   STATE");
        assert_eq!(lines[1], format!("Acme\u{fffd}  {}", "x".repeat(500)));
    }

    #[test]
    fn value_wraps_between_words_only() {
        let scopes = "spark-admin:people_read spark-admin:roles_read";
        let long = "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi8wMTIzNDU2Nzg5";
        let shown = pair_table([("scopes", scopes.to_owned()), ("account", long.to_owned())]);
        assert_eq!(
            shown.render(Some(40)),
            format!(
                "scopes   spark-admin:people_read\n         spark-admin:roles_read\naccount  {long}"
            )
        );
        assert_eq!(shown.render(None).lines().count(), 2);
    }

    #[test]
    fn long_name_does_not_widen_every_row() {
        let mut rows = Table::with_columns(&[
            Column::new("name").shortened(16).at_most(20),
            Column::new("state"),
        ]);
        rows.add(["x".repeat(100), "connected".to_owned()]);
        rows.add(["Acme", "expired"]);
        let narrow = rows.render(Some(200));
        let widths: Vec<usize> = narrow.lines().map(measure).collect();
        assert_eq!(widths, [27, 31, 29], "{narrow}");
        // An output that is not a terminal has every name in full.
        assert!(rows.render(None).contains(&"x".repeat(100)));
    }
}
