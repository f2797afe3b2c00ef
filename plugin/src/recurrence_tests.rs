//! The occurrences of schedules, across changes of clocks and for any input.

use proptest::prelude::*;

use super::*;

const HOUR: Millis = Millis::from_hours(1);

fn at(text: &str) -> UnixMillis {
    crate::model::derived::parse_timestamp(text).unwrap()
}

fn recurrence(start: &str, zone: &str, every: Option<&str>, until: Option<&str>) -> Recurrence {
    Recurrence {
        start: start.parse().unwrap(),
        zone: Zone::find(zone).unwrap(),
        every: every.map(|every| every.parse().unwrap()),
        until: until.map(|until| until.parse().unwrap()),
    }
}

/// Returns the first occurrences after `after`, in UTC to the minute.
fn occurrences(recurrence: &Recurrence, after: &str, count: usize) -> Vec<String> {
    let first = recurrence.next_after(at(after));
    let all = std::iter::successors(first, |last| recurrence.next_after(*last));
    all.take(count)
        .map(|time| crate::model::derived::format_timestamp(time).replace(":00Z", ""))
        .collect()
}

#[test]
fn days_keep_the_time_of_day_when_clocks_change() {
    let daily = recurrence("2026-10-23T03:00", "Europe/Zurich", Some("1d"), None);
    assert_eq!(
        occurrences(&daily, "2026-10-23T12:00:00Z", 3),
        ["2026-10-24T01:00", "2026-10-25T02:00", "2026-10-26T02:00"]
    );
    let weekly = recurrence("2026-03-22T03:00", "America/New_York", Some("1w"), None);
    assert_eq!(
        occurrences(&weekly, "2026-10-26T00:00:00Z", 2),
        ["2026-11-01T08:00", "2026-11-08T08:00"]
    );
}

#[test]
fn hours_are_exact_when_clocks_change() {
    let half_days = recurrence("2026-10-24T12:00", "Europe/Zurich", Some("12h"), None);
    assert_eq!(
        occurrences(&half_days, "2026-10-24T09:00:00Z", 4),
        [
            "2026-10-24T10:00",
            "2026-10-24T22:00",
            "2026-10-25T10:00",
            "2026-10-25T22:00"
        ]
    );
}

#[test]
fn skipped_local_time_is_moved_forward() {
    let daily = recurrence("2026-03-28T02:30", "Europe/Zurich", Some("1d"), None);
    assert_eq!(
        occurrences(&daily, "2026-03-28T00:00:00Z", 3),
        // 02:30 in winter, 03:30 in place of 02:30, 02:30 in summer.
        ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]
    );
}

#[test]
fn first_of_two_equal_local_times_is_taken() {
    let daily = recurrence("2026-10-24T02:30", "Europe/Zurich", Some("1d"), None);
    assert_eq!(
        occurrences(&daily, "2026-10-24T00:00:00Z", 3),
        ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]
    );
}

#[test]
fn skipped_day_has_no_occurrence_of_its_own() {
    let daily = recurrence("2011-12-28T03:00", "Pacific/Apia", Some("1d"), None);
    // Samoa had no 30 December 2011.
    assert_eq!(
        occurrences(&daily, "2011-12-28T20:00:00Z", 3),
        ["2011-12-29T13:00", "2011-12-30T13:00", "2011-12-31T13:00"]
    );
}

#[test]
fn short_month_has_its_last_day() {
    let monthly = recurrence("2027-01-31T08:00", "UTC", Some("1mo"), None);
    assert_eq!(
        occurrences(&monthly, "2027-01-01T00:00:00Z", 4),
        [
            "2027-01-31T08:00",
            "2027-02-28T08:00",
            "2027-03-31T08:00",
            "2027-04-30T08:00"
        ]
    );
    let yearly = recurrence("2024-02-29T08:00", "UTC", Some("12mo"), None);
    assert_eq!(
        occurrences(&yearly, "2026-01-01T00:00:00Z", 3),
        ["2026-02-28T08:00", "2027-02-28T08:00", "2028-02-29T08:00"]
    );
}

#[test]
fn until_is_the_last_possible_occurrence() {
    let daily = recurrence(
        "2026-01-01T03:00",
        "UTC",
        Some("1d"),
        Some("2026-01-03T03:00"),
    );
    let all = occurrences(&daily, "2025-12-01T00:00:00Z", 9);
    assert_eq!(
        all,
        ["2026-01-01T03:00", "2026-01-02T03:00", "2026-01-03T03:00"]
    );
}

#[test]
fn single_occurrence_is_the_start() {
    let once = recurrence("2026-12-01T03:00", "Asia/Kolkata", None, None);
    assert_eq!(
        occurrences(&once, "2026-01-01T00:00:00Z", 9),
        ["2026-11-30T21:30"]
    );
    assert_eq!(once.next_after(at("2026-11-30T21:30:00Z")), None);
}

#[test]
fn unknown_zone_suggests_a_similar_one() {
    for (typed, suggestion) in [
        ("Europe/Zuerich", "did you mean Europe/Zurich?"),
        ("zurich", "did you mean Europe/Zurich?"),
        ("Zuerich", "did you mean Europe/Zurich?"),
        ("new york", "did you mean America/New_York?"),
        ("Amerika/New_York", "did you mean America/New_York?"),
        ("", "such as Europe/Zurich or UTC"),
        ("+02:00", "such as Europe/Zurich or UTC"),
        ("Etc/Unknown", "is not a time zone"),
    ] {
        let error = Zone::find(typed).unwrap_err();
        assert!(error.contains(suggestion), "{typed}: {error}");
    }
    for (typed, name) in [
        ("europe/zurich", "Europe/Zurich"),
        ("utc", "UTC"),
        (" America/New York ", "America/New_York"),
    ] {
        assert_eq!(Zone::find(typed).unwrap().to_string(), name);
    }
}

#[test]
fn local_time_has_no_offset() {
    for (text, parsed) in [
        ("2026-12-01T03:00", "2026-12-01T03:00"),
        (" 2026-12-01 03:00 ", "2026-12-01T03:00"),
        ("2026-12-01T03:00:15", "2026-12-01T03:00:15"),
    ] {
        let time: LocalTime = text.parse().unwrap();
        assert_eq!(time.to_string(), parsed);
    }
    for text in [
        "",
        "tomorrow",
        "2026-12-01",
        "03:00",
        "2026-12-01T03:00Z",
        "2026-12-01T03:00+01:00",
        "2026-12-01T03:00-01:00",
        "2026-12-01T03:00[Europe/Zurich]",
        "2026-12-01T03:00:00.5",
        "2026-13-01T03:00",
        "2026-02-30T03:00",
        "2026-12-01T25:00",
        "-2026-12-01T03:00",
        "1999-12-01T03:00",
        "9999-12-01T03:00",
    ] {
        assert!(text.parse::<LocalTime>().is_err(), "{text}");
    }
}

#[test]
fn interval_is_a_number_and_a_unit() {
    for (text, parsed) in [
        ("5m", "5m"),
        (" 12 hours ", "12h"),
        ("1d", "1d"),
        ("2W", "2w"),
        ("1mo", "1mo"),
        ("12mo", "12mo"),
        ("366d", "366d"),
    ] {
        let interval: Interval = text.parse().unwrap();
        assert_eq!(interval.to_string(), parsed);
    }
    for text in [
        "",
        "1",
        "d",
        "-1d",
        "1.5h",
        "1d12h",
        "1y",
        "0d",
        "4m",
        "13mo",
        "367d",
        "4294967296d",
    ] {
        assert!(text.parse::<Interval>().is_err(), "{text}");
    }
}

fn any_recurrence() -> impl Strategy<Value = Recurrence> {
    let zones = [
        "UTC",
        "Europe/Zurich",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "Africa/Casablanca",
        "America/St_Johns",
    ];
    let start = (2000_i16..3000, 1_i8..=12, 1_i8..=28, 0_i8..24, 0_i8..60);
    let every = prop_oneof![
        (5_u32..10_000).prop_map(|count| (count, Unit::Minute)),
        (1_u32..1_000).prop_map(|count| (count, Unit::Hour)),
        (1_u32..=366).prop_map(|count| (count, Unit::Day)),
        (1_u32..=52).prop_map(|count| (count, Unit::Week)),
        (1_u32..=12).prop_map(|count| (count, Unit::Month)),
    ];
    (start, proptest::sample::select(zones.to_vec()), every).prop_map(
        |((year, month, day, hour, minute), zone, (count, unit))| Recurrence {
            start: LocalTime(DateTime::constant(year, month, day, hour, minute, 0, 0)),
            zone: Zone::find(zone).unwrap(),
            every: Some(Interval { count, unit }),
            until: None,
        },
    )
}

proptest! {
    #[test]
    fn occurrences_are_strictly_increasing(
        recurrence in any_recurrence(),
        seconds in 0_u64..40_000_000_000,
    ) {
        let mut time = UnixMillis(seconds * 1_000);
        for _ in 0..5 {
            let next = recurrence.next_after(time).unwrap();
            prop_assert!(next > time);
            // No occurrence lies between: the one after any earlier time is the same, or before.
            let between = UnixMillis(time.0 + (next.0 - time.0) / 2);
            prop_assert_eq!(recurrence.next_after(between), Some(next));
            time = next;
        }
    }

    #[test]
    fn calendar_steps_keep_the_time_of_day(
        recurrence in any_recurrence(),
        days in 0_u64..200_000,
    ) {
        prop_assume!(recurrence.every.unwrap().exact().is_none());
        let next = recurrence.next_after(UnixMillis(0) + days * Millis::from_hours(24)).unwrap();
        let local = recurrence.zone.local_time(next).unwrap().0;
        let start = recurrence.start.0;
        let moved = local.duration_since(DateTime::from_parts(local.date(), start.time()));
        // Only a local time that is skipped is moved, by as much as the clocks: at most an hour here.
        let is_skipped = !moved.is_zero();
        if is_skipped {
            let before = recurrence.zone.local_time(next - HOUR - HOUR).unwrap().0;
            let elapsed = local.duration_since(before).as_secs();
            prop_assert!(elapsed > 2 * 3600, "{local} in {}: {elapsed}", recurrence.zone);
            prop_assert!(moved.as_secs() > 0 && moved.as_secs() <= 3600);
        }
    }

    #[test]
    fn any_time_and_text_is_harmless(
        recurrence in any_recurrence(),
        time in any::<u64>(),
        text in ".{0,40}",
    ) {
        let _ = recurrence.next_after(UnixMillis(time));
        let _ = recurrence.zone.local_time(UnixMillis(time));
        let _ = (text.parse::<LocalTime>(), text.parse::<Interval>(), Zone::find(&text));
    }

    #[test]
    fn any_local_time_is_parsed_or_refused(
        text in "[0-9]{1,5}-[0-9]{1,2}-[0-9]{1,2}[T ][0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2})?",
    ) {
        if let Ok(time) = text.parse::<LocalTime>() {
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
