//! When things are due: refresh periods, jitter, backoff and expiry arithmetic.
//!
//! Nothing but arithmetic on milliseconds; any input is survived, none overflows.

use std::time::UNIX_EPOCH;

use crate::platform::Timestamp;
use crate::record::Expiry;
use crate::settings::{Fraction, RefreshPolicy};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// No wakeup is due sooner than this from now, so that a fault can never become a busy loop.
pub const SOONEST: u64 = SECOND;
/// The first refresh of tokens whose access life nobody told comes within this time, and with it
/// the true figures.
pub const FIRST_REFRESH_OF_ASSUMED: u64 = HOUR;
/// The first pause after a failure; it doubles with each further one.
pub const BACKOFF_BASE: u64 = 60 * SECOND;
/// The longest pause between two attempts that we choose ourselves.
pub const BACKOFF_CAP: u64 = 6 * HOUR;
/// The longest pause that a `Retry-After` can ask of us.
pub const RETRY_AFTER_CAP: u64 = 24 * HOUR;
/// By how much a told expiry may be off: Webex tells whole seconds, and a request takes time.
pub const ROUNDING: u64 = 2 * SECOND;
/// The longest life of a token that is believed: ten years.
pub const LONGEST_LIFE: u64 = 3_653 * 24 * HOUR;

/// A record's own fixed place in a crowd: the same in every call, even over all records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread(u32);

impl Spread {
    /// The place of the record `pkid`: its first eight hexadecimal digits.
    pub fn of(pkid: &str) -> Self {
        let digits = pkid.get(..8).unwrap_or_default();
        Self(u32::from_str_radix(digits, 16).unwrap_or_default())
    }

    /// Less than `share` of `span`, in proportion to the place.
    fn part(self, span: u64, share: Fraction) -> u64 {
        let part = (u128::from(share.of(span)) * u128::from(self.0)) >> 32;
        u64::try_from(part).unwrap_or(span)
    }
}

/// When an access token that was issued at `issued` and expires at `expiry` is to be refreshed:
/// after the policy's period or fraction of its life, less the record's part of the jitter; in
/// the future of `now`, and not after the token's expiry unless that has passed.
///
/// `first` says that these tokens came from outside: when nobody told their life, the refresh
/// that brings the true figures does not wait for the period.
pub fn refresh_due(
    now: Timestamp,
    issued: Timestamp,
    expiry: Expiry,
    first: bool,
    policy: &RefreshPolicy,
    spread: Spread,
) -> Timestamp {
    let mut span = policy.period.min(policy.fraction.of(expiry.life));
    if first && expiry.assumed {
        span = span.min(FIRST_REFRESH_OF_ASSUMED);
    }
    let span = span - spread.part(span, policy.jitter);
    let soonest = now.saturating_add(SOONEST);
    if expiry.at <= now {
        return soonest;
    }
    issued
        .saturating_add(span)
        .clamp(soonest.min(expiry.at), expiry.at)
}

/// How long to wait after the `attempts`-th failure in a row: it doubles up to a cap of six hours
/// or half of `left`, what remains of the refresh token's life when that is known, whichever is
/// shorter; less the record's part of the jitter, and at least a second.
pub fn backoff(attempts: u32, left: Option<u64>, jitter: Fraction, spread: Spread) -> u64 {
    let doubled = BACKOFF_BASE.saturating_mul(
        1_u64
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u64::MAX),
    );
    let cap = left.map_or(BACKOFF_CAP, |left| BACKOFF_CAP.min(left / 2));
    let pause = doubled.min(cap);
    (pause - spread.part(pause, jitter)).max(SOONEST)
}

/// When to try again: after the backoff, and not before the other side's `retry_after`
/// (milliseconds) is over.
pub fn retry_at(now: Timestamp, backoff: u64, retry_after: Option<u64>) -> Timestamp {
    now.saturating_add(backoff.max(retry_after.unwrap_or(0)))
}

/// The pause that a `Retry-After` header asks for, in milliseconds, at most
/// [`RETRY_AFTER_CAP`]: whole seconds or an HTTP date (RFC 9110, section 10.2.3). Anything else,
/// such as the `rand(30),add(30)` that Webex was seen to send, asks for nothing.
pub fn parse_retry_after(header: &str, now: Timestamp) -> Option<u64> {
    let header = header.trim();
    if header.is_empty() {
        return None;
    }
    let pause = if header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit is more than the cap.
        header
            .parse::<u64>()
            .unwrap_or(u64::MAX)
            .saturating_mul(SECOND)
    } else {
        let since_epoch = httpdate::parse_http_date(header)
            .ok()?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        u64::try_from(since_epoch.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_sub(now)
    };
    Some(pause.min(RETRY_AFTER_CAP))
}

/// The access token's expiry after an answer. `life` is what the answer said, if it did;
/// `same_token` that it brought the token already held; `known` is what was known before.
///
/// An answer that does not say keeps what is known of an unchanged token, while that lasts;
/// otherwise the last known life counts from `issued` and is marked as assumed.
pub fn merge_access(
    life: Option<u64>,
    same_token: bool,
    known: Option<Expiry>,
    issued: Timestamp,
    assumed_life: u64,
) -> Expiry {
    match (life, known) {
        (Some(life), _) => told(issued, life),
        (None, Some(known)) if same_token && known.at > issued => known,
        (None, known) => assumed(issued, known.map_or(assumed_life, |known| known.life)),
    }
}

/// What an answer means for the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergedRefresh {
    /// Its expiry from now on.
    pub expiry: Expiry,
    /// Whether this is a new generation: another token, or one that lives longer than was known.
    pub new_generation: bool,
}

/// The refresh token's expiry after an answer; the arguments are those of [`merge_access`].
///
/// An expiry of the same token that moved by no more than [`ROUNDING`] or a hundredth of its life
/// is the known one, which then stands.
pub fn merge_refresh(
    life: Option<u64>,
    same_token: bool,
    known: Option<Expiry>,
    issued: Timestamp,
    assumed_life: u64,
) -> MergedRefresh {
    let Some(known) = known else {
        return MergedRefresh {
            expiry: life.map_or_else(|| assumed(issued, assumed_life), |life| told(issued, life)),
            new_generation: true,
        };
    };
    let tolerance = (known.life / 100).max(ROUNDING);
    let mut expiry = match life {
        Some(life) => told(issued, life),
        None if known.at > issued => Expiry {
            assumed: true,
            ..known
        },
        // It has just worked, so what was known of its end was wrong.
        None => assumed(issued, known.life),
    };
    if same_token && expiry.at.abs_diff(known.at) <= tolerance {
        expiry = Expiry {
            assumed: expiry.assumed,
            ..known
        };
    }
    MergedRefresh {
        expiry,
        new_generation: !same_token || expiry.at > known.at.saturating_add(tolerance),
    }
}

fn told(issued: Timestamp, life: u64) -> Expiry {
    let life = life.min(LONGEST_LIFE);
    Expiry {
        at: issued.saturating_add(life),
        life,
        assumed: false,
    }
}

fn assumed(issued: Timestamp, life: u64) -> Expiry {
    Expiry {
        assumed: true,
        ..told(issued, life)
    }
}

/// The thresholds that can mean anything for a token of this life, the longest first: one as long
/// as the life would be crossed at every issue. When none is left, a quarter of the life.
pub fn thresholds_within(thresholds: &[u64], life: u64) -> Vec<u64> {
    let mut within: Vec<u64> = thresholds
        .iter()
        .copied()
        .filter(|threshold| (1..life).contains(threshold))
        .collect();
    within.sort_unstable_by(|a, b| b.cmp(a));
    within.dedup();
    if within.is_empty() {
        within.push((life / 4).max(1));
    }
    within
}

/// What is left until `at`; 0 when it is over.
pub fn left(at: Timestamp, now: Timestamp) -> u64 {
    at.saturating_sub(now)
}

/// The smallest threshold that `now` has crossed on the way to `at`; 0 at the expiry itself;
/// none before the first.
pub fn crossed(thresholds: &[u64], at: Timestamp, now: Timestamp) -> Option<u64> {
    let left = left(at, now);
    if left == 0 {
        return Some(0);
    }
    thresholds
        .iter()
        .copied()
        .filter(|threshold| left <= *threshold)
        .min()
}

/// When `now` will cross the next threshold or the expiry; none when all is over.
pub fn next_crossing(thresholds: &[u64], at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    thresholds
        .iter()
        .map(|threshold| at.saturating_sub(*threshold))
        .chain([at])
        .filter(|moment| *moment > now)
        .min()
}

#[cfg(test)]
#[path = "timing_tests.rs"]
mod tests;
