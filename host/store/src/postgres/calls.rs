//! The begin, the updates and the end of a call, each in one round trip: see `functions/calls.sql`.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio_postgres::types::Type;

use super::error::{
    WriteError, from_millis, from_sql_count, require_text, to_millis, to_sql_count,
};
use super::updates::{encode_new, encode_update, parse_result};
use super::{LeaseClock, Parameters, PostgresStore};
use crate::{
    BeginOutcome, CallEnd, CallStart, CallStore, DueWakeup, Lease, Recovery, RedateReport,
    StoreError, WakeupSettlement,
};
use relation_types::transactions::TransactionUpdate;
use relation_types::{QUEUED_CALL_MODEL, Reference, Timestamp};

/// Leases do not last longer, so that no time exceeds the range of PostgreSQL's integers.
const LONGEST_LEASE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The result of `begin_v1`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Begun {
    Started(Option<Claim>),
    Busy(i64),
    Gone,
}

#[derive(Debug, Deserialize)]
struct Claim {
    epoch: i64,
    interrupted: Option<i64>,
}

#[async_trait]
impl CallStore for PostgresStore {
    async fn begin(&self, begin: CallStart) -> Result<BeginOutcome, StoreError> {
        let subject = begin.subject.as_ref();
        if let Some(subject) = subject {
            require_text("the model of a subject", &subject.model)?;
        }
        let wakeup = begin.wakeup.as_ref();
        if let Some(wakeup) = wakeup {
            check_wakeup(wakeup)?;
        }
        if let Some(until) = self.find_takeover_wait(&begin).await? {
            return Ok(BeginOutcome::Busy(until));
        }
        let model = subject.map(|subject| subject.model.as_str());
        let pkid = subject.map(|subject| subject.pkid.as_str());
        let (by_database, now) = (self.is_by_database(), to_millis(begin.now));
        let expires = begin.now.after(begin.lease.min(LONGEST_LEASE));
        let lease = to_millis(expires).saturating_sub(now);
        let on = wakeup.map(|due| &due.wakeup.subject);
        let wakeup_model = on.map(|subject| subject.model.as_str());
        let wakeup_pkid = on.map(|subject| subject.pkid.as_str());
        let wakeup_id = wakeup.map(|due| due.wakeup.id.as_str());
        let revision = wakeup.map(|due| to_sql_count(due.revision));
        let attempts = wakeup.map(|due| i64::from(due.attempts));
        let queued = on.is_some_and(|subject| subject.model == QUEUED_CALL_MODEL);
        let transaction = encode_new(&begin.transaction)?.to_string();
        let parameters: Parameters<'_> = &[
            (&self.holder, Type::TEXT),
            (&by_database, Type::BOOL),
            (&now, Type::INT8),
            (&lease, Type::INT8),
            (&model, Type::TEXT),
            (&pkid, Type::TEXT),
            (&wakeup_model, Type::TEXT),
            (&wakeup_pkid, Type::TEXT),
            (&wakeup_id, Type::TEXT),
            (&revision, Type::INT8),
            (&attempts, Type::INT8),
            (&queued, Type::BOOL),
            (&transaction, Type::TEXT),
        ];
        let function = "relation.begin_v1";
        let written = match subject {
            // The lock of a queued call is that of its transaction.
            Some(subject) if !queued => self.write_in_group(function, subject, parameters).await,
            _ => self.write(function, parameters).await,
        };
        let written = written.map_err(|error| describe_refusal(error, &begin.transaction.id))?;
        let started = match parse_result(&written)? {
            Begun::Gone => return Ok(BeginOutcome::Gone),
            Begun::Busy(until) => return Ok(BeginOutcome::Busy(from_millis(until))),
            Begun::Started(started) => started,
        };
        let Some((claim, subject)) = started.zip(begin.subject) else {
            return Ok(BeginOutcome::Started(None));
        };
        Ok(BeginOutcome::Started(Some(Lease {
            subject,
            epoch: from_sql_count(claim.epoch, "an epoch")?,
            expires,
            interrupted: claim.interrupted.map(from_millis),
        })))
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        let encoded = encode_update(&update)?;
        self.write(
            "relation.report_v1",
            &[
                (&encoded.update, Type::TEXT),
                (&encoded.lines, Type::TEXT),
                (&encoded.reveals, Type::TEXT),
            ],
        )
        .await
        .map_err(|error| describe_refusal(error, &update.id))?;
        Ok(())
    }

    async fn end(&self, end: CallEnd) -> Result<(), StoreError> {
        let encoded = encode_update(&end.transaction)?;
        let lease = end.lease.as_ref();
        if let Some(lease) = lease {
            require_text("the model of a subject", &lease.subject.model)?;
        }
        let model = lease.map(|lease| lease.subject.model.as_str());
        let pkid = lease.map(|lease| lease.subject.pkid.as_str());
        let epoch = lease.map(|lease| to_sql_count(lease.epoch));
        let (settlement, wakeup, retry_at) = match &end.wakeup {
            None => (None, None, None),
            Some(WakeupSettlement::Done(due)) => (Some("done"), Some(due), None),
            Some(WakeupSettlement::Delete(due)) => (Some("delete"), Some(due), None),
            Some(WakeupSettlement::Retry(due, at)) => {
                (Some("retry"), Some(due), Some(to_millis(*at)))
            }
        };
        if let Some(wakeup) = wakeup {
            check_wakeup(wakeup)?;
        }
        let on = wakeup.map(|due| &due.wakeup.subject);
        let wakeup_model = on.map(|subject| subject.model.as_str());
        let wakeup_pkid = on.map(|subject| subject.pkid.as_str());
        let wakeup_id = wakeup.map(|due| due.wakeup.id.as_str());
        let revision = wakeup.map(|due| to_sql_count(due.revision));
        let outcome = end.transaction.outcome.as_ref();
        let ended = outcome.map(|outcome| outcome.completed).unwrap_or_default();
        let queued = end.is_of_queued_call();
        let parameters: Parameters<'_> = &[
            (&self.holder, Type::TEXT),
            (&model, Type::TEXT),
            (&pkid, Type::TEXT),
            (&epoch, Type::INT8),
            (&end.interrupted, Type::BOOL),
            (&settlement, Type::TEXT),
            (&wakeup_model, Type::TEXT),
            (&wakeup_pkid, Type::TEXT),
            (&wakeup_id, Type::TEXT),
            (&revision, Type::INT8),
            (&retry_at, Type::INT8),
            (&to_millis(ended), Type::INT8),
            (&queued, Type::BOOL),
            (&encoded.update, Type::TEXT),
            (&encoded.lines, Type::TEXT),
            (&encoded.reveals, Type::TEXT),
        ];
        let function = "relation.end_v1";
        // Others lock more than what belongs to their subject.
        let is_deletion = matches!(end.wakeup, Some(WakeupSettlement::Delete(_)));
        match lease {
            Some(lease) if !queued && !is_deletion => {
                let subject = &lease.subject;
                self.write_in_group(function, subject, parameters).await?;
            }
            _ => {
                self.write(function, parameters).await?;
            }
        }
        if let Some(at) = retry_at {
            self.earliest.note(at);
        }
        Ok(())
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        self.recover_at(now).await
    }

    async fn redate(&self, now: Timestamp) -> Result<RedateReport, StoreError> {
        self.redate_at(now).await
    }
}

impl PostgresStore {
    /// Returns whether leases expire by the clock of the database.
    pub(super) fn is_by_database(&self) -> bool {
        self.clock == LeaseClock::Database
    }
}

fn check_wakeup(due: &DueWakeup) -> Result<(), StoreError> {
    let Reference { model, .. } = &due.wakeup.subject;
    require_text("the model of a subject", model)?;
    require_text("the id of a wakeup", &due.wakeup.id)
}

/// Describes why the function has refused a begin or a report of the transaction `id`.
fn describe_refusal(error: WriteError, id: &str) -> StoreError {
    match &error {
        WriteError::Refused { code, .. } => match code.as_str() {
            "RL007" => StoreError::duplicate_transaction(id),
            "RL008" => StoreError::unknown_transaction(id),
            "RL009" => StoreError::not_queued(id),
            _ => error.into(),
        },
        WriteError::Store(_) => error.into(),
    }
}
