//! Text as people and servers send it: a byte order mark and white space around it are no part of it.

/// The byte order mark, as a character.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// The byte order mark in UTF-8.
const BYTE_ORDER_MARK_BYTES: &[u8] = b"\xef\xbb\xbf";

/// Drops white space and byte order marks around `text`.
pub fn trim_text(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK)
}

/// Drops the byte order mark before the content of a file or a response.
pub fn strip_mark(content: &[u8]) -> &[u8] {
    content
        .strip_prefix(BYTE_ORDER_MARK_BYTES)
        .unwrap_or(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_space_around_a_text_are_dropped() {
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
    fn one_mark_before_content_is_dropped() {
        assert_eq!(strip_mark(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(strip_mark(b"{}"), b"{}");
        assert_eq!(strip_mark(b""), b"");
    }
}
