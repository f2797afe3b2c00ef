//! Recurrences: the times at which a schedule is due, by a clock on the wall of a time zone.
//!
//! The time zones are those of the IANA database that is compiled into the plugin. These rules apply where a
//! local time is not one instant:
//!
//! - A local time that does not exist, because clocks are set forward, is moved by the same minutes: 02:30 becomes
//!   03:30.
//! - If a local time exists twice, because clocks are set back, the first one counts.
//! - A month without the start's day has its last day instead: the 31st becomes the 30th of April.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};

use crate::platform::{Millis, UnixMillis};
use crate::text::find_similar;

/// The time zone of a schedule that names none.
pub const DEFAULT_ZONE: &str = "UTC";
/// The shortest time between two occurrences.
const MIN_INTERVAL: Millis = Millis::from_seconds(5 * 60);
/// The longest time between two occurrences: 366 days.
const MAX_INTERVAL: Millis = Millis::from_hours(366 * 24);
/// The first and the last year of a schedule.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2999;
/// How many occurrences an estimate by calendar days or months may be behind.
const MAX_ESTIMATE_ERROR: u64 = 8;

/// A local date and time without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime(DateTime);

/// A unit of time between two occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

/// The time between two occurrences. Minutes and hours are exact; days, weeks and months are steps in the
/// calendar, so that the time of day stays when clocks change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    count: u32,
    unit: Unit,
}

/// The occurrences of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrence {
    /// The local time of the first occurrence.
    pub start: LocalTime,
    /// The time zone of all local times.
    pub zone: Zone,
    /// The time between two occurrences; none: there is one occurrence.
    pub every: Option<Interval>,
    /// The local time after which there are no more occurrences.
    pub until: Option<LocalTime>,
}

/// A time zone of the IANA database.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

impl Recurrence {
    /// Returns the first occurrence after `time`. `None` when there is none any more.
    pub fn next_after(&self, time: UnixMillis) -> Option<UnixMillis> {
        let first = self.zone.first_instant(self.start.0)?;
        let next = match self.every {
            _ if first > time => first,
            None => return None,
            Some(every) => match every.exact() {
                Some(span) => next_multiple(first, span, time)?,
                None => {
                    let estimate = self.estimate(every, first, time);
                    let numbers = estimate..=estimate.saturating_add(MAX_ESTIMATE_ERROR);
                    let mut occurrences =
                        numbers.map_while(|number| self.calendar_occurrence(every, number));
                    occurrences.find(|occurrence| *occurrence > time)?
                }
            },
        };
        let is_over = self.until.is_some_and(|until| {
            let until = self.zone.last_instant(until.0);
            until.is_none_or(|until| next > until)
        });
        (!is_over).then_some(next)
    }

    /// Returns a number of an occurrence that is not after `time`, but at most [`MAX_ESTIMATE_ERROR`] before it.
    fn estimate(&self, every: Interval, first: UnixMillis, time: UnixMillis) -> u64 {
        let count = u64::from(every.count.max(1));
        let days = (time - first).0 / Millis::from_hours(24).0;
        let number = match every.unit {
            Unit::Month => {
                let Some(now) = self.zone.local_time(time) else {
                    return 0;
                };
                let months =
                    |local: DateTime| i64::from(local.year()) * 12 + i64::from(local.month());
                let months = months(now.0).saturating_sub(months(self.start.0));
                u64::try_from(months).unwrap_or_default() / count
            }
            Unit::Week => days / 7 / count,
            Unit::Minute | Unit::Hour | Unit::Day => days / count,
        };
        // The offset of a zone changes by up to a day.
        number.saturating_sub(3)
    }

    /// Returns the occurrence `number` steps of the calendar after the start.
    fn calendar_occurrence(&self, every: Interval, number: u64) -> Option<UnixMillis> {
        let steps = number.checked_mul(u64::from(every.count))?;
        let steps = i64::try_from(steps).ok()?;
        let span = match every.unit {
            Unit::Month => Span::new().try_months(steps),
            Unit::Week => Span::new().try_weeks(steps),
            Unit::Minute | Unit::Hour | Unit::Day => Span::new().try_days(steps),
        };
        let local = self.start.0.checked_add(span.ok()?).ok()?;
        self.zone.first_instant(local)
    }
}

/// Returns the first instant after `time` that is a multiple of `span` after `first`.
fn next_multiple(first: UnixMillis, span: Millis, time: UnixMillis) -> Option<UnixMillis> {
    let steps = (time - first).0.checked_div(span.0)?.checked_add(1)?;
    let offset = steps.checked_mul(span.0)?;
    first.0.checked_add(offset).map(UnixMillis)
}

impl Zone {
    /// Finds a time zone by its name, whose upper and lower case do not matter.
    ///
    /// # Errors
    /// A fragment that follows the field's name, with a similar name if there is one.
    pub fn find(name: &str) -> Result<Self, String> {
        let zones = TimeZoneDatabase::bundled();
        let typed = name.trim().replace(' ', "_");
        let found = zones.get(&typed).ok().filter(|zone| !zone.is_unknown());
        if let Some(zone) = found {
            return Ok(Self(zone));
        }
        let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
        let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let cities: Vec<String> = names.iter().map(|name| city(name)).collect();
        let similar = match typed.contains('/') {
            true => find_similar(&typed, names.iter().map(String::as_str)),
            false => find_similar(&typed, cities.iter().map(String::as_str)),
        };
        let similar = similar.and_then(|similar| {
            let mut names = names.iter();
            names.find(|name| *name == similar || city(name) == similar)
        });
        Err(match similar {
            Some(similar) => format!("{name:?} is not a time zone; did you mean {similar}?"),
            None => format!(
                "{name:?} is not a time zone of the IANA database, such as Europe/Zurich or UTC"
            ),
        })
    }

    /// Returns the local time at `time`, to the second. `None` beyond the calendar.
    pub fn local_time(&self, time: UnixMillis) -> Option<LocalTime> {
        let seconds = i64::try_from(time.0 / 1_000).ok()?;
        let time = Timestamp::from_second(seconds).ok()?;
        Some(LocalTime(self.0.to_datetime(time)))
    }

    /// Returns the first instant with this local time.
    fn first_instant(&self, local: DateTime) -> Option<UnixMillis> {
        let found = self.0.to_ambiguous_timestamp(local).compatible();
        to_unix(found.ok()?)
    }

    /// Returns the last instant with this local time.
    fn last_instant(&self, local: DateTime) -> Option<UnixMillis> {
        to_unix(self.0.to_ambiguous_timestamp(local).later().ok()?)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or(DEFAULT_ZONE))
    }
}

fn to_unix(time: Timestamp) -> Option<UnixMillis> {
    u64::try_from(time.as_millisecond()).ok().map(UnixMillis)
}

impl FromStr for LocalTime {
    type Err = String;

    /// Parses a date and a time, such as `2026-12-01T03:00`.
    fn from_str(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "must be a local date and time without an offset, such as 2026-12-01T03:00, not {text:?}"
            )
        };
        let text = text.trim();
        // The parser ignores an offset, which would be a surprise.
        let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | 't' | ' ');
        let (_, time) = text.split_once(['T', 't', ' ']).ok_or_else(error)?;
        if !text.chars().all(is_plain) || !time.contains(':') || time.contains('-') {
            return Err(error());
        }
        let parsed: DateTime = text.parse().map_err(|_| error())?;
        if !YEARS.contains(&parsed.year()) {
            let (first, last) = (YEARS.start(), YEARS.end());
            return Err(format!("must be in a year from {first} to {last}"));
        }
        Ok(Self(parsed))
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.strip_suffix(":00").unwrap_or(&text))
    }
}

impl Interval {
    /// Returns the duration of an interval that is not a step in the calendar.
    fn exact(self) -> Option<Millis> {
        match self.unit {
            Unit::Minute | Unit::Hour => Some(self.nominal()),
            Unit::Day | Unit::Week | Unit::Month => None,
        }
    }

    /// Returns the duration, with 24 hours for a day and 30.5 days for a month.
    fn nominal(self) -> Millis {
        u64::from(self.count) * self.unit.nominal()
    }
}

impl Unit {
    const ALL: [(Self, &'static [&'static str]); 5] = [
        (Self::Minute, &["m", "min", "minute", "minutes"]),
        (Self::Hour, &["h", "hour", "hours"]),
        (Self::Day, &["d", "day", "days"]),
        (Self::Week, &["w", "week", "weeks"]),
        (Self::Month, &["mo", "month", "months"]),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "w",
            Self::Month => "mo",
        }
    }

    fn nominal(self) -> Millis {
        match self {
            Self::Minute => Millis::from_seconds(60),
            Self::Hour => Millis::from_hours(1),
            Self::Day => Millis::from_hours(24),
            Self::Week => Millis::from_hours(7 * 24),
            Self::Month => Millis::from_hours(61 * 12),
        }
    }
}

impl FromStr for Interval {
    type Err = String;

    /// Parses a whole number and its unit, such as `12h`, `1d`, `2w` or `1mo`.
    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit());
        let (count, unit) = trimmed.split_at(digits.unwrap_or(trimmed.len()));
        let unit = unit.trim().to_lowercase();
        let mut units = Unit::ALL.iter();
        let unit = units.find(|(_, names)| names.contains(&unit.as_str()));
        let (Some((unit, _)), Ok(count)) = (unit, count.parse()) else {
            return Err(format!(
                "must be a whole number and a unit (m, h, d, w or mo), such as 12h, 1d or 1mo, not {text:?}"
            ));
        };
        let interval = Self { count, unit: *unit };
        let length = interval.nominal();
        match MIN_INTERVAL <= length && length <= MAX_INTERVAL {
            true => Ok(interval),
            false => Err("must be from 5 minutes (5m) to 12 months (12mo)".to_owned()),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.name())
    }
}

#[cfg(test)]
#[path = "recurrence_tests.rs"]
mod tests;
