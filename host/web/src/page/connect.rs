//! The consent of a person at Webex: its beginning, and the callback.

use std::fmt::Write as _;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::records::{self, StoredRecord};
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{ConnectReport, ConnectionReport, Grant, State as ConnectionState};
use relation_host::types::{Pkid, Reference};
use secrecy::SecretString;
use serde::Deserialize;
use url::form_urlencoded;

use super::calls::{self, Failed, Started};
use super::form::Posted;
use super::layer::LeadsToConsent;
use super::parts::{Badge, clean};
use super::ui::{Ui, render_with};
use crate::access::consent_links;
use crate::access::{Allowed, Operation, permission};
use crate::{Web, WebError};

/// The action of the call that completes a consent.
const COMPLETE: &str = "complete-connect";
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
fn redirect_uri(web: &Web) -> Result<String, WebError> {
    let url = web.options().public_url.join("callback");
    let url = url.map_err(|error| {
        AppError::new(ErrorKind::Problem, format!("the public address: {error}"))
    })?;
    Ok(url.into())
}

/// Finds a grant by its name.
pub(crate) fn parse_grant(text: &str) -> Option<Grant> {
    GRANTS.into_iter().find(|grant| grant.as_str() == text)
}

/// Returns the first grant that needs a consent, otherwise the organization's.
fn next_grant(connection: &ConnectionReport) -> Grant {
    let needs_consent = |state| match state {
        ConnectionState::Connected | ConnectionState::Retrying => false,
        _ => true,
    };
    let mut grants = connection.grants.iter();
    let open = grants.find(|status| needs_consent(status.state));
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
        redirect_uri(web)?,
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
    match begin_consent(&web, &record.pkid, grant.unwrap_or_default()).await {
        Ok(redirect) => Ok(redirect.into_response()),
        Err(error) => page(&web, &ui, &record, grant, Some(&error)).await,
    }
}

/// Begins a consent. Returns the redirect to Webex.
pub(crate) async fn begin_consent(
    web: &Web,
    pkid: &Pkid,
    grant: Grant,
) -> Result<Redirect, WebError> {
    let (host, pkid, redirect) = (web.host().clone(), pkid.clone(), redirect_uri(web)?);
    let begun = calls::run(async move { host.connect(&pkid, grant, &redirect).await }).await?;
    Ok(Redirect::to(&begun.value.url))
}

#[derive(Template)]
#[template(path = "callback.html")]
pub(crate) struct CallbackPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) tone: &'static str,
    pub(crate) text: String,
    pub(crate) next: String,
    /// Webex's words, only for those who may see the organization.
    pub(crate) details: Option<String>,
    pub(crate) transaction: Option<String>,
    /// The address of the page that connects the organization.
    pub(crate) connect: Option<String>,
}

/// The end of a consent, each with texts of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Connected,
    MissingScope,
    Declined,
    WrongOrganization,
    TooLate,
    Used,
    Replaced,
    Unknown,
    Open,
    Operator,
    Failed,
    Running,
}

impl Outcome {
    fn key(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::MissingScope => "missing-scope",
            Self::Declined => "declined",
            Self::WrongOrganization => "wrong-organization",
            Self::TooLate => "too-late",
            Self::Used => "used",
            Self::Replaced => "replaced",
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Operator => "operator",
            Self::Failed => "failed",
            Self::Running => "running",
        }
    }

    fn from_report(report: &ConnectReport) -> Self {
        let mut grants = report.connection.grants.iter();
        let lacks_scope = grants
            .any(|each| each.grant == report.grant && each.state == ConnectionState::MissingScope);
        match lacks_scope {
            true => Self::MissingScope,
            false => Self::Connected,
        }
    }

    /// Finds the outcome in the words of the contract's `complete-connect`.
    fn from_error(error: &AppError) -> Self {
        let has = |words: &str| error.message.contains(words);
        match error.kind {
            _ if has("the consent stays open") => Self::Open,
            _ if has("was declined at Webex") => Self::Declined,
            _ if has("the consent was given by the organization") => Self::WrongOrganization,
            _ if has("callback came too late") => Self::TooLate,
            _ if has("was replaced by one") => Self::Replaced,
            _ if has("was used already") => Self::Used,
            _ if has("state is unknown") => Self::Unknown,
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Usage => Self::Unknown,
            ErrorKind::LimitExceeded | ErrorKind::Problem => Self::Operator,
            _ => Self::Failed,
        }
    }
}

/// Builds the page that ends a consent. Without `sees_record`, it has no data.
fn outcome_page<'a>(
    ui: &'a Ui,
    outcome: Outcome,
    pkid: &Pkid,
    error: Option<&AppError>,
    transaction: Option<String>,
    sees_record: bool,
) -> CallbackPage<'a> {
    let text = |suffix: &str| {
        ui.language
            .text(&format!("callback.{}{suffix}", outcome.key()))
    };
    let tone = match outcome {
        Outcome::Connected => "good",
        Outcome::MissingScope | Outcome::Open | Outcome::Replaced | Outcome::Used => "warn",
        Outcome::Running => "busy",
        _ => "bad",
    };
    CallbackPage {
        ui,
        title: text(""),
        tone,
        text: text("-text"),
        next: text("-next"),
        details: error
            .filter(|_| sees_record)
            .map(|error| clean(&error.to_string())),
        transaction: transaction.filter(|_| sees_record),
        connect: (sees_record && outcome != Outcome::Connected && outcome != Outcome::Running)
            .then(|| format!("/organizations/{pkid}/connect")),
    }
}

/// Completes a consent with the address to which Webex sent the browser. The state names the record and proves that
/// this host has begun the consent, so the browser needs no session.
pub(crate) async fn callback(
    State(web): State<Web>,
    ui: Ui,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let query = query.unwrap_or_default();
    let Some(pkid) = find_pkid(&query) else {
        let page = outcome_page(
            &ui,
            Outcome::Unknown,
            &Pkid::from_bytes([0; 12]),
            None,
            None,
            false,
        );
        return render_with(StatusCode::BAD_REQUEST, &page);
    };
    let reference = Reference::record(pkid.clone());
    let document = web
        .store()
        .get(std::slice::from_ref(&reference))
        .await?
        .into_iter()
        .flatten()
        .next();
    let Some(document) = document else {
        let page = outcome_page(&ui, Outcome::Unknown, &pkid, None, None, false);
        return render_with(StatusCode::BAD_REQUEST, &page);
    };
    let sees_record = ui.may(Operation::Read, &document.hierarchy);
    let mut address = redirect_uri(&web)?;
    let _ = write!(address, "?{query}");
    let callback = SecretString::from(address);
    let (host, subject) = (web.host().clone(), pkid.clone());
    let access = web.access().clone();
    let call = async move {
        let completed = host.complete_connect(&subject, &callback).await?;
        // The links that were handed on for this grant are used.
        if let Err(error) = consent_links::end(&access, &subject, completed.value.grant).await {
            tracing::warn!(%error, "the links of a connected grant were not removed");
        }
        Ok(completed)
    };
    let started = match sees_record {
        true => calls::start(&web, reference, COMPLETE, call).await?,
        false => Started::Ended(calls::run(call).await),
    };
    let page = match started {
        Started::Running(Some(transaction)) => {
            return Ok(Redirect::to(&format!("/transactions/{transaction}")).into_response());
        }
        Started::Running(None) => {
            outcome_page(&ui, Outcome::Running, &pkid, None, None, sees_record)
        }
        Started::Ended(Ok(output)) => {
            let outcome = Outcome::from_report(&output.value);
            if sees_record && outcome == Outcome::Connected {
                return Ok(
                    Redirect::to(&format!("/transactions/{}", output.transaction)).into_response(),
                );
            }
            outcome_page(
                &ui,
                outcome,
                &pkid,
                None,
                Some(output.transaction),
                sees_record,
            )
        }
        Started::Ended(Err(error)) => {
            let outcome = Outcome::from_error(&error.error);
            let transaction = error.error.transaction.clone();
            let page = outcome_page(
                &ui,
                outcome,
                &pkid,
                Some(&error.error),
                transaction,
                sees_record,
            );
            return render_with(StatusCode::BAD_REQUEST, &page);
        }
    };
    render_with(StatusCode::OK, &page)
}

/// Returns the record that the state of a callback names: a pkid, a full stop and a random text.
fn find_pkid(query: &str) -> Option<Pkid> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, state) = pairs.find(|(name, _)| name == "state")?;
    let (pkid, random) = state.split_once('.')?;
    (!random.is_empty()).then(|| pkid.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::texts::Language;

    const PKID: &str = "0123456789abcdef01234567";

    #[test]
    fn state_names_the_record() {
        for (query, found) in [
            (format!("code=x&state={PKID}.abc"), true),
            (format!("state={PKID}.%2Bc&error=access_denied"), true),
            (format!("state={PKID}."), false),
            (format!("state={PKID}"), false),
            ("state=../evil.x".to_owned(), false),
            ("code=x".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(find_pkid(&query).is_some(), found, "{query}");
        }
    }

    #[test]
    fn every_end_of_a_consent_has_its_texts() {
        let all = [
            (
                ErrorKind::Reauthorize,
                "the consent for the grant x of y was declined at Webex (z)",
                Outcome::Declined,
            ),
            (
                ErrorKind::Reauthorize,
                "the consent was given by the organization a, but b",
                Outcome::WrongOrganization,
            ),
            (
                ErrorKind::Reauthorize,
                "has expired, because its callback came too late",
                Outcome::TooLate,
            ),
            (
                ErrorKind::Reauthorize,
                "was used already, because each callback counts once",
                Outcome::Used,
            ),
            (
                ErrorKind::Reauthorize,
                "was replaced by one that was begun later",
                Outcome::Replaced,
            ),
            (
                ErrorKind::Unavailable,
                "no answer; the consent stays open until",
                Outcome::Open,
            ),
            (
                ErrorKind::LimitExceeded,
                "Webex does not accept a scope",
                Outcome::Operator,
            ),
            (
                ErrorKind::Invalid,
                "the input is not right",
                Outcome::Unknown,
            ),
            (ErrorKind::Internal, "broken", Outcome::Failed),
        ];
        for (kind, message, expected) in all {
            assert_eq!(
                Outcome::from_error(&AppError::new(kind, message)),
                expected,
                "{message}"
            );
        }
        let others = [Outcome::Connected, Outcome::MissingScope, Outcome::Running];
        for outcome in all.iter().map(|each| each.2).chain(others) {
            for suffix in ["", "-text", "-next"] {
                let key = format!("callback.{}{suffix}", outcome.key());
                assert!(Language::English.find(&key).is_some(), "{key}");
            }
        }
    }

    #[test]
    fn browser_without_a_session_sees_no_data() {
        let ui = Ui::sample(Language::English, "/callback", &[]);
        let pkid: Pkid = PKID.parse().unwrap();
        let error = AppError::new(ErrorKind::Reauthorize, "Contoso was declined at Webex");
        let transaction = Some("01990000".to_owned());
        let html = outcome_page(
            &ui,
            Outcome::Declined,
            &pkid,
            Some(&error),
            transaction,
            false,
        )
        .render()
        .unwrap();
        for data in ["Contoso", PKID, "01990000", "/organizations"] {
            assert!(!html.contains(data), "{data}");
        }
    }
}
