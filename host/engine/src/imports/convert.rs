//! Conversion between the contract's generated types and the host's types. Validates guest input.

use super::bindings::automate::platform::{scheduling, storage, types};
use relation_types::json::check_object;

use crate::types::{
    Document, Failure, FieldError, Filter, HOST_MODELS, Hierarchy, Key, Pkid, Reference, Scope,
    Timestamp, Wakeup,
};
use crate::wakeup_kinds;

/// The maximum length of a model name, in bytes.
const MAX_MODEL_BYTES: usize = 128;
/// The maximum length of the name of a key, a secret or a wakeup, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// The maximum length of a key's value or a wakeup's payload, in bytes.
const MAX_VALUE_BYTES: usize = 4096;
/// The maximum number of keys of a document.
const MAX_KEYS: usize = 64;

/// Creates the failure for one invalid field of guest input.
pub(crate) fn malformed(field: &str, message: impl Into<String>) -> Failure {
    Failure::Invalid(vec![FieldError {
        field: field.to_owned(),
        message: message.into(),
    }])
}

/// Checks the name of a model. The host's own documents, such as users, sessions and keys, are not
/// the plugin's.
fn model(from: String) -> Result<String, Failure> {
    if from.is_empty() || from.len() > MAX_MODEL_BYTES {
        let message = format!("a model's name has 1 to {MAX_MODEL_BYTES} bytes");
        return Err(malformed("model", message));
    }
    if from.starts_with(HOST_MODELS) {
        let message = format!("models that begin with {HOST_MODELS} belong to the host");
        return Err(malformed("model", message));
    }
    Ok(from)
}

pub(crate) fn reference(from: types::Reference) -> Result<Reference, Failure> {
    let pkid = Pkid::try_from(from.pkid).map_err(|error| malformed("pkid", error.to_string()))?;
    Ok(Reference::new(model(from.model)?, pkid))
}

pub(crate) fn reference_out(from: Reference) -> types::Reference {
    types::Reference {
        model: from.model,
        pkid: from.pkid.into(),
    }
}

pub(crate) fn hierarchy(from: String) -> Result<Hierarchy, Failure> {
    Hierarchy::try_from(from).map_err(|error| malformed("hierarchy", error.to_string()))
}

pub(crate) fn name(field: &str, from: String) -> Result<String, Failure> {
    if from.is_empty() || from.len() > MAX_NAME_BYTES {
        return Err(malformed(
            field,
            format!("a name has 1 to {MAX_NAME_BYTES} bytes"),
        ));
    }
    Ok(from)
}

fn key(from: storage::Key) -> Result<Key, Failure> {
    if from.value.len() > MAX_VALUE_BYTES {
        return Err(malformed(
            "keys",
            format!("a key's value has at most {MAX_VALUE_BYTES} bytes"),
        ));
    }
    Ok(Key {
        name: name("keys", from.name)?,
        value: from.value,
    })
}

fn keys(from: Vec<storage::Key>) -> Result<Vec<Key>, Failure> {
    if from.len() > MAX_KEYS {
        return Err(malformed(
            "keys",
            format!("a document has at most {MAX_KEYS} keys"),
        ));
    }
    let keys = from.into_iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let mut sorted: Vec<&Key> = keys.iter().collect();
    sorted.sort_unstable();
    if sorted.array_windows().any(|[one, next]| one == next) {
        return Err(malformed("keys", "a name may have a value once"));
    }
    Ok(keys)
}

pub(crate) fn document(from: storage::Document) -> Result<Document, Failure> {
    if let Err(error) = check_object(&from.body) {
        // The position is enough: the surrounding text may contain anything.
        let place = format!("line {} column {}", error.line(), error.column());
        return Err(malformed("body", format!("not a JSON object ({place})")));
    }
    Ok(Document {
        reference: reference(from.reference)?,
        hierarchy: hierarchy(from.hierarchy)?,
        version: from.version,
        body: from.body,
        keys: keys(from.keys)?,
    })
}

pub(crate) fn document_out(from: Document) -> storage::Document {
    storage::Document {
        reference: reference_out(from.reference),
        hierarchy: from.hierarchy.into(),
        version: from.version,
        body: from.body,
        keys: from.keys.into_iter().map(key_out).collect(),
    }
}

fn key_out(from: Key) -> storage::Key {
    storage::Key {
        name: from.name,
        value: from.value,
    }
}

pub(crate) fn filter(from: storage::Filter) -> Result<Filter, Failure> {
    let scope = match from.scope {
        storage::Scope::Node => Scope::Node,
        storage::Scope::Subtree => Scope::Subtree,
    };
    Ok(Filter {
        model: model(from.model)?,
        hierarchy: Some((hierarchy(from.hierarchy)?, scope)),
        equals: keys(from.equals)?,
    })
}

pub(crate) fn wakeup(from: scheduling::Wakeup) -> Result<Wakeup, Failure> {
    if from.payload.len() > MAX_VALUE_BYTES {
        return Err(malformed(
            "payload",
            format!("a payload has at most {MAX_VALUE_BYTES} bytes"),
        ));
    }
    let wakeup = Wakeup {
        id: name("id", from.id)?,
        subject: reference(from.subject)?,
        due: Timestamp(from.due),
        deadline: from.deadline.map(Timestamp),
        payload: from.payload,
    };
    if wakeup.kind() == wakeup_kinds::NOTICE {
        let kind = wakeup_kinds::NOTICE;
        let message = format!("wakeups of the kind {kind} belong to the host");
        return Err(malformed("id", message));
    }
    Ok(wakeup)
}

pub(crate) fn wakeup_out(from: Wakeup) -> scheduling::Wakeup {
    scheduling::Wakeup {
        id: from.id,
        subject: reference_out(from.subject),
        due: from.due.0,
        deadline: from.deadline.map(|deadline| deadline.0),
        payload: from.payload,
    }
}

pub(crate) fn failure(from: types::Failure) -> Failure {
    match from {
        types::Failure::Invalid(errors) => Failure::Invalid(
            errors
                .into_iter()
                .map(|error| FieldError {
                    field: error.field,
                    message: error.message,
                })
                .collect(),
        ),
        types::Failure::NotFound(of) => match reference(of) {
            Ok(of) => Failure::NotFound(of),
            Err(_) => Failure::Internal(
                "the plugin named something missing without a valid reference".into(),
            ),
        },
        types::Failure::Conflict(text) => Failure::Conflict(text),
        types::Failure::Reauthorize(text) => Failure::Reauthorize(text),
        types::Failure::RateLimited(at) => Failure::RateLimited(at.map(Timestamp)),
        types::Failure::Unavailable(text) => Failure::Unavailable(text),
        types::Failure::LimitExceeded(text) => Failure::LimitExceeded(text),
        types::Failure::Internal(text) => Failure::Internal(text),
    }
}

pub(crate) fn failure_out(from: Failure) -> types::Failure {
    match from {
        Failure::Invalid(errors) => types::Failure::Invalid(
            errors
                .into_iter()
                .map(|error| types::FieldError {
                    field: error.field,
                    message: error.message,
                })
                .collect(),
        ),
        Failure::NotFound(of) => types::Failure::NotFound(reference_out(of)),
        Failure::Conflict(text) => types::Failure::Conflict(text),
        Failure::Reauthorize(text) => types::Failure::Reauthorize(text),
        Failure::RateLimited(at) => types::Failure::RateLimited(at.map(|at| at.0)),
        Failure::Unavailable(text) => types::Failure::Unavailable(text),
        Failure::LimitExceeded(text) => types::Failure::LimitExceeded(text),
        Failure::Internal(text) => types::Failure::Internal(text),
    }
}

/// Converts a store error to the contract's failure.
pub(crate) fn store_failure(error: &crate::store::StoreError) -> Failure {
    use crate::store::StoreError;
    match error {
        StoreError::Conflict(_) | StoreError::Fenced { .. } => Failure::Conflict(error.to_string()),
        StoreError::Invalid(text) => malformed("commit", text),
        StoreError::Unavailable(_) | StoreError::StaleKey(_) => {
            Failure::Unavailable(error.to_string())
        }
        StoreError::Corrupt(_) => Failure::Internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_the_host_are_refused() {
        let pkid = Pkid::random().to_string();
        let refused = |result: Result<(), Failure>| matches!(result, Err(Failure::Invalid(errors)) if errors[0].field == "model");
        for model in ["host/User", "host/Notice", "host/"] {
            let of = types::Reference {
                model: model.to_owned(),
                pkid: pkid.clone(),
            };
            assert!(refused(reference(of).map(drop)));
            let of = storage::Filter {
                model: model.to_owned(),
                hierarchy: "sys".to_owned(),
                scope: storage::Scope::Subtree,
                equals: Vec::new(),
            };
            assert!(refused(filter(of).map(drop)));
        }
        let model = "data/SparkCustomer".to_owned();
        assert!(reference(types::Reference { model, pkid }).is_ok());
    }

    #[test]
    fn wakeups_of_the_host_are_refused() {
        let with_id = |id: &str| {
            wakeup(scheduling::Wakeup {
                id: id.to_owned(),
                subject: reference_out(Reference::record(Pkid::random())),
                due: 0,
                deadline: None,
                payload: String::new(),
            })
        };
        for id in ["notice", "notice.route"] {
            assert!(
                matches!(with_id(id), Err(Failure::Invalid(errors)) if errors[0].field == "id")
            );
        }
        assert!(with_id("notices").is_ok());
    }
}
