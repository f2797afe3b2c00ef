//! Small parts of pages: states with icons, times, texts that others have written.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use relation_host::reports::{ConnectionReport, Expiry, State};
use relation_host::text::is_invisible;
use relation_host::types::Timestamp;

use super::texts::Language;

/// Replaces characters that a browser would obey or not show, such as changes of the text direction.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => cleaned.push(c),
            c if c.is_control() => cleaned.push('\u{fffd}'),
            c if is_invisible(c) => cleaned.extend(c.escape_unicode()),
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// Returns a name for keys and classes: lower case, with hyphens.
pub(crate) fn slug(text: &str) -> String {
    text.to_lowercase().replace([' ', '_'], "-")
}

/// Returns the most urgent state of a connection's grants.
pub(crate) fn most_urgent(connection: &ConnectionReport) -> State {
    let has = |state: &State| {
        connection.state == *state || connection.grants.iter().any(|grant| grant.state == *state)
    };
    State::ALL.into_iter().find(has).unwrap_or(connection.state)
}

/// Returns whether only a person at Webex can help.
pub(crate) fn needs_consent(state: State) -> bool {
    match state {
        State::Expired
        | State::Reauthorize
        | State::Expiring
        | State::MissingScope
        | State::NotConnected => true,
        State::Retrying | State::Connected => false,
    }
}

/// A word with an icon, for a state, a status or a severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Badge {
    /// The name of the icon and of the color.
    icon: &'static str,
    word: String,
}

impl Badge {
    /// Returns the badge of a connection's state.
    pub(crate) fn state(state: State, language: Language) -> Self {
        let icon = match state {
            State::Expired | State::Reauthorize => "bad",
            State::Expiring | State::MissingScope => "warn",
            State::NotConnected => "idle",
            State::Retrying => "busy",
            State::Connected => "good",
        };
        Self {
            icon,
            word: language.text(&format!("state.{state}")),
        }
    }

    /// Returns the badge of a transaction's status.
    pub(crate) fn status(status: relation_host::transactions::Status, language: Language) -> Self {
        use relation_host::transactions::Status;
        let icon = match status {
            Status::Success => "good",
            Status::Fail => "bad",
            Status::SuccessWithAsyncFailures => "warn",
            _ => "busy",
        };
        Self {
            icon,
            word: language.text(&format!("status.{}", slug(status.as_str()))),
        }
    }

    /// Returns the badge of an alert's severity.
    pub(crate) fn severity(severity: relation_app::alerts::Severity, language: Language) -> Self {
        use relation_app::alerts::Severity;
        let icon = match severity {
            Severity::Critical => "bad",
            Severity::Major | Severity::Minor => "warn",
            Severity::Info => "idle",
        };
        Self {
            icon,
            word: language.text(&format!("severity.{}", severity.as_str())),
        }
    }

    /// Returns the badge with any word.
    pub(crate) fn new(icon: &'static str, word: String) -> Self {
        Self { icon, word }
    }
}

impl HtmlSafe for Badge {}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word =
            askama::filters::escape(&self.word, askama::filters::Html).map_err(|_| fmt::Error)?;
        let icon = self.icon;
        write!(
            f,
            "<span class=\"badge {icon}\"><svg class=\"icon\" aria-hidden=\"true\"><use href=\"#i-{icon}\"></use></svg>{word}</span>"
        )
    }
}

/// The format of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// The time from now until then: `3 d 4 h`, or `2 h ago`.
    Relative,
    /// The date and the time.
    Absolute,
}

/// A time, as an element with both forms. The script of the page keeps it up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    at: Timestamp,
    now: Timestamp,
    language: Language,
    style: Style,
    assumed: bool,
}

impl Moment {
    /// Returns a time, shown by its distance from now.
    pub(crate) fn relative(at: Timestamp, ui: &super::ui::Ui) -> Self {
        Self {
            at,
            now: ui.now,
            language: ui.language,
            style: Style::Relative,
            assumed: false,
        }
    }

    /// Returns a time, shown as date and time.
    pub(crate) fn absolute(at: Timestamp, ui: &super::ui::Ui) -> Self {
        Self {
            style: Style::Absolute,
            ..Self::relative(at, ui)
        }
    }

    /// Returns an expiry, shown by its distance from now; one that Webex did not report is marked.
    pub(crate) fn expiry(expiry: Expiry, ui: &super::ui::Ui) -> Self {
        Self {
            assumed: expiry.assumed,
            ..Self::relative(expiry.at, ui)
        }
    }
}

/// Formats a time in UTC: `2026-11-29 18:00`.
pub(crate) fn format_utc(at: Timestamp) -> String {
    let text = at.to_string();
    let minute = text.get(..16).filter(|_| text.contains('T'));
    minute.map_or(text.clone(), |minute| minute.replace('T', " "))
}

/// Formats a duration in its two largest adjacent units, in the units of the language.
pub(crate) fn format_span(span: Duration, language: Language) -> String {
    let text = match span.as_secs() {
        0 => relation_host::text::format_span(Duration::from_secs(0)),
        seconds => relation_host::text::format_span(Duration::from_secs(seconds)),
    };
    let words = text.split(' ').map(|word| match word {
        "d" => language.text("time.day"),
        "h" => language.text("time.hour"),
        "min" => language.text("time.minute"),
        "s" => language.text("time.second"),
        number => number.to_owned(),
    });
    words.collect::<Vec<_>>().join("\u{a0}")
}

/// Formats the distance of a time from now.
pub(crate) fn format_distance(at: Timestamp, now: Timestamp, language: Language) -> String {
    match at >= now {
        true => format_span(at.since(now), language),
        false => language.text_with("time.ago", format_span(now.since(at), language)),
    }
}

impl HtmlSafe for Moment {}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = format_utc(self.at);
        let distance = format_distance(self.at, self.now, self.language);
        let (text, title, style) = match self.style {
            Style::Relative => (distance, format!("{utc} UTC"), "relative"),
            Style::Absolute => (format!("{utc} UTC"), distance, "absolute"),
        };
        write!(
            f,
            "<time datetime=\"{}\" title=\"{title}\" data-time=\"{style}\">{text}</time>",
            self.at
        )?;
        if self.assumed {
            let hint = self.language.text("time.assumed-hint");
            let word = self.language.text("time.assumed");
            write!(f, " <abbr class=\"assumed\" title=\"{hint}\">{word}</abbr>")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOW: Timestamp = Timestamp(1_795_975_200_000);

    fn distance(at: u64, language: Language) -> String {
        format_distance(Timestamp(at), NOW, language).replace('\u{a0}', " ")
    }

    #[test]
    fn times_have_words_of_the_language() {
        assert_eq!(distance(NOW.0 + 76 * HOUR, Language::English), "3 d 4 h");
        assert_eq!(
            distance(NOW.0 + 76 * HOUR, Language::German),
            "3 Tg. 4 Std."
        );
        assert_eq!(distance(NOW.0 - 2 * HOUR, Language::English), "2 h ago");
        assert_eq!(distance(NOW.0 - 2 * HOUR, Language::German), "vor 2 Std.");
        assert_eq!(distance(NOW.0, Language::English), "0 s");
        assert!(!distance(u64::MAX, Language::English).is_empty());
    }

    #[test]
    fn utc_time_ends_with_the_minute() {
        assert_eq!(format_utc(Timestamp(1_795_975_200_000)), "2026-11-29 18:00");
        assert_eq!(format_utc(Timestamp(u64::MAX)), format!("{} ms", u64::MAX));
    }

    #[test]
    fn bidi_and_control_characters_are_replaced() {
        assert_eq!(
            clean("Con\u{202e}osot\u{1b}[2J"),
            "Con\\u{202e}osot\u{fffd}[2J"
        );
        assert_eq!(clean("株式会社 é\n"), "株式会社 é\n");
    }

    #[test]
    fn badge_is_an_icon_with_a_word() {
        let badge = Badge::new("bad", "<b>".to_owned()).to_string();
        assert!(
            badge.contains("#i-bad") && badge.contains("&#60;b&#62;"),
            "{badge}"
        );
    }
}
