//! The key-encryption key as text: in the format of the key file, and as other programs write 32 bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::keys::KeyEncryptionKey;
use relation_types::text::{self, TextError};

/// Precedes the 64 hexadecimal digits in a key file.
pub(super) const LABEL: &str = "relation-key-1 ";

/// An upper bound for a key in any format, with its comments, in bytes.
pub(super) const MAX_KEY_TEXT_BYTES: u64 = 4096;

/// The formats that [`parse_bare`] accepts, for messages.
pub(super) const KEY_FORMATS: &str =
    "a key is 64 hexadecimal digits, or 32 bytes in base64, or the content of a key file";

/// Parses the content of a key file: comments that begin with `#`, and one line with the label and 64
/// hexadecimal digits. The error quotes none of the content.
pub(super) fn parse_file(text: &str) -> Result<KeyEncryptionKey, &'static str> {
    let line = only_line(text)?;
    let digits = line
        .strip_prefix(LABEL)
        .ok_or("its line is not a key of this program")?;
    hexadecimal(digits).ok_or("its key is not 64 hexadecimal digits")
}

/// Parses a key on one line, in one of the [`KEY_FORMATS`].
pub(super) fn parse_bare(text: &str) -> Result<KeyEncryptionKey, &'static str> {
    let line = only_line(text)?;
    hexadecimal(line.strip_prefix(LABEL).unwrap_or(line))
        .or_else(|| base64(line))
        .ok_or("it is neither 64 hexadecimal digits nor 32 bytes in base64")
}

/// Decodes the text that contains a key.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, &'static str> {
    text::decode(bytes).map_err(|found| match found {
        TextError::Utf16 => "it is UTF-16: save it as UTF-8",
        TextError::Utf32 => "it is UTF-32: save it as UTF-8",
        TextError::SingleByte { .. } => {
            "it is not UTF-8, but probably Latin-1 (ISO 8859-1 or Windows-1252): save it as UTF-8"
        }
        TextError::Binary => "it is not text",
    })
}

fn only_line(text: &str) -> Result<&str, &'static str> {
    let mut lines = text::strip_bom(text)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.next()) {
        (Some(line), None) if line.starts_with(['"', '\'']) => {
            Err("it is in quotes: leave them out")
        }
        (Some(line), None) => Ok(line),
        (None, _) => Err("it holds no key"),
        (Some(_), Some(_)) => Err("it holds more than one line"),
    }
}

fn hexadecimal(digits: &str) -> Option<KeyEncryptionKey> {
    let mut key = Zeroizing::new([0_u8; 32]);
    hex::decode_to_slice(digits, key.as_mut_slice()).ok()?;
    Some(KeyEncryptionKey::new(key))
}

fn base64(text: &str) -> Option<KeyEncryptionKey> {
    // The decoder needs a larger buffer than 32 bytes.
    let mut bytes = Zeroizing::new([0_u8; 35]);
    let length = STANDARD.decode_slice(text, bytes.as_mut_slice()).ok()?;
    if length != 32 {
        return None;
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    key.copy_from_slice(bytes.first_chunk::<32>()?);
    Some(KeyEncryptionKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";

    fn bytes() -> Vec<u8> {
        let digits = DIGITS.as_bytes().chunks_exact(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    }

    #[test]
    fn a_key_is_understood_as_other_programs_write_it() {
        let base64 = STANDARD.encode(bytes());
        for text in [
            DIGITS.to_owned(),
            format!("  {DIGITS}\r\n"),
            format!("\u{feff}{DIGITS}\r\n"),
            format!("\u{feff}# a comment\r\n{DIGITS}\r\n"),
            format!("{base64}\n"),
            format!("# a comment\n{LABEL}{DIGITS}\n"),
        ] {
            let key = parse_bare(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(key.bytes().as_slice(), bytes(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = STANDARD.encode([1; 33]);
        let short = STANDARD.encode([1; 31]);
        let texts = [
            "",
            "# none\n",
            &DIGITS[1..],
            &long,
            &short,
            "not a key",
            "ö",
        ];
        for text in texts {
            assert!(parse_bare(text).is_err(), "{text}");
        }
        assert!(parse_bare(&format!("{DIGITS}\n{DIGITS}")).is_err());
        let quoted = parse_bare(&format!("\"{DIGITS}\"")).unwrap_err();
        assert!(quoted.contains("quotes"), "{quoted}");
        let utf16: Vec<u8> = DIGITS.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let named = decode(&utf16).unwrap_err();
        assert!(named.contains("UTF-16"), "{named}");
        assert!(parse_file(DIGITS).is_err(), "a file says what it is");
    }
}
