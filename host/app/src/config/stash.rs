//! The disk space that the stash reserves.

use bytesize::ByteSize;
use relation_toml::{DeValue, ValueError};

use super::values;

/// The default reserve, in bytes.
pub const DEFAULT_RESERVE: u64 = 1 << 20;

/// Parses a size in bytes, or `false` for none.
pub fn parse_reserve(value: DeValue<'_>) -> Result<u64, ValueError> {
    match value {
        DeValue::Boolean(false) => Ok(0),
        DeValue::String(_) => values::parse_size(value),
        other => {
            let example = ByteSize(DEFAULT_RESERVE).display().iec();
            let expected = format!("a size with its unit, such as \"{example}\", or false");
            Err(ValueError::from_kind(&expected, &other))
        }
    }
}
