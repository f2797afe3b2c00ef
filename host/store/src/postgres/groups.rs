//! Groups of writes: what waits at the same time is written by one statement, in one transaction. This saves most of
//! what a transaction costs the server.
//!
//! The writes of a group call the same function for different documents, in the order of these, so that the groups of
//! several hosts lock them in the same order. If the server refuses one write, or it has to wait for a lock, nothing of the
//! group was changed, and each of its writes is repeated alone. Each write has an id of its own, by which a lost answer is
//! resolved.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::connections::{Failure, Shared};
use super::error::Class;
use super::{Lane, Parameters};
use crate::StoreError;
use relation_types::Reference;

/// The largest number of writes in a group. The sizes of groups are powers of two, so that there are few statements.
const LARGEST: usize = 16;

/// The number of groups of one function that are written at the same time.
const RUNNING: usize = 2;

/// The first column of a group's statement. A group does not wait for longer for a lock, since the others of the group
/// wait too.
const LOCK_TIMEOUT: &str = "set_config('lock_timeout', '250ms', true)";

/// The writes that wait, by function, and numbers for metrics.
#[derive(Default)]
pub(super) struct Groups {
    queues: Mutex<HashMap<&'static str, Queue>>,
    groups: AtomicU64,
    writes: AtomicU64,
}

/// The writes of one function.
#[derive(Default)]
struct Queue {
    running: usize,
    waiting: Vec<Waiting>,
}

/// A write that waits for its group.
struct Waiting {
    subject: Reference,
    parameters: Vec<(Encoded, Type)>,
    deadline: Instant,
    outcome: oneshot::Sender<Outcome>,
}

/// The outcome of a write in a group.
enum Outcome {
    Written(String),
    /// The group changed no data, and the write may succeed alone.
    Refused,
    /// A failure as without a group.
    Failed(Failure),
}

/// Why a write in a group failed.
pub(super) enum GroupFailure {
    /// The group changed no data, and the write must be tried alone.
    Refused,
    /// A failure as without a group.
    Failed(Failure),
}

impl Waiting {
    fn tell(self, outcome: Outcome) {
        // The caller may have given up.
        let _ = self.outcome.send(outcome);
    }
}

impl Groups {
    /// Returns the number of writes that wait for their group.
    pub(super) fn waiting(&self) -> u64 {
        let queues = self.queues.lock();
        queues
            .values()
            .map(|queue| queue.waiting.len() as u64)
            .sum()
    }

    /// Returns the number of writes that were made in groups, and of the groups.
    pub(super) fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.writes), read(&self.groups))
    }

    fn count(&self, writes: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(writes as u64, Ordering::Relaxed);
    }

    /// Adds a write. Returns whether the caller must start a task that writes groups.
    fn add(&self, function: &'static str, write: Waiting) -> bool {
        let mut queues = self.queues.lock();
        let queue = queues.entry(function).or_default();
        queue.waiting.push(write);
        let starts = queue.running < RUNNING;
        if starts {
            queue.running += 1;
        }
        starts
    }

    /// Takes the next group. An empty one: none is left, and the task ends. Who has waited until its deadline learns
    /// `describe_outage`.
    fn take(
        &self,
        function: &'static str,
        describe_outage: impl Fn() -> StoreError,
    ) -> Vec<Waiting> {
        let now = Instant::now();
        let mut queues = self.queues.lock();
        let queue = queues.entry(function).or_default();
        queue.waiting.retain(|write| !write.outcome.is_closed());
        for late in queue.waiting.extract_if(.., |write| write.deadline <= now) {
            let failure = Failure::Unreachable(describe_outage());
            late.tell(Outcome::Failed(failure));
        }
        let count = queue.waiting.len().min(LARGEST);
        let Some(power) = count.checked_ilog2() else {
            queue.running -= 1;
            return Vec::new();
        };
        let mut group: Vec<Waiting> = queue.waiting.drain(..1 << power).collect();
        group.sort_by(|a, b| a.subject.cmp(&b.subject));
        group
    }
}

impl Shared {
    /// Writes once, in a group with what else waits for the function.
    pub(super) async fn attempt_in_group(
        self: &Arc<Self>,
        function: &'static str,
        subject: &Reference,
        parameters: Parameters<'_>,
        deadline: Instant,
    ) -> Result<String, GroupFailure> {
        let (sender, outcome) = oneshot::channel();
        let write = Waiting {
            subject: subject.clone(),
            parameters: encode(parameters).map_err(GroupFailure::Failed)?,
            deadline,
            outcome: sender,
        };
        if self.groups().add(function, write) {
            let shared = Arc::clone(self);
            let task = async move { shared.write_groups(function).await };
            // The caller's runtime may end before the store.
            self.runtime().spawn(task);
        }
        match outcome.await {
            Ok(Outcome::Written(result)) => Ok(result),
            Ok(Outcome::Refused) => Err(GroupFailure::Refused),
            Ok(Outcome::Failed(failure)) => Err(GroupFailure::Failed(failure)),
            Err(_) => Err(GroupFailure::Failed(Failure::NoAnswer)),
        }
    }

    /// Writes one group after the other while writes wait.
    async fn write_groups(&self, function: &'static str) {
        loop {
            let group = self.groups().take(function, || self.describe_outage());
            if group.is_empty() {
                return;
            }
            self.write_group(function, group).await;
        }
    }

    async fn write_group(&self, function: &'static str, group: Vec<Waiting>) {
        let mut values: Vec<(&(dyn ToSql + Sync), Type)> = Vec::new();
        for write in &group {
            let encoded = write.parameters.iter();
            values.extend(encoded.map(|(value, kind)| (value as _, kind.clone())));
        }
        let statement = call(function, values.len() / group.len().max(1), group.len());
        // The others whose time is not over try alone.
        let deadlines = group.iter().map(|write| write.deadline);
        let deadline = deadlines.min().unwrap_or_else(Instant::now);
        let attempt = self.attempt(Lane::Write, &statement, &values, deadline);
        let failure = match attempt.await {
            Ok(rows) => {
                self.groups().count(group.len());
                let first = usize::from(group.len() > 1);
                for (number, write) in group.into_iter().enumerate() {
                    write.tell(read_result(&rows, first + number));
                }
                return;
            }
            Err(failure) => failure,
        };
        let group = match <[Waiting; 1]>::try_from(group) {
            Ok([alone]) => return alone.tell(Outcome::Failed(failure)),
            Err(group) => group,
        };
        let is_lost = failure.class() == Class::Broken;
        tracing::debug!(
            function,
            writes = group.len(),
            "a group of writes failed: {}",
            failure.into_error()
        );
        for write in group {
            write.tell(match is_lost {
                true => Outcome::Failed(Failure::NoAnswer),
                false => Outcome::Refused,
            });
        }
    }
}

/// Returns a statement that calls a function several times.
pub(super) fn call(function: &str, parameters: usize, times: usize) -> String {
    let mut columns = Vec::with_capacity(times + 1);
    if times > 1 {
        columns.push(LOCK_TIMEOUT.to_owned());
    }
    columns.extend((0..times).map(|call| {
        let numbers = (1..=parameters).map(|number| format!("${}", call * parameters + number));
        format!("{function}({})", numbers.collect::<Vec<_>>().join(","))
    }));
    format!("SELECT {}", columns.join(", "))
}

fn read_result(rows: &[Row], number: usize) -> Outcome {
    let result = rows
        .first()
        .map(|row| row.try_get::<_, Option<String>>(number));
    match result {
        Some(Ok(result)) => Outcome::Written(result.unwrap_or_default()),
        // Its id in `writes` shows what it wrote.
        Some(Err(_)) | None => Outcome::Failed(Failure::NoAnswer),
    }
}

/// The value of a parameter, as it is sent.
#[derive(Debug)]
struct Encoded(Option<Bytes>);

fn encode(parameters: Parameters<'_>) -> Result<Vec<(Encoded, Type)>, Failure> {
    let encoded = parameters.iter().map(|(value, kind)| {
        let mut bytes = BytesMut::new();
        match value.to_sql_checked(kind, &mut bytes) {
            Ok(IsNull::Yes) => Ok((Encoded(None), kind.clone())),
            Ok(IsNull::No) => Ok((Encoded(Some(bytes.freeze())), kind.clone())),
            Err(error) => {
                let error = StoreError::Corrupt(format!("a parameter: {error}"));
                Err(Failure::Unreachable(error))
            }
        }
    });
    encoded.collect()
}

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
