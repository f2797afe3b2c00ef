//! Links that are handed on: the person with the Webex account needs no log-in here, and sees only whom to connect.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use relation_app::records::{self, StoredRecord};
use relation_host::reports::Grant;
use relation_host::types::Reference;
use secrecy::SecretString;

use super::calls::Failed;
use super::connect::{begin_consent, parse_grant};
use super::form::Posted;
use super::layer::LeadsToConsent;
use super::parts::{Moment, clean};
use super::shared::SecretPage;
use super::ui::{Ui, render, render_with};
use crate::access::consent_links::{self, ConsentTarget};
use crate::access::{Allowed, ClientAddress, permission};
use crate::{Web, WebError};

/// Creates a link for a grant of a record, and shows it once.
pub(crate) async fn create(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Connect>,
    address: ClientAddress,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    let grant = Posted(pairs)
        .get("grant")
        .and_then(parse_grant)
        .unwrap_or_default();
    let link = consent_links::create(web.access(), &allowed, address, &record, grant).await?;
    render(&SecretPage {
        title: ui.t("consent.link-title"),
        text: ui.t1("consent.link-text", clean(record.name())),
        value: link.url.to_string(),
        expires: Some(Moment::relative(link.expires, &ui)),
        back: format!("/organizations/{}", record.pkid),
        ui: &ui,
    })
}

#[derive(Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    /// The name of the customer; `None`: the link has ended.
    pub(crate) name: Option<String>,
    pub(crate) grant: String,
    pub(crate) action: String,
    pub(crate) expires: Option<Moment>,
    pub(crate) failure: Option<Failed>,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
}

/// Finds the target of a link and its record.
async fn find(web: &Web, token: &str) -> Result<Option<(ConsentTarget, StoredRecord)>, WebError> {
    let target = match consent_links::read(web.access(), &SecretString::from(token)).await {
        Ok(target) => target,
        Err(error) if error.status == StatusCode::NOT_FOUND => return Ok(None),
        Err(error) => return Err(error),
    };
    let reference = Reference::record(target.record.clone());
    let document = web
        .store()
        .get(&[reference])
        .await?
        .into_iter()
        .flatten()
        .next();
    // The link of a deleted record has ended.
    Ok(document.map(|document| (target, document.into())))
}

/// Builds the page of a link.
pub(crate) fn build<'a>(
    ui: &'a Ui,
    token: &str,
    found: Option<(Grant, Moment, String)>,
    failure: Option<Failed>,
) -> ConsentPage<'a> {
    let title = match &found {
        Some(_) => ui.t("connect.title"),
        None => ui.t("session.link-ended"),
    };
    let grant = found
        .as_ref()
        .map(|(grant, ..)| ui.language.text(&format!("grant.{grant}")));
    let expires = found.as_ref().map(|(_, expires, _)| *expires);
    ConsentPage {
        ui,
        title,
        grant: grant.unwrap_or_default(),
        action: format!("/consent/{token}"),
        expires,
        name: found.map(|(.., name)| name),
        failure,
        summary: Vec::new(),
    }
}

fn respond(
    ui: &Ui,
    token: &str,
    found: Option<(ConsentTarget, StoredRecord)>,
    error: Option<&WebError>,
) -> Result<Response, WebError> {
    let found = found.map(|(target, record)| {
        let name = records::find_name(&record.document).unwrap_or_default();
        let expires = Moment::relative(target.expires, ui);
        (target.grant, expires, clean(name))
    });
    let status = match (&found, error) {
        (None, _) => StatusCode::NOT_FOUND,
        (Some(_), Some(error)) => error.status,
        (Some(_), None) => StatusCode::OK,
    };
    // Without a log-in there are no details: they may name what only administrators know.
    let failure = error.map(|error| Failed {
        message: ui.t("callback.failed-text"),
        transaction: None,
        ..Failed::new(error, ui)
    });
    let mut response = render_with(status, &build(ui, token, found, failure))?;
    response.extensions_mut().insert(LeadsToConsent);
    Ok(response)
}

/// Shows whom a link connects.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    Path(token): Path<String>,
) -> Result<Response, WebError> {
    let found = find(&web, &token).await?;
    respond(&ui.anonymous(), &token, found, None)
}

/// Begins a consent. The link stays valid until its grant is connected, so that a failed attempt can be repeated.
pub(crate) async fn begin(
    State(web): State<Web>,
    ui: Ui,
    Path(token): Path<String>,
) -> Result<Response, WebError> {
    let Some((target, record)) = find(&web, &token).await? else {
        return respond(&ui.anonymous(), &token, None, None);
    };
    match begin_consent(&web, &ui, &record, target.grant).await {
        Ok(redirect) => Ok(redirect.into_response()),
        Err(error) => {
            tracing::warn!(
                error = error.error.message,
                "a consent of a link could not begin"
            );
            respond(
                &ui.anonymous(),
                &token,
                Some((target, record)),
                Some(&error),
            )
        }
    }
}
