//! The shared parts of the pages of users, keys, roles and links.

use askama::Template;
use axum::response::Response;
use relation_host::types::{FieldError, Hierarchy};

use super::form::{self, FormField, Posted};
use super::grants::{SentGrants, grant_fields, read_grants};
use super::links;
use super::parts::Moment;
use super::query::{self, Filters};
use super::ui::{Ui, render, render_with};
use crate::access::roles::{self, CustomRole};
use crate::access::users::{field_error, invalid};
use crate::access::{Allowed, nodes, permission};
use crate::{Web, WebError};

/// The number of items on a page of a list.
pub(crate) const PAGE_SIZE: u32 = 50;

/// The query of a list.
#[derive(Debug, Default)]
pub(crate) struct ListQuery {
    pub(crate) hierarchy: String,
    cursor: String,
}

impl Filters for ListQuery {
    fn take(query: &mut query::ListQuery) -> Self {
        Self {
            hierarchy: query.filled("hierarchy"),
            cursor: query.filled("cursor"),
        }
    }
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

/// A page that asks before something is done.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) text: String,
    /// Whether it cannot be undone.
    pub(crate) is_final: bool,
    /// The node of the object.
    pub(crate) node: String,
    /// The address of the form.
    pub(crate) action: String,
    pub(crate) button: String,
    pub(crate) back: String,
    pub(crate) fields: Vec<FormField>,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
    pub(crate) failure: Option<super::calls::Failed>,
}

/// Returns whether a form comes from the page that asks before something is done.
pub(crate) fn is_confirmed(posted: &Posted) -> bool {
    posted.get("confirmed") == Some("yes")
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
        roles: &[CustomRole],
        posted: Option<&Posted>,
        errors: &[FieldError],
    ) -> Self {
        let mut fields = new_fields(ui, kind, nodes, posted);
        if kind == "keys" {
            fields.push(super::keys::lifetime_field(ui, posted));
        }
        fields.extend(grant_fields(&[], posted, roles, ui));
        Self {
            help: Some(ui.t("access.roles-help")),
            ..Self::with_fields(ui, kind, fields, errors)
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

    /// Responds with an empty form.
    pub(crate) async fn show(
        web: &Web,
        ui: &'a Ui,
        kind: &str,
        allowed: &Allowed<permission::Administer>,
    ) -> Result<Response, WebError> {
        let roles = offered_roles(web, ui, allowed, None).await?;
        render(&Self::new(ui, kind, allowed.nodes(), &roles, None, &[]))
    }

    /// Responds with a sent form and the errors of its fields.
    ///
    /// # Errors
    /// The error, if no field is at fault.
    pub(crate) async fn refuse(
        web: &Web,
        ui: &'a Ui,
        kind: &str,
        allowed: &Allowed<permission::Administer>,
        (posted, new): (&Posted, &NewMember),
        error: WebError,
    ) -> Result<Response, WebError> {
        if error.error.field_errors.is_empty() {
            return Err(error);
        }
        let errors = new.sent.place_errors(error.error.field_errors);
        let roles = offered_roles(web, ui, allowed, Some(posted)).await?;
        let form = Self::new(ui, kind, allowed.nodes(), &roles, Some(posted), &errors);
        render_with(error.status, &form)
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
    /// The node, unless it has an error.
    pub(crate) hierarchy: Option<Hierarchy>,
    pub(crate) sent: SentGrants,
    /// The errors of the fields so far.
    pub(crate) errors: Vec<FieldError>,
}

impl NewMember {
    /// Reads a sent form.
    pub(crate) async fn read(
        web: &Web,
        ui: &Ui,
        posted: &Posted,
        allowed: &Allowed<permission::Administer>,
    ) -> Result<Self, WebError> {
        let mut errors = Vec::new();
        let hierarchy = read_node(web, ui, posted, allowed, &mut errors).await?;
        let mut sent = read_grants(posted, hierarchy.as_ref(), &mut errors);
        sent.find_spellings(web, allowed).await?;
        Ok(Self {
            name: posted.get("name").unwrap_or_default().trim().to_owned(),
            hierarchy,
            sent,
            errors,
        })
    }

    /// Returns the node, if no field has an error so far.
    pub(crate) fn node(&self) -> Option<Hierarchy> {
        self.hierarchy.clone().filter(|_| self.errors.is_empty())
    }

    /// Returns the error of the form: its own errors, and those that the access functions have found.
    pub(crate) fn refuse(&self, found: Vec<FieldError>) -> WebError {
        invalid(self.errors.iter().cloned().chain(found).collect())
    }
}

/// Lists the custom roles that a form for a node offers; without a node, those for the first of the principal's nodes.
async fn offered_roles(
    web: &Web,
    ui: &Ui,
    allowed: &Allowed<permission::Administer>,
    posted: Option<&Posted>,
) -> Result<Vec<CustomRole>, WebError> {
    let sent = posted.and_then(|posted| posted.get("hierarchy")?.parse().ok());
    let sent = match sent {
        Some(node) => Some(nodes::find_spelling(web.store(), &node).await?),
        None => None,
    };
    let sent = sent.filter(|node| allowed.covers(node));
    match sent.as_ref().or(allowed.nodes().first()) {
        Some(node) => roles::list_grantable(web.access(), &ui.authority(allowed), node).await,
        None => Ok(Vec::new()),
    }
}

/// Reads the node of a new object, in its stored spelling, or adds its error.
pub(crate) async fn read_node(
    web: &Web,
    ui: &Ui,
    posted: &Posted,
    allowed: &Allowed<permission::Administer>,
    errors: &mut Vec<FieldError>,
) -> Result<Option<Hierarchy>, WebError> {
    let node = posted.get("hierarchy").unwrap_or_default();
    let message = match node.parse::<Hierarchy>() {
        Ok(node) => {
            let node = nodes::find_spelling(web.store(), &node).await?;
            if allowed.covers(&node) {
                return Ok(Some(node));
            }
            ui.t("access.node-not-permitted")
        }
        Err(error) => error.to_string(),
    };
    errors.push(field_error("hierarchy", message));
    Ok(None)
}
