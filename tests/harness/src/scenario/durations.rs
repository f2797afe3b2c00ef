//! Durations as scenarios write them: `7 days`, `1 hour 30 minutes`.

use std::time::Duration;

/// Formats a duration so that [`humantime::parse_duration`] parses the same one.
pub(crate) fn format_duration(duration: Duration) -> String {
    let short = humantime::format_duration(duration).to_string();
    let words = short.split(' ').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = part.split_at(digits);
        let unit = match unit {
            "h" => "hour",
            "m" => "minute",
            "s" => "second",
            // Other units are words already, in the right number.
            other => return format!("{number} {other}"),
        };
        let plural = if number == "1" { "" } else { "s" };
        format!("{number} {unit}{plural}")
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_written_in_words() {
        let words = |seconds| format_duration(Duration::from_secs(seconds));
        assert_eq!(words(0), "0 seconds");
        assert_eq!(words(1), "1 second");
        assert_eq!(words(5_400), "1 hour 30 minutes");
        assert_eq!(words(7 * 86_400), "7 days");
        assert_eq!(
            format_duration(Duration::from_millis(86_400_250)),
            "1 day 250 ms"
        );
    }

    proptest! {
        #[test]
        fn formatted_duration_parses_to_the_same(millis in 0..100_000_000_000_u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(humantime::parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
