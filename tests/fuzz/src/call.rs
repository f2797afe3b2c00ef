//! A call of an exported function as data, and its observable outcome.

use relation_host::reports::{
    AddReport, Authorization, ConnectReport, ConnectionReport, Deletion, ExpiryReport, Grant,
    RefreshReport, Revocation, SyncReport, SyncSelector, WakeReport,
};
use relation_host::store::DueWakeup;
use relation_host::types::Pkid;
use relation_host::{AddRequest, CallError, CallErrorKind, CallOutput, Host, WakeupOutcome};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::import_trace::ImportTrace;

/// A call of an exported function.
#[derive(Clone, Debug)]
pub enum Call {
    /// `add`
    Add(AddRequest),
    /// `modify`
    Modify(Pkid, Map<String, Value>, Option<SecretString>),
    /// `delete`; true for a dry run.
    Delete(Pkid, bool),
    /// `connect`
    Connect(Pkid, Grant, String),
    /// `complete-connect`
    Complete(Pkid, SecretString),
    /// `refresh`
    Refresh(Pkid, Grant),
    /// `check-expiry`
    Check(Pkid, Grant),
    /// `sync`
    Sync(Pkid),
    /// `wake`, for a stored wakeup.
    Wake(DueWakeup),
}

/// The observable outcome of a call.
#[derive(Debug)]
pub struct CallOutcome {
    /// The function, as the contract names it.
    pub function: &'static str,
    /// Its result.
    pub result: Result<CallValue, CallErrorKind>,
    /// The id of its transaction.
    pub transaction: Option<String>,
    /// Its imports.
    pub imports: ImportTrace,
    /// Number of its requests.
    pub requests: u32,
}

/// The value of a successful call.
#[derive(Debug)]
pub struct CallValue {
    /// Its kind, without the parts that come from the input.
    pub kind: String,
    /// The whole value, as JSON.
    pub json: String,
    /// Its record, if that exists afterwards.
    pub record: Option<Pkid>,
}

impl Call {
    /// Returns the function, as the contract names it.
    pub fn function(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Modify(..) => "modify",
            Self::Delete(..) => "delete",
            Self::Connect(..) => "connect",
            Self::Complete(..) => "complete-connect",
            Self::Refresh(..) => "refresh",
            Self::Check(..) => "check-expiry",
            Self::Sync(_) => "sync",
            Self::Wake(_) => "wake",
        }
    }

    /// Performs the call. Returns `None` if the wakeup no longer exists.
    pub(crate) async fn run(self, host: &Host) -> Option<Result<CallOutput<CallValue>, CallError>> {
        Some(match self {
            Self::Add(request) => summarize(host.add(request).await, |added: &AddReport| {
                let kind = if added.replayed { "replayed" } else { "added" };
                (kind.into(), Some(&added.connection.pkid))
            }),
            Self::Modify(pkid, fields, tokens) => summarize(
                host.modify(&pkid, fields, tokens).await,
                |connection: &ConnectionReport| {
                    (connection.state.to_string(), Some(&connection.pkid))
                },
            ),
            Self::Delete(pkid, dry_run) => {
                summarize(host.delete(&pkid, dry_run).await, |deletion: &Deletion| {
                    let revocation = match &deletion.revocation {
                        Revocation::Revoked => "revoked",
                        Revocation::Skipped(_) => "skipped",
                        Revocation::Failed(_) => "failed",
                    };
                    (format!("{revocation} {dry_run}"), None)
                })
            }
            Self::Connect(pkid, grant, redirect) => summarize(
                host.connect(&pkid, grant, &redirect).await,
                |authorization: &Authorization| (format!("{:?}", authorization.grant), None),
            ),
            Self::Complete(pkid, callback) => summarize(
                host.complete_connect(&pkid, &callback).await,
                |report: &ConnectReport| {
                    let state = report.connection.state;
                    (
                        format!("{:?} {state}", report.grant),
                        Some(&report.connection.pkid),
                    )
                },
            ),
            Self::Refresh(pkid, grant) => {
                summarize(host.refresh_grant(&pkid, grant).await, refreshed)
            }
            Self::Check(pkid, grant) => summarize(host.check_grant(&pkid, grant).await, checked),
            Self::Sync(pkid) => {
                let sync = SyncSelector::ROLES_LICENSES;
                summarize(host.sync(&pkid, sync, false).await, synced)
            }
            Self::Wake(due) => match host.run_wakeup(due).await {
                Ok(WakeupOutcome::Finished(result)) => {
                    summarize(*result, |report: &WakeReport| match report {
                        WakeReport::Refreshed(report) => refreshed(report),
                        WakeReport::Checked(report) => checked(report),
                        WakeReport::Synced(report) => synced(report),
                        WakeReport::Nothing(_) => ("nothing".into(), None),
                    })
                }
                Ok(_) => return None,
                Err(error) => Err(CallError {
                    transaction: None,
                    kind: CallErrorKind::Store(error),
                }),
            },
        })
    }
}

fn refreshed(report: &RefreshReport) -> (String, Option<&Pkid>) {
    let (outcome, state) = (report.outcome, report.connection.state);
    (
        format!("{outcome:?} {state} {}", report.joined),
        Some(&report.connection.pkid),
    )
}

fn checked(report: &ExpiryReport) -> (String, Option<&Pkid>) {
    let alert = report.alert.as_ref().map(|alert| alert.code.as_str());
    (
        format!(
            "{} {alert:?} {}",
            report.connection.state,
            report.cleared.len()
        ),
        Some(&report.connection.pkid),
    )
}

fn synced(report: &SyncReport) -> (String, Option<&Pkid>) {
    let done = |model: &relation_host::reports::ImportCount| {
        [model.added, model.updated, model.removed].map(|count| u8::from(count > 0))
    };
    let models: Vec<_> = report.models.iter().map(done).collect();
    (
        format!("{models:?} {}", report.continues.is_some()),
        Some(&report.pkid),
    )
}

fn summarize<T: Serialize>(
    result: Result<CallOutput<T>, CallError>,
    describe: impl FnOnce(&T) -> (String, Option<&Pkid>),
) -> Result<CallOutput<CallValue>, CallError> {
    let CallOutput { transaction, value } = result?;
    let (kind, record) = describe(&value);
    let record = record.cloned();
    let json = serde_json::to_string(&value).unwrap_or_else(|error| error.to_string());
    Ok(CallOutput {
        transaction,
        value: CallValue { kind, json, record },
    })
}
