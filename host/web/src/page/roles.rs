//! Custom roles: the list, the forms, and who has a role.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::ErrorKind;
use relation_host::types::{FieldError, Hierarchy};

use super::calls::Failed;
use super::form::{self, CheckBox, Control, FormField, Posted};
use super::keys::KeyRow;
use super::organizations::choose_node;
use super::parts::{Badge, clean};
use super::query::Filtered;
use super::shared::{
    ConfirmPage, ListQuery, ManageForm, PAGE_SIZE, is_confirmed, new_fields, read_node,
};
use super::ui::{Ui, render, render_with};
use super::users::{UserRow, parse};
use crate::access::roles::{self, CustomRole, NewRole, RoleHolders};
use crate::access::users::{check_fields, field_error, invalid};
use crate::access::{Allowed, Operation, RoleGrant, find_operation, permission};
use crate::{Web, WebError};

type Administer = Allowed<permission::Administer>;

/// The field with what a role permits.
const OPERATIONS: &str = "operations";

/// A role in a list.
pub(crate) struct RoleRow {
    pkid: String,
    name: String,
    node: String,
    operations: Vec<String>,
}

impl RoleRow {
    pub(crate) fn new(role: &CustomRole, ui: &Ui) -> Self {
        let operations = role.operations.iter();
        Self {
            pkid: role.pkid.to_string(),
            name: clean(&role.name),
            node: clean(role.hierarchy.as_str()),
            operations: operations.map(|each| title(*each, ui)).collect(),
        }
    }
}

fn title(operation: Operation, ui: &Ui) -> String {
    ui.t(&format!("operations.{}", operation.as_str()))
}

/// Returns a sentence about an operation, with its title.
fn describe(operation: Operation, ui: &Ui) -> String {
    let help = ui.t(&format!("operations.{}-help", operation.as_str()));
    format!("{}: {help}", title(operation, ui))
}

#[derive(Template)]
#[template(path = "roles.html")]
pub(crate) struct RolesPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) rows: Vec<RoleRow>,
    /// The roles of nodes above that the administrator can grant.
    pub(crate) above: Vec<RoleRow>,
    pub(crate) next: Option<String>,
}

/// Shows a page of roles.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let (node, _) = choose_node(&web, &allowed, &query.hierarchy).await?;
    let authority = ui.authority(&allowed);
    let cursor = query.cursor();
    let page = roles::list(web.access(), &authority, Some(&node), cursor, PAGE_SIZE).await?;
    let mut above = Vec::new();
    if cursor.is_none() {
        above = roles::list_grantable(web.access(), &authority, &node).await?;
        above.retain(|role| !allowed.covers(&role.hierarchy));
    }
    let to_rows = |roles: &[CustomRole]| {
        let roles = roles.iter();
        roles.map(|role| RoleRow::new(role, &ui)).collect()
    };
    render(&RolesPage {
        title: ui.t("roles.title"),
        rows: to_rows(&page.items),
        above: to_rows(&above),
        next: query.next("/roles", page.next),
        ui: &ui,
    })
}

/// Builds the check boxes of the operations.
fn operations_field(ui: &Ui, offered: &[Operation], chosen: &[Operation]) -> FormField {
    let mut field = FormField::new(OPERATIONS, ui.t("roles.operations"), ui.t("roles.help"));
    let checks = offered.iter().map(|operation| {
        // The other operations show what they work on.
        let is_fixed = *operation == Operation::Read;
        CheckBox {
            value: operation.as_str().to_owned(),
            label: describe(*operation, ui),
            is_on: is_fixed || chosen.contains(operation),
            is_fixed,
        }
    });
    field.control = Control::Checks(checks.collect());
    field.required = true;
    field
}

/// Reads the operations of a sent form.
fn read_operations(posted: &Posted, errors: &mut Vec<FieldError>) -> Vec<Operation> {
    let mut operations = Vec::new();
    for name in posted.all(OPERATIONS) {
        match find_operation(name) {
            Some(operation) => operations.push(operation),
            None => errors.push(field_error(OPERATIONS, "there is no such operation")),
        }
    }
    operations
}

/// Builds the form of a new role.
pub(crate) fn new_form<'a>(
    ui: &'a Ui,
    nodes: &[Hierarchy],
    posted: Option<&Posted>,
    errors: &[FieldError],
) -> ManageForm<'a> {
    let mut fields = new_fields(ui, "roles", nodes, posted);
    if let Some(node) = fields.last_mut() {
        node.help = ui.t("roles.node-help");
    }
    let offered = Operation::ALL.into_iter();
    let offered: Vec<_> = offered.filter(|each| ui.may_somewhere(*each)).collect();
    let chosen = posted.map(|posted| read_operations(posted, &mut Vec::new()));
    let chosen = chosen.unwrap_or_else(|| vec![Operation::Read]);
    fields.push(operations_field(ui, &offered, &chosen));
    ManageForm::with_fields(ui, "roles", fields, errors)
}

/// Shows the form for a new role.
pub(crate) async fn show_new(ui: Ui, allowed: Administer) -> Result<Response, WebError> {
    render(&new_form(&ui, allowed.nodes(), None, &[]))
}

/// Adds a role.
pub(crate) async fn add(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let posted = Posted(pairs);
    let authority = ui.authority(&allowed);
    let mut errors = Vec::new();
    let hierarchy = read_node(&web, &ui, &posted, &allowed, &mut errors).await?;
    let operations = read_operations(&posted, &mut errors);
    let name = posted.get("name").unwrap_or_default().trim().to_owned();
    let added = match hierarchy {
        Some(hierarchy) if errors.is_empty() => {
            let role = NewRole {
                name,
                hierarchy,
                operations,
            };
            roles::add(web.access(), &authority, role).await
        }
        node => {
            let node = node.as_ref();
            let found = roles::find_errors(web.access(), &authority, &name, node, &operations);
            errors.extend(found.await?);
            Err(invalid(errors))
        }
    };
    match added {
        Ok(role) => Ok(Redirect::to(&format!("/roles/{}", role.pkid)).into_response()),
        Err(error) if error.error.field_errors.is_empty() => Err(error),
        Err(error) => {
            let errors = &error.error.field_errors;
            let page = new_form(&ui, allowed.nodes(), Some(&posted), errors);
            render_with(error.status, &page)
        }
    }
}

/// A user or a key that has a role.
struct HolderRow {
    name: String,
    link: String,
    kind: String,
    badge: Badge,
    /// The nodes at which the role is granted.
    nodes: Vec<String>,
}

#[derive(Template)]
#[template(path = "role.html")]
pub(crate) struct RolePage<'a> {
    ui: &'a Ui,
    title: String,
    pkid: String,
    node: String,
    may_manage: bool,
    /// The operations that the role permits, in sentences.
    operations: Vec<String>,
    fields: Vec<FormField>,
    /// Whether the role belongs to a node above: then only what it permits is shown.
    is_above: bool,
    holders: Vec<HolderRow>,
    has_more_holders: bool,
    summary: Vec<(Option<String>, String, String)>,
    failure: Option<Failed>,
}

impl RolePage<'_> {
    /// Adds the reason why the role is not deleted: somebody has it.
    pub(crate) fn refused(mut self, ui: &Ui) -> Self {
        self.failure = Some(Failed {
            title: ui.t("roles.in-use"),
            message: ui.t("roles.in-use-message"),
            next: ui.t("roles.in-use-next"),
            transaction: None,
        });
        self
    }
}

/// Builds the page of a role. `posted` has the operations of a sent form. A role of a node above has no holders.
pub(crate) fn build<'a>(
    ui: &'a Ui,
    role: &CustomRole,
    holders: Option<&RoleHolders>,
    may_manage: bool,
    posted: Option<&[Operation]>,
    errors: &[FieldError],
) -> RolePage<'a> {
    let offered = Operation::ALL.into_iter();
    let offered: Vec<_> = offered
        .filter(|each| ui.may(*each, &role.hierarchy))
        .collect();
    let chosen = posted.unwrap_or(&role.operations);
    let mut fields = vec![operations_field(ui, &offered, chosen)];
    form::set_errors(&mut fields, errors);
    let nodes = |grants: &[RoleGrant]| {
        let grants = grants.iter();
        let of_role = grants.filter(|grant| grant.role == role.pkid.as_str());
        of_role.map(|grant| clean(grant.node.as_str())).collect()
    };
    let listed = holders.into_iter();
    let users = listed.clone().flat_map(|holders| &holders.users);
    let keys = listed.flat_map(|holders| &holders.keys);
    let users = users.map(|user| HolderRow {
        name: clean(&user.name),
        link: format!("/users/{}", user.pkid),
        kind: ui.t("roles.user"),
        badge: UserRow::new(user, &[], ui).badge,
        nodes: nodes(&user.grants),
    });
    let keys = keys.map(|key| HolderRow {
        name: clean(&key.name),
        link: "/keys".to_owned(),
        kind: ui.t("roles.key"),
        badge: KeyRow::new(key, &[], ui).badge,
        nodes: nodes(&key.grants),
    });
    let operations = role.operations.iter();
    RolePage {
        ui,
        title: clean(&role.name),
        pkid: role.pkid.to_string(),
        node: clean(role.hierarchy.as_str()),
        may_manage,
        operations: operations.map(|each| describe(*each, ui)).collect(),
        summary: form::summarize(&fields, errors),
        fields,
        holders: users.chain(keys).collect(),
        is_above: holders.is_none(),
        has_more_holders: holders.is_some_and(|holders| holders.more),
        failure: None,
    }
}

/// Shows a role with who has it.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let role = roles::get(web.access(), &authority, &parse(&pkid)?).await?;
    if !allowed.covers(&role.hierarchy) {
        return render(&build(&ui, &role, None, false, None, &[]));
    }
    let holders = roles::list_holders(web.access(), &authority, &role.pkid).await?;
    let may_manage = roles::may_manage(&authority, &role);
    render(&build(&ui, &role, Some(&holders), may_manage, None, &[]))
}

/// Replaces what a role permits.
pub(crate) async fn set_operations(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let role = roles::get(web.access(), &authority, &parse(&pkid)?).await?;
    let mut errors = Vec::new();
    let operations = read_operations(&Posted(pairs), &mut errors);
    let saved = match check_fields(errors) {
        Ok(()) => {
            let operations = operations.clone();
            roles::set_operations(web.access(), &authority, &role.pkid, operations).await
        }
        Err(error) => Err(error),
    };
    match saved {
        Ok(role) => Ok(Redirect::to(&format!("/roles/{}", role.pkid)).into_response()),
        Err(error) if error.error.field_errors.is_empty() => Err(error),
        Err(error) => {
            let holders = roles::list_holders(web.access(), &authority, &role.pkid).await?;
            let errors = &error.error.field_errors;
            let page = build(&ui, &role, Some(&holders), true, Some(&operations), errors);
            render_with(error.status, &page)
        }
    }
}

/// Builds the page that asks whether to delete a role.
pub(crate) fn confirm_deletion<'a>(ui: &'a Ui, role: &CustomRole) -> ConfirmPage<'a> {
    let path = format!("/roles/{}", role.pkid);
    ConfirmPage {
        title: ui.t1("delete.title", clean(&role.name)),
        text: ui.t("roles.delete-text"),
        is_final: true,
        node: clean(role.hierarchy.as_str()),
        action: format!("{path}/delete"),
        button: ui.t("delete.confirm"),
        back: path,
        fields: Vec::new(),
        summary: Vec::new(),
        failure: None,
        ui,
    }
}

/// Asks whether to delete a role, or deletes it. One that somebody has is shown with the reason.
pub(crate) async fn delete(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let role = roles::get(web.access(), &authority, &parse(&pkid)?).await?;
    let is_confirmed = is_confirmed(&Posted(pairs));
    let deleted = match is_confirmed {
        true => roles::delete(web.access(), &authority, &role.pkid).await,
        false => roles::check_deletable(web.access(), &authority, &role.pkid).await,
    };
    match deleted {
        Ok(()) if is_confirmed => Ok(Redirect::to("/roles").into_response()),
        Ok(()) => render(&confirm_deletion(&ui, &role)),
        Err(error) if error.error.kind == ErrorKind::Conflict => {
            let holders = roles::list_holders(web.access(), &authority, &role.pkid).await?;
            let page = build(&ui, &role, Some(&holders), true, None, &[]).refused(&ui);
            render_with(error.status, &page)
        }
        Err(error) => Err(error),
    }
}
