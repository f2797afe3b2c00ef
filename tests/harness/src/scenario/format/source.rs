//! The text of a scenario file, places in it, and what is wrong with it, shown with the line it is about.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A place in a file, counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The text of one file.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// A text that was read from `path`.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte.
    pub fn place(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        Place {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    /// A line, counted from 1, without its end; empty if there is none.
    pub fn line(&self, number: usize) -> &str {
        let line = self.text.lines().nth(number.saturating_sub(1));
        line.unwrap_or_default()
    }

    /// What is wrong in `span`, with the line shown.
    pub(super) fn fault(&self, span: &Range<usize>, key: &str, complaint: Complaint) -> Fault {
        let place = self.place(span.start);
        let line = self.line(place.line).to_owned();
        let marked = self.text.get(span.clone()).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default().chars().count();
        Fault {
            path: self.path.clone(),
            place,
            width: marked.max(1),
            line,
            key: key.to_owned(),
            message: complaint.message,
            hint: complaint.hint,
        }
    }
}

/// What is wrong with a value, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Complaint {
    /// Says what is wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// Says besides what would be right.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Writes a path as a text. A name that is not UTF-8 is shown as well as it can be.
pub(crate) fn serialize_path<S: serde::Serializer>(
    path: &Path,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The file.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// Where in it.
    pub place: Place,
    /// How many characters it is about.
    #[serde(skip)]
    width: usize,
    /// The line as it is written.
    pub line: String,
    /// The key with its sections, such as `step[2].expect.http`; empty where the text is no TOML.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    /// As compilers do it: place and message, the line with the part underlined, a hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{}:{line}:{column}: ", self.path.display())?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        writeln!(f, "{}", self.message)?;
        let margin = " ".repeat(line.to_string().len());
        let before: String = self.line.chars().take(column.saturating_sub(1)).collect();
        let indent: String = before
            .chars()
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {}", self.line)?;
        write!(f, "{margin} | {indent}{}", "^".repeat(self.width))?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Everything wrong with a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let source = Source::new("a.toml", "a = 1\nä = 2\n");
        assert_eq!(source.place(0), Place { line: 1, column: 1 });
        let two = source.text().find('2').unwrap();
        assert_eq!(source.place(two), Place { line: 2, column: 5 });
    }

    #[test]
    fn a_fault_shows_its_line_and_underlines_what_it_is_about() {
        let source = Source::new("a.toml", "\n\tabout = 7\n");
        let start = source.text().find('7').unwrap();
        let complaint = Complaint::new("expected a text, found a number").hint("put it in quotes");
        let fault = source.fault(&(start..start + 1), "about", complaint);
        assert_eq!(
            fault.to_string(),
            "a.toml:2:10: about: expected a text, found a number\n  |\n2 | \tabout = 7\n  | \t        ^\nhint: put it in quotes"
        );
    }
}
