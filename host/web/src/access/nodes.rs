//! Nodes of the hierarchy as documents, so that a node can be found by its pkid, listed, and added before it is used.
//!
//! The pkid of a node follows from its path: every response can name it without a read. A node is stored when an object
//! is added there, when a response shows a document there, or by `index` when a server starts. No request reads more
//! nodes than its page shows.
//!
//! A node exists as long as an object is at it or below it. The commit of an added object stores the node again,
//! and the commit of a deletion checks that no such object exists.

mod spelling;
#[cfg(test)]
mod tests;

pub(crate) use spelling::find_error;
pub use spelling::find_spelling;

use std::collections::HashMap;
use std::str::FromStr;

use relation_app::names::{find_hidden_character, list_spellings, normalize_name};
use relation_app::white_space::find_white_space_error;
use relation_app::{AppError, ErrorKind};
use relation_host::callbacks::CALLBACK_AUTH_MODEL;
use relation_host::store::{Change, Check, StoreError};
use relation_host::types::{
    Filter, Hierarchy, InvalidHierarchy, Key, Pkid, RECORD_MODEL, Reference, Scope,
};
use relation_notify::settings::NOTICE_SETTINGS_MODEL;
use serde::{Deserialize, Serialize};

use self::spelling::find_child;
use super::audit::{self, Actor, AuditObject, NewAuditEvent};
use super::documents::{self, Entry, Range, Stored, key};
use super::users::{check_fields, field_error};
use super::{AccessParts, Allowed, ClientAddress, Operation, permission};
use crate::WebError;

/// The address of the nodes.
pub(super) const PATH: &str = "/api/data/HierarchyNode/";
/// The maximum number of nodes that a process remembers as stored.
const MAX_KNOWN: usize = 100_000;

/// The name of a node in a request: its dotted path or its pkid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeName {
    Path(Hierarchy),
    Pkid(Pkid),
}

impl FromStr for NodeName {
    type Err = InvalidHierarchy;

    fn from_str(text: &str) -> Result<Self, InvalidHierarchy> {
        match text.trim().parse() {
            Ok(pkid) => Ok(Self::Pkid(pkid)),
            Err(_) => text.parse().map(Self::Path),
        }
    }
}

/// A node of the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HierarchyNode {
    /// The pkid, which follows from the path.
    pub pkid: Pkid,
    /// The address.
    pub href: String,
    /// The last part of the path.
    pub name: String,
    /// The dotted path.
    pub hierarchy: Hierarchy,
    /// The path of the node above, if the caller may see it.
    pub parent: Option<Hierarchy>,
    /// The pkid of the node above.
    pub parent_pkid: Option<Pkid>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NodeBody {
    name: String,
    parent: Option<Hierarchy>,
}

impl Stored for NodeBody {
    const MODEL: &'static str = "host/HierarchyNode";

    fn keys(&self) -> Vec<Key> {
        let parent = self.parent.as_ref();
        let parent = parent.map(|parent| key("parent", parent.as_str()));
        std::iter::once(key("name", self.name.as_str()))
            .chain(parent)
            .collect()
    }
}

impl Entry<NodeBody> {
    fn at(node: &Hierarchy) -> Self {
        let body = NodeBody {
            name: name(node).to_owned(),
            parent: parent(node),
        };
        Self::new(node_pkid(node), node.clone(), body)
    }

    pub(super) fn show<P: super::Permission>(self, allowed: &Allowed<P>) -> HierarchyNode {
        let may_see = |node: &Hierarchy| allowed.principal().may(Operation::Read, node);
        let parent = self.body.parent.filter(may_see);
        HierarchyNode {
            href: format!("{PATH}{}/", self.pkid),
            pkid: self.pkid,
            name: self.body.name,
            hierarchy: self.node,
            parent_pkid: parent.as_ref().map(node_pkid),
            parent,
        }
    }
}

/// Returns the pkid of a node.
pub fn node_pkid(node: &Hierarchy) -> Pkid {
    Pkid::derive(&format!("host/HierarchyNode/{node}"))
}

fn name(node: &Hierarchy) -> &str {
    let path = node.as_str();
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}

/// Returns a node and all nodes above it, the nearest first.
pub(super) fn and_above(node: &Hierarchy) -> impl Iterator<Item = Hierarchy> {
    std::iter::successors(Some(node.clone()), parent)
}

fn parent(node: &Hierarchy) -> Option<Hierarchy> {
    let (parent, _) = node.as_str().rsplit_once('.')?;
    Hierarchy::try_from(parent.to_owned()).ok()
}

/// Returns the path of a node that a request names.
///
/// # Errors
/// 404 for the pkid of an unknown node, as for one outside of the caller's nodes; the caller checks the path.
pub(crate) async fn resolve(parts: &AccessParts, name: NodeName) -> Result<Hierarchy, WebError> {
    match name {
        NodeName::Path(path) => Ok(find_spelling(parts.store(), &path).await?),
        NodeName::Pkid(pkid) => {
            let found = documents::get::<NodeBody>(parts.store(), &pkid).await?;
            found
                .map(|entry| entry.node)
                .ok_or_else(WebError::not_found)
        }
    }
}

/// Works like [`resolve`], for a parameter that may be absent.
pub(crate) async fn resolve_optional(
    parts: &AccessParts,
    name: Option<NodeName>,
) -> Result<Option<Hierarchy>, WebError> {
    match name {
        Some(name) => resolve(parts, name).await.map(Some),
        None => Ok(None),
    }
}

/// Returns the changes that store a node with all nodes above it, also if they are stored already. They belong to the
/// commit of a new object at the node. An earlier deletion of the node does not matter, and a later one fails.
pub(super) fn to_keep(node: &Hierarchy) -> Result<Vec<Change>, StoreError> {
    let nodes = and_above(node);
    nodes.map(|node| Entry::at(&node).to_put()).collect()
}

/// Returns whether a node is stored.
pub(super) async fn exists(parts: &AccessParts, node: &Hierarchy) -> Result<bool, StoreError> {
    let found = documents::get::<NodeBody>(parts.store(), &node_pkid(node)).await?;
    Ok(found.is_some())
}

/// Returns the pkids of nodes that were not known as stored, and the changes that store those that are missing.
async fn find_missing(
    parts: &AccessParts,
    nodes: impl IntoIterator<Item = &Hierarchy>,
) -> Result<(Vec<Pkid>, Vec<Change>), StoreError> {
    let mut wanted: HashMap<Pkid, Entry<NodeBody>> = HashMap::new();
    for node in nodes {
        let mut next = Some(node.clone());
        while let Some(node) = next {
            let entry = Entry::at(&node);
            // A node is stored together with all nodes above it.
            if wanted.contains_key(&entry.pkid) || parts.known_nodes().lock().contains(&entry.pkid)
            {
                break;
            }
            next = entry.body.parent.clone();
            wanted.insert(entry.pkid.clone(), entry);
        }
    }
    if wanted.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let pkids: Vec<Pkid> = wanted.keys().cloned().collect();
    let references: Vec<Reference> = wanted.values().map(Entry::reference).collect();
    for found in parts.store().get(&references).await?.into_iter().flatten() {
        wanted.remove(&found.reference.pkid);
    }
    let changes = wanted.values().map(Entry::to_put);
    Ok((pkids, changes.collect::<Result<_, _>>()?))
}

/// Stores nodes that a response shows or a request uses, unless they are stored.
///
/// # Errors
/// The store cannot be read or written.
pub async fn ensure(
    parts: &AccessParts,
    nodes: impl IntoIterator<Item = &Hierarchy>,
) -> Result<(), StoreError> {
    let (pkids, changes) = find_missing(parts, nodes).await?;
    if !changes.is_empty() {
        documents::commit(parts, Vec::new(), changes).await?;
    }
    let mut known = parts.known_nodes().lock();
    if known.len() > MAX_KNOWN {
        known.clear();
    }
    known.extend(pkids);
    Ok(())
}

/// Stores the node of a record that was added, unless the node is stored. It may have been deleted between the check of
/// the request and the commit of the plugin. An error is logged, because the record is added: the next response that
/// shows the record stores the node.
pub(crate) async fn restore(parts: &AccessParts, node: &Hierarchy) {
    {
        let mut known = parts.known_nodes().lock();
        for node in and_above(node) {
            known.remove(&node_pkid(&node));
        }
    }
    if let Err(error) = ensure(parts, [node]).await {
        tracing::warn!(%error, "the node of an added record was not stored");
    }
}

/// The nodes of a list, besides their place in the hierarchy.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeFilter {
    /// The name, which is the last part of the path.
    pub(super) name: Option<String>,
    /// Whether to list only the nodes directly below the requested one.
    pub(super) children: bool,
}

/// Returns the filter for nodes of a part of the hierarchy, with the name in its stored spelling.
pub(super) async fn find_filter(
    parts: &AccessParts,
    range: (Hierarchy, Scope),
    mut wanted: NodeFilter,
) -> Result<Filter, StoreError> {
    let name = wanted.name.take().unwrap_or_default();
    for name in list_spellings(&name) {
        let is_empty = name.is_empty();
        wanted.name = (!is_empty).then_some(name);
        let filter = to_filter(range.clone(), &wanted);
        if is_empty || parts.store().count(&filter, 1).await? > 0 {
            return Ok(filter);
        }
    }
    Ok(to_filter(range, &wanted))
}

fn to_filter(range: (Hierarchy, Scope), wanted: &NodeFilter) -> Filter {
    let name = wanted.name.as_deref().map(|name| key("name", name));
    let parent = wanted.children.then(|| key("parent", range.0.as_str()));
    let equals = name.into_iter().chain(parent).collect();
    documents::filter::<NodeBody>(&Some(range), equals)
}

/// Reads a node.
///
/// # Errors
/// 404 if the node does not exist or is outside of the principal's nodes.
pub(super) async fn get(
    parts: &AccessParts,
    allowed: &Allowed<permission::Read>,
    pkid: &Pkid,
) -> Result<HierarchyNode, WebError> {
    let entry = documents::find::<NodeBody>(parts, pkid, |node| allowed.check(node)).await?;
    Ok(entry.show(allowed))
}

/// Adds a node below another one.
///
/// # Errors
/// 404 for a node outside of the principal's; the name is not one part of a path; 409 if the node exists.
pub(super) async fn add(
    parts: &AccessParts,
    allowed: &Allowed<permission::Add>,
    address: ClientAddress,
    above: &Hierarchy,
    name: &str,
) -> Result<HierarchyNode, WebError> {
    allowed.check(above)?;
    let name = normalize_name(name.trim());
    let path = match name.contains('.') {
        true => None,
        false => find_child(parts.store(), Some(above), &name).await?,
    };
    let Some(node) = path else {
        let message = "must be one part of a path: without full stops and control characters, not empty, with a path of \
                       at most 1024 bytes";
        return Err(to_invalid("name", message));
    };
    let error = find_hidden_character(&name).or_else(|| find_white_space_error(&name));
    if let Some(error) = error {
        return Err(to_invalid("name", &error));
    }
    let entry = Entry::at(&node);
    let actor = Actor::from_principal(allowed.principal());
    let event = NewAuditEvent::new(actor, address, "add-node", &node)
        .on(AuditObject::new(entry.reference(), node.as_str()));
    let mut changes = to_keep(above)?;
    changes.extend([entry.to_put()?, audit::to_change(parts, event)?]);
    let committed = documents::commit(parts, vec![entry.to_check()], changes).await;
    match committed {
        Ok(()) => Ok(entry.show(allowed)),
        Err(StoreError::Conflict(_)) => {
            let error = AppError::new(ErrorKind::Conflict, format!("the node {node} exists"));
            Err(error.hint("use it, or choose another name").into())
        }
        Err(error) => Err(error.into()),
    }
}

fn to_invalid(field: &str, message: &str) -> WebError {
    match check_fields(vec![field_error(field, message)]) {
        Err(error) => error,
        Ok(()) => WebError::not_found(),
    }
}

/// The models whose documents need their node: it is not deleted before them. All others belong to a record.
const MODELS_AT_NODES: [&str; 9] = [
    RECORD_MODEL,
    CALLBACK_AUTH_MODEL,
    NOTICE_SETTINGS_MODEL,
    "host/User",
    "host/ApiKey",
    "host/Role",
    "data/Site",
    "data/NetworkDeviceList",
    "data/WebexLocationNodeMapping",
];

/// Deletes a node with no node below it and with nothing at it.
///
/// # Errors
/// 404 as for [`get`]; 403 if the principal sees the node, but may not delete there; 409 if something is at or below the
/// node.
pub(super) async fn delete(
    parts: &AccessParts,
    allowed: &Allowed<permission::Delete>,
    address: ClientAddress,
    pkid: &Pkid,
) -> Result<(), WebError> {
    let entry = documents::find::<NodeBody>(parts, pkid, |node| allowed.check(node)).await?;
    let range: Range = Some((entry.node.clone(), Scope::Subtree));
    let mut checks = vec![
        entry.to_check(),
        Check::Unique(
            documents::filter::<NodeBody>(&range, Vec::new()),
            Some(entry.reference()),
        ),
    ];
    checks.extend(MODELS_AT_NODES.map(|model| {
        let filter = Filter {
            model: model.to_owned(),
            hierarchy: range.clone(),
            equals: Vec::new(),
        };
        Check::Unique(filter, None)
    }));
    let actor = Actor::from_principal(allowed.principal());
    let event = NewAuditEvent::new(actor, address, "delete-node", &entry.node)
        .on(AuditObject::new(entry.reference(), entry.node.as_str()));
    let changes = vec![entry.to_delete(), audit::to_change(parts, event)?];
    let committed = documents::commit(parts, checks, changes).await;
    committed.map_err(|error| match error {
        StoreError::Conflict(_) => {
            let message = format!("the node {} is in use", entry.node);
            let hint = "delete the records, users, keys, roles, credentials of callbacks, notice settings and nodes at and below it first";
            WebError::from(AppError::new(ErrorKind::Conflict, message).hint(hint))
        }
        error => error.into(),
    })?;
    parts.known_nodes().lock().remove(pkid);
    Ok(())
}

/// The body of the document that exists once all earlier documents have a stored node.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct IndexBody {}

impl Stored for IndexBody {
    const MODEL: &'static str = "host/HierarchyIndex";

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }
}

/// Stores the nodes of the documents from before nodes were stored, once for each store. Returns their number.
pub(super) async fn index(parts: &AccessParts) -> Result<u64, StoreError> {
    // Small pages, so that no write of a request waits for long.
    const PAGE_SIZE: u32 = 200;
    let node = "sys".parse();
    let node = node.map_err(|error: InvalidHierarchy| StoreError::Invalid(error.to_string()))?;
    let marker = Entry::new(Pkid::from_bytes([0; 12]), node, IndexBody {});
    let stored = documents::get::<IndexBody>(parts.store(), &marker.pkid).await?;
    if stored.is_some() {
        return Ok(0);
    }
    let mut indexed = 0;
    for model in MODELS_AT_NODES {
        let filter = Filter {
            model: model.to_owned(),
            hierarchy: None,
            equals: Vec::new(),
        };
        let mut cursor: Option<String> = None;
        loop {
            let page = parts
                .store()
                .find(&filter, cursor.as_deref(), PAGE_SIZE)
                .await?;
            let nodes = page.items.iter().map(|document| &document.hierarchy);
            let (_, changes) = find_missing(parts, nodes).await?;
            indexed += changes.len() as u64;
            if !changes.is_empty() {
                documents::commit(parts, Vec::new(), changes).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    documents::commit(parts, Vec::new(), vec![marker.to_put()?]).await?;
    Ok(indexed)
}
