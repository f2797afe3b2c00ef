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
    fn a_refresh_is_due_in_the_future_and_before_the_access_token_ends(
        now in 0..u64::MAX, issued: u64, expiry in any_expiry(), first: bool,
        policy in any_policy(), spread: u32,
    ) {
        let due = refresh_due(now, issued, expiry, first, &policy, Spread(spread));
        prop_assert!(due > now);
        if expiry.at > now {
            prop_assert!(due <= expiry.at);
        }
    }

    #[test]
    fn jitter_takes_off_less_than_its_share(span in 0..1_u64 << 50, spread: u32) {
        let policy = RefreshPolicy { period: span, ..policy() };
        let long = expiry(u64::MAX, u64::MAX, false);
        let due = refresh_due(0, 0, long, false, &policy, Spread(spread));
        prop_assert!(due >= span - span / 10);
        prop_assert!(due <= span.max(SOONEST));
    }

    #[test]
    fn backoff_grows_up_to_its_cap_and_never_vanishes(
        attempts: u32, left in proptest::option::of(any::<u64>()), jitter in 0..=900_000_u32,
        spread: u32,
    ) {
        let jitter = Fraction::millionths(jitter);
        let pause = backoff(attempts, left, jitter, Spread(spread));
        let next = backoff(attempts.saturating_add(1), left, jitter, Spread(spread));
        prop_assert!(pause >= SOONEST);
        prop_assert!(next >= pause);
        prop_assert!(next <= BACKOFF_CAP);
        if let Some(left) = left {
            prop_assert!(next <= SOONEST.max(left / 2));
        }
    }

    #[test]
    fn a_retry_honours_both_the_backoff_and_the_other_side(
        now in 0..u64::MAX / 2, pause in 0..BACKOFF_CAP, after in proptest::option::of(0..RETRY_AFTER_CAP),
    ) {
        let at = retry_at(now, pause, after);
        prop_assert!(at >= now + pause);
        prop_assert!(at >= now + after.unwrap_or(0));
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
    let token = expiry(14 * DAY, 14 * DAY, false);
    assert_eq!(
        refresh_due(0, 0, token, false, &policy(), Spread(0)),
        7 * DAY
    );
    let late = refresh_due(0, 0, token, false, &policy(), Spread(u32::MAX));
    assert_eq!(late, 7 * DAY - 7 * DAY / 10 + 1);
}

#[test]
fn a_token_of_twelve_hours_is_refreshed_after_six() {
    let token = expiry(12 * HOUR, 12 * HOUR, false);
    assert_eq!(
        refresh_due(0, 0, token, false, &policy(), Spread(0)),
        6 * HOUR
    );
}

#[test]
fn a_token_of_a_year_is_refreshed_after_the_ceiling_of_seven_days() {
    let token = expiry(365 * DAY, 365 * DAY, false);
    assert_eq!(
        refresh_due(0, 0, token, false, &policy(), Spread(0)),
        7 * DAY
    );
}

#[test]
fn pasted_tokens_of_an_assumed_life_are_refreshed_within_the_hour_and_others_are_not() {
    let token = expiry(14 * DAY, 14 * DAY, true);
    assert_eq!(refresh_due(0, 0, token, true, &policy(), Spread(0)), HOUR);
    assert_eq!(
        refresh_due(0, 0, token, false, &policy(), Spread(0)),
        7 * DAY
    );
}

#[test]
fn backoff_doubles_from_a_minute() {
    let none = Fraction::millionths(0);
    let pauses: Vec<u64> = (1..=4)
        .map(|attempts| backoff(attempts, None, none, Spread(0)) / SECOND)
        .collect();
    assert_eq!(pauses, [60, 120, 240, 480]);
    assert_eq!(backoff(u32::MAX, None, none, Spread(0)), BACKOFF_CAP);
    assert_eq!(backoff(9, Some(40 * SECOND), none, Spread(0)), 20 * SECOND);
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
}
