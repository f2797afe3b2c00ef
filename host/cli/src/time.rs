//! Formats times and durations for people: `12 d 4 h`.

use relation_host::reports::Expiry;
use relation_host::text::format_span;
use relation_host::types::Timestamp;

/// Marks an assumed expiry.
pub const ASSUMED_MARK: &str = "~";

/// Formats the time until `at`, or `over`.
pub fn format_remaining(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format_span(at.since(now))
    } else {
        "over".to_owned()
    }
}

/// Formats the remaining lifetime of a token, with a mark if its expiry is assumed; `-` without a token.
pub fn format_token_remaining(expiry: Option<&Expiry>, now: Timestamp) -> String {
    match expiry {
        Some(expiry) => format!(
            "{}{}",
            assumed_mark(expiry),
            format_remaining(expiry.at, now)
        ),
        None => "-".to_owned(),
    }
}

/// Formats a token's expiry in full: `2026-11-21 20:35:00 UTC (12 d 4 h left)`.
pub fn format_expiry(expiry: Option<&Expiry>, now: Timestamp) -> String {
    let Some(expiry) = expiry else {
        return "-".to_owned();
    };
    let assumed = if expiry.assumed { ", assumed" } else { "" };
    let left = match expiry.at > now {
        true => format!("{} left", format_span(expiry.at.since(now))),
        false => format!("over for {}", format_span(now.since(expiry.at))),
    };
    format!("{} ({left}{assumed})", format_utc(expiry.at))
}

/// Formats when something is due: `in 6 d 2 h`, or `5 min overdue`.
pub fn format_due(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", format_span(at.since(now)))
    } else {
        format!("{} overdue", format_span(now.since(at)))
    }
}

/// Formats a time in UTC, to the second.
pub fn format_utc(at: Timestamp) -> String {
    format!("{} UTC", format_timestamp(at))
}

/// Formats like [`format_utc`], for a column whose heading names the time zone.
pub fn format_timestamp(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('T') {
        Some((date, time)) => {
            let time = time.split(['.', 'Z']).next().unwrap_or(time);
            format!("{date} {time}")
        }
        None => text,
    }
}

fn assumed_mark(expiry: &Expiry) -> &'static str {
    if expiry.assumed { ASSUMED_MARK } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn remaining_time_is_over_at_expiry() {
        let at = Timestamp(1_000_000);
        assert_eq!(format_remaining(at, Timestamp(999_000)), "1 s");
        assert_eq!(format_remaining(at, at), "over");
        assert_eq!(format_remaining(at, Timestamp(u64::MAX)), "over");
    }

    #[test]
    fn an_assumed_expiry_is_marked() {
        let at = |assumed| Expiry {
            at: Timestamp(2 * DAY * 1000),
            assumed,
        };
        assert_eq!(
            format_token_remaining(Some(&at(false)), Timestamp(0)),
            "2 d"
        );
        assert_eq!(
            format_token_remaining(Some(&at(true)), Timestamp(0)),
            "~2 d"
        );
        assert_eq!(format_token_remaining(None, Timestamp(0)), "-");
        assert_eq!(
            format_expiry(Some(&at(true)), Timestamp(0)),
            "1970-01-03 00:00:00 UTC (2 d left, assumed)"
        );
        assert_eq!(
            format_expiry(Some(&at(false)), Timestamp(3 * DAY * 1000)),
            "1970-01-03 00:00:00 UTC (over for 1 d)"
        );
    }

    #[test]
    fn past_due_time_is_overdue() {
        assert_eq!(format_due(Timestamp(90_000), Timestamp(0)), "in 1 min 30 s");
        assert_eq!(
            format_due(Timestamp(0), Timestamp(90_000)),
            "1 min 30 s overdue"
        );
    }
}
