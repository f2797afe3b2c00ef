//! Digests and quiet hours, also where clocks change.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use crate::settings::{DigestSchedule, QuietHours, TimeOfDay, Zone};

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn quiet(from: &str, to: &str, zone: &str) -> QuietHours {
    QuietHours::Daily {
        from: TimeOfDay::parse(from).expect("a time"),
        to: TimeOfDay::parse(to).expect("a time"),
        zone: Zone::parse(zone).expect("a zone"),
    }
}

#[test]
fn zones_are_found_in_any_case() {
    assert_eq!(
        Zone::parse("europe/zurich").expect("a zone").name(),
        "Europe/Zurich"
    );
    assert_eq!(
        Zone::parse(" America/New York ").expect("a zone").name(),
        "America/New_York"
    );
    for (typed, hint) in [
        ("zurich", "Europe/Zurich"),
        ("Europe/Berln", "Europe/Berlin"),
        ("xyzzy", "IANA"),
    ] {
        let error = Zone::parse(typed).expect_err(typed);
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn quiet_hours_contain_midnight() {
    let hours = quiet("22:00", "06:00", "Europe/Zurich");
    assert_eq!(hours.end(utc("2026-12-01T20:59:59Z")), None);
    assert_eq!(
        hours.end(utc("2026-12-01T21:00:00Z")),
        Some(utc("2026-12-02T05:00:00Z"))
    );
    assert_eq!(
        hours.end(utc("2026-12-02T04:59:59Z")),
        Some(utc("2026-12-02T05:00:00Z"))
    );
    assert_eq!(hours.end(utc("2026-12-02T05:00:00Z")), None);
    assert_eq!(QuietHours::Off.end(utc("2026-12-02T00:00:00Z")), None);
}

#[test]
fn quiet_hours_end_when_clocks_change() {
    // 02:30 does not exist on this day, and becomes 03:30.
    let hours = quiet("22:00", "02:30", "Europe/Zurich");
    assert_eq!(
        hours.end(utc("2027-03-28T00:59:00Z")),
        Some(utc("2027-03-28T01:30:00Z"))
    );
    // 02:30 exists twice on this day.
    assert_eq!(
        hours.end(utc("2026-10-25T00:10:00Z")),
        Some(utc("2026-10-25T00:30:00Z"))
    );
    assert_eq!(
        hours.end(utc("2026-10-25T01:10:00Z")),
        Some(utc("2026-10-25T01:30:00Z"))
    );
}

#[test]
fn digest_is_at_the_hour_of_its_zone() {
    let digest = DigestSchedule::Daily {
        hour: 7,
        zone: Zone::parse("Asia/Kolkata").expect("a zone"),
    };
    assert_eq!(
        digest.next(utc("2026-12-01T01:30:00Z")),
        Some(utc("2026-12-01T01:30:00Z"))
    );
    assert_eq!(
        digest.next(utc("2026-12-01T01:30:00.001Z")),
        Some(utc("2026-12-02T01:30:00Z"))
    );
    assert_eq!(
        DigestSchedule::PerEvent.next(utc("2026-12-01T01:30:00Z")),
        None
    );
}

#[test]
fn times_beyond_the_calendar_hold_nothing() {
    let hours = quiet("22:00", "06:00", "UTC");
    assert_eq!(hours.end(DateTime::<Utc>::MAX_UTC), None);
    assert_eq!(hours.end(DateTime::<Utc>::MIN_UTC), None);
}

#[test]
fn malformed_times_of_day_are_refused() {
    for text in [
        "", "7", "24:00", "7:5", "07:60", "7:00:00", "+7:00", "-1:00", "7 :00", "１:00",
    ] {
        assert!(TimeOfDay::parse(text).is_err(), "{text:?}");
    }
    assert_eq!(
        TimeOfDay::parse("7:05").expect("a time").to_string(),
        "07:05"
    );
}

proptest! {
    #[test]
    fn digest_is_within_two_days(seconds in 0..4_000_000_000_i64, hour in 0..24_u8) {
        let now = DateTime::from_timestamp(seconds, 0).expect("a time");
        for zone in ["UTC", "Europe/Zurich", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"] {
            let digest = DigestSchedule::Daily { hour, zone: Zone::parse(zone).expect("a zone") };
            let next = digest.next(now).expect("a digest");
            prop_assert!(next >= now && next - now <= TimeDelta::hours(49), "{zone} {now} {next}");
            prop_assert_eq!(digest.next(next), Some(next));
        }
    }

    #[test]
    fn quiet_hours_end_outside_of_themselves(
        seconds in 1_700_000_000..1_900_000_000_i64,
        from in 0..24_u8,
        to in 0..24_u8,
    ) {
        // With an hour left, the end may be skipped by clocks and fall on the beginning.
        prop_assume!(from != to && from != (to + 1) % 24);
        let now = DateTime::from_timestamp(seconds, 0).expect("a time");
        for zone in ["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe"] {
            let hours = quiet(&format!("{from}:00"), &format!("{to}:00"), zone);
            if let Some(end) = hours.end(now) {
                prop_assert!(end > now && end - now <= TimeDelta::hours(25), "{zone} {now} {end}");
                prop_assert_eq!(hours.end(end), None, "{} {} {}", zone, now, end);
            }
        }
    }
}
