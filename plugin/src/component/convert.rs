//! Conversions of the types that differ from the contract's: failures, changes and the input of `add`.

use crate::contract::bindings::automate::platform::{storage, types};
use crate::contract::bindings::exports::automate::spark_customer::workflows as contract;
use crate::platform::{Change, Failure, Secret, UnixMillis};
use crate::workflows::add;

impl From<types::Failure> for Failure {
    fn from(failure: types::Failure) -> Self {
        use types::Failure as From;
        match failure {
            From::Invalid(errors) => Self::Invalid(errors),
            From::NotFound(reference) => Self::NotFound(reference),
            From::Conflict(text) => Self::Conflict(text),
            From::Reauthorize(text) => Self::Reauthorize(text),
            From::RateLimited(until) => Self::RateLimited(until.map(UnixMillis)),
            From::Unavailable(text) => Self::Unavailable(text),
            From::LimitExceeded(text) => Self::LimitExceeded(text),
            From::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(errors) => Self::Invalid(errors),
            Failure::NotFound(reference) => Self::NotFound(reference),
            Failure::Conflict(text) => Self::Conflict(text),
            Failure::Reauthorize(text) => Self::Reauthorize(text),
            Failure::RateLimited(until) => Self::RateLimited(until.map(|until| until.0)),
            Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::LimitExceeded(text) => Self::LimitExceeded(text),
            Failure::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<Change> for storage::Change {
    fn from(change: Change) -> Self {
        match change {
            Change::Put(document) => Self::Put(document),
            Change::Delete(reference) => Self::Delete(reference),
            Change::PutSecret { owner, name, value } => Self::PutSecret(storage::Secret {
                owner,
                name,
                value: value.expose().to_owned(),
            }),
            Change::RemoveSecret(owner, name) => {
                Self::RemoveSecret(storage::SecretName { owner, name })
            }
            Change::Schedule(wakeup) => Self::Schedule(wakeup),
            Change::Cancel(subject, id) => Self::Cancel(storage::WakeupName { subject, id }),
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
