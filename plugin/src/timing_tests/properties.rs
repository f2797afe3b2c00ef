//! Properties of the arithmetic for any input.

use super::*;

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
            ..policy()
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
    fn retry_honors_backoff_and_retry_after(
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
