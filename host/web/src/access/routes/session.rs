//! `/api/session/`: who the request comes from, log-in and log-out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use relation_host::types::{Hierarchy, Pkid};
use serde::Serialize;

use super::input::Input;
use super::no_store;
use crate::WebError;
use crate::access::back_off::to_seconds;
use crate::access::sessions::{self, LogIn, LogInError, Session};
use crate::access::{
    AccessParts, ClientAddress, Operation, Principal, PrincipalKind, RoleGrant, roles,
};

/// The sender of a request.
#[derive(Serialize)]
struct WhoAmI<'a> {
    kind: PrincipalKind,
    pkid: &'a Pkid,
    name: &'a str,
    roles: Vec<GrantedRole<'a>>,
    /// The nodes at and below which each operation is permitted.
    operations: BTreeMap<Operation, Vec<Hierarchy>>,
    /// The session of a user.
    session: Option<&'a Session>,
}

#[derive(Serialize)]
struct GrantedRole<'a> {
    role: &'a str,
    title: &'a str,
    node: &'a Hierarchy,
}

impl<'a> GrantedRole<'a> {
    fn new(grant: &'a RoleGrant, principal: &'a Principal) -> Self {
        Self {
            role: &grant.role,
            title: roles::title(grant, &principal.custom_roles),
            node: &grant.node,
        }
    }
}

impl<'a> WhoAmI<'a> {
    fn new(principal: &'a Principal, session: Option<&'a Session>) -> Self {
        let grants = principal.grants.iter();
        let operations = grants.flat_map(|grant| principal.operations(grant).iter().copied());
        let grants = principal.grants.iter();
        let roles = grants.map(|grant| GrantedRole::new(grant, principal));
        Self {
            kind: principal.kind,
            pkid: &principal.pkid,
            name: &principal.name,
            roles: roles.collect(),
            operations: operations
                .map(|operation| (operation, principal.nodes(operation)))
                .collect(),
            session,
        }
    }
}

pub(super) async fn show(
    principal: Option<Extension<Arc<Principal>>>,
    session: Option<Extension<Arc<Session>>>,
) -> Result<Response, WebError> {
    let Extension(principal) = principal.ok_or_else(WebError::unauthenticated)?;
    let session = session.as_ref().map(|Extension(session)| &**session);
    Ok((no_store(), Json(WhoAmI::new(&principal, session))).into_response())
}

pub(super) async fn log_in(
    State(parts): State<AccessParts>,
    address: ClientAddress,
    headers: HeaderMap,
    mut input: Input,
) -> Result<Response, WebError> {
    let (name, password) = (input.text("name"), input.secret("password"));
    input.finish()?;
    let user_agent = headers.get(header::USER_AGENT);
    let request = LogIn {
        address,
        name,
        password,
        previous: sessions::read_cookie(&parts, &headers),
        user_agent: user_agent
            .and_then(|text| text.to_str().ok())
            .map(str::to_owned),
    };
    let new = match sessions::log_in(&parts, request).await {
        Ok(new) => new,
        Err(error) => return Ok(to_response(error)),
    };
    let principal = Principal {
        custom_roles: roles::load(&parts, &new.user.grants).await?,
        kind: PrincipalKind::User,
        pkid: new.user.pkid.clone(),
        name: new.user.name.clone(),
        grants: new.user.grants.clone(),
    };
    let mut headers = no_store();
    headers.insert(header::SET_COOKIE, new.set_cookie(&parts));
    let body = Json(WhoAmI::new(&principal, Some(&new.session)));
    Ok((StatusCode::CREATED, headers, body).into_response())
}

fn to_response(error: LogInError) -> Response {
    let retry_after = match &error {
        LogInError::TooMany { retry_after } => Some(to_seconds(*retry_after)),
        LogInError::Refused | LogInError::Failed(_) => None,
    };
    let mut response = error.into_web_error().into_response();
    if let Some(seconds) = retry_after {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

pub(super) async fn log_out(
    State(parts): State<AccessParts>,
    address: ClientAddress,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    if let Some(token) = sessions::read_cookie(&parts, &headers) {
        sessions::log_out(&parts, address, &token).await?;
    }
    let mut headers = no_store();
    headers.insert(header::SET_COOKIE, sessions::clear_cookie(&parts));
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}
