//! Text from people and other programs, UTF-8 with or without a byte order mark; counts and durations in texts for
//! people.

use std::fmt;
use std::time::Duration;

/// The reason why bytes cannot be used as text. The error text follows the name of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// UTF-16, as some editors and shells of Windows write it.
    Utf16,
    /// UTF-32.
    Utf32,
    /// A single-byte encoding, such as ISO 8859-1 or Windows-1252.
    SingleByte {
        /// The line of the first byte that is not UTF-8, counted from 1.
        line: usize,
    },
    /// Not text at all.
    Binary,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf16 => f.write_str("is UTF-16; save it as UTF-8"),
            Self::Utf32 => f.write_str("is UTF-32; save it as UTF-8"),
            Self::SingleByte { line } => write!(
                f,
                "is not UTF-8 in line {line}, but probably Latin-1 (ISO 8859-1 or Windows-1252); save \
                 it as UTF-8"
            ),
            Self::Binary => f.write_str("is not text"),
        }
    }
}

impl std::error::Error for TextError {}

/// Reads `bytes` as UTF-8 and drops a leading byte order mark.
///
/// # Errors
/// The bytes are in another encoding, which the error names.
pub fn decode(bytes: &[u8]) -> Result<&str, TextError> {
    // The mark of little-endian UTF-32 begins with that of UTF-16.
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Err(TextError::Utf32),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(TextError::Utf16),
        // Without a mark: the first character of every expected input is ASCII.
        [0, first, ..] | [first, 0, ..] if *first != 0 => return Err(TextError::Utf16),
        _ => {}
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(strip_bom(text)),
        Err(error) => {
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            // Windows-1252 has letters in the range where ISO 8859-1 has control characters.
            let is_text = |byte: &u8| *byte >= b' ' || byte.is_ascii_whitespace();
            if rest.iter().all(is_text) && valid.iter().all(is_text) {
                let breaks = valid.iter().filter(|byte| **byte == b'\n').count();
                Err(TextError::SingleByte { line: 1 + breaks })
            } else {
                Err(TextError::Binary)
            }
        }
    }
}

/// Removes leading byte order marks. Concatenated files can have more than one.
pub fn strip_bom(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// Returns whether a terminal may obey `character` or show nothing for it: a control character, a change of
/// text direction, or a character without width.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];

/// Formats a count with its noun: `1 wakeup`, `2 wakeups`.
pub fn format_count(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// Formats a duration in its two largest adjacent units, rounded down: `12 d 4 h`, `7 d`, `3 min 20 s`. A duration below a
/// second is in milliseconds.
pub fn format_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    match (parts.is_empty(), span.as_millis()) {
        (false, _) => parts.join(" "),
        (true, 0) => "0 s".to_owned(),
        (true, millis) => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(decode(b"\xef\xbb\xbf{}\r\n"), Ok("{}\r\n"));
        assert_eq!(decode(b"\xef\xbb\xbf\xef\xbb\xbfa"), Ok("a"));
        assert_eq!(decode(b"\xef\xbb\xbf"), Ok(""));
        assert_eq!(decode("a\u{feff}".as_bytes()), Ok("a\u{feff}"));
        assert_eq!(decode(b""), Ok(""));
    }

    #[test]
    fn other_encodings_are_named() {
        let marked = "\u{feff}{\"a\": 1}";
        for text in [marked, "{\"a\": \"\u{e4}\"}", "a"] {
            for order in [u16::to_le_bytes, u16::to_be_bytes] {
                assert_eq!(decode(&utf16(text, order)), Err(TextError::Utf16), "{text}");
            }
        }
        let utf32: Vec<u8> = marked
            .chars()
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect();
        assert_eq!(decode(&utf32), Err(TextError::Utf32));
        assert_eq!(
            decode(b"a = 1\nb = \"M\xfcller\"\n"),
            Err(TextError::SingleByte { line: 2 })
        );
        assert_eq!(decode(b"\x80 5"), Err(TextError::SingleByte { line: 1 }));
        assert_eq!(
            decode(b"\x7fELF\x02\x01\x01\x00\xff"),
            Err(TextError::Binary)
        );
    }

    const DAY: u64 = 86_400;

    #[test]
    fn count_has_its_noun() {
        let text = |count| format_count(count, "wakeup", "wakeups");
        assert_eq!(
            [text(0), text(1), text(2)],
            ["0 wakeups", "1 wakeup", "2 wakeups"]
        );
    }

    #[test]
    fn a_span_is_its_two_largest_neighboring_units() {
        let text = |seconds| format_span(Duration::from_secs(seconds));
        assert_eq!(text(12 * DAY + 4 * 3600 + 59 * 60), "12 d 4 h");
        assert_eq!(text(7 * DAY), "7 d");
        assert_eq!(
            text(7 * DAY + 59),
            "7 d",
            "59 seconds do not matter beside days"
        );
        assert_eq!(text(DAY - 1), "23 h 59 min");
        assert_eq!(text(200), "3 min 20 s");
        assert_eq!(text(59), "59 s");
        assert_eq!(text(0), "0 s");
        assert_eq!(format_span(Duration::from_millis(999)), "999 ms");
        assert_eq!(format_span(Duration::from_millis(1_999)), "1 s");
    }
}
