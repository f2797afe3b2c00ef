//! Stored records, and how one is found: by pkid or by name.

use relation_host::Host;
use relation_host::reports::{RecordDetails, State};
use relation_host::store::Store;
use relation_host::text::is_invisible;
use relation_host::types::{
    Document, Filter, Hierarchy, Key, Pkid, RECORD_MODEL, Reference, Scope,
};

use crate::names::list_spellings;
use crate::{AppError, ErrorKind, quote_for_shell};

/// The maximum number of candidates that the error of an ambiguous name lists.
const CANDIDATES: u32 = 10;

/// The beginning of the key for a state that a grant of the record has.
pub(crate) const STATE_PREFIX: &str = "state.";

/// The key of a record's document that holds the customer's name.
const NAME_KEY: &str = "name";

/// The key of a record's document that holds the organization's UUID.
const ORGANIZATION_KEY: &str = "organization";

/// A stored record, as far as its document's keys describe it. Only the plugin understands the rest: see [`show`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The primary key.
    pub pkid: Pkid,
    /// The node.
    pub hierarchy: Hierarchy,
    /// The document.
    pub document: Document,
    /// Whether another record has the same name, so that commands must name this one by its pkid. `false` if that is
    /// not known.
    pub shares_name: bool,
}

impl From<Document> for StoredRecord {
    fn from(document: Document) -> Self {
        Self {
            pkid: document.reference.pkid.clone(),
            hierarchy: document.hierarchy.clone(),
            document,
            shares_name: false,
        }
    }
}

impl StoredRecord {
    /// Returns the record's reference.
    pub fn reference(&self) -> Reference {
        self.document.reference.clone()
    }

    /// Returns the customer's name; the pkid if the name is too long for a key.
    pub fn name(&self) -> &str {
        find_name(&self.document).unwrap_or(self.pkid.as_str())
    }

    /// Returns whether a grant of the record has this state.
    pub fn has_state(&self, state: State) -> bool {
        has_state(&self.document, state)
    }

    /// Returns the argument with which a command selects this record, for a shell.
    pub fn selector(&self) -> String {
        selector(self.name(), &self.pkid, self.shares_name)
    }

    /// Returns the commands that connect the customer.
    pub fn connect_hint(&self) -> String {
        connect_hint(&self.selector(), !self.has_state(State::NotConnected))
    }

    /// Finds out whether another record has the same name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn with_shared_name(mut self, store: &dyn Store) -> Result<Self, AppError> {
        self.shares_name = is_shared_name(store, self.name()).await?;
        Ok(self)
    }

    /// Adds the next step to an error of this record that asks for a person at Webex.
    pub fn explain(&self, error: impl Into<AppError>) -> AppError {
        let error = error.into();
        match error.kind {
            ErrorKind::Reauthorize => error.or_hint(self.connect_hint()),
            _ => error,
        }
    }
}

/// Returns the argument with which a command selects a record, for a shell. This is the name, or the pkid if the name
/// is shared, empty, like an option, or cannot be typed.
pub(crate) fn selector(name: &str, pkid: &Pkid, shares_name: bool) -> String {
    let is_invisible = |c: char| c.is_control() || is_invisible(c);
    match shares_name || name.is_empty() || name.starts_with('-') || name.contains(is_invisible) {
        true => pkid.to_string(),
        false => quote_for_shell(name),
    }
}

/// Returns whether several records have the name.
///
/// # Errors
/// The store cannot be read.
pub(crate) async fn is_shared_name(store: &dyn Store, name: &str) -> Result<bool, AppError> {
    let mut count = 0;
    for spelling in spellings(name) {
        count += store.count(&filter(None, Some(&spelling), None), 2).await?;
    }
    Ok(count > 1)
}

/// Returns the commands that connect the customer. `name` is the argument that selects it, for a shell.
pub fn connect_hint(name: &str, was_connected: bool) -> String {
    let again = if was_connected { " again" } else { "" };
    format!(
        "`relation-host connect {name}` connects the customer{again}, or `relation-host modify {name} --tokens FILE`"
    )
}

/// Returns whether a grant of the record in `document` has this state.
pub(crate) fn has_state(document: &Document, state: State) -> bool {
    let name = format!("{STATE_PREFIX}{state}");
    document.keys.iter().any(|key| key.name == name)
}

/// Returns the name under which a record's document can be found.
pub fn find_name(document: &Document) -> Option<&str> {
    let mut keys = document.keys.iter();
    let name = keys.find(|key| key.name == NAME_KEY)?;
    Some(&name.value)
}

/// Lets the plugin show a record.
///
/// # Errors
/// The document is not a record of the plugin's release, or the plugin did not return a result.
pub async fn show(host: &Host, record: &StoredRecord) -> Result<RecordDetails, AppError> {
    let documents = std::slice::from_ref(&record.document);
    show_all(host, documents)
        .await?
        .pop()
        .ok_or_else(|| AppError::new(ErrorKind::Internal, "the plugin showed no record"))
}

/// Lets the plugin show several records, in the given order.
///
/// # Errors
/// A document is not a record of the plugin's release, or the plugin did not return a result.
pub async fn show_all(host: &Host, documents: &[Document]) -> Result<Vec<RecordDetails>, AppError> {
    let shown = host.show(documents).await?.into_iter();
    shown
        .map(|details| {
            details.map_err(|failure| {
                AppError::new(ErrorKind::Failed, failure.to_string())
                    .hint("it may have been written by a newer release")
            })
        })
        .collect()
}

/// Returns the spellings under which a record of this name may be stored. Names are compared in Unicode's
/// normalization form C. Older releases stored names decomposed, or as typed.
pub fn spellings(name: &str) -> Vec<String> {
    let name = name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    list_spellings(name)
}

/// Builds a filter for records, optionally with this name, or with a grant in this state, at or below a node. `name`
/// is one of the [`spellings`] of a name.
pub fn filter(
    hierarchy: Option<(Hierarchy, Scope)>,
    name: Option<&str>,
    state: Option<State>,
) -> Filter {
    let key = |name: &str, value: &str| Key {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let name = name.map(|name| key(NAME_KEY, name));
    let state = state.map(|state| key(&format!("{STATE_PREFIX}{state}"), "yes"));
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
) -> Result<StoredRecord, AppError> {
    let found = find_any(store, record, hierarchy).await?;
    found.with_shared_name(store).await
}

async fn find_any(
    store: &dyn Store,
    record: &str,
    hierarchy: Option<&Hierarchy>,
) -> Result<StoredRecord, AppError> {
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
) -> Result<Option<StoredRecord>, AppError> {
    let found = store.get(&[Reference::record(pkid)]).await?;
    let Some(document) = found.into_iter().flatten().next() else {
        return Ok(None);
    };
    let record = StoredRecord::from(document);
    let elsewhere = hierarchy.is_some_and(|node| !node.contains(&record.hierarchy));
    Ok((!elsewhere).then_some(record))
}

async fn find_by_name(
    store: &dyn Store,
    name: &str,
    location: Option<(&Hierarchy, Scope)>,
) -> Result<Vec<StoredRecord>, AppError> {
    let location = location.map(|(node, scope)| (node.clone(), scope));
    let mut found = Vec::new();
    for spelling in spellings(name) {
        let filter = filter(location.clone(), Some(&spelling), None);
        let page = store.find(&filter, None, CANDIDATES + 1).await?;
        found.extend(page.items);
    }
    Ok(found.into_iter().map(StoredRecord::from).collect())
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

fn ambiguous_error(record: &str, candidates: &[StoredRecord]) -> AppError {
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

/// Finds other records with the Webex organization of the record `pkid`, up to a bound, optionally at or below a node.
///
/// # Errors
/// The store cannot be read.
pub async fn find_same_organization(
    store: &dyn Store,
    pkid: &Pkid,
    range: Option<(Hierarchy, Scope)>,
) -> Result<Vec<StoredRecord>, AppError> {
    let found = store.get(&[Reference::record(pkid.clone())]).await?;
    let document = found.into_iter().flatten().next();
    let mut keys = document.into_iter().flat_map(|document| document.keys);
    let Some(organization) = keys.find(|key| key.name == ORGANIZATION_KEY) else {
        return Ok(Vec::new());
    };
    let filter = Filter {
        equals: vec![organization],
        ..filter(range, None, None)
    };
    let page = store.find(&filter, None, CANDIDATES + 1).await?;
    let records = page.items.into_iter().map(StoredRecord::from);
    Ok(records.filter(|record| record.pkid != *pkid).collect())
}

/// Finds the spelling under which `name` is stored, optionally at or below a node. Returns the normalized spelling if
/// no record has the name.
///
/// # Errors
/// The store cannot be read.
pub async fn find_stored_spelling(
    store: &dyn Store,
    name: &str,
    hierarchy: Option<&(Hierarchy, Scope)>,
) -> Result<String, AppError> {
    let spellings = spellings(name);
    for spelling in &spellings {
        let filter = filter(hierarchy.cloned(), Some(spelling), None);
        if !store.find(&filter, None, 1).await?.items.is_empty() {
            return Ok(spelling.clone());
        }
    }
    Ok(spellings.into_iter().next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
