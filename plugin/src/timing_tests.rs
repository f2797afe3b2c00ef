//! What holds of the arithmetic for any input, and the figures that the domain names.

use proptest::prelude::*;

use super::*;

const DAY: u64 = 24 * HOUR;

fn policy() -> RefreshPolicy {
    crate::settings::Settings::default().refresh
}

fn expiry(at: u64, life: u64, assumed: bool) -> Expiry {
    Expiry { at, life, assumed }
}

fn any_expiry() -> impl Strategy<Value = Expiry> {
    (any::<u64>(), any::<u64>(), any::<bool>())
        .prop_map(|(at, life, assumed)| expiry(at, life, assumed))
}

fn ends(access_at: u64, access: u64, refresh_at: u64, refresh: u64) -> Ends {
    Ends {
        access: Some(expiry(access_at, access, false)),
        refresh: Some(expiry(refresh_at, refresh, false)),
    }
}

/// Both tokens with the same lifetime, issued at 0.
fn both(life: u64) -> Ends {
    ends(life, life, life, life)
}

fn any_ends() -> impl Strategy<Value = Ends> {
    let one = || proptest::option::of(any_expiry());
    (one(), one()).prop_map(|(access, refresh)| Ends { access, refresh })
}

/// That `at` lies in the future, and before each end that does; at an end only where the end is
/// the very next millisecond.
fn assert_before_the_earlier_end(now: u64, ends: Ends, at: u64) -> Result<(), TestCaseError> {
    prop_assert!(at > now);
    for end in [ends.access, ends.refresh].into_iter().flatten() {
        if end.at > now {
            prop_assert!(
                at < end.at || end.at == now + 1,
                "{at} is not before {end:?}"
            );
        }
    }
    Ok(())
}

fn any_policy() -> impl Strategy<Value = RefreshPolicy> {
    (any::<u64>(), 0..=1_000_000_u32, 0..=1_000_000_u32).prop_map(|(period, fraction, jitter)| {
        RefreshPolicy {
            period,
            fraction: Fraction::millionths(fraction),
            jitter: Fraction::millionths(jitter),
        }
    })
}

proptest! {
    #[test]
    fn refresh_is_due_before_the_earlier_end(
        now in 0..1_u64 << 62, issued in 0..1_u64 << 62, ends in any_ends(),
        longest in proptest::option::of(any::<u64>()), policy in any_policy(), spread: u32,
    ) {
        let due = refresh_due(now, issued, ends, longest, &policy, Spread(spread));
        assert_before_the_earlier_end(now, ends, due)?;
    }

    #[test]
    fn refresh_of_any_lifetimes_is_due_before_the_earlier_end(
        issued in 0..1_u64 << 45, access in 1..LONGEST_LIFE, refresh in 1..LONGEST_LIFE,
        moment in 0..1_000_u64, longest in proptest::option::of(1..LONGEST_LIFE),
        jitter in 0..=900_000_u32, fraction in 1..=1_000_000_u32, spread: u32,
    ) {
        let policy = RefreshPolicy {
            period: 7 * DAY,
            fraction: Fraction::millionths(fraction),
            jitter: Fraction::millionths(jitter),
        };
        let ends = ends(issued + access, access, issued + refresh, refresh);
        let now = issued + access.max(refresh) * moment / 1_000;
        let due = refresh_due(now, issued, ends, longest, &policy, Spread(spread));
        assert_before_the_earlier_end(now, ends, due)?;
    }

    #[test]
    fn refresh_near_an_end_is_due_before_it(
        access in 0..5_000_u64, refresh in 0..5_000_u64, issued in 0..5_000_u64,
        policy in any_policy(), spread: u32,
    ) {
        let now = 5_000;
        let ends = ends(now + access, access, now + refresh, refresh);
        let due = refresh_due(now, issued, ends, None, &policy, Spread(spread));
        assert_before_the_earlier_end(now, ends, due)?;
    }

    #[test]
    fn retry_is_made_before_the_earlier_end(
        now in 0..1_u64 << 62, ends in any_ends(), attempts: u32,
        after in proptest::option::of(0..RETRY_AFTER_CAP), jitter in 0..=900_000_u32, spread: u32,
    ) {
        let pause = backoff(BACKOFF_BASE, attempts, Fraction::millionths(jitter), Spread(spread));
        let at = retry_at(now, ends, pause, after);
        assert_before_the_earlier_end(now, ends, at)?;
    }

    #[test]
    fn retry_near_an_end_is_made_before_it(
        access in 0..5_000_u64, refresh in 0..5_000_u64, attempts: u32,
        after in proptest::option::of(0..RETRY_AFTER_CAP), spread: u32,
    ) {
        let ends = ends(1 + access, access, 1 + refresh, refresh);
        let pause = backoff(BACKOFF_BASE, attempts, policy().jitter, Spread(spread));
        assert_before_the_earlier_end(1, ends, retry_at(1, ends, pause, after))?;
    }

    #[test]
    fn attempts_before_an_end_that_stays_are_few(end in 1..LONGEST_LIFE, spread: u32) {
        let policy = RefreshPolicy { period: u64::MAX, fraction: Fraction::ONE, ..policy() };
        let tokens = ends(2 * end, 2 * end, end, end);
        let (mut now, mut attempts) = (0, 0);
        while now < end {
            now = refresh_due(now, now, tokens, None, &policy, Spread(spread));
            attempts += 1;
        }
        prop_assert!(attempts <= 10, "{attempts}");
    }

    #[test]
    fn jitter_takes_off_less_than_its_share(span in 0..1_u64 << 50, spread: u32) {
        let policy = RefreshPolicy { period: span, ..policy() };
        let long = ends(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
        let due = refresh_due(0, 0, long, None, &policy, Spread(spread));
        prop_assert!(due >= span - span / 10);
        prop_assert!(due <= span.max(SOONEST));
    }

    #[test]
    fn backoff_grows_up_to_its_cap_and_never_vanishes(
        attempts: u32, jitter in 0..=900_000_u32, spread: u32,
    ) {
        let jitter = Fraction::millionths(jitter);
        let pause = backoff(BACKOFF_BASE, attempts, jitter, Spread(spread));
        let next = backoff(BACKOFF_BASE, attempts.saturating_add(1), jitter, Spread(spread));
        prop_assert!(pause >= SOONEST);
        prop_assert!(next >= pause);
        prop_assert!(next <= BACKOFF_CAP);
    }

    #[test]
    fn a_retry_honours_both_the_backoff_and_the_other_side(
        now in 0..u64::MAX / 2, pause in SOONEST..BACKOFF_CAP,
        after in proptest::option::of(0..RETRY_AFTER_CAP), ends in any_ends(),
    ) {
        let at = retry_at(now, ends, pause, after);
        let asked = pause.max(after.unwrap_or(0));
        // Half of what is left is the only thing that is shorter.
        let half = ends.left(now).map_or(u64::MAX, |left| left / 2);
        prop_assert!(at >= now + asked.min(half));
        prop_assert!(at <= now + asked);
    }

    #[test]
    fn no_retry_after_is_longer_than_its_cap_or_a_panic(header in ".{0,40}", now: u64) {
        prop_assert!(parse_retry_after(&header, now).is_none_or(|pause| pause <= RETRY_AFTER_CAP));
    }

    #[test]
    fn digits_are_seconds(seconds: u64) {
        let expected = seconds.saturating_mul(1_000).min(RETRY_AFTER_CAP);
        prop_assert_eq!(parse_retry_after(&seconds.to_string(), 0), Some(expected));
    }

    #[test]
    fn merging_any_figures_never_overflows(
        life in proptest::option::of(any::<u64>()), same: bool,
        known in proptest::option::of(any_expiry()), issued: u64, assumed_life: u64,
    ) {
        merge_access(life, same, known, issued, assumed_life);
        let merged = merge_refresh(life, same, known, issued, assumed_life);
        if !same || known.is_none() {
            prop_assert!(merged.new_generation);
        }
        if let (None, Some(known)) = (life, known) {
            // What was known of it is not shortened by an answer that does not say.
            prop_assert!(merged.expiry.at >= known.at.min(issued));
        }
    }

    #[test]
    fn a_clock_that_was_not_restarted_never_makes_a_generation(
        start in 0..1_u64 << 45, life in 60..100_000_000_u64, shares in prop::collection::vec(0..1_000_u64, 1..40),
        latency in 0..1_000_u64,
    ) {
        let known = expiry(start + life * 1_000, life * 1_000, false);
        let mut held = known;
        let mut shares = shares;
        shares.sort_unstable();
        for share in shares {
            let issued = start + life * 999 * share / 1_000;
            // Webex counts from when it answers, in whole seconds.
            let answered = (known.at - issued).saturating_sub(latency) / 1_000 * 1_000;
            let merged = merge_refresh(Some(answered), true, Some(held), issued, 0);
            prop_assert!(!merged.new_generation);
            prop_assert_eq!(merged.expiry.at, known.at);
            held = merged.expiry;
        }
    }

    #[test]
    fn following_the_crossings_meets_each_threshold_once_and_ends_with_the_expiry(
        thresholds in prop::collection::vec(any::<u64>(), 0..6), life in 1..u64::MAX / 4, at_issue in 0..u64::MAX / 4,
    ) {
        let thresholds = thresholds_within(&thresholds, life);
        let at = at_issue + life;
        prop_assert_eq!(crossed(&thresholds, at, at_issue).filter(|_| life > 1), None);
        let mut now = at_issue;
        let mut met = Vec::new();
        while let Some(next) = next_crossing(&thresholds, at, now) {
            prop_assert!(next > now);
            now = next;
            met.extend(crossed(&thresholds, at, now));
        }
        let mut expected = thresholds;
        expected.push(0);
        if life > 1 {
            prop_assert_eq!(met, expected);
        }
        prop_assert_eq!(now, at);
    }
}

#[test]
fn fourteen_days_of_access_are_refreshed_after_seven_less_the_jitter() {
    let tokens = ends(14 * DAY, 14 * DAY, 90 * DAY, 90 * DAY);
    let due = |spread| refresh_due(0, 0, tokens, None, &policy(), Spread(spread));
    assert_eq!(due(0), 7 * DAY);
    assert_eq!(due(u32::MAX), 7 * DAY - 7 * DAY / 10 + 1);
}

#[test]
fn tokens_are_refreshed_after_half_of_the_shorter_lifetime() {
    let due = |ends| refresh_due(0, 0, ends, None, &policy(), Spread(0));
    let short = 12 * HOUR;
    assert_eq!(due(ends(short, short, 90 * DAY, 90 * DAY)), 6 * HOUR);
    assert_eq!(due(ends(14 * DAY, 14 * DAY, short, short)), 6 * HOUR);
    assert_eq!(due(ends(14 * DAY, 14 * DAY, 5 * DAY, 5 * DAY)), 60 * HOUR);
}

#[test]
fn a_token_of_a_year_is_refreshed_after_the_ceiling_of_seven_days() {
    let due = refresh_due(0, 0, both(365 * DAY), None, &policy(), Spread(0));
    assert_eq!(due, 7 * DAY);
}

#[test]
fn refresh_token_that_is_not_extended_is_tried_once_more() {
    let tokens = ends(98 * DAY, 14 * DAY, 90 * DAY, 90 * DAY);
    let due = refresh_due(84 * DAY, 84 * DAY, tokens, None, &policy(), Spread(0));
    assert_eq!(due, 90 * DAY - ROOM);
}

#[test]
fn refresh_is_due_within_the_longest_pause() {
    let due = |longest| refresh_due(0, 0, both(14 * DAY), Some(longest), &policy(), Spread(0));
    assert_eq!(due(HOUR), HOUR);
    assert_eq!(due(SOONEST), SOONEST);
    assert_eq!(due(30 * DAY), 7 * DAY);
}

#[test]
fn backoff_doubles_from_a_minute() {
    let none = Fraction::millionths(0);
    let pauses: Vec<u64> = (1..=4)
        .map(|attempts| backoff(BACKOFF_BASE, attempts, none, Spread(0)) / SECOND)
        .collect();
    assert_eq!(pauses, [60, 120, 240, 480]);
    assert_eq!(
        backoff(BACKOFF_BASE, u32::MAX, none, Spread(0)),
        BACKOFF_CAP
    );
    let client = |attempts| backoff(CLIENT_BACKOFF_BASE, attempts, none, Spread(0));
    assert_eq!(
        [client(1), client(2), client(9)],
        [HOUR, 2 * HOUR, BACKOFF_CAP]
    );
}

#[test]
fn retry_waits_for_half_of_what_is_left_at_most() {
    let at = |left, after| retry_at(0, both(left), BACKOFF_CAP, after);
    assert_eq!(at(40 * SECOND, None), 20 * SECOND);
    assert_eq!(at(10 * HOUR, Some(14 * HOUR)), 5 * HOUR);
    assert_eq!(at(90 * DAY, Some(14 * HOUR)), 14 * HOUR);
    // Once an end has passed, the other one counts; without any, the pause is as it is.
    let over = ends(HOUR, HOUR, 12 * HOUR, 12 * HOUR);
    assert_eq!(retry_at(2 * HOUR, over, BACKOFF_CAP, None), 7 * HOUR);
    assert_eq!(retry_at(DAY, over, BACKOFF_CAP, None), DAY + BACKOFF_CAP);
}

#[test]
fn retry_after_is_seconds_or_a_date_and_anything_else_is_nothing() {
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
fn an_answer_that_omits_the_access_life_keeps_what_is_known_of_the_same_token() {
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
fn an_answer_that_omits_the_refresh_life_keeps_the_known_expiry_as_an_assumption() {
    let known = expiry(90 * DAY, 90 * DAY, false);
    let kept = expiry(90 * DAY, 90 * DAY, true);
    let same = merge_refresh(None, true, Some(known), 7 * DAY, 0);
    assert_eq!((same.expiry, same.new_generation), (kept, false));
    let rotated = merge_refresh(None, false, Some(known), 7 * DAY, 0);
    assert_eq!((rotated.expiry, rotated.new_generation), (kept, true));
}

#[test]
fn a_restarted_clock_is_a_new_generation_and_a_shortened_one_is_not() {
    let known = expiry(90 * DAY, 90 * DAY, false);
    let restarted = merge_refresh(Some(90 * DAY), true, Some(known), 7 * DAY, 0);
    assert_eq!(restarted.expiry.at, 97 * DAY);
    assert!(restarted.new_generation);
    let shortened = merge_refresh(Some(20 * DAY), true, Some(known), 7 * DAY, 0);
    assert_eq!(shortened.expiry.at, 27 * DAY);
    assert!(!shortened.new_generation);
}

#[test]
fn what_was_assumed_is_known_once_it_is_told() {
    let known = expiry(90 * DAY, 90 * DAY, true);
    let merged = merge_refresh(Some(90 * DAY), true, Some(known), SECOND, 0);
    assert_eq!(merged.expiry, expiry(90 * DAY, 90 * DAY, false));
    assert!(!merged.new_generation);
}

#[test]
fn thresholds_as_long_as_the_life_are_dropped_for_a_quarter_of_it() {
    let configured = [30 * DAY, 14 * DAY, 7 * DAY, 2 * DAY];
    assert_eq!(thresholds_within(&configured, 14 * DAY), [7 * DAY, 2 * DAY]);
    assert_eq!(thresholds_within(&configured, 60 * SECOND), [15 * SECOND]);
    let none: [u64; 0] = [];
    assert_eq!(thresholds_within(&none, 90 * DAY), none);
}

#[test]
fn expiry_beyond_its_life_was_written_by_a_wrong_clock() {
    let ahead = expiry(400 * DAY, 90 * DAY, false);
    let merged = merge_refresh(None, true, Some(ahead), DAY, 0);
    assert_eq!(merged.expiry, expiry(91 * DAY, 90 * DAY, true));
    assert!(!merged.new_generation);
    let access = merge_access(None, true, Some(ahead), DAY, 0);
    assert_eq!(access, expiry(91 * DAY, 90 * DAY, true));
}
