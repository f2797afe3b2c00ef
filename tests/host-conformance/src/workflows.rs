//! The exported workflows: those that drive the suite, and unsupported ones.

use crate::bindings::automate::platform::storage::{Change, Document};
use crate::bindings::automate::platform::types::{Failure, FieldError};
use crate::bindings::exports::automate::spark_customer::workflows::{self as contract, Guest};
use crate::checks::{environment, secrets};
use crate::options::Options;
use crate::samples::{self, RECORD, SUITE, key};
use crate::state::{CheckStatus, State};
use crate::{cleanup, deliveries, driver_actions, registry};

/// The component.
pub struct Suite;

const NAME: &str = "host conformance";

fn name(state: &State) -> String {
    let given = state.options.name.clone();
    given.unwrap_or_else(|| NAME.into())
}

/// Returns the record's document.
fn record(state: &State) -> Document {
    Document {
        reference: samples::record(&state.pkid),
        hierarchy: state.hierarchy.clone(),
        version: 0,
        body: serde_json::json!({ "name": name(state), "suite": crate::IDENTITY }).to_string(),
        keys: vec![key("name", &name(state)), key(SUITE, &state.pkid)],
    }
}

fn connection(state: &State) -> contract::ConnectionReport {
    let has_failed = registry::CHECKS
        .iter()
        .any(|check| matches!(state.status_of(check), CheckStatus::Failed(_)));
    contract::ConnectionReport {
        pkid: state.pkid.clone(),
        name: name(state),
        hierarchy: state.hierarchy.clone(),
        state: if has_failed {
            contract::State::Reauthorize
        } else {
            contract::State::Connected
        },
        access_token_expires: None,
        refresh_token_expires: None,
        next_refresh: None,
        grants: Vec::new(),
        notes: state.report(),
    }
}

/// Shows a record. The results of its checks are in other documents, so its state is not known here.
fn details(document: Document) -> contract::RecordDetails {
    let body: serde_json::Value = serde_json::from_str(&document.body).unwrap_or_default();
    contract::RecordDetails {
        connection: contract::ConnectionReport {
            pkid: document.reference.pkid,
            name: body
                .get("name")
                .and_then(|name| name.as_str())
                .unwrap_or(NAME)
                .to_owned(),
            hierarchy: document.hierarchy,
            state: contract::State::Connected,
            access_token_expires: None,
            refresh_token_expires: None,
            next_refresh: None,
            grants: Vec::new(),
            notes: String::new(),
        },
        fields: body.to_string(),
        owned_documents: Vec::new(),
    }
}

fn unsupported<T>(workflow: &str) -> Result<T, Failure> {
    Err(Failure::Internal(format!(
        "the suite does not support `{workflow}`: drive it by add, modify, refresh, \
         check-expiry, wakeups and delete"
    )))
}

fn field(name: &str, help: &str) -> contract::Field {
    contract::Field {
        name: name.into(),
        title: name.into(),
        kind: contract::FieldKind::Text,
        required: false,
        max_length: None,
        password: false,
        read_only: false,
        add_only: name != "do",
        choices: Vec::new(),
        help: help.into(),
    }
}

fn setting((key, value): (&str, &str), secret: bool) -> contract::SettingDescription {
    contract::SettingDescription {
        key: key.into(),
        secret,
        format: format!("{value:?}"),
        default: None,
        help: "By its value a host is checked.".into(),
    }
}

impl Guest for Suite {
    fn describe() -> contract::Model {
        contract::Model {
            name: "relation/SparkCustomer".into(),
            record_model: RECORD.into(),
            title: "Conformance of hosts".into(),
            fields: vec![
                field("name", "The name of the record."),
                field(
                    "server",
                    "A test server that the host allows, as http://HOST:PORT.",
                ),
                field("denied", "An origin that the host does not allow."),
                field(
                    "closed",
                    "An origin that the host allows and on which no server listens.",
                ),
                field("proxy", "A proxy that the host allows."),
                field(
                    "moment",
                    "Milliseconds between the wakeups that check delivery.",
                ),
                field(
                    "do",
                    "The action of `modify`: checks, meet, outlive, and so on.",
                ),
            ],
            actions: Vec::new(),
            settings: vec![
                setting(environment::SETTING, false),
                setting(secrets::SETTING, true),
            ],
        }
    }

    fn check_settings() -> Result<(), Failure> {
        Ok(())
    }

    fn check_integration() -> Result<Vec<contract::Finding>, Failure> {
        unsupported("check-integration")
    }

    fn show(documents: Vec<Document>) -> Vec<Result<contract::RecordDetails, Failure>> {
        documents.into_iter().map(details).map(Ok).collect()
    }

    fn invoke(_: String, _: String, _: String) -> Result<String, Failure> {
        unsupported("invoke")
    }

    fn add(request: contract::AddRequest) -> Result<contract::AddReport, Failure> {
        let options = Options::read(&request.fields).map_err(|message| {
            Failure::Invalid(vec![FieldError {
                field: "fields".into(),
                message,
            }])
        })?;
        let mut state = State::new(&request.pkid, &request.hierarchy, options);
        driver_actions::enter(&mut state);
        let mark = driver_actions::mark_durable(&mut state);
        let made = [record(&state), state.document()];
        let created = made.iter().map(|document| document.reference.clone());
        let created = created.collect();
        let changes = made.into_iter().map(Change::Put).chain(mark);
        samples::commit(changes.collect())?;
        Ok(contract::AddReport {
            connection: connection(&state),
            created,
            replayed: false,
        })
    }

    fn modify(
        pkid: String,
        fields: String,
        _: Option<String>,
    ) -> Result<contract::ConnectionReport, Failure> {
        Ok(connection(&driver_actions::modify(&pkid, &fields)?))
    }

    fn delete(pkid: String, dry_run: bool) -> Result<contract::Deletion, Failure> {
        let removed = cleanup::delete(&pkid, dry_run)?;
        let documents = removed.documents.into_iter();
        Ok(contract::Deletion {
            documents: documents
                .map(|reference| contract::RemovedDocument {
                    reference,
                    name: String::new(),
                })
                .collect(),
            wakeups: removed.wakeups,
            revocation: contract::Revocation::Skipped("the suite has no tokens".into()),
        })
    }

    fn refresh(
        pkid: String,
        grant: contract::Grant,
        requested_at: u64,
    ) -> Result<contract::RefreshReport, Failure> {
        let mut state = State::load(&pkid)?;
        driver_actions::check_clock(&mut state, requested_at)?;
        Ok(contract::RefreshReport {
            grant,
            outcome: contract::RefreshOutcome::Connected,
            connection: connection(&state),
            message: "compared the clocks".into(),
            tracking_id: None,
            joined: false,
        })
    }

    fn check_expiry(
        pkid: String,
        grant: contract::Grant,
    ) -> Result<contract::ExpiryReport, Failure> {
        let state = State::load(&pkid)?;
        Ok(contract::ExpiryReport {
            grant,
            connection: connection(&state),
            access_token_remaining_ms: None,
            refresh_token_remaining_ms: None,
            alert: None,
            cleared: Vec::new(),
        })
    }

    fn wake(wakeup: contract::Wakeup) -> Result<contract::WakeReport, Failure> {
        deliveries::handle_wakeup(&wakeup).map(contract::WakeReport::Nothing)
    }

    fn connect(
        _: String,
        _: contract::Grant,
        _: String,
    ) -> Result<contract::Authorization, Failure> {
        unsupported("connect")
    }

    fn complete_connect(_: String, _: String) -> Result<contract::ConnectReport, Failure> {
        unsupported("complete-connect")
    }

    fn access_token(
        _: String,
        _: contract::Grant,
        _: u64,
    ) -> Result<contract::AccessTokenReport, Failure> {
        unsupported("access-token")
    }

    fn sync(_: String, _: String, _: bool) -> Result<contract::SyncReport, Failure> {
        unsupported("sync")
    }
}
