//! The room that the stash keeps in reserve.

use bytesize::ByteSize;
use toml::de::DeValue;

use super::reader::{Reader, Section, kind};
use super::values;

/// The room in reserve unless configured otherwise, in bytes.
pub const DEFAULT_RESERVE: u64 = 1 << 20;

impl Section<'_> {
    /// A size in bytes, or `false` for none.
    pub(super) fn reserve(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<u64> {
        self.take(reader, key, |value| match value {
            DeValue::Boolean(false) => Ok(0),
            DeValue::String(_) => values::size(value),
            other => Err(format!(
                "expected a size with its unit, such as \"{}\", or false, found {}",
                ByteSize(DEFAULT_RESERVE).display().iec(),
                kind(&other)
            )),
        })
    }
}
