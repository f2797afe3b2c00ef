//! Log-in at an OpenID provider: the way there, and the way back.

use askama::Template;
use axum::Form;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::oidc::Provider;

use super::links;
use super::parts::clean;
use super::session::NextQuery;
use super::ui::{Ui, render_with};
use crate::access::ClientAddress;
use crate::access::oidc::{self, BegunLogIn, Callback, OidcLogInError, Refusal};
use crate::{Web, WebError};

/// A step of the log-in at a provider.
#[derive(Template)]
#[template(path = "oidc.html")]
pub(crate) struct OidcPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) tone: &'static str,
    pub(crate) text: String,
    pub(crate) next: String,
    /// The address at the provider. Without one, the log-in has ended.
    pub(crate) address: Option<String>,
}

/// Begins a log-in, and leads to the provider.
pub(crate) async fn begin(
    State(web): State<Web>,
    ui: Ui,
    address: ClientAddress,
    Form(form): Form<NextQuery>,
) -> Result<Response, WebError> {
    let provider = find_provider(&web)?;
    let next = links::local(&form.next);
    match oidc::begin(web.access(), provider, address, next).await {
        Ok(BegunLogIn { url, cookie }) => {
            // A page instead of a redirect: browsers check the redirect of a form against the policy `form-action`.
            let mut response = render_with(StatusCode::OK, &leaving_page(&ui, url.as_str()))?;
            response.headers_mut().append(header::SET_COOKIE, cookie);
            Ok(response)
        }
        Err(OidcLogInError::Refused(refusal)) => refusal_page(&ui, provider, &refusal),
        Err(OidcLogInError::Failed(error)) => Err(error),
    }
}

/// Completes a log-in when the provider sends the browser back.
pub(crate) async fn complete(
    State(web): State<Web>,
    ui: Ui,
    address: ClientAddress,
    headers: HeaderMap,
    query: Result<Query<Callback>, QueryRejection>,
) -> Result<Response, WebError> {
    let provider = find_provider(&web)?;
    let callback = query.map(|Query(query)| query).unwrap_or_default();
    let parts = web.access();
    let mut response = match oidc::complete(parts, provider, address, &headers, callback).await {
        Ok(completed) => {
            let redirect = Redirect::to(links::local(&completed.next));
            let mut response = redirect.into_response();
            let cookies = [completed.session.set_cookie(parts), completed.id_token];
            for cookie in cookies {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            response
        }
        Err(OidcLogInError::Refused(refusal)) => refusal_page(&ui, provider, &refusal)?,
        Err(OidcLogInError::Failed(error)) => return Err(error),
    };
    let cookie = oidc::clear_cookie(parts);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Returns the page that leads to the log-out at the provider, if it has one.
pub(crate) async fn leave(web: &Web, ui: &Ui, headers: &HeaderMap) -> Option<Response> {
    let provider = web.options().oidc.as_ref()?;
    let url = oidc::log_out_url(web.access(), provider, headers).await?;
    let ui = ui.anonymous();
    render_with(StatusCode::OK, &log_out_page(&ui, url.as_str())).ok()
}

fn find_provider(web: &Web) -> Result<&Provider, WebError> {
    let provider = web.options().oidc.as_ref();
    provider.ok_or_else(WebError::not_found)
}

/// Returns the text of the button that leads to the provider.
pub(crate) fn button(web: &Web, ui: &Ui) -> Option<String> {
    let config = web.options().oidc.as_ref()?.config();
    let label = config.label.as_deref().map(clean);
    Some(label.unwrap_or_else(|| ui.t("oidc.log-in")))
}

/// Builds the page that leads to the provider.
pub(crate) fn leaving_page<'a>(ui: &'a Ui, address: &str) -> OidcPage<'a> {
    OidcPage {
        title: ui.t("oidc.leaving"),
        tone: "busy",
        text: ui.t("oidc.leaving-text"),
        next: ui.t("oidc.leaving-next"),
        address: Some(address.to_owned()),
        ui,
    }
}

/// Builds the page that leads to the log-out at the provider.
pub(crate) fn log_out_page<'a>(ui: &'a Ui, address: &str) -> OidcPage<'a> {
    OidcPage {
        title: ui.t("oidc.log-out"),
        text: ui.t("oidc.log-out-text"),
        ..leaving_page(ui, address)
    }
}

/// Returns the key of the text that says what to do after a refusal.
fn next_key(refusal: &Refusal) -> &'static str {
    match refusal.key() {
        "without-role" | "disabled" => "oidc.next-ask",
        "unusable" | "client" | "algorithm" | "issuer" | "audience" | "too-large"
        | "not-yet-valid" => "oidc.next-operator",
        "unavailable" => "oidc.next-later",
        _ => "oidc.next-again",
    }
}

/// Builds the page of a refused log-in.
pub(crate) fn refused_page<'a>(
    ui: &'a Ui,
    contact: Option<&str>,
    refusal: &Refusal,
) -> OidcPage<'a> {
    let key = refusal.key();
    let contact = contact.map_or_else(|| ui.t("oidc.administrator"), clean);
    let text = match refusal {
        Refusal::TooMany { retry_after } => ui.t1(
            "oidc.too-many-text",
            retry_after.as_secs().saturating_add(1),
        ),
        _ => ui.language.text(&format!("oidc.{key}-text")),
    };
    OidcPage {
        title: ui.t("oidc.refused"),
        tone: "bad",
        text,
        next: ui.language.text_with(next_key(refusal), contact),
        address: None,
        ui,
    }
}

fn refusal_page(ui: &Ui, provider: &Provider, refusal: &Refusal) -> Result<Response, WebError> {
    let status = match refusal {
        Refusal::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ if refusal.key() == "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        // With 401, the layer would lead to the log-in.
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    // Without the navigation: the person has just been told not to be logged in.
    let ui = ui.anonymous();
    let contact = provider.config().contact.as_deref();
    let mut response = render_with(status, &refused_page(&ui, contact, refusal))?;
    if let Refusal::TooMany { retry_after } = refusal {
        let seconds = HeaderValue::from(retry_after.as_secs().saturating_add(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use relation_app::oidc::{OidcError, TokenError};

    use super::*;
    use crate::page::texts::Language;

    #[test]
    fn every_refusal_has_its_texts() {
        let tokens = [
            TokenError::Malformed("x"),
            TokenError::Algorithm,
            TokenError::UnknownKey,
            TokenError::Signature,
            TokenError::Issuer,
            TokenError::Audience,
            TokenError::Expired,
            TokenError::NotYetValid,
            TokenError::Nonce,
        ];
        let errors = [
            OidcError::Declined,
            OidcError::from_code("<script>"),
            OidcError::Unavailable("raw".to_owned()),
            OidcError::TooLarge,
            OidcError::Unusable("raw".to_owned()),
            OidcError::Client("raw".to_owned()),
            OidcError::Code,
        ];
        let tokens = tokens.into_iter().map(OidcError::Token);
        let errors = errors.into_iter().chain(tokens).map(Refusal::Provider);
        let others = [
            Refusal::Ended,
            Refusal::WithoutRole,
            Refusal::Disabled,
            Refusal::TooMany {
                retry_after: Duration::from_secs(3),
            },
        ];
        let mut texts = std::collections::BTreeSet::new();
        for refusal in errors.chain(others) {
            for language in Language::ALL {
                let key = format!("oidc.{}-text", refusal.key());
                assert!(language.find(&key).is_some(), "{key}");
                assert!(language.find(next_key(&refusal)).is_some(), "{refusal:?}");
                let ui = Ui::sample(language, "/login", &[]);
                let page = refused_page(&ui, Some("<b>Ida</b>"), &refusal);
                assert!(texts.insert(page.text.clone()), "{key}: {}", page.text);
                let html = page.render().unwrap();
                assert!(!html.contains("<b>") && !html.contains("raw"), "{html}");
            }
        }
    }
}
