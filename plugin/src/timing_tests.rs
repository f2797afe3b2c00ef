//! Properties of the arithmetic for any input, and examples with real figures. All times are plain
//! numbers here; functions of the same names as those under test convert them.

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

/// Expiries of two tokens with the same lifetime, issued at 0.
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
        }
    })
}

proptest! {
    #[test]
    fn refresh_is_due_before_the_earlier_end(
        now in 0..1_u64 << 62, issued in 0..1_u64 << 62, expiries in any_expiries(),
        longest in proptest::option::of(any::<u64>()), policy in any_policy(), seed: u32,
    ) {
        let due = refresh_due(now, issued, expiries, longest, &policy, JitterSeed(seed));
        assert_before_the_earlier_end(now, expiries, due)?;
    }

    #[test]
    fn refresh_of_any_lifetimes_precedes_earlier_end(
        issued in 0..1_u64 << 45, access in 1..MAX_LIFETIME, refresh in 1..MAX_LIFETIME,
        moment in 0..1_000_u64, longest in proptest::option::of(1..MAX_LIFETIME),
        jitter in 0..=900_000_u32, fraction in 1..=1_000_000_u32, seed: u32,
    ) {
        let policy = RefreshPolicy {
            period: Millis(7 * DAY),
            fraction: Fraction::from_millionths(fraction),
            jitter: Fraction::from_millionths(jitter),
        };
        let expiries = expiries(issued + access, access, issued + refresh, refresh);
        let now = issued + access.max(refresh) * moment / 1_000;
        let due = refresh_due(now, issued, expiries, longest, &policy, JitterSeed(seed));
        assert_before_the_earlier_end(now, expiries, due)?;
    }

    #[test]
    fn refresh_near_an_end_is_due_before_it(
        access in 0..5_000_u64, refresh in 0..5_000_u64, issued in 0..5_000_u64,
        policy in any_policy(), seed: u32,
    ) {
        let now = 5_000;
        let expiries = expiries(now + access, access, now + refresh, refresh);
        let due = refresh_due(now, issued, expiries, None, &policy, JitterSeed(seed));
        assert_before_the_earlier_end(now, expiries, due)?;
    }

    #[test]
    fn retry_is_made_before_the_earlier_end(
        now in 0..1_u64 << 62, expiries in any_expiries(), attempts: u32,
        after in proptest::option::of(0..RETRY_AFTER_CAP), jitter in 0..=900_000_u32, seed: u32,
    ) {
        let pause = backoff(BACKOFF_BASE, attempts, Fraction::from_millionths(jitter), JitterSeed(seed));
        let at = retry_at(now, expiries, pause, after);
        assert_before_the_earlier_end(now, expiries, at)?;
    }

    #[test]
    fn retry_near_an_end_is_made_before_it(
        access in 0..5_000_u64, refresh in 0..5_000_u64, attempts: u32,
        after in proptest::option::of(0..RETRY_AFTER_CAP), seed: u32,
    ) {
        let expiries = expiries(1 + access, access, 1 + refresh, refresh);
        let pause = backoff(BACKOFF_BASE, attempts, policy().jitter, JitterSeed(seed));
        assert_before_the_earlier_end(1, expiries, retry_at(1, expiries, pause, after))?;
    }

    #[test]
    fn attempts_before_a_fixed_expiry_are_few(end in 1..MAX_LIFETIME, seed: u32) {
        let policy = RefreshPolicy { period: Millis::MAX, fraction: Fraction::ONE, ..policy() };
        let tokens = expiries(2 * end, 2 * end, end, end);
        let (mut now, mut attempts) = (0, 0);
        while now < end {
            now = refresh_due(now, now, tokens, None, &policy, JitterSeed(seed));
            attempts += 1;
        }
        prop_assert!(attempts <= 10, "{attempts}");
    }

    #[test]
    fn jitter_takes_off_less_than_its_share(span in 0..1_u64 << 50, seed: u32) {
        let policy = RefreshPolicy { period: Millis(span), ..policy() };
        let long = expiries(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
        let due = refresh_due(0, 0, long, None, &policy, JitterSeed(seed));
        prop_assert!(due >= span - span / 10);
        prop_assert!(due <= span.max(MIN_DELAY));
    }

    #[test]
    fn backoff_grows_up_to_its_cap(
        attempts: u32, jitter in 0..=900_000_u32, seed: u32,
    ) {
        let jitter = Fraction::from_millionths(jitter);
        let pause = backoff(BACKOFF_BASE, attempts, jitter, JitterSeed(seed));
        let next = backoff(BACKOFF_BASE, attempts.saturating_add(1), jitter, JitterSeed(seed));
        prop_assert!(pause >= MIN_DELAY);
        prop_assert!(next >= pause);
        prop_assert!(next <= BACKOFF_CAP);
    }

    #[test]
    fn retry_honours_backoff_and_retry_after(
        now in 0..u64::MAX / 2, pause in MIN_DELAY..BACKOFF_CAP,
        after in proptest::option::of(0..RETRY_AFTER_CAP), expiries in any_expiries(),
    ) {
        let at = retry_at(now, expiries, pause, after);
        let requested = pause.max(after.unwrap_or(0));
        // Only half of the remaining time limits the pause.
        let half = expiries.time_to_next(UnixMillis(now)).map_or(u64::MAX, |left| left.0 / 2);
        prop_assert!(at >= now + requested.min(half));
        prop_assert!(at <= now + requested);
    }

    #[test]
    fn retry_after_never_exceeds_its_cap(header in ".{0,40}", now: u64) {
        prop_assert!(parse_retry_after(&header, now).is_none_or(|pause| pause <= RETRY_AFTER_CAP));
    }

    #[test]
    fn digits_are_seconds(seconds: u64) {
        let expected = seconds.saturating_mul(1_000).min(RETRY_AFTER_CAP);
        prop_assert_eq!(parse_retry_after(&seconds.to_string(), 0), Some(expected));
    }

    #[test]
    fn merging_any_figures_never_overflows(
        lifetime in proptest::option::of(any::<u64>()), same: bool,
        known in proptest::option::of(any_expiry()), issued: u64, assumed_lifetime: u64,
    ) {
        merge_access(lifetime, same, known, issued, assumed_lifetime);
        let merged = merge_refresh(lifetime, same, known, issued, assumed_lifetime);
        if !same || known.is_none() {
            prop_assert!(merged.new_generation);
        }
        if let (None, Some(known)) = (lifetime, known) {
            // A response without a lifetime does not shorten the known expiry.
            prop_assert!(merged.expiry.at.0 >= known.at.0.min(issued));
        }
    }

    #[test]
    fn unextended_token_keeps_its_generation(
        start in 0..1_u64 << 45, lifetime in 60..100_000_000_u64, shares in prop::collection::vec(0..1_000_u64, 1..40),
        latency in 0..1_000_u64,
    ) {
        let known = expiry(start + lifetime * 1_000, lifetime * 1_000, false);
        let mut current = known;
        let mut shares = shares;
        shares.sort_unstable();
        for share in shares {
            let issued = start + lifetime * 999 * share / 1_000;
            // Webex counts from its response, in whole seconds.
            let remaining_ms = (known.at.0 - issued).saturating_sub(latency) / 1_000 * 1_000;
            let merged = merge_refresh(Some(remaining_ms), true, Some(current), issued, 0);
            prop_assert!(!merged.new_generation);
            prop_assert_eq!(merged.expiry.at, known.at);
            current = merged.expiry;
        }
    }

    #[test]
    fn crossings_meet_each_threshold_once(
        thresholds in prop::collection::vec(any::<u64>(), 0..6), lifetime in 1..u64::MAX / 4, at_issue in 0..u64::MAX / 4,
    ) {
        let thresholds = thresholds_within(&thresholds, lifetime);
        let at = at_issue + lifetime;
        prop_assert_eq!(crossed_threshold(&thresholds, at, at_issue).filter(|_| lifetime > 1), None);
        let mut now = at_issue;
        let mut met = Vec::new();
        while let Some(next) = next_crossing(&thresholds, at, now) {
            prop_assert!(next > now);
            now = next;
            met.extend(crossed_threshold(&thresholds, at, now));
        }
        let mut expected = thresholds;
        expected.push(0);
        if lifetime > 1 {
            prop_assert_eq!(met, expected);
        }
        prop_assert_eq!(now, at);
    }
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
