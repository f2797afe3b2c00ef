//! Instants and durations in milliseconds. The contract and the stored documents have plain numbers for both.
//!
//! Arithmetic saturates: no input can make it overflow or panic.

use std::ops::{Add, Div, Mul, Sub};

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Returns the duration between two instants, whichever is earlier.
    pub fn abs_diff(self, other: Self) -> Millis {
        Millis(self.0.abs_diff(other.0))
    }
}

/// A duration in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The empty duration.
    pub const ZERO: Self = Self(0);
    /// The maximum duration.
    pub const MAX: Self = Self(u64::MAX);

    /// Creates a duration of `seconds`.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Creates a duration of `hours`.
    pub const fn from_hours(hours: u64) -> Self {
        Self::from_seconds(hours.saturating_mul(3_600))
    }

    /// Formats the duration for people in its two largest units: `7 d`, `1 h 30 min`.
    pub fn to_words(self) -> String {
        let mut rest = self.0 / 1_000;
        let mut parts = Vec::new();
        for (size, unit) in [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")] {
            if rest >= size {
                parts.push(format!("{} {unit}", rest / size));
                rest %= size;
            }
        }
        parts.truncate(2);
        match parts.is_empty() {
            true => "0 s".to_owned(),
            false => parts.join(" "),
        }
    }
}

impl Add<Millis> for UnixMillis {
    type Output = Self;

    fn add(self, duration: Millis) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl Sub<Millis> for UnixMillis {
    type Output = Self;

    fn sub(self, duration: Millis) -> Self {
        Self(self.0.saturating_sub(duration.0))
    }
}

impl Sub for UnixMillis {
    type Output = Millis;

    /// Returns the duration since `earlier`; zero if `earlier` is later.
    fn sub(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Millis {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Millis {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<Millis> for u64 {
    type Output = Millis;

    fn mul(self, duration: Millis) -> Millis {
        Millis(self.saturating_mul(duration.0))
    }
}

impl Div<u64> for Millis {
    type Output = Self;

    /// Returns the duration divided by `divisor`; the duration itself for 0.
    fn div(self, divisor: u64) -> Self {
        Self(self.0.checked_div(divisor).unwrap_or(self.0))
    }
}
