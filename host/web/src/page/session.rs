//! Log-in, log-out, and the page of a one-time link.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form};
use relation_host::types::{FieldError, Hierarchy};
use secrecy::SecretString;
use serde::Deserialize;

use super::calls::Failed;
use super::form::{self, Control, FormField, Posted};
use super::links;
use super::oidc;
use super::parts::clean;
use super::ui::{Ui, render_with};
use crate::access::sessions::{self, LogIn, LogInError, Session};
use crate::access::users::{self, LinkPurpose, NewAdministrator, check_fields, field_error};
use crate::access::{ClientAddress, MIN_PASSWORD_CHARS, find_password_error, nodes};
use crate::{Web, WebError};

/// The node of the first provider administrator, unless another one is given.
const TOP_NODE: &str = "sys";

/// A form in the middle of an otherwise empty page.
#[derive(Template)]
#[template(path = "session.html")]
pub(crate) struct SessionPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) action: String,
    pub(crate) hidden: Vec<(String, String)>,
    pub(crate) fields: Vec<FormField>,
    pub(crate) button: String,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
    pub(crate) failure: Option<Failed>,
    /// The text of the button that leads to an OpenID provider.
    pub(crate) provider: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NextQuery {
    pub(crate) next: String,
}

/// Shows the log-in.
pub(crate) async fn show_log_in(
    State(web): State<Web>,
    ui: Ui,
    Query(query): Query<NextQuery>,
) -> Result<Response, WebError> {
    if ui.principal.is_some() {
        return Ok(Redirect::to(links::local(&query.next)).into_response());
    }
    log_in_page(&web, &ui, &query.next, "", None, StatusCode::OK)
}

fn log_in_page(
    web: &Web,
    ui: &Ui,
    next: &str,
    name: &str,
    failure: Option<Failed>,
    status: StatusCode,
) -> Result<Response, WebError> {
    let page = log_in_form(ui, next, name, failure, oidc::button(web, ui));
    render_with(status, &page)
}

/// Builds the page of the log-in.
pub(crate) fn log_in_form<'a>(
    ui: &'a Ui,
    next: &str,
    name: &str,
    failure: Option<Failed>,
    provider: Option<String>,
) -> SessionPage<'a> {
    let mut user = FormField::new("name", ui.t("session.name"), String::new());
    user.required = true;
    user.value = name.to_owned();
    user.autocomplete = "username";
    let mut password = password_field(ui, "password", ui.t("session.password"));
    password.autocomplete = "current-password";
    SessionPage {
        title: ui.t("session.title"),
        text: ui.t("session.text"),
        action: "/login".to_owned(),
        hidden: vec![("next".to_owned(), links::local(next).to_owned())],
        fields: vec![user, password],
        button: ui.t("session.log-in"),
        summary: Vec::new(),
        failure,
        provider,
        ui,
    }
}

fn password_field(_: &Ui, name: &str, label: String) -> FormField {
    let mut field = FormField::new(name, label, String::new());
    field.control = Control::Input("password");
    field.secret = true;
    field.required = true;
    field.autocomplete = "new-password";
    field
}

/// Logs a user in.
pub(crate) async fn log_in(
    State(web): State<Web>,
    ui: Ui,
    address: ClientAddress,
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let posted = Posted(pairs);
    let text = |name: &str| posted.get(name).unwrap_or_default().to_owned();
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let request = LogIn {
        address,
        name: text("name"),
        password: SecretString::from(text("password")),
        previous: sessions::read_cookie(web.access(), &headers),
        user_agent: user_agent.map(str::to_owned),
    };
    let next = text("next");
    match sessions::log_in(web.access(), request).await {
        Ok(session) => {
            let cookie = session.set_cookie(web.access());
            Ok((
                [(header::SET_COOKIE, cookie)],
                Redirect::to(links::local(&next)),
            )
                .into_response())
        }
        Err(error) => {
            let retry_after = match &error {
                LogInError::TooMany { retry_after } => {
                    Some(retry_after.as_secs().saturating_add(1))
                }
                _ => None,
            };
            let failed = refusal(&ui, retry_after, error)?;
            let status = match retry_after {
                Some(_) => StatusCode::TOO_MANY_REQUESTS,
                // With 401, the layer would lead here again.
                None => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let mut response = log_in_page(
                &web,
                &ui,
                &next,
                posted.get("name").unwrap_or_default(),
                Some(failed),
                status,
            )?;
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Ok(response)
        }
    }
}

/// Returns the text of a refused log-in: the same for every reason.
fn refusal(ui: &Ui, retry_after: Option<u64>, error: LogInError) -> Result<Failed, WebError> {
    let next = match (retry_after, error) {
        (Some(seconds), _) => ui.t1("session.wait", seconds),
        (None, LogInError::Failed(error)) => return Err(error),
        (None, _) => ui.t("session.refused-next"),
    };
    Ok(Failed {
        title: ui.t("session.refused"),
        message: ui.t("session.refused-text"),
        next,
        transaction: None,
    })
}

/// Ends the session, and leads to the log-out at the OpenID provider if the user has logged in there.
pub(crate) async fn log_out(
    State(web): State<Web>,
    ui: Ui,
    address: ClientAddress,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let parts = web.access();
    let is_from_provider = match sessions::read_cookie(parts, &headers) {
        Some(token) => sessions::log_out(parts, address, &token).await?,
        None => false,
    };
    let leave = match is_from_provider {
        true => oidc::leave(&web, &ui, &headers).await,
        false => None,
    };
    let mut response = leave.unwrap_or_else(|| Redirect::to("/login").into_response());
    let cookies = [
        sessions::clear_cookie(parts),
        crate::access::oidc::clear_id_token(parts),
    ];
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Responds that the session is valid. The request itself has prolonged it. The page asks when its user types on.
pub(crate) async fn keep_alive(
    session: Option<Extension<Arc<Session>>>,
) -> Result<Response, WebError> {
    let Extension(session) = session.ok_or_else(WebError::unauthenticated)?;
    Ok(axum::Json(serde_json::json!({ "expires": session.expires.0 })).into_response())
}

/// Shows the page of a one-time link.
pub(crate) async fn show_set_up(
    State(web): State<Web>,
    ui: Ui,
    Path(token): Path<String>,
) -> Result<Response, WebError> {
    let purpose = users::read_link(web.access(), &SecretString::from(token.clone())).await;
    let purpose = match purpose {
        Ok(purpose) => purpose,
        Err(error) if error.status == StatusCode::NOT_FOUND => return ended_page(&ui),
        Err(error) => return Err(error),
    };
    render_with(
        StatusCode::OK,
        &set_up_page(&ui, &token, &purpose, &Posted::default(), &[]),
    )
}

fn ended_page(ui: &Ui) -> Result<Response, WebError> {
    let page = SessionPage {
        title: ui.t("session.link-ended"),
        text: ui.t("session.link-ended-text"),
        action: String::new(),
        hidden: Vec::new(),
        fields: Vec::new(),
        button: String::new(),
        summary: Vec::new(),
        failure: None,
        provider: None,
        ui,
    };
    render_with(StatusCode::NOT_FOUND, &page)
}

/// Builds the page of a one-time link.
pub(crate) fn set_up_page<'a>(
    ui: &'a Ui,
    token: &str,
    purpose: &LinkPurpose,
    posted: &Posted,
    errors: &[FieldError],
) -> SessionPage<'a> {
    let mut fields = Vec::new();
    let (title, text) = match purpose {
        LinkPurpose::FirstAdministrator => {
            let mut name = FormField::new("name", ui.t("session.name"), ui.t("session.name-help"));
            name.required = true;
            name.autocomplete = "username";
            name.value = posted.get("name").unwrap_or_default().to_owned();
            let mut node =
                FormField::new("hierarchy", ui.t("form.node"), ui.t("session.node-help"));
            node.required = true;
            node.value = posted.get("hierarchy").unwrap_or(TOP_NODE).to_owned();
            fields.extend([name, node]);
            (ui.t("session.set-up"), ui.t("session.set-up-text"))
        }
        LinkPurpose::SetPassword { name } => (
            ui.t("session.set-password"),
            ui.t1("session.set-password-text", clean(name)),
        ),
    };
    let mut password = password_field(ui, "password", ui.t("session.new-password"));
    password.help = ui.t1("session.password-help", MIN_PASSWORD_CHARS);
    fields.extend([
        password,
        password_field(ui, "repeat", ui.t("session.repeat")),
    ]);
    form::set_errors(&mut fields, errors);
    SessionPage {
        title,
        text,
        action: format!("/{}/{token}", users::LINK_PATH),
        hidden: Vec::new(),
        button: ui.t("session.save"),
        summary: form::summarize(&fields, errors),
        fields,
        failure: None,
        provider: None,
        ui,
    }
}

/// Uses a one-time link.
pub(crate) async fn set_up(
    State(web): State<Web>,
    ui: Ui,
    address: ClientAddress,
    Path(token): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let posted = Posted(pairs);
    let secret = SecretString::from(token.clone());
    let purpose = match users::read_link(web.access(), &secret).await {
        Ok(purpose) => purpose,
        Err(error) if error.status == StatusCode::NOT_FOUND => return ended_page(&ui),
        Err(error) => return Err(error),
    };
    match use_link(&web, &ui, address, &secret, &purpose, &posted).await {
        Ok(()) => Ok(Redirect::to("/login").into_response()),
        Err(error) if error.error.field_errors.is_empty() => Err(error),
        Err(error) => {
            let page = set_up_page(&ui, &token, &purpose, &posted, &error.error.field_errors);
            render_with(error.status, &page)
        }
    }
}

async fn use_link(
    web: &Web,
    ui: &Ui,
    address: ClientAddress,
    token: &SecretString,
    purpose: &LinkPurpose,
    posted: &Posted,
) -> Result<(), WebError> {
    let text = |name: &str| posted.get(name).unwrap_or_default();
    let mut errors = Vec::new();
    if text("password") != text("repeat") {
        errors.push(field_error("repeat", ui.t("session.repeat-differs")));
    }
    let password = SecretString::from(text("password"));
    match purpose {
        LinkPurpose::SetPassword { name } => {
            let found = find_password_error(&password, name);
            errors.extend(found.map(|error| field_error("password", error)));
            check_fields(errors)?;
            users::set_password(web.access(), address, token, &password).await?;
        }
        LinkPurpose::FirstAdministrator => {
            let hierarchy = text("hierarchy").parse::<Hierarchy>();
            if let Err(error) = &hierarchy {
                errors.push(field_error("hierarchy", error.to_string()));
            }
            let (name, node) = (text("name").trim().to_owned(), hierarchy.as_ref().ok());
            errors.extend(users::find_administrator_errors(&name, node, &password));
            check_fields(errors)?;
            if let Ok(hierarchy) = hierarchy {
                let hierarchy = nodes::find_spelling(web.store(), &hierarchy).await?;
                let administrator = NewAdministrator {
                    name,
                    hierarchy,
                    password,
                };
                users::create_first_administrator(web.access(), address, token, administrator)
                    .await?;
            }
        }
    }
    Ok(())
}
