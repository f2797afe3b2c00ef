//! The frame of every page: language, principal, navigation.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse as _, Response};
use relation_host::Host;
use relation_host::transactions::Originator;
use relation_host::types::{Hierarchy, Timestamp};

use super::parts::Moment;
use super::texts::Language;
use crate::access::sessions::Session;
use crate::access::{Allowed, Authority, ClientAddress, Operation, Permission, Principal};
use crate::calls::Requester;
use crate::{Web, WebError};

/// The name of the cookie with the language.
pub(crate) const LANGUAGE_COOKIE: &str = "language";

/// The surroundings of a page.
#[derive(Clone)]
pub(crate) struct Ui {
    pub(crate) language: Language,
    pub(crate) principal: Option<Arc<Principal>>,
    /// The path and query of the request.
    pub(crate) path: String,
    pub(crate) now: Timestamp,
    /// When the session ends, if no further request comes.
    pub(crate) session_ends: Option<Timestamp>,
    /// The address that the request comes from.
    pub(crate) address: ClientAddress,
    /// In a demo: the address of the page that is shown after the clock was advanced.
    pub(crate) demo: Option<String>,
}

impl FromRequestParts<Web> for Ui {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Infallible> {
        let Ok(address) = ClientAddress::from_request_parts(parts, web).await;
        let path = local_path(&parts.uri);
        Ok(Self {
            address,
            language: find_language(&parts.headers),
            principal: parts.extensions.get::<Arc<Principal>>().cloned(),
            demo: super::demo::find_return_path(web, parts, &path),
            path,
            now: web.now(),
            session_ends: parts
                .extensions
                .get::<Arc<Session>>()
                .map(|session| session.expires),
        })
    }
}

fn local_path(uri: &Uri) -> String {
    uri.path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string)
}

fn find_language(headers: &HeaderMap) -> Language {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    find_cookie(headers, LANGUAGE_COOKIE)
        .and_then(Language::from_code)
        .or_else(|| header(header::ACCEPT_LANGUAGE).and_then(Language::from_header))
        .unwrap_or_default()
}

fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter();
    let mut pairs = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(each, _)| *each == name)
        .map(|(_, value)| value)
}

impl Ui {
    /// Returns the text of a key.
    pub(crate) fn t(&self, key: &str) -> String {
        self.language.text(key)
    }

    /// Returns the text of a key with a value.
    pub(crate) fn t1(&self, key: &str, value: impl std::fmt::Display) -> String {
        self.language.text_with(key, value)
    }

    /// Returns the path of a static file.
    pub(crate) fn asset(&self, name: &str) -> String {
        super::assets::path(name)
    }

    /// Returns the name of whoever sends the request; empty without a principal.
    pub(crate) fn user(&self) -> String {
        let name = self
            .principal
            .as_ref()
            .map(|principal| principal.name.as_str());
        super::parts::clean(name.unwrap_or_default())
    }

    /// Returns whether the page is the one at `path`, or below it.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        let own = self.path.split('?').next().unwrap_or_default();
        match own.strip_prefix(path) {
            Some(rest) => rest.is_empty() || (path != "/" && rest.starts_with('/')),
            None => false,
        }
    }

    /// Returns whether the principal may perform an operation at some node.
    pub(crate) fn may_somewhere(&self, operation: Operation) -> bool {
        let principal = self.principal.as_ref();
        principal.is_some_and(|principal| !principal.nodes(operation).is_empty())
    }

    /// Returns whether the principal may perform an operation at a node.
    pub(crate) fn may(&self, operation: Operation, node: &Hierarchy) -> bool {
        let principal = self.principal.as_ref();
        principal.is_some_and(|principal| principal.may(operation, node))
    }

    /// Returns the host for calls that the principal asks for. Their transactions name the principal.
    pub(crate) fn host(&self, web: &Web) -> Host {
        match &self.principal {
            Some(principal) => web.host().on_behalf_of(Originator {
                user: principal.name.clone(),
                ..Originator::default()
            }),
            None => web.host().clone(),
        }
    }

    /// Returns the principal as the manager of what an operation permits.
    pub(crate) fn authority<'a, P: Permission>(&self, allowed: &'a Allowed<P>) -> Authority<'a, P> {
        Authority::Principal(allowed, self.address)
    }

    /// Returns who asks for an operation, for the audit log.
    pub(crate) fn requester(&self) -> Requester {
        match &self.principal {
            Some(principal) => Requester::new(principal, self.address),
            None => Requester::anonymous(self.address),
        }
    }

    /// Returns whether to show the pages of users and keys.
    pub(crate) fn is_administrator(&self) -> bool {
        self.may_somewhere(Operation::Administer)
    }

    /// Returns whether to show the page of the audit log.
    pub(crate) fn is_auditor(&self) -> bool {
        self.may_somewhere(Operation::Audit)
    }

    /// Returns the surroundings without a principal, for pages of those who are not logged in.
    pub(crate) fn anonymous(&self) -> Self {
        Self {
            principal: None,
            session_ends: None,
            ..self.clone()
        }
    }

    /// Returns the time of a demo, as date and time.
    pub(crate) fn simulated_time(&self) -> Moment {
        Moment::absolute(self.now, self)
    }

    /// Returns the steps by which a demo advances the clock: the value of each button, and its text.
    pub(crate) fn moves(&self) -> Vec<(&'static str, String)> {
        let moves = super::demo::MOVES.iter();
        moves.map(|(by, key, _)| (*by, self.t(key))).collect()
    }

    /// Returns the other languages, each with the address that chooses it.
    pub(crate) fn languages(&self) -> Vec<(Language, String)> {
        let others = Language::ALL
            .into_iter()
            .filter(|each| *each != self.language);
        let link = |each: Language| {
            super::links::with_query(
                &format!("/language/{}", each.code()),
                &[("next", &self.path)],
            )
        };
        others.map(|each| (each, link(each))).collect()
    }
}

/// Renders a page.
pub(crate) fn render(template: &impl Template) -> Result<Response, WebError> {
    render_with(StatusCode::OK, template)
}

/// Renders a page with a status.
pub(crate) fn render_with(
    status: StatusCode,
    template: &impl Template,
) -> Result<Response, WebError> {
    let html = template.render().map_err(|error| {
        relation_app::AppError::new(relation_app::ErrorKind::Internal, error.to_string())
    })?;
    Ok((status, Html(html)).into_response())
}

#[cfg(any(test, feature = "samples"))]
#[allow(clippy::unwrap_used, reason = "a sample is not reached by input")]
impl Ui {
    /// Creates the surroundings of a page for tests.
    pub(crate) fn sample(language: Language, path: &str, roles: &[&str]) -> Self {
        use crate::access::{PrincipalKind, RoleGrant};
        let grants = roles.iter().map(|role| RoleGrant {
            role: (*role).to_owned(),
            node: "sys".parse().unwrap(),
        });
        let principal = Principal {
            custom_roles: Vec::new(),
            kind: PrincipalKind::User,
            pkid: relation_host::types::Pkid::from_bytes([7; 12]),
            name: "anna@provider.example".to_owned(),
            grants: grants.collect(),
        };
        Self {
            language,
            principal: (!roles.is_empty()).then(|| Arc::new(principal)),
            path: path.to_owned(),
            now: Timestamp(1_795_975_200_000),
            session_ends: Some(Timestamp(1_795_977_000_000)),
            address: ClientAddress::default(),
            demo: None,
        }
    }
}
