//! A record as the platform shows it. It is written without an intermediate JSON value: lists are the most frequent
//! responses.

use std::sync::Arc;

use relation_host::reports::{ConnectionReport, OwnedDocument, RecordDetails};
use relation_host::types::{Document, Hierarchy, Pkid};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::actions::operation_of;
use super::records::href;
use crate::Web;
use crate::access::nodes::node_pkid;
use crate::access::{Allowed, Operation, Principal, permission};

/// The field with the address at which a person connects the customer.
pub(super) const TOKEN_LINK: &str = "token_link";

/// The parts that all records of a response share.
pub(super) struct Resources {
    shared: Arc<Shared>,
    principal: Arc<Principal>,
}

struct Shared {
    model: String,
    actions: Vec<(String, String, Operation)>,
    /// The address below which each record has a page.
    pages: String,
}

impl Resources {
    pub(super) fn new(web: &Web, allowed: &Allowed<permission::Read>) -> Self {
        let actions = web.model().actions.iter();
        let actions = actions.map(|action| {
            let operation = operation_of(&action.name);
            (action.name.clone(), action.title.clone(), operation)
        });
        let public = &web.options().public_url;
        Self {
            shared: Arc::new(Shared {
                model: web.model().name.clone(),
                actions: actions.collect(),
                pages: public
                    .join("organizations/")
                    .map_or_else(|_| public.to_string(), String::from),
            }),
            principal: Arc::clone(allowed.principal()),
        }
    }

    /// Shows the records of a page.
    pub(super) fn show_all(
        &self,
        details: impl IntoIterator<Item = Arc<RecordDetails>>,
        documents: &[Document],
    ) -> Vec<Resource> {
        let shown = details.into_iter().zip(documents);
        shown
            .map(|(details, document)| self.show(details, document))
            .collect()
    }

    /// Shows a record with the links of the actions that the reader may run.
    pub(super) fn show(&self, details: Arc<RecordDetails>, document: &Document) -> Resource {
        let node = &document.hierarchy;
        let actions = self.shared.actions.iter();
        Resource {
            shared: Arc::clone(&self.shared),
            permitted: actions
                .map(|(.., operation)| self.principal.may(*operation, node))
                .collect(),
            hierarchy: node.clone(),
            version: document.version,
            details,
            schema: None,
        }
    }
}

/// A record with its links.
pub(super) struct Resource {
    shared: Arc<Shared>,
    /// Whether the reader may run each of the shared actions.
    permitted: Vec<bool>,
    hierarchy: Hierarchy,
    version: u64,
    details: Arc<RecordDetails>,
    schema: Option<Value>,
}

impl Resource {
    /// Adds the schema of the model.
    pub(super) fn with_schema(self, schema: Option<Value>) -> Self {
        Self { schema, ..self }
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RecordDetails {
            connection,
            fields,
            owned_documents,
        } = &*self.details;
        let pkid = &connection.pkid;
        let href = href(pkid.as_str());
        let actions = self.shared.actions.iter().zip(&self.permitted);
        let actions = actions.filter(|(_, permitted)| **permitted);
        let actions = actions.map(|((name, title, _), _)| Action {
            name,
            title,
            method: "POST",
            href: format!("{href}+{name}/"),
        });
        Members {
            pkid,
            href: &href,
            meta: Meta {
                model_type: &self.shared.model,
                hierarchy: &self.hierarchy,
                hierarchy_pkid: node_pkid(&self.hierarchy),
                version: self.version,
                uri: &href,
                actions: actions.collect(),
                references: owned_documents,
            },
            data: Data {
                fields,
                token_link: format!("{}{pkid}/connect", self.shared.pages),
            },
            connection,
            schema: self.schema.as_ref(),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct Members<'a> {
    pkid: &'a Pkid,
    href: &'a str,
    meta: Meta<'a>,
    data: Data<'a>,
    connection: &'a ConnectionReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a Value>,
}

#[derive(Serialize)]
struct Meta<'a> {
    model_type: &'a str,
    hierarchy: &'a Hierarchy,
    hierarchy_pkid: Pkid,
    version: u64,
    uri: &'a str,
    actions: Vec<Action<'a>>,
    references: &'a [OwnedDocument],
}

#[derive(Serialize)]
struct Action<'a> {
    name: &'a str,
    title: &'a str,
    method: &'static str,
    href: String,
}

/// The fields of a record, with the address at which a person connects it.
struct Data<'a> {
    fields: &'a Map<String, Value>,
    token_link: String,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut data = serializer.serialize_map(None)?;
        for (name, value) in self.fields.iter().filter(|(name, _)| *name != TOKEN_LINK) {
            data.serialize_entry(name, value)?;
        }
        data.serialize_entry(TOKEN_LINK, &self.token_link)?;
        data.end()
    }
}
