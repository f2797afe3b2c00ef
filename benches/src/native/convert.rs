//! Converts between the plugin's types and the host's, as the contract's glue does for the
//! component.

use anyhow::{Context as _, Result};
use relation_host::store::seal::Sealer;
use relation_host::store::{self, StoreError};
use relation_host::transactions;
use relation_host::types as host;
use secrecy::SecretString;
use spark_customer::platform as plugin;

type Conversion<T> = Result<T, plugin::Failure>;

fn malformed(error: impl std::fmt::Display) -> plugin::Failure {
    plugin::Failure::Internal(error.to_string())
}

pub fn reference(from: &plugin::Reference) -> Conversion<host::Reference> {
    let pkid = from.pkid.parse().map_err(malformed)?;
    Ok(host::Reference::new(from.model.clone(), pkid))
}

pub fn reference_out(from: host::Reference) -> plugin::Reference {
    plugin::Reference::new(from.model, from.pkid)
}

fn key(from: plugin::Key) -> host::Key {
    host::Key {
        name: from.name,
        value: from.value,
    }
}

fn key_out(from: host::Key) -> plugin::Key {
    plugin::Key::new(from.name, from.value)
}

fn document(from: plugin::Document) -> Conversion<host::Document> {
    Ok(host::Document {
        reference: reference(&from.reference)?,
        hierarchy: from.hierarchy.parse().map_err(malformed)?,
        version: from.version,
        body: from.body,
        keys: from.keys.into_iter().map(key).collect(),
    })
}

pub fn document_out(from: host::Document) -> plugin::Document {
    plugin::Document {
        reference: reference_out(from.reference),
        hierarchy: from.hierarchy.into(),
        version: from.version,
        body: from.body,
        keys: from.keys.into_iter().map(key_out).collect(),
    }
}

pub fn filter(from: plugin::Filter) -> Conversion<host::Filter> {
    let scope = match from.scope {
        plugin::Scope::Node => host::Scope::Node,
        plugin::Scope::Subtree => host::Scope::Subtree,
    };
    Ok(host::Filter {
        model: from.model,
        hierarchy: Some((from.hierarchy.parse().map_err(malformed)?, scope)),
        equals: from.equals.into_iter().map(key).collect(),
    })
}

pub fn page_out(from: host::Page<host::Document>) -> plugin::Page {
    plugin::Page {
        documents: from.items.into_iter().map(document_out).collect(),
        next: from.next,
    }
}

pub fn wakeup(from: plugin::Wakeup) -> Conversion<host::Wakeup> {
    Ok(host::Wakeup {
        id: from.id,
        subject: reference(&from.subject)?,
        due: host::Timestamp(from.due),
        deadline: from.deadline.map(host::Timestamp),
        payload: from.payload,
    })
}

pub fn wakeup_out(from: host::Wakeup) -> plugin::Wakeup {
    plugin::Wakeup {
        id: from.id,
        subject: reference_out(from.subject),
        due: from.due.0,
        deadline: from.deadline.map(|deadline| deadline.0),
        payload: from.payload,
    }
}

pub fn check(from: plugin::Check) -> Conversion<store::Check> {
    Ok(match from {
        plugin::Check::Version(check) => {
            store::Check::Version(reference(&check.reference)?, check.version)
        }
        plugin::Check::Absent(of) => store::Check::Absent(reference(&of)?),
        plugin::Check::Unique(check) => store::Check::Unique(
            filter(check.filter)?,
            check.except.as_ref().map(reference).transpose()?,
        ),
    })
}

/// Converts a change for the store, its secret sealed.
pub fn change(sealer: &Sealer, from: plugin::Change) -> Conversion<store::Change> {
    Ok(match from {
        plugin::Change::Put(one) => store::Change::Put(document(one)?),
        plugin::Change::Delete(of) => store::Change::Delete(reference(&of)?),
        plugin::Change::PutSecret { owner, name, value } => {
            let owner = reference(&owner)?;
            let value = SecretString::from(value.expose());
            let sealed = sealer.seal(&owner, &name, &value).map_err(malformed)?;
            store::Change::PutSecret {
                owner,
                name,
                sealed,
            }
        }
        plugin::Change::RemoveSecret(owner, name) => {
            store::Change::RemoveSecret(reference(&owner)?, name)
        }
        plugin::Change::Schedule(one) => store::Change::Schedule(wakeup(one)?),
        plugin::Change::Cancel(subject, id) => store::Change::Cancel(reference(&subject)?, id),
    })
}

pub fn level(from: plugin::Level) -> transactions::Level {
    match from {
        plugin::Level::Debug => transactions::Level::Debug,
        plugin::Level::Info => transactions::Level::Info,
        plugin::Level::Warning => transactions::Level::Warning,
        plugin::Level::Error => transactions::Level::Error,
    }
}

/// Converts a store's error to a workflow's.
pub fn failure(error: &StoreError) -> plugin::Failure {
    match error {
        StoreError::Conflict(_) | StoreError::Fenced { .. } => {
            plugin::Failure::Conflict(error.to_string())
        }
        StoreError::Unavailable(_) | StoreError::StaleKey(_) => {
            plugin::Failure::Unavailable(error.to_string())
        }
        StoreError::Invalid(_) | StoreError::Corrupt(_) => {
            plugin::Failure::Internal(error.to_string())
        }
    }
}

/// Parses the key of a record that a benchmark created.
pub fn pkid(text: &str) -> Result<host::Pkid> {
    text.parse()
        .with_context(|| format!("{text} is not a pkid"))
}
