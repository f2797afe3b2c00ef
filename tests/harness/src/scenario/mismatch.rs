//! One thing that is not as expected: where, what was expected, what was found.

use std::fmt;

use relation_host::types::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::format::source::Place;

/// The most characters of a value that are shown.
const SHOWN: usize = 400;

/// A step into a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Segment {
    /// To the entry of this key.
    Key(String),
    /// To the item at this index, counted from 0.
    Index(usize),
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// Where in what was found, such as `result.connection.state`.
    pub path: String,
    /// Where the expectation is written.
    pub place: Option<Place>,
    /// What was expected, for a person; none: that there is nothing.
    pub expected: Option<String>,
    /// What was found; none: there is nothing.
    pub found: Option<Value>,
    /// More for a person.
    pub note: Option<String>,
    /// The way to the expectation in `[step.expect]`.
    #[serde(skip)]
    pub segments: Vec<Segment>,
}

impl Mismatch {
    /// Another value than expected.
    pub fn differs(
        path: &[Segment],
        place: Place,
        expected: impl Into<String>,
        found: &Value,
    ) -> Self {
        Self {
            expected: Some(expected.into()),
            found: Some(found.clone()),
            ..Self::at(path, Some(place))
        }
    }

    /// Nothing, where something is expected.
    pub fn missing(path: &[Segment], place: Place, expected: impl Into<String>) -> Self {
        Self {
            expected: Some(expected.into()),
            ..Self::at(path, Some(place))
        }
    }

    /// Something, where nothing is expected.
    pub fn unexpected(path: &[Segment], place: impl Into<Option<Place>>, found: &Value) -> Self {
        Self {
            found: Some(found.clone()),
            ..Self::at(path, place.into())
        }
    }

    /// The same with more for a person.
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn at(path: &[Segment], place: Option<Place>) -> Self {
        Self {
            path: joined(path),
            place,
            expected: None,
            found: None,
            note: None,
            segments: path.to_vec(),
        }
    }

    /// What was found, for a person.
    pub fn found_in_words(&self) -> String {
        match &self.found {
            None => "nothing".to_owned(),
            Some(value) => match moment(value) {
                Some(at) => format!("{value}, which is {at}"),
                None => shortened(&value.to_string()),
            },
        }
    }

    /// What was expected, for a person.
    pub fn expected_in_words(&self) -> &str {
        self.expected.as_deref().unwrap_or("nothing")
    }
}

/// `result.connection.state`, `http[1].path`: lists are counted from 1, as people do.
pub fn joined(path: &[Segment]) -> String {
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

/// A number that is a moment of this century, in milliseconds, for whoever does not count in those.
fn moment(value: &Value) -> Option<Timestamp> {
    const CENTURY: std::ops::Range<u64> = 946_684_800_000..4_102_444_800_000;
    let milliseconds = value.as_u64().filter(|number| CENTURY.contains(number));
    milliseconds.map(Timestamp)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        write!(f, "expected {}, ", self.expected_in_words())?;
        write!(f, "found {}", self.found_in_words())?;
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
    fn a_moment_that_was_found_is_told_as_one() {
        let found = |value: Value| Mismatch::unexpected(&[], None, &value).found_in_words();
        assert_eq!(
            found(json!(1_767_830_400_000_u64)),
            "1767830400000, which is 2026-01-08T00:00:00.000Z"
        );
        assert_eq!(found(json!(7)), "7");
    }
}
