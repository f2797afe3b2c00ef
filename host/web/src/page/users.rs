//! Users: the list, the form, and the link to set a password.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_host::types::{FieldError, Pkid};

use super::form::{self, FormField, Posted};
use super::grants::{describe, grant_fields, read_grants};
use super::organizations::choose_node;
use super::parts::{Badge, Moment, clean};
use super::query::Filtered;
use super::shared::{ListQuery, ManageForm, NewMember, PAGE_SIZE, SecretPage};
use super::ui::{Ui, render, render_with};
use crate::access::roles::{self, CustomRole};
use crate::access::users::{self, NewUser, User, invalid};
use crate::access::{Allowed, Authority, permission};
use crate::{Web, WebError};

type Administer = Allowed<permission::Administer>;

/// A user in a list.
pub(crate) struct UserRow {
    pub(crate) pkid: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) badge: Badge,
    pub(crate) grants: Vec<(String, String)>,
    pub(crate) created: Moment,
    /// Where the user logs in.
    pub(crate) source: String,
    /// Whether a provider decides about the password and the roles.
    pub(crate) is_external: bool,
}

impl UserRow {
    pub(crate) fn new(user: &User, roles: &[CustomRole], ui: &Ui) -> Self {
        let has_password = user.has_password || user.issuer.is_some();
        let (icon, key) = match (user.disabled, has_password) {
            (true, _) => ("bad", "disabled"),
            (false, false) => ("idle", "invited"),
            (false, true) => ("good", "active"),
        };
        Self {
            pkid: user.pkid.to_string(),
            name: clean(&user.name),
            node: clean(user.hierarchy.as_str()),
            badge: Badge::new(icon, ui.language.text(&format!("users.{key}"))),
            grants: describe(&user.grants, roles),
            created: Moment::relative(user.created, ui),
            source: match &user.issuer {
                Some(issuer) => clean(issuer),
                None => ui.t("users.local"),
            },
            is_external: user.issuer.is_some(),
        }
    }
}

#[derive(Template)]
#[template(path = "users.html")]
pub(crate) struct UsersPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) rows: Vec<UserRow>,
    pub(crate) next: Option<String>,
}

/// Shows a page of users.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let (node, _) = choose_node(&web, &allowed, &query.hierarchy).await?;
    let authority = ui.authority(&allowed);
    let page = users::list(
        web.access(),
        &authority,
        Some(&node),
        query.cursor(),
        PAGE_SIZE,
    )
    .await?;
    let grants = page.items.iter().flat_map(|user| &user.grants);
    let roles = roles::load(web.access(), grants).await?;
    let next = query.next("/users", page.next);
    render(&UsersPage {
        title: ui.t("users.title"),
        rows: page
            .items
            .iter()
            .map(|user| UserRow::new(user, &roles, &ui))
            .collect(),
        next,
        ui: &ui,
    })
}

#[derive(Template)]
#[template(path = "user.html")]
pub(crate) struct UserPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) row: UserRow,
    pub(crate) disabled: bool,
    pub(crate) fields: Vec<FormField>,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
    pub(crate) failure: Option<super::calls::Failed>,
}

/// Shows a user with the form of the roles.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let user = users::get(web.access(), &authority, &parse(&pkid)?).await?;
    user_page(&web, &ui, &authority, &user, None, &[], StatusCode::OK).await
}

async fn user_page(
    web: &Web,
    ui: &Ui,
    authority: &Authority<'_>,
    user: &User,
    posted: Option<&Posted>,
    errors: &[FieldError],
    status: StatusCode,
) -> Result<Response, WebError> {
    let mut roles = roles::list_grantable(web.access(), authority, &user.hierarchy).await?;
    // A role of a node below the user's is not offered, but shown.
    for role in roles::load(web.access(), &user.grants).await? {
        if roles.iter().all(|each| each.pkid != role.pkid) {
            roles.push(role);
        }
    }
    let mut fields = grant_fields(&user.grants, posted, &roles, ui);
    form::set_errors(&mut fields, errors);
    let page = UserPage {
        title: clean(&user.name),
        row: UserRow::new(user, &roles, ui),
        disabled: user.disabled,
        summary: form::summarize(&fields, errors),
        fields,
        failure: None,
        ui,
    };
    render_with(status, &page)
}

/// Parses a pkid of a path. A text that is not a pkid names no user.
pub(crate) fn parse(pkid: &str) -> Result<Pkid, WebError> {
    pkid.parse().map_err(|_| WebError::not_found())
}

/// Replaces the roles of a user.
pub(crate) async fn set_grants(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let user = users::get(web.access(), &authority, &parse(&pkid)?).await?;
    let posted = Posted(pairs);
    let mut errors = Vec::new();
    let mut sent = read_grants(&posted, Some(&user.hierarchy), &mut errors);
    sent.find_spellings(&web, &allowed).await?;
    let saved = match errors.is_empty() {
        true => {
            let grants = sent.grants.clone();
            users::set_grants(web.access(), &authority, &user.pkid, grants).await
        }
        false => {
            let found = users::find_set_errors(web.access(), &authority, &user, &sent.grants);
            errors.extend(found.await?);
            Err(invalid(errors))
        }
    };
    match saved {
        Ok(user) => Ok(Redirect::to(&format!("/users/{}", user.pkid)).into_response()),
        Err(error) if error.error.field_errors.is_empty() => Err(error),
        Err(error) => {
            let errors = sent.place_errors(error.error.field_errors);
            user_page(
                &web,
                &ui,
                &authority,
                &user,
                Some(&posted),
                &errors,
                error.status,
            )
            .await
        }
    }
}

/// Shows the form for a new user.
pub(crate) async fn show_new(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
) -> Result<Response, WebError> {
    ManageForm::show(&web, &ui, "users", &allowed).await
}

/// Adds a user and shows the link to set the password.
pub(crate) async fn add(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let posted = Posted(pairs);
    let authority = ui.authority(&allowed);
    let new = NewMember::read(&web, &ui, &posted, &allowed).await?;
    let (name, grants) = (new.name.clone(), new.sent.grants.clone());
    let added = match new.node() {
        Some(hierarchy) => {
            let user = NewUser {
                name,
                hierarchy,
                grants,
                language: None,
            };
            users::add(web.access(), &authority, user).await
        }
        None => {
            let node = new.hierarchy.as_ref();
            let found = users::find_errors(web.access(), &authority, &name, node, &grants);
            Err(new.refuse(found.await?))
        }
    };
    match added {
        Ok(user) => link_page(&web, &ui, &authority, &user.pkid).await,
        Err(error) => {
            let sent = (&posted, &new);
            ManageForm::refuse(&web, &ui, "users", &allowed, sent, error).await
        }
    }
}

async fn link_page(
    web: &Web,
    ui: &Ui,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<Response, WebError> {
    let user = users::get(web.access(), authority, pkid).await?;
    let link = users::set_up_link(web.access(), authority, pkid).await?;
    render(&SecretPage {
        title: ui.t("users.link-title"),
        text: ui.t1("users.link-text", clean(&user.name)),
        value: link.url.to_string(),
        expires: Some(Moment::relative(link.expires, ui)),
        back: format!("/users/{pkid}"),
        ui,
    })
}

/// Creates a link with which the user sets a password.
pub(crate) async fn create_link(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    link_page(&web, &ui, &authority, &parse(&pkid)?).await
}

/// Disables a user.
pub(crate) async fn disable(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
) -> Result<Redirect, WebError> {
    let authority = ui.authority(&allowed);
    let user = users::disable(web.access(), &authority, &parse(&pkid)?).await?;
    Ok(Redirect::to(&format!("/users/{}", user.pkid)))
}

/// Enables a user.
pub(crate) async fn enable(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
) -> Result<Redirect, WebError> {
    let authority = ui.authority(&allowed);
    let user = users::enable(web.access(), &authority, &parse(&pkid)?).await?;
    Ok(Redirect::to(&format!("/users/{}", user.pkid)))
}
