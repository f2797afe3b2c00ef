//! The suite's report on a host.

use serde::{Deserialize, Serialize};

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The host satisfies the check.
    Passed,
    /// The host does not satisfy the check.
    Failed,
    /// The check could not be tried.
    Skipped,
    /// A wakeup will decide the check.
    Pending,
}

/// A check and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The id of the check, such as `storage.commit.whole`, stable across versions.
    pub id: String,
    /// The behavior of a host that passes.
    pub says: String,
    /// The outcome.
    pub status: Status,
    /// The reason if the check did not pass: the expected and the actual result, or what was missing to try it.
    #[serde(rename = "why")]
    pub reason: Option<String>,
}

/// The suite's report on a host, as `connection.notes` contains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The name and version of the suite.
    pub suite: String,
    /// The next action of the driver: `checks`, `wait` or `done`.
    pub next: String,
    /// All checks, in the order in which they run.
    pub checks: Vec<Finding>,
}

/// The notes of a connection are not a report: the component is not the suite.
#[derive(Debug, thiserror::Error)]
#[error("the notes of the connection are not a report of the suite: {0}")]
pub struct MalformedReport(#[from] serde_json::Error);

impl Report {
    /// Parses `connection.notes`.
    pub fn parse(notes: &str) -> Result<Self, MalformedReport> {
        Ok(serde_json::from_str(notes)?)
    }

    /// Returns the checks with this status.
    pub fn with_status(&self, status: Status) -> impl Iterator<Item = &Finding> {
        self.checks
            .iter()
            .filter(move |finding| finding.status == status)
    }

    /// Returns the failed checks.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.with_status(Status::Failed)
    }

    /// Returns whether no check failed or is pending, and at least one passed.
    pub fn is_conformant(&self) -> bool {
        let passed = self.with_status(Status::Passed).count();
        let open = self.with_status(Status::Pending).count() + self.failed().count();
        passed > 0 && open == 0
    }

    /// Sets the outcome of a check that the suite cannot decide itself.
    pub(super) fn decide(&mut self, id: &str, why_not: Option<String>) {
        for finding in &mut self.checks {
            if finding.id == id {
                finding.status = match why_not {
                    Some(_) => Status::Failed,
                    None => Status::Passed,
                };
                finding.reason.clone_from(&why_not);
            }
        }
    }

    /// Turns pending checks into failed ones.
    pub(super) fn fail_pending(&mut self, reason: &str) {
        for finding in &mut self.checks {
            if finding.status == Status::Pending {
                finding.status = Status::Failed;
                finding.reason = Some(reason.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(statuses: &[Status]) -> Report {
        let finding = |status: &Status| Finding {
            id: format!("{status:?}"),
            says: String::new(),
            status: *status,
            reason: None,
        };
        Report {
            suite: "s".into(),
            next: "done".into(),
            checks: statuses.iter().map(finding).collect(),
        }
    }

    #[test]
    fn host_without_passed_checks_is_not_conformant() {
        assert!(!report(&[]).is_conformant());
        assert!(!report(&[Status::Skipped]).is_conformant());
        assert!(report(&[Status::Skipped, Status::Passed]).is_conformant());
    }

    #[test]
    fn failed_or_pending_checks_are_not_conformant() {
        assert!(!report(&[Status::Passed, Status::Failed]).is_conformant());
        let mut pending = report(&[Status::Passed, Status::Pending]);
        assert!(!pending.is_conformant());
        pending.fail_pending("it never came");
        assert_eq!(pending.failed().count(), 1);
        assert!(!pending.is_conformant());
    }

    #[test]
    fn notes_of_another_component_are_not_a_report() {
        assert!(Report::parse("the token expires soon").is_err());
    }
}
