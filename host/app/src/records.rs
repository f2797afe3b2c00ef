//! Stored records, and how one is found: by pkid or by name.

use std::collections::BTreeMap;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use relation_host::reports::{ConnectionReport, Expiry, Grant, GrantStatus, State};
use relation_host::store::Store;
use relation_host::types::{
    Document, Filter, Hierarchy, Key, Pkid, RECORD_MODEL, Reference, Scope, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{AppError, ErrorKind};

/// The maximum number of candidates that the error of an ambiguous name lists.
const CANDIDATES: u32 = 10;

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The primary key.
    pub pkid: Pkid,
    /// The node.
    pub hierarchy: Hierarchy,
    /// The number of times the record was written.
    pub version: u64,
    /// The model's fields. None of them is a secret.
    pub fields: Map<String, Value>,
    /// The organisation's grant.
    pub connection: StoredGrant,
    /// The other grants.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub further_grants: BTreeMap<Grant, StoredGrant>,
    /// The documents that belong to the record.
    #[serde(rename = "parts")]
    pub owned_documents: Vec<OwnedDocument>,
}

/// The state of a grant, as stored by the plugin. Parts that nothing shows are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredGrant {
    /// The state.
    pub state: State,
    /// The access token's expiry.
    pub access: Option<Expiry>,
    /// The refresh token's expiry.
    pub refresh: Option<Expiry>,
    /// A counter that rises when a token with another value or a later expiry is stored.
    #[serde(default)]
    pub generation: u64,
    /// The time when tokens were last received.
    pub refreshed: Option<Timestamp>,
    /// The time of the next refresh.
    pub next_refresh: Option<Timestamp>,
    /// The error that is being retried.
    pub retry: Option<RequestFailure>,
    /// The reason why a person has to reauthorize.
    pub refusal: Option<RequestFailure>,
    /// The granted scopes, as far as Webex named them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Required scopes that were not granted.
    #[serde(default)]
    pub missing_scopes: Vec<String>,
}

/// A failed request to Webex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFailure {
    /// The number of attempts in a row.
    pub attempts: u32,
    /// The reason, for the administrator.
    pub reason: String,
    /// Webex's tracking id of the request.
    pub tracking_id: Option<String>,
}

/// A document that belongs to a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedDocument {
    /// The model.
    pub model: String,
    /// The primary key.
    pub pkid: Pkid,
    /// The name.
    pub name: String,
    /// The document's role for the record.
    pub role: String,
}

#[derive(Deserialize)]
struct RecordBody {
    connection: StoredGrant,
    #[serde(default)]
    further_grants: BTreeMap<Grant, StoredGrant>,
    #[serde(default, rename = "parts")]
    owned_documents: Vec<OwnedDocument>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Record {
    /// Parses a stored document.
    ///
    /// # Errors
    /// The document is not a record of this release.
    pub fn from_document(document: &Document) -> Result<Self, AppError> {
        let mut body: RecordBody = serde_json::from_str(&document.body).map_err(|error| {
            AppError::new(
                ErrorKind::Failed,
                format!(
                    "the stored record {} cannot be read: {error}",
                    document.reference
                ),
            )
            .hint("it may have been written by a newer release")
        })?;
        // These are internal to the plugin, and not fields of the model.
        for own in ["idempotency_key", "consents"] {
            body.fields.remove(own);
        }
        Ok(Self {
            pkid: document.reference.pkid.clone(),
            hierarchy: document.hierarchy.clone(),
            version: document.version,
            fields: body.fields,
            connection: body.connection,
            further_grants: body.further_grants,
            owned_documents: body.owned_documents,
        })
    }

    /// Returns the record's reference.
    pub fn reference(&self) -> Reference {
        Reference::record(self.pkid.clone())
    }

    /// The customer's name.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// Returns the connection in the form of workflow reports.
    pub fn summary(&self) -> ConnectionReport {
        ConnectionReport {
            pkid: self.pkid.clone(),
            name: self.name().to_owned(),
            hierarchy: self.hierarchy.clone(),
            state: self.connection.state,
            access_token_expires: self.connection.access,
            refresh_token_expires: self.connection.refresh,
            next_refresh: self.connection.next_refresh,
            grants: self.grants(),
            notes: self.text("notes").to_owned(),
        }
    }

    /// Returns the grants that a complete connection needs, in the order of their consents.
    pub fn needed_grants(&self) -> Vec<Grant> {
        let wholesale = self.fields.get("wholesale_status") == Some(&Value::Bool(true));
        let further = [Grant::WholesaleCustomers, Grant::WholesaleUsers];
        let further = further.into_iter().filter(|_| wholesale);
        std::iter::once(Grant::Organization)
            .chain(further)
            .collect()
    }

    /// Returns every grant of the connection, the organisation's first.
    fn grants(&self) -> Vec<GrantStatus> {
        std::iter::once((&Grant::Organization, &self.connection))
            .chain(&self.further_grants)
            .map(|(grant, stored)| GrantStatus {
                grant: *grant,
                state: stored.state,
                access_token_expires: stored.access,
                refresh_token_expires: stored.refresh,
                next_refresh: stored.next_refresh,
                scopes: stored.scopes.clone(),
                missing_scopes: stored.missing_scopes.clone(),
            })
            .collect()
    }

    fn text(&self, field: &str) -> &str {
        self.fields
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Returns the spellings under which a record of this name may be stored. Names are compared in Unicode's
/// normalization form C. Older releases stored names decomposed, or as typed.
pub fn spellings(name: &str) -> Vec<String> {
    let name = name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(name);
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(name);
    let mut spellings = Vec::with_capacity(1);
    for spelling in [composed, decomposed, name.into()] {
        if !spellings.iter().any(|each| *each == spelling) {
            spellings.push(spelling.into_owned());
        }
    }
    spellings
}

/// Builds a filter for records, optionally with this name or state, at or below a node. `name` is one of the
/// [`spellings`] of a name.
pub fn filter(
    hierarchy: Option<(Hierarchy, Scope)>,
    name: Option<&str>,
    state: Option<State>,
) -> Filter {
    let key = |name: &str, value: &str| Key {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let name = name.map(|name| key("name", name));
    let state = state.map(|state| key("state", state.as_str()));
    Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy,
        equals: name.into_iter().chain(state).collect(),
    }
}

/// Finds a record by pkid or by name, optionally at or below a node.
///
/// # Errors
/// No record matches, or several have the name.
pub async fn find(
    store: &dyn Store,
    record: &str,
    hierarchy: Option<&Hierarchy>,
) -> Result<Record, AppError> {
    if let Ok(pkid) = record.trim().parse::<Pkid>()
        && let Some(record) = find_by_pkid(store, pkid, hierarchy).await?
    {
        return Ok(record);
    }
    if let Some(hierarchy) = hierarchy {
        let at_node = find_by_name(store, record, Some((hierarchy, Scope::Node)));
        if let [record] = at_node.await?.as_slice() {
            return Ok(record.clone());
        }
    }
    let location = hierarchy.map(|node| (node, Scope::Subtree));
    let found = find_by_name(store, record, location).await?;
    match found.as_slice() {
        [record] => Ok(record.clone()),
        [] => Err(not_found_error(record, hierarchy)),
        candidates => Err(ambiguous_error(record, candidates)),
    }
}

async fn find_by_pkid(
    store: &dyn Store,
    pkid: Pkid,
    hierarchy: Option<&Hierarchy>,
) -> Result<Option<Record>, AppError> {
    let found = store.get(&[Reference::record(pkid)]).await?;
    let Some(document) = found.into_iter().flatten().next() else {
        return Ok(None);
    };
    let record = Record::from_document(&document)?;
    let elsewhere = hierarchy.is_some_and(|node| !node.contains(&record.hierarchy));
    Ok((!elsewhere).then_some(record))
}

async fn find_by_name(
    store: &dyn Store,
    name: &str,
    location: Option<(&Hierarchy, Scope)>,
) -> Result<Vec<Record>, AppError> {
    let location = location.map(|(node, scope)| (node.clone(), scope));
    let mut found = Vec::new();
    for spelling in spellings(name) {
        let filter = filter(location.clone(), Some(&spelling), None);
        let page = store.find(&filter, None, CANDIDATES + 1).await?;
        found.extend(page.items);
    }
    found.iter().map(Record::from_document).collect()
}

fn not_found_error(record: &str, hierarchy: Option<&Hierarchy>) -> AppError {
    let location = match hierarchy {
        Some(node) => format!(" at or below {node}"),
        None => String::new(),
    };
    AppError::new(
        ErrorKind::NotFound,
        format!("no record{location} has the pkid or name {record:?}"),
    )
    .hint("`relation-host list` shows what is there")
}

fn ambiguous_error(record: &str, candidates: &[Record]) -> AppError {
    let more = match candidates.len() > CANDIDATES as usize {
        true => "\n  and more",
        false => "",
    };
    let lines: String = candidates
        .iter()
        .take(CANDIDATES as usize)
        .map(|record| format!("\n  {}  {}", record.pkid, record.hierarchy))
        .collect();
    AppError::usage(format!(
        "more than one record is called {record:?}:{lines}{more}"
    ))
    .hint("name it by its pkid, or say where with --hierarchy")
}

/// Finds the spelling under which `name` is stored. Returns the normalized spelling if no record has the name.
///
/// # Errors
/// The store cannot be read.
pub async fn find_stored_spelling(store: &dyn Store, name: &str) -> Result<String, AppError> {
    let spellings = spellings(name);
    for spelling in &spellings {
        let filter = filter(None, Some(spelling), None);
        if !store.find(&filter, None, 1).await?.items.is_empty() {
            return Ok(spelling.clone());
        }
    }
    Ok(spellings.into_iter().next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
