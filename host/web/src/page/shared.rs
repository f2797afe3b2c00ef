//! The shared parts of the pages of users, keys and links.

use askama::Template;
use relation_host::types::{FieldError, Hierarchy};
use serde::Deserialize;

use super::form::{self, FormField, Posted};
use super::grants::{grant_fields, map_errors};
use super::parts::Moment;
use super::ui::Ui;
use crate::access::roles::{self, OwnRole};
use crate::access::users::find_name_error;
use crate::{Web, WebError};

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

/// The form of a new user or a new key.
#[derive(Template)]
#[template(path = "manage_form.html")]
pub(crate) struct ManageForm<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) list: &'static str,
    pub(crate) fields: Vec<FormField>,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
    pub(crate) failure: Option<super::calls::Failed>,
}

impl<'a> ManageForm<'a> {
    /// Builds a form with a name, a node and roles.
    pub(crate) fn new(
        ui: &'a Ui,
        (list, title): (&'static str, String),
        mut name: FormField,
        nodes: &[Hierarchy],
        roles: &[OwnRole],
        posted: Option<&Posted>,
        errors: Vec<FieldError>,
    ) -> Self {
        let errors = map_errors(errors);
        let sent = |field: &str| {
            posted
                .and_then(|posted| posted.get(field))
                .map(str::to_owned)
        };
        name.value = sent("name").unwrap_or_default();
        let mut node = FormField::new("hierarchy", ui.t("form.node"), ui.t("access.own-node-help"));
        node.required = true;
        let first = nodes.first().map(ToString::to_string);
        node.value = sent("hierarchy").or(first).unwrap_or_default();
        let mut fields = vec![name, node];
        fields.extend(grant_fields(&[], posted, roles, ui));
        form::set_errors(&mut fields, &errors);
        Self {
            ui,
            title,
            list,
            summary: form::summarize(&fields, &errors),
            fields,
            failure: None,
        }
    }
}

/// Lists the own roles that a form for a node offers; without a node, those for the first of the principal's nodes.
pub(crate) async fn offered_roles(
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

/// Reads the node of a new user or key, which `covers` must accept, or adds its error.
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
    let mut refuse = |field: &str, message: String| {
        errors.push(FieldError {
            field: field.to_owned(),
            message,
        });
    };
    refuse("hierarchy", message);
    // Without a node, only the name can be checked as well.
    if let Some(error) = find_name_error(text("name")) {
        refuse("name", error.to_owned());
    }
    None
}
