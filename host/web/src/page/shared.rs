//! The shared parts of the pages of users, keys, roles and links.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use relation_host::types::{FieldError, Hierarchy};
use serde::Deserialize;

use super::form::{self, FormField, Posted};
use super::grants::{grant_fields, map_errors, read_grants};
use super::links;
use super::parts::Moment;
use super::ui::{Ui, render_with};
use crate::access::roles::{self, OwnRole};
use crate::access::users::{check_fields, field_error, find_name_error};
use crate::access::{Allowed, RoleGrant, permission};
use crate::{Web, WebError};

/// The number of items on a page of a list.
pub(crate) const PAGE_SIZE: u32 = 50;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    pub(crate) hierarchy: String,
    cursor: String,
}

impl ListQuery {
    /// Returns the cursor, if there is one.
    pub(crate) fn cursor(&self) -> Option<&str> {
        Some(self.cursor.as_str()).filter(|cursor| !cursor.is_empty())
    }

    /// Returns the address of the next page of the list at `path`.
    pub(crate) fn next(&self, path: &str, cursor: Option<String>) -> Option<String> {
        let values = |cursor: String| {
            let query = [("hierarchy", self.hierarchy.as_str()), ("cursor", &cursor)];
            links::with_query(path, &query)
        };
        cursor.map(values)
    }
}

/// A value that is shown once: a link or a key.
#[derive(Template)]
#[template(path = "secret.html")]
pub(crate) struct SecretPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) value: String,
    pub(crate) expires: Option<Moment>,
    pub(crate) back: String,
}

/// The form of a new user, key or role.
#[derive(Template)]
#[template(path = "manage_form.html")]
pub(crate) struct ManageForm<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) list: String,
    pub(crate) help: Option<String>,
    pub(crate) fields: Vec<FormField>,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
    pub(crate) failure: Option<super::calls::Failed>,
}

impl<'a> ManageForm<'a> {
    /// Builds a form with a name, a node and roles. `kind` is the name of the list and of the texts: `users` or `keys`.
    pub(crate) fn new(
        ui: &'a Ui,
        kind: &str,
        nodes: &[Hierarchy],
        roles: &[OwnRole],
        posted: Option<&Posted>,
        errors: Vec<FieldError>,
    ) -> Self {
        let mut fields = new_fields(ui, kind, nodes, posted);
        fields.extend(grant_fields(&[], posted, roles, ui));
        Self {
            help: Some(ui.t("access.roles-help")),
            ..Self::with_fields(ui, kind, fields, &map_errors(errors))
        }
    }

    /// Builds a form with these fields.
    pub(crate) fn with_fields(
        ui: &'a Ui,
        kind: &str,
        mut fields: Vec<FormField>,
        errors: &[FieldError],
    ) -> Self {
        form::set_errors(&mut fields, errors);
        Self {
            title: ui.t(&format!("{kind}.add")),
            list: format!("/{kind}"),
            help: None,
            summary: form::summarize(&fields, errors),
            fields,
            failure: None,
            ui,
        }
    }

    /// Responds with the form, with the errors of a sent one.
    pub(crate) async fn respond(
        web: &Web,
        ui: &'a Ui,
        kind: &str,
        nodes: &[Hierarchy],
        refused: Option<(&Posted, WebError)>,
    ) -> Result<Response, WebError> {
        let (posted, errors, status) = match refused {
            Some((posted, error)) => (Some(posted), error.error.field_errors, error.status),
            None => (None, Vec::new(), StatusCode::OK),
        };
        let roles = offered_roles(web, nodes, posted).await?;
        let form = Self::new(ui, kind, nodes, &roles, posted, errors);
        render_with(status, &form)
    }
}

/// Builds the fields of the name and the node of a new object.
pub(crate) fn new_fields(
    ui: &Ui,
    kind: &str,
    nodes: &[Hierarchy],
    posted: Option<&Posted>,
) -> Vec<FormField> {
    let text = |key: &str| ui.t(&format!("{kind}.{key}"));
    let sent = |field: &str| {
        posted
            .and_then(|posted| posted.get(field))
            .map(str::to_owned)
    };
    let mut name = FormField::new("name", text("name"), text("name-help"));
    name.required = true;
    name.value = sent("name").unwrap_or_default();
    let mut node = FormField::new("hierarchy", ui.t("form.node"), ui.t("access.own-node-help"));
    node.required = true;
    let first = nodes.first().map(ToString::to_string);
    node.value = sent("hierarchy").or(first).unwrap_or_default();
    vec![name, node]
}

/// The values of the form of a new user or key.
pub(crate) struct NewMember {
    pub(crate) name: String,
    pub(crate) hierarchy: Hierarchy,
    pub(crate) grants: Vec<RoleGrant>,
}

impl NewMember {
    /// Reads a sent form.
    ///
    /// # Errors
    /// All errors of the fields.
    pub(crate) fn read(
        ui: &Ui,
        posted: &Posted,
        allowed: &Allowed<permission::Administer>,
    ) -> Result<Self, WebError> {
        let mut errors = Vec::new();
        let text = |name: &str| posted.get(name).unwrap_or_default().trim();
        let hierarchy = read_node(ui, posted, |node| allowed.covers(node), &mut errors);
        let grants = read_grants(posted, text("hierarchy"), &mut errors);
        check_fields(errors)?;
        Ok(Self {
            name: text("name").to_owned(),
            hierarchy: hierarchy.ok_or_else(WebError::not_found)?,
            grants,
        })
    }
}

/// Lists the own roles that a form for a node offers; without a node, those for the first of the principal's nodes.
async fn offered_roles(
    web: &Web,
    nodes: &[Hierarchy],
    posted: Option<&Posted>,
) -> Result<Vec<OwnRole>, WebError> {
    let sent = posted.and_then(|posted| posted.get("hierarchy")?.parse().ok());
    let sent = sent.filter(|node| nodes.iter().any(|own| own.contains(node)));
    match sent.as_ref().or(nodes.first()) {
        Some(node) => roles::list_for(web.access(), node).await,
        None => Ok(Vec::new()),
    }
}

/// Reads the node of a new object, which `covers` must accept, or adds its error.
pub(crate) fn read_node(
    ui: &Ui,
    posted: &Posted,
    covers: impl Fn(&Hierarchy) -> bool,
    errors: &mut Vec<FieldError>,
) -> Option<Hierarchy> {
    let text = |name: &str| posted.get(name).unwrap_or_default().trim();
    let message = match text("hierarchy").parse::<Hierarchy>() {
        Ok(node) if covers(&node) => return Some(node),
        Ok(_) => ui.t("access.node-not-permitted"),
        Err(error) => error.to_string(),
    };
    errors.push(field_error("hierarchy", message));
    // Without a node, only the name can be checked as well.
    let error = find_name_error(text("name"));
    errors.extend(error.map(|error| field_error("name", error)));
    None
}
