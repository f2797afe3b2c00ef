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
/// The first refresh of tokens of a consent whose access lifetime is assumed comes within this
/// time, and with it the true lifetimes.
pub const FIRST_REFRESH_OF_ASSUMED: u64 = HOUR;
/// The first pause after a failure; it doubles with each further one.
pub const BACKOFF_BASE: u64 = 60 * SECOND;
/// The first pause after Webex did not accept the integration itself.
pub const CLIENT_BACKOFF_BASE: u64 = HOUR;
/// The longest pause between two attempts that we choose ourselves.
pub const BACKOFF_CAP: u64 = 6 * HOUR;
/// The longest pause that a `Retry-After` can ask of us.
pub const RETRY_AFTER_CAP: u64 = 24 * HOUR;
/// The time before an end that is kept for the last planned attempt and those after it.
const ROOM: u64 = 600 * SECOND;
/// By how much a told expiry may be off: Webex tells whole seconds, and a request takes time.
pub const ROUNDING: u64 = 2 * SECOND;
/// How far the clocks of two hosts may be apart.
pub const CLOCKS_APART: u64 = 60 * SECOND;
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

/// The expiries of both tokens, by which the next attempt is planned. One that is unknown is left
/// out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The access token's expiry.
    pub access: Option<Expiry>,
    /// The refresh token's expiry.
    pub refresh: Option<Expiry>,
}

impl Ends {
    /// Returns the time from `now` to the earlier end in the future. None when both ends have
    /// passed.
    fn left(self, now: Timestamp) -> Option<u64> {
        [self.access, self.refresh]
            .into_iter()
            .flatten()
            .map(|expiry| left(expiry.at, now))
            .filter(|left| *left > 0)
            .min()
    }
}

/// The longest pause that still ends before an end which is `left` away, with room for the request
/// and for further attempts: [`ROOM`], or an eighth of what is left. In the last two seconds the
/// only attempt is at the last moment.
fn longest_pause(left: u64) -> u64 {
    if left < 2 * SOONEST {
        return last_moment(left);
    }
    left - ROOM.min(left / 8)
}

/// The longest pause between two attempts while an end is `left` away: half of what is left.
fn longest_retry(left: u64) -> u64 {
    if left < 2 * SOONEST {
        return last_moment(left);
    }
    left / 2
}

fn last_moment(left: u64) -> u64 {
    left.saturating_sub(1).max(1)
}

/// When tokens with these `ends` that were issued at `issued` are to be refreshed: after the
/// policy's period, or its fraction of the shorter lifetime, less the record's part of the jitter.
///
/// The result lies after `now` and before the earlier end in the future, provided that this end is
/// at least two milliseconds away.
///
/// `longest` is the longest pause that the origin of the tokens allows; none: the policy decides.
pub fn refresh_due(
    now: Timestamp,
    issued: Timestamp,
    ends: Ends,
    longest: Option<u64>,
    policy: &RefreshPolicy,
    spread: Spread,
) -> Timestamp {
    let span = [ends.access, ends.refresh]
        .into_iter()
        .flatten()
        .map(|expiry| policy.fraction.of(expiry.life))
        .chain(longest)
        .fold(policy.period, u64::min);
    let span = span - spread.part(span, policy.jitter);
    let pause = left(issued.saturating_add(span), now);
    let pause = match ends.left(now) {
        Some(left) => {
            let latest = longest_pause(left);
            pause.clamp(SOONEST.min(latest), latest)
        }
        None => SOONEST,
    };
    now.saturating_add(pause)
}

/// How long to wait after the `attempts`-th failure in a row: the pause doubles from `base` up to
/// [`BACKOFF_CAP`], less the record's part of the jitter.
pub fn backoff(base: u64, attempts: u32, jitter: Fraction, spread: Spread) -> u64 {
    let doubled = base.saturating_mul(
        1_u64
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u64::MAX),
    );
    let pause = doubled.min(BACKOFF_CAP);
    (pause - spread.part(pause, jitter)).max(SOONEST)
}

/// When to try again: after the `backoff`, and not before the other side's `retry_after`
/// (milliseconds) is over. Neither pause is longer than half of the time to the earlier end in the
/// future, so that a token does not expire without another attempt.
pub fn retry_at(now: Timestamp, ends: Ends, backoff: u64, retry_after: Option<u64>) -> Timestamp {
    let pause = backoff.max(retry_after.unwrap_or(0));
    let longest = ends.left(now).map_or(u64::MAX, longest_retry);
    now.saturating_add(pause.min(longest))
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
        (None, Some(known)) if same_token && lasts(known, issued) => known,
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
        None if lasts(known, issued) => Expiry {
            assumed: true,
            ..known
        },
        // The token has just worked, so what was known of its end was wrong.
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

/// Whether an expiry is still ahead at `now`, and no further ahead than its life: otherwise a clock
/// was wrong when it was written.
fn lasts(known: Expiry, now: Timestamp) -> bool {
    (1..=known.life.saturating_add(CLOCKS_APART)).contains(&left(known.at, now))
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
/// as the life would be crossed at every issue. When none of `thresholds` fits, a quarter of the
/// life; when there are none, the operator wants none.
pub fn thresholds_within(thresholds: &[u64], life: u64) -> Vec<u64> {
    let mut within: Vec<u64> = thresholds
        .iter()
        .copied()
        .filter(|threshold| (1..life).contains(threshold))
        .collect();
    within.sort_unstable_by(|a, b| b.cmp(a));
    within.dedup();
    if within.is_empty() && !thresholds.is_empty() {
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
