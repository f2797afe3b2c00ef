//! The page that leads to the consent of a person at Webex.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::records::{self, StoredRecord};
use relation_host::reports::{ConnectionReport, Grant, State as ConnectionState};
use serde::Deserialize;

use super::calls::Failed;
use super::form::Posted;
use super::layer::LeadsToConsent;
use super::parts::{Badge, clean};
use super::ui::{Ui, render_with};
use crate::access::{Allowed, permission};
use crate::calls::Call;
use crate::{Web, WebError};

const GRANTS: [Grant; 3] = [
    Grant::Organization,
    Grant::WholesaleCustomers,
    Grant::WholesaleUsers,
];

/// A grant that the form offers.
pub(crate) struct GrantChoice {
    value: String,
    title: String,
    badge: Badge,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "connect.html")]
pub(crate) struct ConnectPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) organization: String,
    pub(crate) grants: Vec<GrantChoice>,
    pub(crate) redirect: String,
    pub(crate) failure: Option<Failed>,
}

/// Returns the address to which Webex sends the browser.
pub(crate) fn redirect_uri(web: &Web) -> String {
    web.options().redirect.as_str().to_owned()
}

/// Finds a grant by its name.
pub(crate) fn parse_grant(text: &str) -> Option<Grant> {
    GRANTS.into_iter().find(|grant| grant.as_str() == text)
}

/// Returns the first grant that needs a consent, otherwise the organization's.
fn next_grant(connection: &ConnectionReport) -> Grant {
    let works = |state| {
        matches!(
            state,
            ConnectionState::Connected | ConnectionState::Retrying
        )
    };
    let mut grants = connection.grants.iter();
    let open = grants.find(|status| !works(status.state));
    open.map_or(Grant::Organization, |status| status.grant)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GrantQuery {
    grant: String,
}

/// Explains which account is needed and what it is asked for.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Connect>,
    Path(pkid): Path<String>,
    Query(query): Query<GrantQuery>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    page(&web, &ui, &record, parse_grant(&query.grant), None).await
}

async fn page(
    web: &Web,
    ui: &Ui,
    record: &StoredRecord,
    grant: Option<Grant>,
    error: Option<&WebError>,
) -> Result<Response, WebError> {
    let details = records::show(web.host(), record).await?;
    let number = details
        .fields
        .get("account_number_external")
        .and_then(serde_json::Value::as_str);
    let page = build(
        ui,
        &details.connection,
        number,
        grant,
        redirect_uri(web),
        error,
    );
    let status = error.map_or(StatusCode::OK, |error| error.status);
    let mut response = render_with(status, &page)?;
    response.extensions_mut().insert(LeadsToConsent);
    Ok(response)
}

/// Builds the page that leads to Webex.
pub(crate) fn build<'a>(
    ui: &'a Ui,
    connection: &ConnectionReport,
    organization: Option<&str>,
    grant: Option<Grant>,
    redirect: String,
    error: Option<&WebError>,
) -> ConnectPage<'a> {
    let chosen = grant.unwrap_or_else(|| next_grant(connection));
    let name = clean(&connection.name);
    let grants = connection.grants.iter().map(|status| GrantChoice {
        value: status.grant.to_string(),
        title: ui.language.text(&format!("grant.{}", status.grant)),
        badge: Badge::state(status.state, ui.language),
        chosen: status.grant == chosen,
    });
    ConnectPage {
        ui,
        title: ui.t("connect.title"),
        address: format!("/organizations/{}", connection.pkid),
        organization: clean(organization.unwrap_or_default()),
        grants: grants.collect(),
        redirect,
        failure: error.map(|error| Failed::new(error, ui)),
        name,
    }
}

/// Begins a consent and sends the browser to Webex.
pub(crate) async fn begin(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Connect>,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    let grant = Posted(pairs).get("grant").and_then(parse_grant);
    match begin_consent(&web, &ui, &record, grant.unwrap_or_default()).await {
        Ok(redirect) => Ok(redirect.into_response()),
        Err(error) => page(&web, &ui, &record, grant, Some(&error)).await,
    }
}

/// Begins a consent. Returns the redirect to Webex.
pub(crate) async fn begin_consent(
    web: &Web,
    ui: &Ui,
    record: &StoredRecord,
    grant: Grant,
) -> Result<Redirect, WebError> {
    let (host, pkid, redirect) = (ui.host(web), record.pkid.clone(), redirect_uri(web));
    let call = Call::new(Some(ui.requester().on("Connect", record)));
    let begun = call.run(
        web,
        async move { host.connect(&pkid, grant, &redirect).await },
    );
    let begun = begun.await?;
    Ok(Redirect::to(&begun.value.url))
}
