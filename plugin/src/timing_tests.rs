//! Examples of the arithmetic with real figures. All times are plain
//! numbers here; functions of the same names as those under test convert them.

#[path = "timing_tests/properties.rs"]
mod properties;

use crate::platform::{Millis, UnixMillis};
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const MIN_DELAY: u64 = super::MIN_DELAY.0;
const BACKOFF_BASE: u64 = super::BACKOFF_BASE.0;
const CLIENT_BACKOFF_BASE: u64 = super::CLIENT_BACKOFF_BASE.0;
const BACKOFF_CAP: u64 = super::BACKOFF_CAP.0;
const RETRY_AFTER_CAP: u64 = super::RETRY_AFTER_CAP.0;
const RETRY_RESERVE: u64 = super::RETRY_RESERVE.0;
const MAX_LIFETIME: u64 = super::MAX_LIFETIME.0;

fn refresh_due(
    now: u64,
    issued: u64,
    expiries: Expiries,
    longest: Option<u64>,
    policy: &RefreshPolicy,
    seed: JitterSeed,
) -> u64 {
    let (now, issued) = (UnixMillis(now), UnixMillis(issued));
    super::refresh_due(now, issued, expiries, longest.map(Millis), policy, seed).0
}

fn backoff(base: u64, attempts: u32, jitter: Fraction, seed: JitterSeed) -> u64 {
    super::backoff(Millis(base), attempts, jitter, seed).0
}

fn retry_at(now: u64, expiries: Expiries, backoff: u64, retry_after: Option<u64>) -> u64 {
    let (now, backoff) = (UnixMillis(now), Millis(backoff));
    super::retry_at(now, expiries, backoff, retry_after.map(Millis)).0
}

fn parse_retry_after(header: &str, now: u64) -> Option<u64> {
    super::parse_retry_after(header, UnixMillis(now)).map(|pause| pause.0)
}

fn merge_access(
    lifetime: Option<u64>,
    same_token: bool,
    known: Option<Expiry>,
    issued: u64,
    assumed_lifetime: u64,
) -> Expiry {
    let (issued, assumed_lifetime) = (UnixMillis(issued), Millis(assumed_lifetime));
    super::merge_access(
        lifetime.map(Millis),
        same_token,
        known,
        issued,
        assumed_lifetime,
    )
}

fn merge_refresh(
    lifetime: Option<u64>,
    same_token: bool,
    known: Option<Expiry>,
    issued: u64,
    assumed_lifetime: u64,
) -> MergedRefresh {
    let (issued, assumed_lifetime) = (UnixMillis(issued), Millis(assumed_lifetime));
    super::merge_refresh(
        lifetime.map(Millis),
        same_token,
        known,
        issued,
        assumed_lifetime,
    )
}

fn durations(thresholds: &[u64]) -> Vec<Millis> {
    thresholds.iter().copied().map(Millis).collect()
}

fn thresholds_within(thresholds: &[u64], lifetime: u64) -> Vec<u64> {
    let within = super::thresholds_within(&durations(thresholds), Millis(lifetime));
    within.into_iter().map(|threshold| threshold.0).collect()
}

fn crossed_threshold(thresholds: &[u64], at: u64, now: u64) -> Option<u64> {
    let (at, now) = (UnixMillis(at), UnixMillis(now));
    super::crossed_threshold(&durations(thresholds), at, now).map(|threshold| threshold.0)
}

fn next_crossing(thresholds: &[u64], at: u64, now: u64) -> Option<u64> {
    let (at, now) = (UnixMillis(at), UnixMillis(now));
    super::next_crossing(&durations(thresholds), at, now).map(|next| next.0)
}

fn policy() -> RefreshPolicy {
    crate::settings::Settings::default().refresh
}

fn expiry(at: u64, lifetime: u64, assumed: bool) -> Expiry {
    Expiry {
        at: UnixMillis(at),
        lifetime: Millis(lifetime),
        assumed,
    }
}

fn any_expiry() -> impl Strategy<Value = Expiry> {
    (any::<u64>(), any::<u64>(), any::<bool>())
        .prop_map(|(at, lifetime, assumed)| expiry(at, lifetime, assumed))
}

fn expiries(access_at: u64, access: u64, refresh_at: u64, refresh: u64) -> Expiries {
    Expiries {
        access: Some(expiry(access_at, access, false)),
        refresh: Some(expiry(refresh_at, refresh, false)),
    }
}

/// Returns the expiries of two tokens with the same lifetime, issued at 0.
fn expiries_of_both(lifetime: u64) -> Expiries {
    expiries(lifetime, lifetime, lifetime, lifetime)
}

fn any_expiries() -> impl Strategy<Value = Expiries> {
    let one = || proptest::option::of(any_expiry());
    (one(), one()).prop_map(|(access, refresh)| Expiries { access, refresh })
}

/// Asserts that `at` is after `now`, and before each expiry after `now`. It may equal an expiry in
/// the next millisecond.
fn assert_before_the_earlier_end(
    now: u64,
    expiries: Expiries,
    at: u64,
) -> Result<(), TestCaseError> {
    prop_assert!(at > now);
    for end in [expiries.access, expiries.refresh].into_iter().flatten() {
        if end.at.0 > now {
            prop_assert!(
                at < end.at.0 || end.at.0 == now + 1,
                "{at} is not before {end:?}"
            );
        }
    }
    Ok(())
}

fn any_policy() -> impl Strategy<Value = RefreshPolicy> {
    (any::<u64>(), 0..=1_000_000_u32, 0..=1_000_000_u32).prop_map(|(period, fraction, jitter)| {
        RefreshPolicy {
            period: Millis(period),
            fraction: Fraction::from_millionths(fraction),
            jitter: Fraction::from_millionths(jitter),
            ..policy()
        }
    })
}

#[test]
fn refresh_is_due_at_half_life_less_jitter() {
    let tokens = expiries(14 * DAY, 14 * DAY, 90 * DAY, 90 * DAY);
    let due = |seed| refresh_due(0, 0, tokens, None, &policy(), JitterSeed(seed));
    assert_eq!(due(0), 7 * DAY);
    assert_eq!(due(u32::MAX), 7 * DAY - 7 * DAY / 10 + 1);
}

#[test]
fn refresh_is_due_at_half_of_shorter_lifetime() {
    let due = |expiries| refresh_due(0, 0, expiries, None, &policy(), JitterSeed(0));
    let short = 12 * HOUR;
    assert_eq!(due(expiries(short, short, 90 * DAY, 90 * DAY)), 6 * HOUR);
    assert_eq!(due(expiries(14 * DAY, 14 * DAY, short, short)), 6 * HOUR);
    assert_eq!(
        due(expiries(14 * DAY, 14 * DAY, 5 * DAY, 5 * DAY)),
        60 * HOUR
    );
}

#[test]
fn refresh_is_due_within_the_period() {
    let due = refresh_due(
        0,
        0,
        expiries_of_both(365 * DAY),
        None,
        &policy(),
        JitterSeed(0),
    );
    assert_eq!(due, 7 * DAY);
}

#[test]
fn unextended_refresh_token_is_tried_once_more() {
    let tokens = expiries(98 * DAY, 14 * DAY, 90 * DAY, 90 * DAY);
    let due = refresh_due(84 * DAY, 84 * DAY, tokens, None, &policy(), JitterSeed(0));
    assert_eq!(due, 90 * DAY - RETRY_RESERVE);
}

#[test]
fn refresh_is_due_within_the_maximum_delay() {
    let due = |longest| {
        refresh_due(
            0,
            0,
            expiries_of_both(14 * DAY),
            Some(longest),
            &policy(),
            JitterSeed(0),
        )
    };
    assert_eq!(due(HOUR), HOUR);
    assert_eq!(due(MIN_DELAY), MIN_DELAY);
    assert_eq!(due(30 * DAY), 7 * DAY);
}

#[test]
fn backoff_doubles_from_a_minute() {
    let none = Fraction::from_millionths(0);
    let pauses: Vec<u64> = (1..=4)
        .map(|attempts| backoff(BACKOFF_BASE, attempts, none, JitterSeed(0)) / SECOND)
        .collect();
    assert_eq!(pauses, [60, 120, 240, 480]);
    assert_eq!(
        backoff(BACKOFF_BASE, u32::MAX, none, JitterSeed(0)),
        BACKOFF_CAP
    );
    let client = |attempts| backoff(CLIENT_BACKOFF_BASE, attempts, none, JitterSeed(0));
    assert_eq!(
        [client(1), client(2), client(9)],
        [HOUR, 2 * HOUR, BACKOFF_CAP]
    );
}

#[test]
fn retry_waits_for_half_of_remaining_time_at_most() {
    let at = |left, after| retry_at(0, expiries_of_both(left), BACKOFF_CAP, after);
    assert_eq!(at(40 * SECOND, None), 20 * SECOND);
    assert_eq!(at(10 * HOUR, Some(14 * HOUR)), 5 * HOUR);
    assert_eq!(at(90 * DAY, Some(14 * HOUR)), 14 * HOUR);
    // After one expiry has passed, the other one counts; after both, the pause is unchanged.
    let over = expiries(HOUR, HOUR, 12 * HOUR, 12 * HOUR);
    assert_eq!(retry_at(2 * HOUR, over, BACKOFF_CAP, None), 7 * HOUR);
    assert_eq!(retry_at(DAY, over, BACKOFF_CAP, None), DAY + BACKOFF_CAP);
}

#[test]
fn retry_after_is_seconds_or_an_http_date() {
    // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    let example = 784_111_777 * SECOND;
    for (header, expected) in [
        ("194", Some(194 * SECOND)),
        (" 3 ", Some(3 * SECOND)),
        ("0", Some(0)),
        ("99999999999999999999999", Some(RETRY_AFTER_CAP)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30 * SECOND)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(30 * SECOND)),
        ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
        ("Mon, 06 Nov 2034 08:49:37 GMT", Some(RETRY_AFTER_CAP)),
        ("rand(30),add(30)", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ] {
        let now = example - 30 * SECOND;
        assert_eq!(parse_retry_after(header, now), expected, "{header:?}");
    }
}

#[test]
fn omitted_access_lifetime_keeps_the_known_expiry() {
    let known = expiry(10 * DAY, 14 * DAY, false);
    assert_eq!(merge_access(None, true, Some(known), DAY, 0), known);
    let renewed = expiry(15 * DAY, 14 * DAY, true);
    assert_eq!(merge_access(None, false, Some(known), DAY, 0), renewed);
    let over = expiry(25 * DAY, 14 * DAY, true);
    assert_eq!(merge_access(None, true, Some(known), 11 * DAY, 0), over);
    assert_eq!(
        merge_access(None, false, None, DAY, DAY),
        expiry(2 * DAY, DAY, true)
    );
}

#[test]
fn omitted_refresh_lifetime_assumes_the_known_expiry() {
    let known = expiry(90 * DAY, 90 * DAY, false);
    let assumed = expiry(90 * DAY, 90 * DAY, true);
    let same = merge_refresh(None, true, Some(known), 7 * DAY, 0);
    assert_eq!((same.expiry, same.new_generation), (assumed, false));
    let rotated = merge_refresh(None, false, Some(known), 7 * DAY, 0);
    assert_eq!((rotated.expiry, rotated.new_generation), (assumed, true));
}

#[test]
fn only_a_later_expiry_is_a_new_generation() {
    let known = expiry(90 * DAY, 90 * DAY, false);
    let restarted = merge_refresh(Some(90 * DAY), true, Some(known), 7 * DAY, 0);
    assert_eq!(restarted.expiry.at.0, 97 * DAY);
    assert!(restarted.new_generation);
    let shortened = merge_refresh(Some(20 * DAY), true, Some(known), 7 * DAY, 0);
    assert_eq!(shortened.expiry.at.0, 27 * DAY);
    assert!(!shortened.new_generation);
}

#[test]
fn reported_lifetime_replaces_an_assumption() {
    let known = expiry(90 * DAY, 90 * DAY, true);
    let merged = merge_refresh(Some(90 * DAY), true, Some(known), SECOND, 0);
    assert_eq!(merged.expiry, expiry(90 * DAY, 90 * DAY, false));
    assert!(!merged.new_generation);
}

#[test]
fn thresholds_beyond_the_lifetime_become_a_quarter() {
    let configured = [30 * DAY, 14 * DAY, 7 * DAY, 2 * DAY];
    assert_eq!(thresholds_within(&configured, 14 * DAY), [7 * DAY, 2 * DAY]);
    assert_eq!(thresholds_within(&configured, 60 * SECOND), [15 * SECOND]);
    let none: [u64; 0] = [];
    assert_eq!(thresholds_within(&none, 90 * DAY), none);
}

#[test]
fn expiry_beyond_its_lifetime_is_corrected() {
    let ahead = expiry(400 * DAY, 90 * DAY, false);
    let merged = merge_refresh(None, true, Some(ahead), DAY, 0);
    assert_eq!(merged.expiry, expiry(91 * DAY, 90 * DAY, true));
    assert!(!merged.new_generation);
    let access = merge_access(None, true, Some(ahead), DAY, 0);
    assert_eq!(access, expiry(91 * DAY, 90 * DAY, true));
}
