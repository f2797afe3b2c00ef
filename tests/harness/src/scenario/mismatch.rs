//! A mismatch: its path, the expected and the found value.

use std::fmt;

use relation_host::types::Timestamp;
use serde::Serialize;
use serde_json::Value;

use relation_toml::SourcePosition;

/// The maximum number of characters of a value that are shown.
const MAX_SHOWN: usize = 400;

/// A step of a path into a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Segment {
    /// An entry of an object.
    Key(String),
    /// An item of a list, counted from 0.
    Index(usize),
}

/// A difference from an expectation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// The path in the found value, such as `result.connection.state`.
    pub path: String,
    /// The place of the expectation.
    pub position: Option<SourcePosition>,
    /// The description of the expected value; `None` if no value is expected.
    pub expected: Option<String>,
    /// The found value; `None` if there is none.
    pub found: Option<Value>,
    /// Further information for people.
    pub note: Option<String>,
    /// The path of the expectation in `[step.expect]`.
    #[serde(skip)]
    pub segments: Vec<Segment>,
}

impl Mismatch {
    /// Creates a mismatch of two values.
    pub fn differs(
        path: &[Segment],
        position: SourcePosition,
        expected: impl Into<String>,
        found: &Value,
    ) -> Self {
        Self {
            expected: Some(expected.into()),
            found: Some(found.clone()),
            ..Self::at(path, Some(position))
        }
    }

    /// Creates a mismatch for a missing value.
    pub fn missing(
        path: &[Segment],
        position: SourcePosition,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            expected: Some(expected.into()),
            ..Self::at(path, Some(position))
        }
    }

    /// Creates a mismatch for an unexpected value.
    pub fn unexpected(
        path: &[Segment],
        position: impl Into<Option<SourcePosition>>,
        found: &Value,
    ) -> Self {
        Self {
            found: Some(found.clone()),
            ..Self::at(path, position.into())
        }
    }

    /// Adds further information for people.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn at(path: &[Segment], position: Option<SourcePosition>) -> Self {
        Self {
            path: format_path(path),
            position,
            expected: None,
            found: None,
            note: None,
            segments: path.to_vec(),
        }
    }

    /// Describes the found value for people.
    pub fn describe_found(&self) -> String {
        match &self.found {
            None => "nothing".to_owned(),
            Some(value) => match moment(value) {
                Some(at) => format!("{value}, which is {at}"),
                None => truncate(&value.to_string()),
            },
        }
    }

    /// Returns the description of the expected value.
    pub fn describe_expected(&self) -> &str {
        self.expected.as_deref().unwrap_or("nothing")
    }
}

/// Formats a path, such as `result.connection.state` or `http[1].path`. List items are counted from 1.
pub fn format_path(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Index(index) => text.push_str(&format!("[{}]", index + 1)),
            Segment::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '@');
                match key.chars().all(plain) {
                    true => text.push_str(key),
                    false => text.push_str(&format!("{key:?}")),
                }
            }
        }
    }
    text
}

/// Interprets a number as a moment of this century, in milliseconds, to show its date.
fn moment(value: &Value) -> Option<Timestamp> {
    const CENTURY: std::ops::Range<u64> = 946_684_800_000..4_102_444_800_000;
    let milliseconds = value.as_u64().filter(|number| CENTURY.contains(number));
    milliseconds.map(Timestamp)
}

fn truncate(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        write!(f, "expected {}, ", self.describe_expected())?;
        write!(f, "found {}", self.describe_found())?;
        if let Some(note) = &self.note {
            write!(f, " ({note})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn found_moment_is_shown_as_a_date() {
        let found = |value: Value| Mismatch::unexpected(&[], None, &value).describe_found();
        assert_eq!(
            found(json!(1_767_830_400_000_u64)),
            "1767830400000, which is 2026-01-08T00:00:00.000Z"
        );
        assert_eq!(found(json!(7)), "7");
    }
}
