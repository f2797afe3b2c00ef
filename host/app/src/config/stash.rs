//! The disk space that the stash reserves.

use bytesize::ByteSize;
use toml::de::DeValue;

use super::reader::{Reader, Section, describe_kind};
use super::values;

/// The default reserve, in bytes.
pub const DEFAULT_RESERVE: u64 = 1 << 20;

impl Section<'_> {
    /// Takes a size in bytes, or `false` for none.
    pub(super) fn reserve(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<u64> {
        self.take(reader, key, |value| match value {
            DeValue::Boolean(false) => Ok(0),
            DeValue::String(_) => values::parse_size(value),
            other => Err(format!(
                "expected a size with its unit, such as \"{}\", or false, found {}",
                ByteSize(DEFAULT_RESERVE).display().iec(),
                describe_kind(&other)
            )),
        })
    }
}
