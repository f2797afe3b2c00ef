//! Writes. Their outcome is always found out, also when the connection breaks before the response.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::connections::{Connections, Failure, Shared, jitter};
use super::error::{Class, WriteError};
use super::groups::{GroupFailure, call};
use super::{Lane, Parameters};
use crate::StoreError;
use relation_types::Reference;

/// How long a write is repeated if it meets other writes.
const CONFLICT_LIMIT: Duration = Duration::from_secs(5);

/// Takes the id of a write. Waits as long as the server still runs that write. A row: it was never committed and never
/// will be, because its own insertion would fail.
const PREVENT: &str =
    "INSERT INTO relation.writes (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true";

/// Reads the result of a write. `None`: it was prevented.
const RESULT: &str = "SELECT result FROM relation.writes WHERE id = $1";

impl Connections {
    /// Calls a function that writes, and returns its result. `subject`: in a group, if other writes wait.
    pub(super) async fn write(
        &self,
        function: &'static str,
        mut subject: Option<&Reference>,
        parameters: Parameters<'_>,
    ) -> Result<String, WriteError> {
        let shared = self.shared();
        let conflicts_until = Instant::now() + CONFLICT_LIMIT;
        let mut deadline = shared.deadline();
        let mut broken = false;
        loop {
            let id = Uuid::new_v4();
            let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&id, Type::UUID)];
            values.extend(parameters.iter().cloned());
            let failure = if let Some(group) = subject {
                let attempt = shared.attempt_in_group(function, group, &values, deadline);
                match attempt.await {
                    Ok(result) => return Ok(result),
                    Err(GroupFailure::Refused) => {
                        subject = None;
                        continue;
                    }
                    Err(GroupFailure::Failed(failure)) => failure,
                }
            } else {
                let statement = call(function, values.len(), 1);
                let attempt = shared.attempt(Lane::Write, &statement, &values, deadline);
                match attempt.await {
                    Ok(rows) => {
                        let result = rows.first().map(|row| row.try_get::<_, Option<String>>(0));
                        return Ok(result.transpose()?.flatten().unwrap_or_default());
                    }
                    Err(failure) => failure,
                }
            };
            match failure.class() {
                Class::Broken => {
                    if !broken {
                        // The time until the failure was the server's.
                        broken = true;
                        deadline = Instant::now() + shared.patience();
                    }
                    if let Some(result) = shared.resolve(id, deadline).await? {
                        return Ok(result);
                    }
                    if Instant::now() > deadline {
                        return Err(failure.into_error().into());
                    }
                }
                Class::Again if Instant::now() < conflicts_until => {
                    tokio::time::sleep(jitter(Duration::from_millis(50))).await;
                }
                Class::ReadOnly | Class::Stale if Instant::now() < deadline => {}
                _ => return Err(fail(failure)),
            }
        }
    }
}

fn fail(failure: Failure) -> WriteError {
    match failure {
        Failure::Statement(error) => error.into(),
        other => WriteError::Store(other.into_error()),
    }
}

impl Shared {
    /// Finds out whether a write was committed, and returns its result. `None`: it was not and never will be.
    async fn resolve(&self, id: Uuid, deadline: Instant) -> Result<Option<String>, StoreError> {
        let events = self.events();
        loop {
            let failure = match self.ask_outcome(id, deadline).await {
                Ok(outcome) => {
                    let found = match &outcome {
                        Some(_) => &events.made,
                        None => &events.prevented,
                    };
                    found.fetch_add(1, Ordering::Relaxed);
                    return Ok(outcome);
                }
                Err(failure) => failure,
            };
            let reached = !matches!(failure, Failure::Unreachable(_));
            let error = failure.into_error();
            if !reached || Instant::now() > deadline {
                events.unknown.fetch_add(1, Ordering::Relaxed);
                return Err(StoreError::Unavailable(format!(
                    "the connection to the database broke during a write, and the outcome could not be found out within {} s: {error}",
                    self.patience().as_secs()
                )));
            }
            tokio::time::sleep(jitter(Duration::from_millis(50))).await;
        }
    }

    async fn ask_outcome(&self, id: Uuid, deadline: Instant) -> Result<Option<String>, Failure> {
        let id: &(dyn ToSql + Sync) = &id;
        let id = [(id, Type::UUID)];
        let prevented = self.attempt(Lane::Write, PREVENT, &id, deadline).await?;
        if !prevented.is_empty() {
            return Ok(None);
        }
        let rows = self.attempt(Lane::Write, RESULT, &id, deadline).await?;
        let result = rows.first().map(|row| row.try_get(0)).transpose();
        Ok(result.map_err(Failure::Statement)?.flatten())
    }
}
