//! The native baseline: the plugin's own workflow, linked as a library, over the host's own parts.
//!
//! It does the same durable work as a call through the host. The begin claims the lease and records the transaction,
//! the lease fences the workflow's commit, and the end closes both. It omits the costs of the component: a fresh
//! instance, the crossing of its border, and the bookkeeping of a call's limits.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use relation_host::imports::Journal;
use relation_host::store::{BeginOutcome, CallEnd, CallStart};
use relation_host::transactions::{NewTransaction, Status, TransactionOutcome};
use relation_host::types::{Pkid, Reference};
use spark_customer::grant::Grant;
use spark_customer::platform::UnixMillis;
use spark_customer::reports::RefreshOutcome;
use spark_customer::workflows::refresh::refresh;

use crate::phases::{Phase, Phases};
use crate::world::Parts;

pub mod convert;
pub mod coroutine;
mod platform;

use coroutine::Stacks;
use platform::NativePlatform;

/// A native runner of workflows. Cheap to clone.
#[derive(Clone)]
pub struct Native {
    parts: Arc<Parts>,
    stacks: Arc<Stacks>,
    phases: Phases,
}

impl Native {
    /// Creates a native engine on the same parts as a host.
    pub fn new(parts: Arc<Parts>, phases: Phases) -> Self {
        Self {
            parts,
            stacks: Arc::default(),
            phases,
        }
    }

    /// Performs one refresh, from its begin to its end. Any result other than new tokens is an
    /// error.
    pub async fn refresh(&self, pkid: &Pkid) -> Result<()> {
        let parts = &self.parts;
        let (claimed, now) = (parts.clock.monotonic(), parts.clock.now());
        let subject = Reference::record(pkid.clone());
        let id = uuid::Uuid::now_v7().to_string();
        let begun = parts.store.begin(CallStart {
            transaction: NewTransaction {
                id: id.clone(),
                action: "refresh".to_owned(),
                subject: Some(subject.clone()),
                submitted: now,
                started: now,
                ..NewTransaction::default()
            },
            subject: Some(subject),
            lease: parts.limits.lease(),
            now,
            wakeup: None,
        });
        let lease = match begun.await? {
            BeginOutcome::Started(lease) => lease,
            other => bail!("{pkid} cannot be refreshed now: {other:?}"),
        };
        let journal = Journal::new(&id, parts.limits.log);

        let work = {
            let (parts, phases) = (Arc::clone(parts), self.phases.clone());
            let (lease, journal, pkid) = (lease.clone(), journal.clone(), pkid.clone());
            let lease_until = claimed.saturating_add(parts.limits.lease());
            coroutine::run(&self.stacks, move |waiter| {
                let platform =
                    NativePlatform::new(&parts, waiter, &phases, lease, lease_until, journal);
                refresh(
                    &platform,
                    pkid.as_str(),
                    Grant::Organization,
                    UnixMillis(now.0),
                )
            })
            .context("a stack for a workflow")?
        };
        let report = self.phases.time(Phase::Workflow, work).await;

        let completed = parts.clock.now();
        let outcome = match &report {
            Ok(report) => TransactionOutcome {
                status: Status::Success,
                message: report.message.clone(),
                completed,
            },
            Err(failure) => TransactionOutcome {
                status: Status::Fail,
                message: failure.to_string(),
                completed,
            },
        };
        let end = CallEnd {
            transaction: journal.close(outcome),
            lease,
            wakeup: None,
            interrupted: false,
        };
        parts.store.end(end).await?;
        let report = report?;
        ensure!(
            report.outcome == RefreshOutcome::Connected && !report.joined,
            "{pkid} got no new tokens: {}",
            report.message
        );
        Ok(())
    }
}
