//! Conversions between the contract's types and the plugin's own.

use super::bindings::automate::platform::{scheduling, storage, types};
use super::bindings::exports::automate::spark_customer::workflows as contract;
use crate::grant::Grant;
use crate::model::{Choice, Field, FieldKind};
use crate::platform::{
    Change, Check, Document, Failure, FieldError, Filter, Key, Reference, Scope, Secret, Wakeup,
};
use crate::record::State;
use crate::reports;
use crate::settings::Setting;
use crate::workflows::{add, describe};

impl From<types::Reference> for Reference {
    fn from(reference: types::Reference) -> Self {
        Self {
            model: reference.model,
            pkid: reference.pkid,
        }
    }
}

impl From<&Reference> for types::Reference {
    fn from(reference: &Reference) -> Self {
        Self {
            model: reference.model.clone(),
            pkid: reference.pkid.clone(),
        }
    }
}

impl From<Reference> for types::Reference {
    fn from(reference: Reference) -> Self {
        Self {
            model: reference.model,
            pkid: reference.pkid,
        }
    }
}

impl From<types::Failure> for Failure {
    fn from(failure: types::Failure) -> Self {
        use types::Failure as From;
        match failure {
            From::Invalid(errors) => Self::Invalid(
                errors
                    .into_iter()
                    .map(|error| FieldError::new(error.field, error.message))
                    .collect(),
            ),
            From::NotFound(reference) => Self::NotFound(reference.into()),
            From::Conflict(text) => Self::Conflict(text),
            From::Reauthorize(text) => Self::Reauthorize(text),
            From::RateLimited(until) => Self::RateLimited(until),
            From::Unavailable(text) => Self::Unavailable(text),
            From::LimitExceeded(text) => Self::LimitExceeded(text),
            From::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(errors) => Self::Invalid(
                errors
                    .into_iter()
                    .map(|error| types::FieldError {
                        field: error.field,
                        message: error.message,
                    })
                    .collect(),
            ),
            Failure::NotFound(reference) => Self::NotFound(reference.into()),
            Failure::Conflict(text) => Self::Conflict(text),
            Failure::Reauthorize(text) => Self::Reauthorize(text),
            Failure::RateLimited(until) => Self::RateLimited(until),
            Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::LimitExceeded(text) => Self::LimitExceeded(text),
            Failure::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<&Key> for storage::Key {
    fn from(key: &Key) -> Self {
        Self {
            name: key.name.clone(),
            value: key.value.clone(),
        }
    }
}

impl From<storage::Document> for Document {
    fn from(document: storage::Document) -> Self {
        Self {
            reference: document.reference.into(),
            hierarchy: document.hierarchy,
            version: document.version,
            body: document.body,
            keys: document
                .keys
                .into_iter()
                .map(|key| Key::new(key.name, key.value))
                .collect(),
        }
    }
}

impl From<Document> for storage::Document {
    fn from(document: Document) -> Self {
        Self {
            reference: document.reference.into(),
            hierarchy: document.hierarchy,
            version: document.version,
            body: document.body,
            keys: document.keys.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Filter> for storage::Filter {
    fn from(filter: &Filter) -> Self {
        Self {
            model: filter.model.clone(),
            hierarchy: filter.hierarchy.clone(),
            scope: match filter.scope {
                Scope::Node => storage::Scope::Node,
                Scope::Subtree => storage::Scope::Subtree,
            },
            equals: filter.equals.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Check> for storage::Check {
    fn from(check: &Check) -> Self {
        match check {
            Check::Version(reference, version) => Self::Version(storage::VersionCheck {
                reference: reference.into(),
                version: *version,
            }),
            Check::Absent(reference) => Self::Absent(reference.into()),
            Check::Unique(filter, except) => Self::Unique(storage::UniqueCheck {
                filter: filter.into(),
                except: except.as_ref().map(Into::into),
            }),
        }
    }
}

impl From<Change> for storage::Change {
    fn from(change: Change) -> Self {
        match change {
            Change::Put(document) => Self::Put(document.into()),
            Change::Delete(reference) => Self::Delete(reference.into()),
            Change::PutSecret { owner, name, value } => Self::PutSecret(storage::Secret {
                owner: owner.into(),
                name,
                value: value.expose().to_owned(),
            }),
            Change::RemoveSecret(owner, name) => Self::RemoveSecret(storage::SecretName {
                owner: owner.into(),
                name,
            }),
            Change::Schedule(wakeup) => Self::Schedule(wakeup.into()),
            Change::Cancel(subject, id) => Self::Cancel(storage::WakeupName {
                subject: subject.into(),
                id,
            }),
        }
    }
}

impl From<scheduling::Wakeup> for Wakeup {
    fn from(wakeup: scheduling::Wakeup) -> Self {
        Self {
            id: wakeup.id,
            subject: wakeup.subject.into(),
            due: wakeup.due,
            deadline: wakeup.deadline,
            payload: wakeup.payload,
        }
    }
}

impl From<Wakeup> for scheduling::Wakeup {
    fn from(wakeup: Wakeup) -> Self {
        Self {
            id: wakeup.id,
            subject: wakeup.subject.into(),
            due: wakeup.due,
            deadline: wakeup.deadline,
            payload: wakeup.payload,
        }
    }
}

impl From<contract::AddRequest> for add::Request {
    fn from(request: contract::AddRequest) -> Self {
        Self {
            pkid: request.pkid,
            hierarchy: request.hierarchy,
            fields: Secret::new(request.fields),
            token_response: request.token_response.map(Secret::new),
            idempotency_key: request.idempotency_key,
        }
    }
}

impl From<describe::Model> for contract::Model {
    fn from(model: describe::Model) -> Self {
        Self {
            name: model.name.to_owned(),
            record_model: model.record_model.to_owned(),
            title: model.title.to_owned(),
            fields: model.fields.iter().map(Into::into).collect(),
            actions: model
                .actions
                .iter()
                .map(|action| contract::Action {
                    name: action.name.to_owned(),
                    title: action.title.to_owned(),
                    help: action.help.to_owned(),
                })
                .collect(),
            settings: model.settings.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Setting> for contract::SettingDescription {
    fn from(setting: &Setting) -> Self {
        Self {
            key: setting.key.to_owned(),
            secret: setting.secret,
            format: setting.format.to_owned(),
            default: setting.default.map(str::to_owned),
            help: setting.help.to_owned(),
        }
    }
}

impl From<&Field> for contract::Field {
    fn from(field: &Field) -> Self {
        Self {
            name: field.name.to_owned(),
            title: field.title.to_owned(),
            kind: match field.kind {
                FieldKind::Text => contract::FieldKind::Text,
                FieldKind::Email => contract::FieldKind::Email,
                FieldKind::Uri => contract::FieldKind::Uri,
                FieldKind::DateTime => contract::FieldKind::DateTime,
                FieldKind::Boolean => contract::FieldKind::Boolean,
                FieldKind::Objects => contract::FieldKind::Objects,
            },
            required: field.required,
            max_length: field.max_length,
            password: field.password,
            read_only: field.read_only,
            add_only: field.add_only,
            choices: field.choices.iter().map(Into::into).collect(),
            help: field.help.to_owned(),
        }
    }
}

impl From<&Choice> for contract::Choice {
    fn from(choice: &Choice) -> Self {
        Self {
            value: choice.value.to_owned(),
            title: choice.title.to_owned(),
        }
    }
}

impl From<State> for contract::State {
    fn from(state: State) -> Self {
        match state {
            State::NotConnected => Self::NotConnected,
            State::Connected => Self::Connected,
            State::Expiring => Self::Expiring,
            State::Expired => Self::Expired,
            State::Reauthorize => Self::Reauthorize,
            State::MissingScope => Self::MissingScope,
            State::Retrying => Self::Retrying,
        }
    }
}

impl From<reports::Expiry> for contract::Expiry {
    fn from(expiry: reports::Expiry) -> Self {
        Self {
            at: expiry.at,
            assumed: expiry.assumed,
        }
    }
}

impl From<reports::ConnectionReport> for contract::Connection {
    fn from(connection: reports::ConnectionReport) -> Self {
        Self {
            pkid: connection.pkid,
            name: connection.name,
            hierarchy: connection.hierarchy,
            state: connection.state.into(),
            access_token_expires: connection.access_token_expires.map(Into::into),
            refresh_token_expires: connection.refresh_token_expires.map(Into::into),
            next_refresh: connection.next_refresh,
            grants: connection.grants.into_iter().map(Into::into).collect(),
            notes: connection.notes,
        }
    }
}

impl From<Grant> for contract::Grant {
    fn from(grant: Grant) -> Self {
        match grant {
            Grant::Organization => Self::Organization,
            Grant::WholesaleCustomers => Self::WholesaleCustomers,
            Grant::WholesaleUsers => Self::WholesaleUsers,
        }
    }
}

impl From<contract::Grant> for Grant {
    fn from(grant: contract::Grant) -> Self {
        match grant {
            contract::Grant::Organization => Self::Organization,
            contract::Grant::WholesaleCustomers => Self::WholesaleCustomers,
            contract::Grant::WholesaleUsers => Self::WholesaleUsers,
        }
    }
}

impl From<reports::GrantStatus> for contract::GrantStatus {
    fn from(status: reports::GrantStatus) -> Self {
        Self {
            grant: status.grant.into(),
            state: status.state.into(),
            access_token_expires: status.access_token_expires.map(Into::into),
            refresh_token_expires: status.refresh_token_expires.map(Into::into),
            next_refresh: status.next_refresh,
            scopes: status.scopes,
            missing_scopes: status.missing_scopes,
        }
    }
}

impl From<reports::Authorization> for contract::Authorization {
    fn from(authorization: reports::Authorization) -> Self {
        Self {
            grant: authorization.grant.into(),
            url: authorization.url,
            state: authorization.state,
            redirect_uri: authorization.redirect_uri,
            scopes: authorization.scopes,
            expires: authorization.expires,
        }
    }
}

impl From<reports::ConnectReport> for contract::ConnectReport {
    fn from(report: reports::ConnectReport) -> Self {
        Self {
            grant: report.grant.into(),
            connection: report.connection.into(),
            organization: report.organization,
            cleared: report.cleared.into_iter().map(Into::into).collect(),
            sync_due: report.sync_due,
            message: report.message,
        }
    }
}

impl From<reports::SyncReport> for contract::SyncReport {
    fn from(report: reports::SyncReport) -> Self {
        Self {
            kind: report.kind.as_str().to_owned(),
            pkid: report.pkid,
            done: report.done,
            total: report.total,
            models: report
                .models
                .into_iter()
                .map(|model| contract::ImportCount {
                    model: model.model,
                    found: model.found,
                    added: model.added,
                    updated: model.updated,
                    removed: model.removed,
                })
                .collect(),
            continues: report.continues,
            message: report.message,
        }
    }
}

impl From<reports::AddReport> for contract::Added {
    fn from(added: reports::AddReport) -> Self {
        Self {
            connection: added.connection.into(),
            created: added.created.into_iter().map(Into::into).collect(),
            replayed: added.replayed,
        }
    }
}

impl From<reports::RefreshReport> for contract::RefreshReport {
    fn from(report: reports::RefreshReport) -> Self {
        Self {
            grant: report.grant.into(),
            outcome: match report.outcome {
                reports::RefreshOutcome::Connected => contract::RefreshOutcome::Connected,
                reports::RefreshOutcome::Retrying => contract::RefreshOutcome::Retrying,
                reports::RefreshOutcome::Reauthorize => contract::RefreshOutcome::Reauthorize,
                reports::RefreshOutcome::Expired => contract::RefreshOutcome::Expired,
            },
            connection: report.connection.into(),
            message: report.message,
            tracking_id: report.tracking_id,
            joined: report.joined,
        }
    }
}

impl From<reports::Alert> for contract::Alert {
    fn from(alert: reports::Alert) -> Self {
        Self {
            reference: alert.reference.into(),
            grant: alert.grant.into(),
            code: alert.code,
            threshold_ms: alert.threshold_ms,
            count: alert.count,
        }
    }
}

impl From<reports::ExpiryReport> for contract::ExpiryReport {
    fn from(report: reports::ExpiryReport) -> Self {
        Self {
            grant: report.grant.into(),
            connection: report.connection.into(),
            access_token_remaining_ms: report.access_token_remaining_ms,
            refresh_token_remaining_ms: report.refresh_token_remaining_ms,
            alert: report.alert.map(Into::into),
            cleared: report.cleared.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<reports::Deletion> for contract::Deletion {
    fn from(deletion: reports::Deletion) -> Self {
        Self {
            documents: deletion
                .documents
                .into_iter()
                .map(|(reference, name)| contract::RemovedDocument {
                    reference: reference.into(),
                    name,
                })
                .collect(),
            wakeups: deletion.wakeups,
            revocation: match deletion.revocation {
                reports::Revocation::Revoked => contract::Revocation::Revoked,
                reports::Revocation::Skipped(why) => contract::Revocation::Skipped(why),
                reports::Revocation::Failed(why) => contract::Revocation::Failed(why),
            },
        }
    }
}

impl From<reports::WakeReport> for contract::WakeReport {
    fn from(report: reports::WakeReport) -> Self {
        match report {
            reports::WakeReport::Refreshed(report) => Self::Refreshed(report.into()),
            reports::WakeReport::Checked(report) => Self::Checked(report.into()),
            reports::WakeReport::Synced(report) => Self::Synced(report.into()),
            reports::WakeReport::Nothing(why) => Self::Nothing(why),
        }
    }
}
