//! Object identifiers.

use std::fmt;

/// The longest object identifier (RFC 2578 section 3.5).
const MAX_ARCS: usize = 128;

/// An object identifier with at least two arcs, such as `1.3.6.1.6.3.1.1.4.1.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Oid(Vec<u32>);

/// The text or list is not an object identifier of SNMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an object identifier: write 2 to 128 numbers with dots, such as 1.3.6.1.4.1.32473.1, the first one 0, 1 or 2"
)]
pub struct OidError;

impl Oid {
    /// Creates it from its arcs.
    ///
    /// # Errors
    /// The first arc is above 2, the second one above 39 under 0 or 1, or there are too few or too many.
    pub fn new(arcs: impl Into<Vec<u32>>) -> Result<Self, OidError> {
        let arcs = arcs.into();
        match arcs.as_slice() {
            [0 | 1, 0..=39, ..] | [2, 0..=0xffff_ffaf, ..] if arcs.len() <= MAX_ARCS => {
                Ok(Self(arcs))
            }
            _ => Err(OidError),
        }
    }

    /// Parses numbers with dots; a leading dot is accepted.
    ///
    /// # Errors
    /// Errors of [`Oid::new`], or an arc is not a number of 32 bits.
    pub fn parse(text: &str) -> Result<Self, OidError> {
        let arcs = text
            .strip_prefix('.')
            .unwrap_or(text)
            .split('.')
            .map(|arc| match arc.as_bytes() {
                [b'0'..=b'9', ..] => arc.parse().map_err(|_| OidError),
                _ => Err(OidError),
            })
            .take(MAX_ARCS + 1)
            .collect::<Result<Vec<u32>, _>>()?;
        Self::new(arcs)
    }

    /// Creates one from a constant of this crate, which has valid arcs.
    pub(super) fn from_static(arcs: &'static [u32]) -> Self {
        Self(arcs.to_vec())
    }

    /// Returns the identifier below this one.
    #[must_use]
    pub(super) fn child(&self, arcs: &[u32]) -> Self {
        Self([self.0.as_slice(), arcs].concat())
    }

    /// Returns the arcs.
    #[must_use]
    pub fn arcs(&self) -> &[u32] {
        &self.0
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, arc) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(".")?;
            }
            write!(f, "{arc}")?;
        }
        Ok(())
    }
}
