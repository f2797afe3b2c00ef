//! The reports that workflows return: types of the contract, and how they are made.

pub use crate::contract::{
    AccessTokenReport, AddReport, Alert, Authorization, ConnectReport, ConnectionReport, Deletion,
    Expiry, ExpiryReport, FailedRefresh, Finding, FindingLevel, GrantStatus, ImportCount,
    RecordDetails, RefreshOutcome, RefreshReport, RemovedDocument, Revocation, SyncReport,
    WakeReport,
};
use crate::grant::Grant;
use crate::model::derived;
use crate::platform::Failure;
use crate::record::{self, Record};

impl From<record::Expiry> for Expiry {
    fn from(expiry: record::Expiry) -> Self {
        Self {
            at: expiry.at.0,
            assumed: expiry.assumed,
        }
    }
}

impl GrantStatus {
    /// Creates the report of one grant's state.
    pub fn new(grant: Grant, state: &record::GrantState) -> Self {
        Self {
            grant,
            state: state.state,
            access_token_expires: state.access.map(Expiry::from),
            refresh_token_expires: state.refresh.map(Expiry::from),
            refresh_token_lifetime_ms: state.refresh.map(|expiry| expiry.lifetime.0),
            generation: state.generation,
            refreshed: state.refreshed.map(|at| at.0),
            failed_refresh: state
                .refusal
                .as_ref()
                .or(state.retry.as_ref())
                .map(|failed| FailedRefresh {
                    attempts: failed.attempts,
                    since: failed.own_since().map(|at| at.0),
                    reason: failed.reason.clone(),
                    tracking_id: failed.tracking_id.clone(),
                    needs_change: failed.needs_change,
                }),
            next_refresh: state.next_refresh.map(|at| at.0),
            scopes: state.scopes.clone(),
            missing_scopes: state.missing_scopes.clone(),
        }
    }
}

impl RefreshReport {
    /// Returns the report of new tokens, for workflows that need them.
    ///
    /// # Errors
    /// Webex returned no tokens: `limit-exceeded` until the operator corrects the cause, `unavailable` if
    /// the refresh is only to be retried, else `reauthorize`.
    pub fn require_tokens(self) -> Result<Self, Failure> {
        match self.outcome {
            RefreshOutcome::Connected => Ok(self),
            RefreshOutcome::Retrying if self.needs_change() => {
                Err(Failure::LimitExceeded(self.message))
            }
            RefreshOutcome::Retrying => Err(Failure::Unavailable(self.message)),
            RefreshOutcome::Reauthorize | RefreshOutcome::Expired => {
                Err(Failure::Reauthorize(self.message))
            }
        }
    }

    /// Returns whether the refreshed grant fails until the operator corrects the cause.
    fn needs_change(&self) -> bool {
        let mut grants = self.connection.grants.iter();
        let grant = grants.find(|status| status.grant == self.grant);
        grant
            .and_then(|status| status.failed_refresh.as_ref())
            .is_some_and(|failed| failed.needs_change)
    }
}

impl ConnectionReport {
    /// Creates the report of `record` for callers.
    pub fn from_record(record: &Record) -> Self {
        let connection = &record.body.connection;
        Self {
            pkid: record.pkid.clone(),
            name: record.name().to_owned(),
            hierarchy: record.hierarchy.clone(),
            state: connection.state,
            access_token_expires: connection.access.map(Expiry::from),
            refresh_token_expires: connection.refresh.map(Expiry::from),
            next_refresh: connection.next_refresh.map(|at| at.0),
            grants: std::iter::once((&Grant::Organization, connection))
                .chain(&record.body.further_grants)
                .map(|(grant, state)| GrantStatus::new(*grant, state))
                .collect(),
            notes: derived::notes(&record.body),
        }
    }
}
