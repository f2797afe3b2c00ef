//! The callback: the end of a consent, when Webex sends the browser back.

use std::fmt::Write as _;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{ConnectReport, State as ConnectionState};
use relation_host::types::{Pkid, Reference};
use secrecy::SecretString;
use url::form_urlencoded;

use super::calls::{self, Started};
use super::connect::redirect_uri;
use super::parts::clean;
use super::ui::{Ui, render_with};
use crate::access::{ClientAddress, Operation, callback_rate, consent_links};
use crate::calls::Call;
use crate::{Web, WebError};

/// The action of the call that completes a consent.
const COMPLETE: &str = "complete-connect";

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
    Refused,
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
            Self::Refused => "refused",
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
            // Only a new consent helps, and nothing has to be waited for.
            ErrorKind::Reauthorize => Self::Refused,
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
pub(crate) async fn complete(
    State(web): State<Web>,
    ui: Ui,
    client: ClientAddress,
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
    let is_anonymous = ui.principal.is_none();
    if is_anonymous {
        callback_rate::begin(web.access(), client)?;
    }
    let mut address = redirect_uri(&web);
    let _ = write!(address, "?{query}");
    let callback = SecretString::from(address);
    let (host, subject) = (ui.host(&web), pkid.clone());
    let access = web.access().clone();
    let call = async move {
        let completed = host.complete_connect(&subject, &callback).await?;
        // The links that were handed on for this grant are used.
        if let Err(error) = consent_links::end(&access, &subject, completed.value.grant).await {
            tracing::warn!(%error, "the links of a connected grant were not removed");
        }
        Ok(completed)
    };
    let recorded = Call::new(Some(ui.requester().on(COMPLETE, &document.into())));
    let started = match sees_record {
        true => calls::start(&web, reference, COMPLETE, recorded, call).await?,
        false => Started::Ended(recorded.run(&web, call).await),
    };
    let page = match started {
        Started::Running(Some(transaction)) => {
            return Ok(Redirect::to(&format!("/transactions/{transaction}")).into_response());
        }
        Started::Running(None) => {
            outcome_page(&ui, Outcome::Running, &pkid, None, None, sees_record)
        }
        Started::Ended(Ok(output)) => {
            if is_anonymous {
                callback_rate::succeed(web.access(), client);
            }
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
                "no response; the consent stays open until",
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
            (
                ErrorKind::Reauthorize,
                "Webex refused the code: it was used before, has expired, or belongs to another link",
                Outcome::Refused,
            ),
            (
                ErrorKind::Reauthorize,
                "Webex does not accept the access token that it has just issued",
                Outcome::Refused,
            ),
            (
                ErrorKind::Unavailable,
                "Webex failed in the middle of the consent",
                Outcome::Failed,
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
