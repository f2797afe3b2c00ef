//! Time zones, and the times of day in them.
//!
//! The time zones are those of the IANA database that is compiled into the host. A local time that clocks skip is
//! moved by the skipped minutes: 02:30 becomes 03:30. A local time that exists twice counts at its first instant, or
//! at its second one if the first is over.

use std::fmt;

use chrono::{DateTime, FixedOffset, Utc};
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::reader::{find_similar, quote};

/// A time zone of the IANA database, such as `Europe/Zurich`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// A time of day, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(Time);

impl Zone {
    /// Finds a time zone by its name. Upper and lower case do not matter.
    ///
    /// # Errors
    /// The end of an error text, with a similar name if there is one.
    pub fn parse(name: &str) -> Result<Self, String> {
        let zones = TimeZoneDatabase::bundled();
        let typed = name.trim().replace(' ', "_");
        if let Ok(zone) = zones.get(&typed)
            && !zone.is_unknown()
            && zone.iana_name().is_some()
        {
            return Ok(Self(zone));
        }
        let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
        let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let similar = if typed.contains('/') {
            find_similar(&typed, names.iter().map(String::as_str)).map(str::to_owned)
        } else {
            let cities: Vec<String> = names.iter().map(|name| city(name)).collect();
            let similar = find_similar(&typed, cities.iter().map(String::as_str));
            similar.and_then(|similar| names.iter().find(|name| city(name) == similar).cloned())
        };
        let typed = quote(name);
        Err(match similar {
            Some(similar) => format!("{typed} is not a time zone; did you mean {similar}?"),
            None => format!(
                "{typed} is not a time zone of the IANA database, such as Europe/Zurich or UTC"
            ),
        })
    }

    /// Returns the zone's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns the offset to UTC and its abbreviation, such as `CET`, at `time`. `None` beyond the calendar.
    #[must_use]
    pub fn offset(&self, time: DateTime<Utc>) -> Option<(FixedOffset, String)> {
        let found = self.0.to_offset_info(to_jiff(time)?);
        let offset = FixedOffset::east_opt(found.offset().seconds())?;
        Some((offset, found.abbreviation().to_owned()))
    }

    /// Returns the local time of day at `time`. `None` beyond the calendar.
    #[must_use]
    pub fn time_of_day(&self, time: DateTime<Utc>) -> Option<TimeOfDay> {
        Some(TimeOfDay(self.0.to_datetime(to_jiff(time)?).time()))
    }

    /// Returns the first instant at or after `time` that has the local time `local`. `None` beyond the calendar.
    #[must_use]
    pub fn next(&self, time: DateTime<Utc>, local: TimeOfDay) -> Option<DateTime<Utc>> {
        let start = to_jiff(time)?;
        let mut date = self.0.to_datetime(start).date();
        // Where a whole day is skipped, the third one has the time.
        for _ in 0..3 {
            let found = self.0.to_ambiguous_timestamp(date.to_datetime(local.0));
            for instant in [found.compatible(), found.later()].into_iter().flatten() {
                if instant >= start {
                    return to_chrono(instant);
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).map_err(D::Error::custom)
    }
}

impl TimeOfDay {
    /// Creates the full hour, from 0 to 23.
    #[must_use]
    pub fn from_hour(hour: u8) -> Option<Self> {
        let hour = i8::try_from(hour).ok()?;
        Time::new(hour, 0, 0, 0).ok().map(Self)
    }

    /// Parses a time such as `22:00`.
    ///
    /// # Errors
    /// The end of an error text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parse = || {
            let (hour, minute) = text.split_once(':')?;
            let number = |text: &str| {
                let is_number =
                    matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
                is_number.then(|| text.parse::<i8>().ok()).flatten()
            };
            let minute = number(minute).filter(|_| minute.len() == 2)?;
            Time::new(number(hour)?, minute, 0, 0).ok()
        };
        parse()
            .map(Self)
            .ok_or_else(|| format!("{} is not a time of day such as 22:00", quote(text)))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn to_jiff(time: DateTime<Utc>) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(time.timestamp_subsec_nanos()).ok()?;
    Timestamp::new(time.timestamp(), nanoseconds).ok()
}

fn to_chrono(time: Timestamp) -> Option<DateTime<Utc>> {
    let nanoseconds = u32::try_from(time.subsec_nanosecond()).ok()?;
    DateTime::from_timestamp(time.as_second(), nanoseconds)
}
