//! For build servers: JUnit's XML.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::scenario::outcome::{Ran, Verdict};

/// One suite, a case for each scenario: `failure` for one that failed, `error` for a broken file.
///
/// # Errors
/// If it cannot be written as XML.
pub fn junit(all: &[Ran], took: Duration) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new("scenarios");
    suite.set_time(took);
    for ran in all {
        let mut status = match &ran.verdict {
            Verdict::Passed => TestCaseStatus::success(),
            Verdict::Failed { .. } => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Verdict::Broken { .. } => TestCaseStatus::non_success(NonSuccessKind::Error),
        };
        if !ran.passed() {
            let text = anstream::adapter::strip_str(&super::finished(ran)).to_string();
            status.set_message(ran.about.clone());
            status.set_description(text);
        }
        let mut case = TestCase::new(ran.path.display().to_string(), status);
        case.set_classname("scenarios");
        case.set_time(ran.took);
        suite.add_test_case(case);
    }
    let mut report = Report::new("relation-host test");
    report.set_time(took);
    report.add_test_suite(suite);
    report.to_string()
}
