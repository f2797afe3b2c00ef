//! The text of a file, positions in it, and errors that show their line.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use crate::reader::describe_kind;

/// A position in a file, counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct SourcePosition {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl fmt::Display for SourcePosition {
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
    /// Creates a source from a text that was read from `path`.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the position of a byte.
    pub fn position(&self, byte: usize) -> SourcePosition {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        SourcePosition {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    /// Returns a line, counted from 1, without its end; empty if there is no such line.
    pub fn line(&self, number: usize) -> &str {
        let line = self.text.lines().nth(number.saturating_sub(1));
        line.unwrap_or_default()
    }

    /// Creates the error for a span, with its line.
    pub(crate) fn locate(&self, span: &Range<usize>, key: &str, error: ValueError) -> ParseError {
        let position = self.position(span.start);
        let line = self.line(position.line).to_owned();
        let marked = self.text.get(span.clone()).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default().chars().count();
        ParseError {
            path: self.path.to_string_lossy().into_owned(),
            position,
            width: marked.max(1),
            line,
            key: key.to_owned(),
            message: error.message,
            hint: error.hint,
        }
    }
}

/// An error in a value, before its position is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// The error, as a lower-case fragment.
    pub message: String,
    /// The suggested correction.
    pub hint: Option<String>,
}

impl ValueError {
    /// Creates an error.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// Creates the error for a value of a kind other than the expected one.
    pub fn from_kind(expected: &str, found: &DeValue<'_>) -> Self {
        Self::new(format!(
            "expected {expected}, found {}",
            describe_kind(found)
        ))
    }

    /// Adds a suggested correction.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<String> for ValueError {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for ValueError {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// One error in a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ParseError {
    /// The file; invalid UTF-8 in its path is replaced.
    pub path: String,
    /// The position in the file.
    pub position: SourcePosition,
    /// The number of marked characters.
    #[serde(skip)]
    width: usize,
    /// The text of the line.
    pub line: String,
    /// The key with its sections, such as `step[2].expect.http`; empty for a syntax error.
    pub key: String,
    /// The error.
    pub message: String,
    /// The suggested correction.
    pub hint: Option<String>,
}

impl fmt::Display for ParseError {
    /// Formats the error like a compiler: position and message, the line with the marked part, a hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourcePosition { line, column } = self.position;
        write!(f, "{}:{line}:{column}: ", self.path)?;
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

/// All errors in a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct ParseErrors(pub Vec<ParseError>);

impl fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_counts_lines_and_characters_from_one() {
        let source = Source::new("a.toml", "a = 1\nä = 2\n");
        assert_eq!(source.position(0), SourcePosition { line: 1, column: 1 });
        let two = source.text().find('2').unwrap();
        assert_eq!(source.position(two), SourcePosition { line: 2, column: 5 });
    }

    #[test]
    fn error_shows_its_line_and_underlines_the_value() {
        let source = Source::new("a.toml", "\n\tabout = 7\n");
        let start = source.text().find('7').unwrap();
        let error = ValueError::new("expected a text, found a number").hint("put it in quotes");
        let error = source.locate(&(start..start + 1), "about", error);
        assert_eq!(
            error.to_string(),
            "a.toml:2:10: about: expected a text, found a number\n  |\n2 | \tabout = 7\n  | \t        ^\nhint: put it in quotes"
        );
    }
}
