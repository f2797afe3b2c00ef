//! API keys: the list, the form, rotation and revocation.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_host::types::{FieldError, Timestamp};
use secrecy::ExposeSecret as _;

use super::form::{self, Control, FormField, Posted};
use super::grants::describe;
use super::organizations::choose_node;
use super::parts::{Badge, Moment, clean, format_utc};
use super::query::Filtered;
use super::shared::{
    ConfirmPage, ListQuery, ManageForm, NewMember, PAGE_SIZE, SecretPage, is_confirmed,
};
use super::ui::{Ui, render, render_with};
use super::users::parse;
use crate::access::api_keys::{self, ApiKey, IssuedApiKey, NewApiKey};
use crate::access::roles::{self, CustomRole};
use crate::access::users::field_error;
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

type Administer = Allowed<permission::Administer>;

const DAY: Duration = Duration::from_secs(86_400);

/// The field with the time for which the former secret of a rotated key is valid.
const OVERLAP: &str = "overlap";
/// The choices of that time, each with its text.
const OVERLAPS: [(&str, Duration, &str); 3] = [
    ("0", Duration::ZERO, "keys.overlap-none"),
    ("24h", DAY, "keys.overlap-day"),
    ("7d", DAY.saturating_mul(7), "keys.overlap-week"),
];
/// The usual choice.
const USUAL_OVERLAP: &str = "24h";

/// The field with the time for which a new key is valid.
const LIFETIME: &str = "expires";
/// The choices of that time, each with its text. An empty value is a key without an end.
const LIFETIMES: [(&str, Option<Duration>, &str); 4] = [
    ("", None, "keys.lifetime-none"),
    ("30d", Some(DAY.saturating_mul(30)), "keys.lifetime-month"),
    ("90d", Some(DAY.saturating_mul(90)), "keys.lifetime-quarter"),
    ("365d", Some(DAY.saturating_mul(365)), "keys.lifetime-year"),
];

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
    pub(crate) fn new(key: &ApiKey, roles: &[CustomRole], ui: &Ui) -> Self {
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

/// Builds a field with one of some values, each with the key of its text.
fn choice_field<'a>(
    ui: &Ui,
    name: &str,
    chosen: &str,
    values: impl Iterator<Item = (&'a str, &'a str)>,
) -> FormField {
    let text = |suffix: &str| ui.t(&format!("keys.{name}{suffix}"));
    let mut field = FormField::new(name, text("-title"), text("-help"));
    let choices = values.map(|(value, key)| (value.to_owned(), ui.t(key), value == chosen));
    field.control = Control::Choice(choices.collect());
    field
}

/// Builds the field with the time for which a new key is valid.
pub(crate) fn lifetime_field(ui: &Ui, posted: Option<&Posted>) -> FormField {
    let chosen = posted.and_then(|posted| posted.get(LIFETIME));
    let values = LIFETIMES.iter().map(|(value, _, key)| (*value, *key));
    choice_field(ui, LIFETIME, chosen.unwrap_or_default(), values)
}

/// Reads when a new key ends, or adds the error of the field.
fn read_end(ui: &Ui, posted: &Posted, errors: &mut Vec<FieldError>) -> Option<Timestamp> {
    let value = posted.get(LIFETIME).unwrap_or_default();
    match LIFETIMES.iter().find(|(each, ..)| *each == value) {
        Some((_, lifetime, _)) => lifetime.map(|lifetime| ui.now.after(lifetime)),
        None => {
            errors.push(field_error(LIFETIME, ui.t("keys.no-choice")));
            None
        }
    }
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
    let mut new = NewMember::read(&web, &ui, &posted, &allowed).await?;
    let expires = read_end(&ui, &posted, &mut new.errors);
    let (name, grants) = (new.name.clone(), new.sent.grants.clone());
    let added = match new.node() {
        Some(hierarchy) => {
            let key = NewApiKey {
                name,
                hierarchy,
                grants,
                expires,
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
        Ok(issued) => key_page(&ui, &issued, false),
        Err(error) => {
            let sent = (&posted, &new);
            ManageForm::refuse(&web, &ui, "keys", &allowed, sent, error).await
        }
    }
}

fn key_page(ui: &Ui, issued: &IssuedApiKey, is_rotated: bool) -> Result<Response, WebError> {
    let mut text = ui.t1("keys.issued-text", clean(&issued.api_key.name));
    if is_rotated {
        let former = match issued.api_key.former_secret_until {
            Some(until) => ui.t1("keys.former-until", format_utc(until)),
            None => ui.t("keys.former-ended"),
        };
        text = format!("{text} {former}");
    }
    let page = SecretPage {
        title: ui.t("keys.issued"),
        text,
        value: issued.secret.expose_secret().to_owned(),
        expires: issued.api_key.expires.map(|at| Moment::relative(at, ui)),
        back: "/keys".to_owned(),
        ui,
    };
    render_with(StatusCode::OK, &page)
}

/// Builds the page that asks when the former secret of a key ends.
pub(crate) fn confirm_rotation<'a>(
    ui: &'a Ui,
    key: &ApiKey,
    chosen: &str,
    errors: &[FieldError],
) -> ConfirmPage<'a> {
    let values = OVERLAPS.iter().map(|(value, _, key)| (*value, *key));
    let mut fields = vec![choice_field(ui, OVERLAP, chosen, values)];
    form::set_errors(&mut fields, errors);
    ConfirmPage {
        title: ui.t1("keys.rotate-title", clean(&key.name)),
        text: ui.t("keys.rotate-text"),
        is_final: false,
        node: clean(key.hierarchy.as_str()),
        action: format!("/keys/{}/rotate", key.pkid),
        button: ui.t("keys.rotate"),
        back: "/keys".to_owned(),
        summary: form::summarize(&fields, errors),
        fields,
        failure: None,
        ui,
    }
}

/// Asks when the former secret of a key ends, or replaces the secret and shows the new one.
pub(crate) async fn rotate(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let key = api_keys::get_rotatable(web.access(), &authority, &parse(&pkid)?).await?;
    let posted = Posted(pairs);
    if !is_confirmed(&posted) {
        return render(&confirm_rotation(&ui, &key, USUAL_OVERLAP, &[]));
    }
    let value = posted.get(OVERLAP).unwrap_or_default();
    let Some((_, overlap, _)) = OVERLAPS.iter().find(|(each, ..)| *each == value) else {
        let errors = [field_error(OVERLAP, ui.t("keys.no-choice"))];
        let page = confirm_rotation(&ui, &key, USUAL_OVERLAP, &errors);
        return render_with(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    let issued = api_keys::rotate(web.access(), &authority, &key.pkid, *overlap).await?;
    key_page(&ui, &issued, true)
}

/// Builds the page that asks whether to revoke a key.
pub(crate) fn confirm_revocation<'a>(ui: &'a Ui, key: &ApiKey) -> ConfirmPage<'a> {
    ConfirmPage {
        title: ui.t1("keys.revoke-title", clean(&key.name)),
        text: ui.t("keys.revoke-text"),
        is_final: true,
        node: clean(key.hierarchy.as_str()),
        action: format!("/keys/{}/revoke", key.pkid),
        button: ui.t("keys.revoke-confirm"),
        back: "/keys".to_owned(),
        fields: Vec::new(),
        summary: Vec::new(),
        failure: None,
        ui,
    }
}

/// Asks whether to revoke a key, or revokes it.
pub(crate) async fn revoke(
    State(web): State<Web>,
    ui: Ui,
    allowed: Administer,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let key = api_keys::get_managed(web.access(), &authority, &parse(&pkid)?).await?;
    if !is_confirmed(&Posted(pairs)) {
        return render(&confirm_revocation(&ui, &key));
    }
    api_keys::revoke(web.access(), &authority, &key.pkid).await?;
    Ok(Redirect::to("/keys").into_response())
}
