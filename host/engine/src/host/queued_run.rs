//! A queued call that runs: what an earlier attempt has done, and how the call ends.

use std::sync::atomic::{AtomicBool, Ordering};

use super::CallErrorKind;
use super::queue::QueuedCall;
use super::wake::retry_time;
use crate::imports::CommitMark;
use crate::store::{DueWakeup, WakeupSettlement};
use crate::transactions::Status;
use crate::types::{Document, Failure, Pkid, Reference, Timestamp};

/// The maximum number of attempts of a queued call: the last one is made about a quarter of an hour after the first.
const MAX_ATTEMPTS: u32 = 5;

/// A queued call that runs.
pub(super) struct QueuedRun {
    /// The id of the call's transaction.
    pub transaction: String,
    /// The wakeup that the call runs for.
    pub due: DueWakeup,
    /// The primary key of the record, also of one that the call adds.
    pub pkid: Pkid,
    work: Work,
    /// Whether an earlier attempt has committed, as far as the call is bound to a version of its record.
    has_committed: AtomicBool,
}

/// The state on which the repetition of a queued call depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Deletes the record.
    Deletion,
    /// Modifies the record, in one commit.
    Modification,
    Other,
}

impl Work {
    fn new(call: &QueuedCall) -> Self {
        match call {
            QueuedCall::Delete { .. } => Self::Deletion,
            QueuedCall::Modify { .. } => Self::Modification,
            _ => Self::Other,
        }
    }
}

impl QueuedRun {
    /// Creates the run of a call for its wakeup. `pkid` is that of the record.
    pub(super) fn new(due: &DueWakeup, pkid: Pkid, call: &QueuedCall) -> Self {
        Self {
            transaction: due.wakeup.payload.clone(),
            due: due.clone(),
            pkid,
            work: Work::new(call),
            has_committed: AtomicBool::default(),
        }
    }

    /// Returns whether the call failed only because an earlier attempt, or another call, had done its work.
    pub(super) fn is_done_already(&self, error: &CallErrorKind) -> bool {
        match error {
            CallErrorKind::Refused(Failure::NotFound(missing)) => {
                let record = Reference::record(self.pkid.clone());
                self.work == Work::Deletion && *missing == record
            }
            // Another call has changed the record after the interrupted attempt.
            CallErrorKind::Changed { .. } => {
                self.work == Work::Modification && self.has_committed.load(Ordering::Relaxed)
            }
            _ => false,
        }
    }

    /// Describes the end of a call whose work was done before this attempt.
    pub(super) fn describe_done(error: &CallErrorKind) -> String {
        match error {
            CallErrorKind::Changed { .. } => {
                "modified by an interrupted attempt; the record was changed again since"
            }
            _ => "the record does not exist any more",
        }
        .to_owned()
    }

    /// Returns the record's version after the last commit of an earlier attempt, from the document of this call.
    pub(super) fn read_committed_version(&self, document: &Document) -> Option<u64> {
        let version = CommitMark::read(document);
        self.has_committed
            .store(version.is_some(), Ordering::Relaxed);
        version
    }

    /// Returns the status of the transaction after an attempt with this result, and how to settle the wakeup.
    pub(super) fn settle(
        &self,
        error: Option<&CallErrorKind>,
        status: Status,
        now: Timestamp,
    ) -> (Status, WakeupSettlement) {
        let due = self.due.clone();
        match error {
            Some(error) if is_temporary(error) && due.attempts.saturating_add(1) < MAX_ATTEMPTS => {
                let at = retry_time(error, &due, now);
                (Status::Queued, WakeupSettlement::Retry(due, at))
            }
            // A record that does not exist leaves nothing, so neither does a request.
            Some(CallErrorKind::Refused(Failure::NotFound(_))) => {
                (status, WakeupSettlement::Delete(due))
            }
            None if status == Status::Success => (status, WakeupSettlement::Delete(due)),
            // The request is kept for a replay.
            _ => (status, WakeupSettlement::Done(due)),
        }
    }
}

/// Returns whether the same call may succeed later without a change by anyone.
fn is_temporary(error: &CallErrorKind) -> bool {
    matches!(
        error,
        CallErrorKind::Refused(
            Failure::Conflict(_) | Failure::RateLimited(_) | Failure::Unavailable(_)
        )
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::queue::queued_call;
    use crate::types::Wakeup;
    use crate::wakeup_kinds;

    fn run(attempts: u32, work: Work) -> QueuedRun {
        let subject = queued_call(Pkid::random());
        QueuedRun {
            transaction: "t1".to_owned(),
            due: DueWakeup {
                wakeup: Wakeup {
                    id: wakeup_kinds::QUEUED_CALL.to_owned(),
                    subject,
                    due: Timestamp(0),
                    deadline: Some(Timestamp(0)),
                    payload: "t1".to_owned(),
                },
                revision: 1,
                attempts,
            },
            pkid: Pkid::random(),
            work,
            has_committed: AtomicBool::default(),
        }
    }

    #[test]
    fn temporary_errors_are_retried_a_few_times() {
        let now = Timestamp(1_000_000);
        let busy = CallErrorKind::Refused(Failure::Unavailable("down".into()));
        for (attempts, minutes) in [(0, 1), (3, 8)] {
            let (status, settlement) =
                run(attempts, Work::Other).settle(Some(&busy), Status::Fail, now);
            assert_eq!(status, Status::Queued);
            let at = now.after(Duration::from_secs(60 * minutes));
            assert!(
                matches!(&settlement, WakeupSettlement::Retry(_, due) if *due == at),
                "{settlement:?}"
            );
        }
        let (status, settlement) = run(4, Work::Other).settle(Some(&busy), Status::Fail, now);
        assert_eq!(status, Status::Fail);
        assert!(matches!(settlement, WakeupSettlement::Done(_)));
    }

    #[test]
    fn request_is_kept_for_a_replay_only() {
        let now = Timestamp(0);
        let refused = CallErrorKind::Refused(Failure::Invalid(Vec::new()));
        let missing = CallErrorKind::Refused(Failure::NotFound(Reference::record(Pkid::random())));
        for (error, status, is_kept) in [
            (None, Status::Success, false),
            (None, Status::SuccessWithAsyncFailures, true),
            (None, Status::Fail, true),
            (Some(&refused), Status::Fail, true),
            (Some(&missing), Status::Fail, false),
        ] {
            let (settled, settlement) = run(0, Work::Other).settle(error, status, now);
            assert_eq!(settled, status);
            let done = matches!(settlement, WakeupSettlement::Done(_));
            assert_eq!(done, is_kept, "{error:?} {status:?}");
        }
    }

    #[test]
    fn delete_of_a_missing_record_is_done() {
        let delete = run(0, Work::Deletion);
        let of = |pkid: &Pkid| {
            CallErrorKind::Refused(Failure::NotFound(Reference::record(pkid.clone())))
        };
        assert!(delete.is_done_already(&of(&delete.pkid)));
        assert!(!delete.is_done_already(&of(&Pkid::random())));
        let other = run(0, Work::Other);
        assert!(!other.is_done_already(&of(&other.pkid)));
    }

    #[test]
    fn modification_is_done_if_it_was_committed_before() {
        let changed = CallErrorKind::Changed {
            subject: Reference::record(Pkid::random()),
            expected: 2,
            found: 3,
        };
        let document = |body: &str| Document {
            reference: queued_call(Pkid::random()),
            hierarchy: "sys".parse().unwrap(),
            version: 1,
            body: body.to_owned(),
            keys: Vec::new(),
        };
        for (work, body, version, is_done) in [
            (Work::Modification, "{}", None, false),
            (Work::Modification, r#"{"committed":2}"#, Some(2), true),
            (Work::Other, r#"{"committed":2}"#, Some(2), false),
        ] {
            let run = run(0, work);
            assert_eq!(run.read_committed_version(&document(body)), version);
            assert_eq!(run.is_done_already(&changed), is_done, "{work:?} {body}");
        }
    }
}
