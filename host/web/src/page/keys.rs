//! API keys: the list, the form, rotation and revocation.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::ExposeSecret as _;

use super::form::Posted;
use super::grants::describe;
use super::organizations::choose_node;
use super::parts::{Badge, Moment, clean};
use super::query::Filtered;
use super::shared::{ListQuery, ManageForm, NewMember, PAGE_SIZE, SecretPage};
use super::ui::{Ui, render, render_with};
use super::users::parse;
use crate::access::api_keys::{self, ApiKey, IssuedApiKey, NewApiKey};
use crate::access::roles::{self, OwnRole};
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

type Administer = Allowed<permission::Administer>;

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
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let (node, _) = choose_node(&web, &allowed, &query.hierarchy).await?;
    let authority = ui.authority(&allowed);
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
    let next = query.next("/keys", page.next);
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
    ManageForm::show(&web, &ui, "keys", &allowed).await
}

/// Adds a key and shows it once.
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
            let key = NewApiKey {
                name,
                hierarchy,
                grants,
                expires: None,
            };
            api_keys::add(web.access(), &authority, key).await
        }
        None => {
            let node = new.hierarchy.as_ref();
            let found = api_keys::find_errors(web.access(), &authority, &name, node, &grants);
            Err(new.refuse(found.await?))
        }
    };
    match added {
        Ok(issued) => key_page(&ui, &issued),
        Err(error) => {
            let sent = (&posted, &new);
            ManageForm::refuse(&web, &ui, "keys", &allowed, sent, error).await
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
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let issued = api_keys::rotate(web.access(), &authority, &parse(&pkid)?, OVERLAP).await?;
    key_page(&ui, &issued)
}

/// Revokes a key.
pub(crate) async fn revoke(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
) -> Result<axum::response::Redirect, WebError> {
    let authority = ui.authority(&allowed);
    api_keys::revoke(web.access(), &authority, &parse(&pkid)?).await?;
    Ok(axum::response::Redirect::to("/keys"))
}
