//! Converts the workflows' generated results to the host's reports. Validates guest output.

use serde_json::Value;

use crate::imports::bindings::automate::platform::types as platform;
use crate::imports::bindings::exports::automate::spark_customer::workflows as guest;
use crate::reports::{
    AccessTokenReport, Action, AddReport, Alert, Authorization, Choice, ConnectReport,
    ConnectionReport, Deletion, Expiry, ExpiryReport, FailedRefresh, Field, FieldKind, Finding,
    FindingLevel, Grant, GrantStatus, ImportCount, Model, OwnedDocument, RecordDetails,
    RefreshOutcome, RefreshReport, Revocation, SettingDescription, State, SyncReport, WakeReport,
};
use crate::types::{Document, Failure, Hierarchy, Pkid, Reference, Timestamp};

/// Creates the failure for an invalid part of a plugin's result.
fn invalid_output(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::Internal(format!("the plugin returned an invalid {what}: {error}"))
}

fn reference(from: platform::Reference) -> Result<Reference, Failure> {
    let pkid = Pkid::try_from(from.pkid).map_err(|error| invalid_output("pkid", error))?;
    Ok(Reference::new(from.model, pkid))
}

fn references(from: Vec<platform::Reference>) -> Result<Vec<Reference>, Failure> {
    from.into_iter().map(reference).collect()
}

fn state(from: guest::State) -> State {
    match from {
        guest::State::NotConnected => State::NotConnected,
        guest::State::Connected => State::Connected,
        guest::State::Expiring => State::Expiring,
        guest::State::Expired => State::Expired,
        guest::State::Reauthorize => State::Reauthorize,
        guest::State::MissingScope => State::MissingScope,
        guest::State::Retrying => State::Retrying,
    }
}

fn grant(from: guest::Grant) -> Grant {
    match from {
        guest::Grant::Organization => Grant::Organization,
        guest::Grant::WholesaleCustomers => Grant::WholesaleCustomers,
        guest::Grant::WholesaleUsers => Grant::WholesaleUsers,
    }
}

pub(crate) fn grant_out(from: Grant) -> guest::Grant {
    match from {
        Grant::Organization => guest::Grant::Organization,
        Grant::WholesaleCustomers => guest::Grant::WholesaleCustomers,
        Grant::WholesaleUsers => guest::Grant::WholesaleUsers,
    }
}

fn grant_status(from: guest::GrantStatus) -> GrantStatus {
    GrantStatus {
        grant: grant(from.grant),
        state: state(from.state),
        access_token_expires: from.access_token_expires.map(expiry),
        refresh_token_expires: from.refresh_token_expires.map(expiry),
        refresh_token_lifetime_ms: from.refresh_token_lifetime_ms,
        generation: from.generation,
        refreshed: from.refreshed.map(Timestamp),
        failed_refresh: from.failed_refresh.map(|failed| FailedRefresh {
            attempts: failed.attempts,
            since: failed.since.map(Timestamp),
            reason: failed.reason,
            tracking_id: failed.tracking_id,
            needs_change: failed.needs_change,
        }),
        next_refresh: from.next_refresh.map(Timestamp),
        scopes: from.scopes,
        missing_scopes: from.missing_scopes,
    }
}

fn expiry(from: guest::Expiry) -> Expiry {
    Expiry {
        at: Timestamp(from.at),
        assumed: from.assumed,
    }
}

pub(crate) fn connection_report(
    from: guest::ConnectionReport,
) -> Result<ConnectionReport, Failure> {
    let hierarchy =
        Hierarchy::try_from(from.hierarchy).map_err(|error| invalid_output("hierarchy", error))?;
    Ok(ConnectionReport {
        pkid: Pkid::try_from(from.pkid).map_err(|error| invalid_output("pkid", error))?,
        name: from.name,
        hierarchy,
        state: state(from.state),
        access_token_expires: from.access_token_expires.map(expiry),
        refresh_token_expires: from.refresh_token_expires.map(expiry),
        next_refresh: from.next_refresh.map(Timestamp),
        grants: from.grants.into_iter().map(grant_status).collect(),
        notes: from.notes,
    })
}

/// Converts what the plugin shows of the record in `document`.
pub(crate) fn record_details(
    from: guest::RecordDetails,
    document: &Document,
) -> Result<RecordDetails, Failure> {
    let connection = connection_report(from.connection)?;
    let (shown, stored) = (&connection.pkid, &document.reference.pkid);
    if shown != stored || connection.hierarchy != document.hierarchy {
        return Err(invalid_output(
            "record",
            format!("it shows {shown} in place of {stored}"),
        ));
    }
    let owned_document = |owned: guest::OwnedDocument| {
        Ok(OwnedDocument {
            reference: reference(owned.reference)?,
            name: owned.name,
            role: owned.role,
        })
    };
    let owned_documents = from.owned_documents.into_iter().map(owned_document);
    Ok(RecordDetails {
        connection,
        fields: serde_json::from_str(&from.fields)
            .map_err(|error| invalid_output("object of fields", error))?,
        owned_documents: owned_documents.collect::<Result<_, Failure>>()?,
    })
}

pub(crate) fn finding(from: guest::Finding) -> Finding {
    Finding {
        check: from.check,
        level: match from.level {
            guest::FindingLevel::Ok => FindingLevel::Ok,
            guest::FindingLevel::Warning => FindingLevel::Warning,
            guest::FindingLevel::Error => FindingLevel::Error,
        },
        message: from.message,
        hint: from.hint,
    }
}

pub(crate) fn action_result(from: String) -> Result<Value, Failure> {
    serde_json::from_str(&from).map_err(|error| invalid_output("result of an action", error))
}

pub(crate) fn add_report(from: guest::AddReport) -> Result<AddReport, Failure> {
    Ok(AddReport {
        connection: connection_report(from.connection)?,
        created: references(from.created)?,
        replayed: from.replayed,
    })
}

pub(crate) fn refresh_report(from: guest::RefreshReport) -> Result<RefreshReport, Failure> {
    Ok(RefreshReport {
        grant: grant(from.grant),
        outcome: match from.outcome {
            guest::RefreshOutcome::Connected => RefreshOutcome::Connected,
            guest::RefreshOutcome::Retrying => RefreshOutcome::Retrying,
            guest::RefreshOutcome::Reauthorize => RefreshOutcome::Reauthorize,
            guest::RefreshOutcome::Expired => RefreshOutcome::Expired,
        },
        connection: connection_report(from.connection)?,
        message: from.message,
        tracking_id: from.tracking_id,
        joined: from.joined,
    })
}

pub(crate) fn expiry_report(from: guest::ExpiryReport) -> Result<ExpiryReport, Failure> {
    let alert = match from.alert {
        None => None,
        Some(alert) => Some(Alert {
            reference: reference(alert.reference)?,
            grant: grant(alert.grant),
            code: alert.code,
            threshold_ms: alert.threshold_ms,
            count: alert.count,
        }),
    };
    Ok(ExpiryReport {
        grant: grant(from.grant),
        connection: connection_report(from.connection)?,
        access_token_remaining_ms: from.access_token_remaining_ms,
        refresh_token_remaining_ms: from.refresh_token_remaining_ms,
        alert,
        cleared: references(from.cleared)?,
    })
}

pub(crate) fn authorization(from: guest::Authorization) -> Authorization {
    Authorization {
        grant: grant(from.grant),
        url: from.url,
        state: from.state,
        redirect_uri: from.redirect_uri,
        scopes: from.scopes,
        expires: Timestamp(from.expires),
    }
}

pub(crate) fn connect_report(from: guest::ConnectReport) -> Result<ConnectReport, Failure> {
    Ok(ConnectReport {
        grant: grant(from.grant),
        connection: connection_report(from.connection)?,
        organization: from.organization,
        cleared: references(from.cleared)?,
        sync_due: from.sync_due.map(Timestamp),
        message: from.message,
    })
}

pub(crate) fn access_token_report(
    from: guest::AccessTokenReport,
) -> Result<AccessTokenReport, Failure> {
    Ok(AccessTokenReport {
        token: from.token.into(),
        expires: from.expires.map(expiry),
        connection: connection_report(from.connection)?,
    })
}

pub(crate) fn sync_report(from: guest::SyncReport) -> Result<SyncReport, Failure> {
    Ok(SyncReport {
        sync: from.sync,
        sync_pkid: Pkid::try_from(from.sync_pkid)
            .map_err(|error| invalid_output("sync-pkid", error))?,
        pkid: Pkid::try_from(from.pkid).map_err(|error| invalid_output("pkid", error))?,
        done: from.done,
        total: from.total,
        models: from
            .models
            .into_iter()
            .map(|model| ImportCount {
                model: model.model,
                found: model.found,
                added: model.added,
                updated: model.updated,
                removed: model.removed,
                failed: model.failed,
            })
            .collect(),
        continues: from.continues.map(Timestamp),
        message: from.message,
    })
}

pub(crate) fn deletion(from: guest::Deletion) -> Result<Deletion, Failure> {
    let documents = from
        .documents
        .into_iter()
        .map(|removed| Ok((reference(removed.reference)?, removed.name)))
        .collect::<Result<_, Failure>>()?;
    Ok(Deletion {
        documents,
        wakeups: from.wakeups,
        revocation: match from.revocation {
            guest::Revocation::Revoked => Revocation::Revoked,
            guest::Revocation::Skipped(why) => Revocation::Skipped(why),
            guest::Revocation::Failed(why) => Revocation::Failed(why),
        },
    })
}

pub(crate) fn wake_report(from: guest::WakeReport) -> Result<WakeReport, Failure> {
    Ok(match from {
        guest::WakeReport::Refreshed(report) => WakeReport::Refreshed(refresh_report(report)?),
        guest::WakeReport::Checked(report) => WakeReport::Checked(expiry_report(report)?),
        guest::WakeReport::Synced(report) => WakeReport::Synced(sync_report(report)?),
        guest::WakeReport::Nothing(why) => WakeReport::Nothing(why),
    })
}

pub(crate) fn model(from: guest::Model) -> Result<Model, Failure> {
    Ok(Model {
        name: from.name,
        record_model: from.record_model,
        title: from.title,
        fields: from.fields.into_iter().map(field).collect(),
        actions: from
            .actions
            .into_iter()
            .map(action)
            .collect::<Result<_, Failure>>()?,
        settings: from
            .settings
            .into_iter()
            .map(|setting| SettingDescription {
                key: setting.key,
                secret: setting.secret,
                format: setting.format,
                default: setting.default,
                help: setting.help,
            })
            .collect(),
    })
}

fn action(from: guest::Action) -> Result<Action, Failure> {
    let schema = |text: &str| {
        serde_json::from_str(text).map_err(|error| {
            invalid_output(&format!("schema of the action {:?}", from.name), error)
        })
    };
    Ok(Action {
        arguments_schema: schema(&from.arguments_schema)?,
        result_schema: schema(&from.result_schema)?,
        name: from.name,
        title: from.title,
        help: from.help,
    })
}

fn field(from: guest::Field) -> Field {
    Field {
        name: from.name,
        title: from.title,
        kind: match from.kind {
            guest::FieldKind::Text => FieldKind::Text,
            guest::FieldKind::Email => FieldKind::Email,
            guest::FieldKind::Uri => FieldKind::Uri,
            guest::FieldKind::DateTime => FieldKind::DateTime,
            guest::FieldKind::Boolean => FieldKind::Boolean,
            guest::FieldKind::Objects => FieldKind::Objects,
        },
        required: from.required,
        max_length: from.max_length,
        password: from.password,
        read_only: from.read_only,
        add_only: from.add_only,
        choices: from
            .choices
            .into_iter()
            .map(|choice| Choice {
                value: choice.value,
                title: choice.title,
            })
            .collect(),
        help: from.help,
    }
}
