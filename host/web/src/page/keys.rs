//! API keys: the list, the form, rotation and revocation.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use relation_host::types::{FieldError, Hierarchy};
use secrecy::ExposeSecret as _;

use super::form::{FormField, Posted};
use super::grants::{describe, read_grants};
use super::links;
use super::organizations::choose_node;
use super::parts::{Badge, Moment, clean};
use super::shared::{ListQuery, ManageForm, SecretPage, offered_roles};
use super::ui::{Ui, render, render_with};
use super::users::parse;
use crate::access::api_keys::{self, ApiKey, IssuedApiKey, NewApiKey};
use crate::access::roles::{self, OwnRole};
use crate::access::{Allowed, Authority, ClientAddress, permission};
use crate::{Web, WebError};

type Administer = Allowed<permission::Administer>;

/// The number of keys on a page.
const PAGE_SIZE: u32 = 50;
/// How long the former secret of a rotated key is valid.
const OVERLAP: Duration = Duration::from_secs(7 * 86_400);

/// A key in a list.
pub(crate) struct KeyRow {
    pub(crate) pkid: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) badge: Badge,
    pub(crate) grants: Vec<(String, String)>,
    pub(crate) last_used: Option<Moment>,
    pub(crate) expires: Option<Moment>,
    pub(crate) is_valid: bool,
}

impl KeyRow {
    pub(crate) fn new(key: &ApiKey, roles: &[OwnRole], ui: &Ui) -> Self {
        let is_over = key.expires.is_some_and(|expires| expires <= ui.now);
        let (icon, word) = match (key.revoked.is_some(), is_over) {
            (true, _) => ("bad", "revoked"),
            (false, true) => ("bad", "expired"),
            (false, false) => ("good", "valid"),
        };
        Self {
            pkid: key.pkid.to_string(),
            name: clean(&key.name),
            node: clean(key.hierarchy.as_str()),
            badge: Badge::new(icon, ui.language.text(&format!("keys.{word}"))),
            grants: describe(&key.grants, roles),
            last_used: key.last_used.map(|at| Moment::relative(at, ui)),
            expires: key.expires.map(|at| Moment::relative(at, ui)),
            is_valid: key.revoked.is_none(),
        }
    }
}

#[derive(Template)]
#[template(path = "keys.html")]
pub(crate) struct KeysPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) rows: Vec<KeyRow>,
    pub(crate) next: Option<String>,
}

/// Shows a page of keys.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    address: ClientAddress,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let (node, _) = choose_node(&allowed, &query.hierarchy)?;
    let authority = Authority::Principal(&allowed, address);
    let page = api_keys::list(
        web.access(),
        &authority,
        Some(&node),
        query.cursor(),
        PAGE_SIZE,
    )
    .await?;
    let grants = page.items.iter().flat_map(|key| &key.grants);
    let roles = roles::load(web.access(), grants).await?;
    let next = page.next.map(|cursor| {
        links::with_query(
            "/keys",
            &[("hierarchy", &query.hierarchy), ("cursor", &cursor)],
        )
    });
    render(&KeysPage {
        title: ui.t("keys.title"),
        rows: page
            .items
            .iter()
            .map(|key| KeyRow::new(key, &roles, &ui))
            .collect(),
        next,
        ui: &ui,
    })
}

/// Shows the form for a new key.
pub(crate) async fn show_new(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
) -> Result<Response, WebError> {
    let roles = offered_roles(&web, allowed.nodes(), None).await?;
    render(&new_form(&ui, allowed.nodes(), &roles, None, Vec::new()))
}

/// Builds the form of a new key.
pub(crate) fn new_form<'a>(
    ui: &'a Ui,
    nodes: &[Hierarchy],
    roles: &[OwnRole],
    posted: Option<&Posted>,
    errors: Vec<FieldError>,
) -> ManageForm<'a> {
    let mut name = FormField::new("name", ui.t("keys.name"), ui.t("keys.name-help"));
    name.required = true;
    let title = ui.t("keys.add");
    ManageForm::new(ui, ("/keys", title), name, nodes, roles, posted, errors)
}

/// Adds a key and shows it once.
pub(crate) async fn add(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    address: ClientAddress,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let posted = Posted(pairs);
    let authority = Authority::Principal(&allowed, address);
    let mut errors = Vec::new();
    let node = posted
        .get("hierarchy")
        .unwrap_or_default()
        .trim()
        .to_owned();
    let covers = |node: &Hierarchy| allowed.covers(node);
    let hierarchy = super::shared::read_node(&ui, &posted, covers, &mut errors);
    let grants = read_grants(&posted, &node, &mut errors);
    let name = posted.get("name").unwrap_or_default().trim().to_owned();
    let added = match (super::session::check(errors), hierarchy) {
        (Ok(()), Some(hierarchy)) => {
            let key = NewApiKey {
                name,
                hierarchy,
                grants,
                expires: None,
            };
            api_keys::add(web.access(), &authority, key).await
        }
        (Err(error), _) => Err(error),
        (Ok(()), None) => Err(WebError::not_found()),
    };
    match added {
        Ok(issued) => key_page(&ui, &issued),
        Err(error) if error.error.field_errors.is_empty() => Err(error),
        Err(error) => {
            let roles = offered_roles(&web, allowed.nodes(), Some(&posted)).await?;
            let page = new_form(
                &ui,
                allowed.nodes(),
                &roles,
                Some(&posted),
                error.error.field_errors,
            );
            render_with(error.status, &page)
        }
    }
}

fn key_page(ui: &Ui, issued: &IssuedApiKey) -> Result<Response, WebError> {
    let page = SecretPage {
        title: ui.t("keys.issued"),
        text: ui.t1("keys.issued-text", clean(&issued.api_key.name)),
        value: issued.secret.expose_secret().to_owned(),
        expires: issued.api_key.expires.map(|at| Moment::relative(at, ui)),
        back: "/keys".to_owned(),
        ui,
    };
    render_with(StatusCode::OK, &page)
}

/// Replaces the secret of a key, and shows the new one.
pub(crate) async fn rotate(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let issued = api_keys::rotate(web.access(), &authority, &parse(&pkid)?, OVERLAP).await?;
    key_page(&ui, &issued)
}

/// Revokes a key.
pub(crate) async fn revoke(
    State(web): State<Web>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<axum::response::Redirect, WebError> {
    let authority = Authority::Principal(&allowed, address);
    api_keys::revoke(web.access(), &authority, &parse(&pkid)?).await?;
    Ok(axum::response::Redirect::to("/keys"))
}
