//! The layer around the routes of the page: headers for browsers, and errors as pages.

use askama::Template;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::ErrorKind;
use url::Url;

use super::links;
use super::parts::clean;
use super::query::ListAddress;
use super::ui::{Ui, render_with};
use crate::error::describe_error;
use crate::{Web, WebError};

/// The setting of the plugin that has the address of Webex.
const BASE_URL: &str = "webex.base-url";

/// A mark on the response of a page whose form leads to Webex's consent. Webex may send the browser on to any identity
/// provider, and browsers check each of these redirects against `form-action`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeadsToConsent;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    ui: &'a Ui,
    title: String,
    message: String,
    fields: Vec<(String, String)>,
    next: String,
    transaction: Option<String>,
    /// The address of the list without what is wrong in its query.
    list: Option<String>,
}

/// Runs a request of the page, renders its error, and adds the headers.
pub(crate) async fn finish(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(ui) = Ui::from_request_parts(&mut parts, &web).await;
    let method = parts.method.clone();
    let response = next.run(Request::from_parts(parts, body)).await;
    // Errors of the framework, such as an address that cannot be decoded, are pages too.
    let response = match is_page(&response) {
        true => response,
        false => describe_error(response).await,
    };
    let error = response.extensions().get::<WebError>().cloned();
    let list = response.extensions().get::<ListAddress>().cloned();
    let mut response = match error {
        Some(error) => error_page(&ui, &method, &error, list),
        None => response,
    };
    add_headers(&web, &mut response);
    response
}

fn is_page(response: &Response) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

/// Returns the key of the texts for an error.
pub(crate) fn error_key(error: &WebError) -> &'static str {
    match (error.status, error.error.kind) {
        (StatusCode::FORBIDDEN, _) => "forbidden",
        (StatusCode::UNAUTHORIZED, _) => "unauthenticated",
        (StatusCode::NOT_FOUND, _) => "not-found",
        (_, ErrorKind::Reauthorize) => "reauthorize",
        (_, ErrorKind::Invalid | ErrorKind::Usage | ErrorKind::KeyReused) => "invalid",
        (_, ErrorKind::Conflict) => "conflict",
        (_, ErrorKind::Changed) => "changed",
        (_, ErrorKind::Busy) => "busy",
        (_, ErrorKind::RateLimited) => "rate-limited",
        (_, ErrorKind::Unavailable) => "unavailable",
        (_, ErrorKind::LimitExceeded | ErrorKind::Problem) => "operator",
        _ => "internal",
    }
}

/// Returns what to do about an error, in words of the page: many hints of the application name commands. Only the hint
/// names the conflict.
pub(crate) fn next_step(ui: &Ui, error: &WebError) -> String {
    let key = error_key(error);
    let hint = error.error.hint.as_deref();
    match (key, &error.error.transaction, hint) {
        ("conflict", _, Some(hint)) if !hint.contains("`relation-host ") => clean(hint),
        ("conflict", Some(_), _) => ui.t("error.conflict-transaction-next"),
        _ => ui.language.text(&format!("error.{key}-next")),
    }
}

/// Returns the message of an error. The cause of an internal error is in the host's log only.
pub(crate) fn message(ui: &Ui, error: &WebError) -> String {
    let key = error_key(error);
    match key {
        "internal" | "not-found" | "forbidden" | "unauthenticated" => {
            ui.language.text(&format!("error.{key}-message"))
        }
        _ => clean(&error.error.message),
    }
}

fn error_page(ui: &Ui, method: &Method, error: &WebError, list: Option<ListAddress>) -> Response {
    if error.status == StatusCode::UNAUTHORIZED {
        let next = if *method == Method::GET {
            ui.path.as_str()
        } else {
            ""
        };
        return Redirect::to(&links::with_query("/login", &[("next", next)])).into_response();
    }
    let fields = error.error.field_errors.iter();
    let (title, message) = match list {
        Some(_) => (ui.t("error.query"), ui.t("error.query-message")),
        None => {
            let title = ui.language.text(&format!("error.{}", error_key(error)));
            (title, message(ui, error))
        }
    };
    let page = ErrorPage {
        ui,
        title,
        message,
        fields: fields
            .map(|each| (clean(&each.field), clean(&each.message)))
            .collect(),
        next: match list {
            Some(_) => ui.t("error.query-next"),
            None => next_step(ui, error),
        },
        transaction: error.error.transaction.clone(),
        list: match list {
            Some(ListAddress(address)) => Some(address),
            None => whole_list(ui, method, error),
        },
    };
    render_with(error.status, &page).unwrap_or_else(|_| error.status.into_response())
}

/// Returns the address of the page without its query, if the query may be wrong, such as a cursor of another list.
fn whole_list(ui: &Ui, method: &Method, error: &WebError) -> Option<String> {
    let (path, _) = ui.path.split_once('?')?;
    let is_query = *method == Method::GET && error.status == StatusCode::BAD_REQUEST;
    is_query.then(|| path.to_owned())
}

/// Returns the origin of Webex's consent page.
fn webex_origin(web: &Web) -> Option<String> {
    let settings = web.host().plugin().settings();
    let described = web
        .model()
        .settings
        .iter()
        .find(|setting| setting.key == BASE_URL);
    let default = described.and_then(|setting| setting.default.as_deref());
    let url = settings.get(BASE_URL).map(String::as_str).or(default)?;
    Some(Url::parse(url).ok()?.origin().ascii_serialization())
}

pub(crate) fn policy(webex: Option<&str>, leads_to_consent: bool) -> String {
    let forms = match (leads_to_consent, webex) {
        (true, Some(webex)) => format!("'self' https: {webex}"),
        (true, None) => "'self' https:".to_owned(),
        (false, _) => "'self'".to_owned(),
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action {forms}; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

fn add_headers(web: &Web, response: &mut Response) {
    let leads_to_consent = response.extensions().get::<LeadsToConsent>().is_some();
    let webex = webex_origin(web).filter(|_| leads_to_consent);
    let policy = policy(webex.as_deref(), leads_to_consent);
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "permissions-policy",
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    );
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
}

#[cfg(test)]
mod tests {
    use relation_app::AppError;

    use super::*;

    #[test]
    fn advice_about_a_conflict_fits() {
        let ui = Ui::sample(crate::page::texts::Language::English, "/", &[]);
        let step = |kind, hint: &str, transaction: Option<&str>| {
            let mut error = AppError::new(kind, "no");
            error.hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
            error.transaction = transaction.map(str::to_owned);
            next_step(&ui, &error.into())
        };
        let command = "`relation-host run` does it";
        for (kind, hint, transaction, expected) in [
            (
                ErrorKind::Conflict,
                "add another one",
                None,
                "add another one",
            ),
            (ErrorKind::Conflict, command, None, "Open the page again"),
            (ErrorKind::Conflict, "", Some("1"), "Open the transaction"),
            (ErrorKind::Changed, "", None, "Open the page again"),
            (ErrorKind::Busy, "", None, "Another task works"),
        ] {
            let step = step(kind, hint, transaction);
            assert!(step.starts_with(expected), "{kind:?}: {step}");
        }
    }

    #[test]
    fn only_the_consent_page_may_send_forms_to_webex() {
        let normal = policy(None, false);
        assert!(
            normal.contains("form-action 'self';") && !normal.contains("unsafe"),
            "{normal}"
        );
        let consent = policy(Some("http://127.0.0.1:9000"), true);
        assert!(
            consent.contains("form-action 'self' https: http://127.0.0.1:9000;"),
            "{consent}"
        );
    }
}
