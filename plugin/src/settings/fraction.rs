//! Fractions of a time span.

use crate::platform::Millis;

/// A fraction from 0 to 1, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction(u32);

impl Fraction {
    /// The fraction 1.
    pub const ONE: Self = Self(Self::WHOLE);
    const WHOLE: u32 = 1_000_000;

    /// Creates a fraction of `millionths`, capped at 1.
    pub const fn from_millionths(millionths: u32) -> Self {
        if millionths > Self::WHOLE {
            Self::ONE
        } else {
            Self(millionths)
        }
    }

    /// Parses a decimal number from 0 to 1, such as `0.5`.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && decimals.is_empty() {
            return None;
        }
        let mut millionths: u64 = 0;
        for digit in whole.chars() {
            millionths = millionths.checked_mul(10)?;
            millionths = millionths.checked_add(u64::from(digit.to_digit(10)?))?;
        }
        millionths = millionths.checked_mul(u64::from(Self::WHOLE))?;
        let mut place = u64::from(Self::WHOLE);
        for digit in decimals.chars() {
            place /= 10;
            millionths = millionths.checked_add(place * u64::from(digit.to_digit(10)?))?;
        }
        let millionths = u32::try_from(millionths).ok()?;
        (millionths <= Self::WHOLE).then_some(Self(millionths))
    }

    /// Returns this fraction of `span`.
    pub fn share_of(self, span: Millis) -> Millis {
        let part = u128::from(span.0) * u128::from(self.0) / u128::from(Self::WHOLE);
        u64::try_from(part).map_or(span, Millis)
    }

    /// Returns whether the fraction is 0.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}
