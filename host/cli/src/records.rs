//! Records as the store holds them, and how a person names one: by pkid or by name.

use std::collections::BTreeMap;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use relation_host::reports::{Connection, Expiry, Grant, GrantStatus, State};
use relation_host::store::Store;
use relation_host::types::{
    Document, Filter, Hierarchy, Key, Pkid, RECORD_MODEL, Reference, Scope, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::failure::{Failed, Kind};

/// The most candidates that are listed for an ambiguous name.
const CANDIDATES: u32 = 10;

/// Which record a command is about.
#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// The record, by pkid or by name
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// Where to look for the name: at this node, else below it
    #[arg(long, value_name = "PATH")]
    pub hierarchy: Option<Hierarchy>,
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Its key.
    pub pkid: Pkid,
    /// Its node.
    pub hierarchy: Hierarchy,
    /// How often it was written.
    pub version: u64,
    /// The model's fields; none of them holds a secret.
    pub fields: Map<String, Value>,
    /// How the connection stands.
    pub connection: Stored,
    /// How its other grants stand.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub further_grants: BTreeMap<Grant, Stored>,
    /// What was created with it and goes with it.
    pub parts: Vec<Part>,
}

/// The connection as the plugin keeps it. What this command does not show is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// How it stands.
    pub state: State,
    /// The access token's expiry.
    pub access: Option<Expiry>,
    /// The refresh token's expiry.
    pub refresh: Option<Expiry>,
    /// Raised whenever the refresh token is a new one or its expiry moves.
    #[serde(default)]
    pub generation: u64,
    /// When the tokens were last received.
    pub refreshed: Option<Timestamp>,
    /// When the next refresh is due.
    pub next_refresh: Option<Timestamp>,
    /// The failure that is being retried.
    pub retry: Option<Refusal>,
    /// Why a person has to reauthorize.
    pub refusal: Option<Refusal>,
    /// The scopes granted, as far as Webex named them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Required scopes that were not granted.
    #[serde(default)]
    pub missing_scopes: Vec<String>,
}

/// What Webex, or the way there, said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// How many attempts in a row.
    pub attempts: u32,
    /// For the administrator.
    pub reason: String,
    /// Webex's name for the failed request.
    pub tracking_id: Option<String>,
}

/// A document that belongs to a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its model.
    pub model: String,
    /// Its key.
    pub pkid: Pkid,
    /// Its name.
    pub name: String,
    /// What it is to the record.
    pub role: String,
}

#[derive(Deserialize)]
struct Body {
    connection: Stored,
    #[serde(default)]
    further_grants: BTreeMap<Grant, Stored>,
    #[serde(default)]
    parts: Vec<Part>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Record {
    /// Understands a stored document.
    pub fn of(document: &Document) -> Result<Self, Failed> {
        let mut body: Body = serde_json::from_str(&document.body).map_err(|error| {
            Failed::new(
                Kind::Failed,
                format!(
                    "the stored record {} cannot be read: {error}",
                    document.reference
                ),
            )
            .hint("it may have been written by a newer release")
        })?;
        // Of no use to anybody but the plugin, and no fields of the model.
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
            parts: body.parts,
        })
    }

    /// The document it is.
    pub fn reference(&self) -> Reference {
        Reference::record(self.pkid.clone())
    }

    /// The customer's name.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// How it stands, in the form in which workflows answer.
    pub fn summary(&self) -> Connection {
        Connection {
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

    /// The grants without which the connection is not whole, in the order in which people consent.
    pub fn needed_grants(&self) -> Vec<Grant> {
        let wholesale = self.fields.get("wholesale_status") == Some(&Value::Bool(true));
        let further = [Grant::WholesaleCustomers, Grant::WholesaleUsers];
        let further = further.into_iter().filter(|_| wholesale);
        std::iter::once(Grant::Organization)
            .chain(further)
            .collect()
    }

    /// Every grant that the connection is made of, the organisation's first.
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

/// The spellings under which a record of this name may be found. Names are compared in Unicode's
/// normalization form C; records of older releases have their name decomposed, or as it was typed.
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

/// All records, or those with this name or state, at or below a node. `name` is one of the
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

impl Named {
    /// The one record that is meant.
    pub async fn find(&self, store: &dyn Store) -> Result<Record, Failed> {
        if let Ok(pkid) = self.record.trim().parse::<Pkid>()
            && let Some(record) = self.with_pkid(store, pkid).await?
        {
            return Ok(record);
        }
        if let Some(hierarchy) = &self.hierarchy {
            let at_node = self.with_name(store, Some((hierarchy, Scope::Node)));
            if let [record] = at_node.await?.as_slice() {
                return Ok(record.clone());
            }
        }
        let place = self.hierarchy.as_ref().map(|node| (node, Scope::Subtree));
        let found = self.with_name(store, place).await?;
        match found.as_slice() {
            [record] => Ok(record.clone()),
            [] => Err(self.absent()),
            candidates => Err(self.ambiguous(candidates)),
        }
    }

    async fn with_pkid(&self, store: &dyn Store, pkid: Pkid) -> Result<Option<Record>, Failed> {
        let found = store.get(&[Reference::record(pkid)]).await?;
        let Some(document) = found.into_iter().flatten().next() else {
            return Ok(None);
        };
        let record = Record::of(&document)?;
        let elsewhere = self
            .hierarchy
            .as_ref()
            .is_some_and(|node| !node.contains(&record.hierarchy));
        Ok((!elsewhere).then_some(record))
    }

    async fn with_name(
        &self,
        store: &dyn Store,
        place: Option<(&Hierarchy, Scope)>,
    ) -> Result<Vec<Record>, Failed> {
        let place = place.map(|(node, scope)| (node.clone(), scope));
        let mut found = Vec::new();
        for spelling in spellings(&self.record) {
            let filter = filter(place.clone(), Some(&spelling), None);
            let page = store.find(&filter, None, CANDIDATES + 1).await?;
            found.extend(page.items);
        }
        found.iter().map(Record::of).collect()
    }

    fn absent(&self) -> Failed {
        let place = match &self.hierarchy {
            Some(node) => format!(" at or below {node}"),
            None => String::new(),
        };
        Failed::new(
            Kind::NotFound,
            format!("no record{place} has the pkid or name {:?}", self.record),
        )
        .hint("`relation-host list` shows what is there")
    }

    fn ambiguous(&self, candidates: &[Record]) -> Failed {
        let more = match candidates.len() > CANDIDATES as usize {
            true => "\n  and more",
            false => "",
        };
        let lines: String = candidates
            .iter()
            .take(CANDIDATES as usize)
            .map(|record| format!("\n  {}  {}", record.pkid, record.hierarchy))
            .collect();
        Failed::usage(format!(
            "more than one record is called {:?}:{lines}{more}",
            self.record
        ))
        .hint("name it by its pkid, or say where with --hierarchy")
    }
}

#[cfg(test)]
mod tests;
