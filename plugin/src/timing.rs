//! Due times: refresh periods, jitter, backoff and expiry arithmetic.
//!
//! Pure arithmetic on milliseconds, which neither overflows nor panics on any input.

use std::time::UNIX_EPOCH;

use crate::platform::{Millis, UnixMillis};
use crate::record::Expiry;
use crate::settings::{Fraction, RefreshPolicy};

/// The minimum time until a wakeup, so that an error can never cause a busy loop.
pub const MIN_DELAY: Millis = Millis::from_seconds(1);
/// The maximum time until the first refresh after a consent whose access lifetime is assumed. The
/// refresh reveals the real lifetimes.
pub const MAX_FIRST_REFRESH_DELAY: Millis = Millis::from_hours(1);
/// The pause after the first failure; it doubles with each further one.
pub const BACKOFF_BASE: Millis = Millis::from_seconds(60);
/// The pause after Webex first refused the integration itself.
pub const CLIENT_BACKOFF_BASE: Millis = Millis::from_hours(1);
/// The maximum pause between two attempts, unless Webex asks for a longer one.
pub const BACKOFF_CAP: Millis = Millis::from_hours(6);
/// The maximum pause accepted from a `Retry-After`.
pub const RETRY_AFTER_CAP: Millis = Millis::from_hours(24);
/// The time before an expiry that is reserved for the last planned attempt and its retries.
const RETRY_RESERVE: Millis = Millis::from_seconds(600);
/// The tolerance of reported expiries: Webex reports whole seconds, and a request takes time.
pub const EXPIRY_TOLERANCE: Millis = Millis::from_seconds(2);
/// The maximum difference between the clocks of two hosts.
pub const MAX_CLOCK_SKEW: Millis = Millis::from_seconds(60);
/// The maximum accepted lifetime of a token: ten years.
pub const MAX_LIFETIME: Millis = Millis::from_hours(3_653 * 24);

/// A per-record jitter seed, stable across calls and evenly distributed over all records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterSeed(u32);

impl JitterSeed {
    /// Derives the seed of the record `pkid` from its first eight hexadecimal digits.
    pub fn from_pkid(pkid: &str) -> Self {
        let digits = pkid.get(..8).unwrap_or_default();
        Self(u32::from_str_radix(digits, 16).unwrap_or_default())
    }

    /// Returns less than `share` of `span`, in proportion to the seed.
    fn jitter(self, span: Millis, share: Fraction) -> Millis {
        let jitter = (u128::from(share.share_of(span).0) * u128::from(self.0)) >> 32;
        u64::try_from(jitter).map_or(span, Millis)
    }
}

/// The known expiries of both tokens, by which the next attempt is planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiries {
    /// The access token's expiry.
    pub access: Option<Expiry>,
    /// The refresh token's expiry.
    pub refresh: Option<Expiry>,
}

impl Expiries {
    /// Returns the time from `now` to the next expiry. `None` when both tokens have expired.
    fn time_to_next(self, now: UnixMillis) -> Option<Millis> {
        [self.access, self.refresh]
            .into_iter()
            .flatten()
            .map(|expiry| expiry.at - now)
            .filter(|left| *left > Millis::ZERO)
            .min()
    }
}

/// Returns the maximum pause that ends before an expiry in `left`, reserving [`RETRY_RESERVE`] or
/// an eighth of `left` for the request and further attempts. In the last two seconds the only
/// attempt is just before the expiry.
fn max_pause(left: Millis) -> Millis {
    if left < 2 * MIN_DELAY {
        return latest_pause(left);
    }
    left - RETRY_RESERVE.min(left / 8)
}

/// Returns the maximum pause between two attempts before an expiry in `left`: half of `left`.
fn max_retry_pause(left: Millis) -> Millis {
    if left < 2 * MIN_DELAY {
        return latest_pause(left);
    }
    left / 2
}

fn latest_pause(left: Millis) -> Millis {
    (left - Millis(1)).max(Millis(1))
}

/// Computes when tokens with these `expiries`, issued at `issued`, must be refreshed. The time is the policy's
/// period, or its fraction of the shorter lifetime, less the record's jitter.
///
/// The result is after `now` and before the next expiry, provided that this expiry is at least two
/// milliseconds away.
///
/// `longest` is the maximum pause for the source of the tokens; none: the policy decides.
pub fn refresh_due(
    now: UnixMillis,
    issued: UnixMillis,
    expiries: Expiries,
    longest: Option<Millis>,
    policy: &RefreshPolicy,
    seed: JitterSeed,
) -> UnixMillis {
    let span = [expiries.access, expiries.refresh]
        .into_iter()
        .flatten()
        .map(|expiry| policy.fraction.share_of(expiry.lifetime))
        .chain(longest)
        .fold(policy.period, Millis::min);
    let span = span - seed.jitter(span, policy.jitter);
    let pause = issued + span - now;
    let pause = match expiries.time_to_next(now) {
        Some(left) => {
            let latest = max_pause(left);
            pause.clamp(MIN_DELAY.min(latest), latest)
        }
        None => MIN_DELAY,
    };
    now + pause
}

/// Computes the pause after `attempts` consecutive failures: it doubles from `base` up to
/// [`BACKOFF_CAP`], less the record's jitter. The host's retries are not shared with the component.
pub fn backoff(base: Millis, attempts: u32, jitter: Fraction, seed: JitterSeed) -> Millis {
    let doublings = attempts.saturating_sub(1);
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let pause = (factor * base).min(BACKOFF_CAP);
    (pause - seed.jitter(pause, jitter)).max(MIN_DELAY)
}

/// Computes the time of the next attempt: after `backoff` and after the server's `retry_after`.
/// The pause is at most half of the time to the next expiry, so that no token
/// expires without another attempt.
pub fn retry_at(
    now: UnixMillis,
    expiries: Expiries,
    backoff: Millis,
    retry_after: Option<Millis>,
) -> UnixMillis {
    let pause = backoff.max(retry_after.unwrap_or_default());
    let longest = expiries
        .time_to_next(now)
        .map_or(Millis::MAX, max_retry_pause);
    now + pause.min(longest)
}

/// Parses a `Retry-After` header to a pause of at most [`RETRY_AFTER_CAP`]: whole
/// seconds or an HTTP date (RFC 9110, section 10.2.3). Other values, such as the `rand(30),add(30)`
/// that Webex was seen to send, are ignored.
pub fn parse_retry_after(header: &str, now: UnixMillis) -> Option<Millis> {
    let header = header.trim();
    if header.is_empty() {
        return None;
    }
    let pause = if header.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is more than the cap.
        header.parse().map_or(Millis::MAX, Millis::from_seconds)
    } else {
        let since_epoch = httpdate::parse_http_date(header)
            .ok()?
            .duration_since(UNIX_EPOCH)
            .ok()?;
        UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)) - now
    };
    Some(pause.min(RETRY_AFTER_CAP))
}

/// Computes the access token's expiry after a response. `lifetime` is the reported lifetime, if
/// any; `same_token` says that the response has the stored token; `known` is the previous expiry.
///
/// A response without a lifetime keeps the known expiry of an unchanged token while it is
/// plausible. Otherwise the last known lifetime counts from `issued` and is marked as assumed.
pub fn merge_access(
    lifetime: Option<Millis>,
    same_token: bool,
    known: Option<Expiry>,
    issued: UnixMillis,
    assumed_lifetime: Millis,
) -> Expiry {
    match (lifetime, known) {
        (Some(lifetime), _) => reported(issued, lifetime),
        (None, Some(known)) if same_token && is_plausible(known, issued) => known,
        (None, known) => assumed(
            issued,
            known.map_or(assumed_lifetime, |known| known.lifetime),
        ),
    }
}

/// The effect of a response on the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergedRefresh {
    /// The new expiry.
    pub expiry: Expiry,
    /// Whether this is a new generation: another token, or a later expiry.
    pub new_generation: bool,
}

/// Computes the refresh token's expiry after a response; the arguments are those of
/// [`merge_access`].
///
/// If the same token's expiry moves by no more than [`EXPIRY_TOLERANCE`] or a hundredth of its
/// lifetime, the known expiry is kept.
pub fn merge_refresh(
    lifetime: Option<Millis>,
    same_token: bool,
    known: Option<Expiry>,
    issued: UnixMillis,
    assumed_lifetime: Millis,
) -> MergedRefresh {
    let Some(known) = known else {
        return MergedRefresh {
            expiry: lifetime.map_or_else(
                || assumed(issued, assumed_lifetime),
                |lifetime| reported(issued, lifetime),
            ),
            new_generation: true,
        };
    };
    let tolerance = (known.lifetime / 100).max(EXPIRY_TOLERANCE);
    let mut expiry = match lifetime {
        Some(lifetime) => reported(issued, lifetime),
        None if is_plausible(known, issued) => Expiry {
            assumed: true,
            ..known
        },
        // The token has just worked, so the known expiry was wrong.
        None => assumed(issued, known.lifetime),
    };
    if same_token && expiry.at.abs_diff(known.at) <= tolerance {
        expiry = Expiry {
            assumed: expiry.assumed,
            ..known
        };
    }
    MergedRefresh {
        expiry,
        new_generation: !same_token || expiry.at > known.at + tolerance,
    }
}

/// Returns whether an expiry is after `now` by no more than its lifetime; otherwise a wrong clock has
/// written it.
fn is_plausible(known: Expiry, now: UnixMillis) -> bool {
    (Millis(1)..=known.lifetime + MAX_CLOCK_SKEW).contains(&(known.at - now))
}

fn reported(issued: UnixMillis, lifetime: Millis) -> Expiry {
    let lifetime = lifetime.min(MAX_LIFETIME);
    Expiry {
        at: issued + lifetime,
        lifetime,
        assumed: false,
    }
}

fn assumed(issued: UnixMillis, lifetime: Millis) -> Expiry {
    Expiry {
        assumed: true,
        ..reported(issued, lifetime)
    }
}

/// Selects the thresholds shorter than a token's lifetime, the longest first: a longer one would be
/// crossed at every issue. If none of `thresholds` is shorter, returns a quarter of the lifetime;
/// if `thresholds` is empty, returns none.
pub fn thresholds_within(thresholds: &[Millis], lifetime: Millis) -> Vec<Millis> {
    let mut within: Vec<Millis> = thresholds
        .iter()
        .copied()
        .filter(|threshold| (Millis(1)..lifetime).contains(threshold))
        .collect();
    within.sort_unstable_by(|a, b| b.cmp(a));
    within.dedup();
    if within.is_empty() && !thresholds.is_empty() {
        within.push((lifetime / 4).max(Millis(1)));
    }
    within
}

/// Returns the smallest threshold before `at` that `now` has crossed: 0 at the expiry itself, none
/// before the first threshold.
pub fn crossed_threshold(thresholds: &[Millis], at: UnixMillis, now: UnixMillis) -> Option<Millis> {
    let left = at - now;
    if left == Millis::ZERO {
        return Some(left);
    }
    thresholds
        .iter()
        .copied()
        .filter(|threshold| left <= *threshold)
        .min()
}

/// Returns the time of the next threshold or the expiry; none after the expiry.
pub fn next_crossing(thresholds: &[Millis], at: UnixMillis, now: UnixMillis) -> Option<UnixMillis> {
    thresholds
        .iter()
        .map(|threshold| at - *threshold)
        .chain([at])
        .filter(|moment| *moment > now)
        .min()
}

#[cfg(test)]
#[path = "timing_tests.rs"]
mod tests;
