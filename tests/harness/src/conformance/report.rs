//! What the suite says of a host.

use serde::{Deserialize, Serialize};

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The host keeps it.
    Passed,
    /// It does not.
    Failed,
    /// It could not be tried.
    Skipped,
    /// A wakeup is to decide it.
    Pending,
}

/// One check, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name, such as `storage.commit.whole`; it stays from version to version.
    pub id: String,
    /// What a host does that passes it.
    pub says: String,
    /// How it stands.
    pub status: Status,
    /// Why it did not pass: what was expected and what came, or what was missing to try it.
    pub why: Option<String>,
}

/// What the suite says of a host, as `connection.notes` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The suite, with its version.
    pub suite: String,
    /// What is to be done next: `checks`, `wait` or `done`.
    pub next: String,
    /// Every check, in the order in which they run.
    pub checks: Vec<Finding>,
}

/// The notes of a connection are no report: another component than the suite was run.
#[derive(Debug, thiserror::Error)]
#[error("the notes of the connection are no report of the suite: {0}")]
pub struct MalformedReport(#[from] serde_json::Error);

impl Report {
    /// Reads `connection.notes`.
    pub fn read(notes: &str) -> Result<Self, MalformedReport> {
        Ok(serde_json::from_str(notes)?)
    }

    /// The checks that stand like this.
    pub fn that_are(&self, status: Status) -> impl Iterator<Item = &Finding> {
        self.checks
            .iter()
            .filter(move |finding| finding.status == status)
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Finding> {
        self.that_are(Status::Failed)
    }

    /// Whether nothing failed or is still to come, and something passed.
    pub fn is_conformant(&self) -> bool {
        let passed = self.that_are(Status::Passed).count();
        let open = self.that_are(Status::Pending).count() + self.failed().count();
        passed > 0 && open == 0
    }

    /// Decides a check that the suite cannot decide itself.
    pub(super) fn decide(&mut self, id: &str, why_not: Option<String>) {
        for finding in &mut self.checks {
            if finding.id == id {
                finding.status = match why_not {
                    Some(_) => Status::Failed,
                    None => Status::Passed,
                };
                finding.why.clone_from(&why_not);
            }
        }
    }

    /// What is still to come never came.
    pub(super) fn close(&mut self, why: &str) {
        for finding in &mut self.checks {
            if finding.status == Status::Pending {
                finding.status = Status::Failed;
                finding.why = Some(why.to_owned());
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
            why: None,
        };
        Report {
            suite: "s".into(),
            next: "done".into(),
            checks: statuses.iter().map(finding).collect(),
        }
    }

    #[test]
    fn a_host_of_which_nothing_was_tried_is_not_conformant() {
        assert!(!report(&[]).is_conformant());
        assert!(!report(&[Status::Skipped]).is_conformant());
        assert!(report(&[Status::Skipped, Status::Passed]).is_conformant());
    }

    #[test]
    fn what_failed_or_never_came_is_not_conformant() {
        assert!(!report(&[Status::Passed, Status::Failed]).is_conformant());
        let mut pending = report(&[Status::Passed, Status::Pending]);
        assert!(!pending.is_conformant());
        pending.close("it never came");
        assert_eq!(pending.failed().count(), 1);
        assert!(!pending.is_conformant());
    }

    #[test]
    fn notes_of_another_component_are_no_report() {
        assert!(Report::read("the token expires soon").is_err());
    }
}
