//! The report for build servers: JUnit XML.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::scenario::outcome::{ScenarioResult, Verdict};

/// Returns one suite with a case for each scenario: `failure` for a failed scenario, `error` for a broken file.
///
/// # Errors
/// If the report cannot be written as XML.
pub fn to_junit(all: &[ScenarioResult], took: Duration) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new("scenarios");
    suite.set_time(took);
    for ran in all {
        let mut status = match &ran.verdict {
            Verdict::Passed => TestCaseStatus::success(),
            Verdict::Failed { .. } => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Verdict::Broken { .. } => TestCaseStatus::non_success(NonSuccessKind::Error),
        };
        if !ran.passed() {
            let text = anstream::adapter::strip_str(&super::format_result(ran)).to_string();
            status.set_message(escape_forbidden(&ran.about));
            status.set_description(escape_forbidden(&text));
        }
        let name = escape_forbidden(&ran.path.display().to_string());
        let mut case = TestCase::new(name, status);
        case.set_classname("scenarios");
        case.set_time(ran.duration);
        suite.add_test_case(case);
    }
    let mut report = Report::new("relation-host test");
    report.set_time(took);
    report.add_test_suite(suite);
    report.to_string()
}

/// Writes characters that XML 1.0 forbids (section 2.2) as `\u{fffe}`.
fn escape_forbidden(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'.. => escaped.push(letter),
            forbidden => escaped.extend(forbidden.escape_unicode()),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::format::LoadError;

    #[test]
    fn every_character_leads_to_valid_xml() {
        let all: String = ('\0'..=char::MAX).collect();
        let escaped = escape_forbidden(&all);
        let is_valid = |letter| {
            matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
                || letter >= '\u{10000}'
        };
        assert!(escaped.chars().all(is_valid));
        assert!(escaped.contains("\\u{0}\\u{1}") && escaped.contains("\\u{fffe}\\u{ffff}"));
    }

    #[test]
    fn forbidden_characters_are_escaped_in_xml() {
        let path = Path::new("a\u{fffe}<\u{1}>\"&.toml");
        let error = std::io::Error::other("no\u{ffff}\u{0}\u{b}]]>");
        let error = LoadError::Unreadable {
            path: path.display().to_string(),
            cause: error,
        };
        let xml = to_junit(&[ScenarioResult::broken(path, &error)], Duration::ZERO).unwrap();
        let is_forbidden = |letter: char| {
            matches!(letter, '\u{fffe}' | '\u{ffff}') || (letter.is_control() && letter != '\n')
        };
        assert!(!xml.contains(is_forbidden), "{xml}");
        // Control characters are replaced in the text for people.
        for text in ["a\\u{fffe}&lt;\\u{1}&gt;", "no\\u{ffff}\u{fffd}"] {
            assert!(xml.contains(text), "{text}: {xml}");
        }
    }
}
