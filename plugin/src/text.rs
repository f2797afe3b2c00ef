//! Texts from people and servers: trimming, since byte order marks and surrounding white space are not
//! part of a text, and suggestions for misspelt names.

/// The byte order mark, as a character.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// The byte order mark in UTF-8.
const BYTE_ORDER_MARK_BYTES: &[u8] = b"\xef\xbb\xbf";

/// Removes white space and byte order marks around `text`.
pub fn trim_text(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK)
}

/// Removes the byte order mark at the beginning of a file or a response.
pub fn strip_byte_order_mark(content: &[u8]) -> &[u8] {
    content
        .strip_prefix(BYTE_ORDER_MARK_BYTES)
        .unwrap_or(content)
}

/// Returns the name most similar to `typed`, if any is similar.
pub fn find_similar<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Below this similarity, a suggestion confuses more than it helps; clap uses the same value.
    const MIN_SIMILARITY: f64 = 0.7;
    let typed = typed.to_lowercase();
    names
        .map(|name| (strsim::jaro(&name.to_lowercase(), &typed), name))
        .filter(|(similarity, _)| *similarity > MIN_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trim_text_drops_marks_and_space() {
        for text in [
            "a b",
            "\u{feff}a b",
            " \u{feff} a b\r\n",
            "\u{feff}\u{feff}a b\u{feff}",
        ] {
            assert_eq!(trim_text(text), "a b", "{text:?}");
        }
        assert_eq!(trim_text("a\u{feff}b"), "a\u{feff}b");
        assert_eq!(trim_text("\u{feff}"), "");
    }

    #[test]
    fn one_byte_order_mark_is_stripped() {
        assert_eq!(strip_byte_order_mark(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(strip_byte_order_mark(b"{}"), b"{}");
        assert_eq!(strip_byte_order_mark(b""), b"");
    }
}
