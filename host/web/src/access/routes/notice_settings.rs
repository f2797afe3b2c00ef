//! `/api/data/NoticeSettings/`: the settings of notices at nodes. No response has a secret, but the one that made it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use relation_app::notices::Notices;
use relation_app::{AppError, ErrorKind};
use relation_host::types::{Hierarchy, Pkid, Timestamp};
use relation_notify::health::{DisabledReason, EndpointHealth};
use relation_notify::settings::{NoticeSettings, VisibleSettings};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;

use super::input::Input;
use super::listing::ListQuery;
use super::no_store;
use crate::WebError;
use crate::access::nodes::{self, NodeName, node_pkid};
use crate::access::notice_settings::{
    self, NewSecret, NodeSettings, SecretState, SnmpCredentials, TestReport, to_timestamp,
};
use crate::access::users::{check_fields, field_error};
use crate::access::{AccessParts, Allowed, Authority, ClientAddress, documents, permission};
use crate::api::body::Fields;
use crate::api::{Match, etag, match_version};

type Read = Allowed<permission::Read>;
type Change = Allowed<permission::Notices>;

const PATH: &str = "/api/data/NoticeSettings/";

/// The settings of a node in a response.
#[derive(Serialize)]
struct ShownSettings {
    hierarchy: Hierarchy,
    hierarchy_pkid: Pkid,
    href: String,
    /// As a request has them.
    data: NoticeSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<BTreeMap<String, SecretState>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<BTreeMap<String, ShownHealth>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_secrets: Option<Vec<ShownSecret>>,
}

/// The health of an endpoint.
#[derive(Serialize)]
struct ShownHealth {
    failing_since: Option<Timestamp>,
    failures: u32,
    disabled: Option<DisabledReason>,
}

/// A signing secret in the response that made it.
#[derive(Serialize)]
struct ShownSecret {
    id: String,
    name: String,
    signing_secret: String,
}

/// The settings that apply at a node in a response.
#[derive(Serialize)]
struct ShownResolved {
    hierarchy: Hierarchy,
    hierarchy_pkid: Pkid,
    #[serde(flatten)]
    settings: VisibleSettings,
}

impl From<NodeSettings> for ShownSettings {
    /// Shows an item of a list.
    fn from(settings: NodeSettings) -> Self {
        let hierarchy_pkid = node_pkid(&settings.hierarchy);
        Self {
            href: format!("{PATH}{hierarchy_pkid}/"),
            hierarchy_pkid,
            hierarchy: settings.hierarchy,
            data: settings.settings,
            secrets: None,
            health: None,
            new_secrets: None,
        }
    }
}

impl From<EndpointHealth> for ShownHealth {
    fn from(health: EndpointHealth) -> Self {
        Self {
            failing_since: health.failing_since().map(to_timestamp),
            failures: health.failures(),
            disabled: health.disabled(),
        }
    }
}

impl From<NewSecret> for ShownSecret {
    fn from(secret: NewSecret) -> Self {
        Self {
            id: secret.id,
            name: secret.name,
            signing_secret: secret.signing_secret.expose_secret().to_owned(),
        }
    }
}

/// Returns the node that a path names. The caller checks it.
async fn find_node(parts: &AccessParts, text: &str) -> Result<Hierarchy, WebError> {
    let name: NodeName = text.parse().map_err(|_| WebError::not_found())?;
    nodes::resolve(parts, name).await
}

/// Returns the response with the settings of a node and their version.
fn respond(mut settings: NodeSettings, new_secrets: Option<Vec<NewSecret>>) -> Response {
    let mut headers = no_store();
    if let Ok(tag) = HeaderValue::try_from(etag(settings.version)) {
        headers.insert(header::ETAG, tag);
    }
    let secrets = std::mem::take(&mut settings.secrets);
    let health = std::mem::take(&mut settings.health).into_iter();
    let new_secrets = new_secrets.map(|new| new.into_iter().map(ShownSecret::from).collect());
    let shown = ShownSettings {
        secrets: Some(secrets),
        health: Some(health.map(|(id, health)| (id, health.into())).collect()),
        new_secrets,
        ..ShownSettings::from(settings)
    };
    (headers, Json(shown)).into_response()
}

/// Returns the version that a change must still find.
fn find_expected(headers: &HeaderMap, current: u64) -> Option<u64> {
    match match_version(headers, current) {
        Match::Any => None,
        Match::Current => Some(current),
        // No document has it.
        Match::Other => Some(u64::MAX),
    }
}

fn find_notices(parts: &AccessParts) -> Option<&Notices> {
    parts.options().notices.as_ref()
}

pub(super) async fn list(
    State(parts): State<AccessParts>,
    allowed: Read,
    query: ListQuery,
) -> Result<Response, WebError> {
    let range = Some(allowed.range(query.hierarchy.as_ref())?);
    let filter = documents::filter::<NoticeSettings>(&range, Vec::new());
    let show = |entry| ShownSettings::from(NodeSettings::from(entry));
    query.respond(parts, filter, false, show).await
}

pub(super) async fn show(
    State(parts): State<AccessParts>,
    allowed: Read,
    address: ClientAddress,
    Path(node): Path<String>,
) -> Result<Response, WebError> {
    let node = find_node(&parts, &node).await?;
    let authority = Authority::Principal(&allowed, address);
    let settings = notice_settings::find(&parts, &authority, &node).await?;
    Ok(respond(settings, None))
}

pub(super) async fn save(
    State(parts): State<AccessParts>,
    allowed: Change,
    address: ClientAddress,
    headers: HeaderMap,
    Path(node): Path<String>,
    body: Fields,
) -> Result<Response, WebError> {
    let node = find_node(&parts, &node).await?;
    let authority = Authority::Principal(&allowed, address);
    let current = notice_settings::find_version(&parts, &authority, &node).await?;
    let expected = find_expected(&headers, current);
    let rules = find_notices(&parts).map(Notices::rules).unwrap_or_default();
    let settings = Value::Object(body.fields);
    let mut errors = body.request_meta.into_errors_without_transaction();
    if !errors.is_empty() {
        let checked = notice_settings::check(&parts, &authority, rules, &node, &settings).await;
        match checked {
            Err(found) if found.error.field_errors.is_empty() => return Err(found),
            Err(found) => errors.extend(found.error.field_errors),
            Ok(()) => {}
        }
        check_fields(errors)?;
    }
    let saved =
        notice_settings::save(&parts, &authority, rules, &node, &settings, expected).await?;
    Ok(respond(saved.node, Some(saved.new_secrets)))
}

pub(super) async fn remove(
    State(parts): State<AccessParts>,
    allowed: Change,
    address: ClientAddress,
    headers: HeaderMap,
    Path(node): Path<String>,
) -> Result<StatusCode, WebError> {
    let node = find_node(&parts, &node).await?;
    let authority = Authority::Principal(&allowed, address);
    let current = notice_settings::find_version(&parts, &authority, &node).await?;
    let expected = find_expected(&headers, current);
    notice_settings::remove(&parts, &authority, &node, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn resolve(
    State(parts): State<AccessParts>,
    allowed: Read,
    address: ClientAddress,
    Path(node): Path<String>,
) -> Result<Response, WebError> {
    let node = find_node(&parts, &node).await?;
    let authority = Authority::Principal(&allowed, address);
    let shown = ShownResolved {
        settings: notice_settings::resolve(&parts, &authority, &node).await?,
        hierarchy_pkid: node_pkid(&node),
        hierarchy: node,
    };
    Ok(Json(shown).into_response())
}

pub(super) async fn rotate_secret(
    State(parts): State<AccessParts>,
    allowed: Change,
    address: ClientAddress,
    Path((node, id)): Path<(String, String)>,
) -> Result<Response, WebError> {
    let node = find_node(&parts, &node).await?;
    let authority = Authority::Principal(&allowed, address);
    let secret = notice_settings::rotate_secret(&parts, &authority, &node, &id).await?;
    Ok((no_store(), Json(ShownSecret::from(secret))).into_response())
}

pub(super) async fn set_secrets(
    State(parts): State<AccessParts>,
    allowed: Change,
    address: ClientAddress,
    Path((node, id)): Path<(String, String)>,
    mut input: Input,
) -> Result<StatusCode, WebError> {
    let node = find_node(&parts, &node).await?;
    let authority = Authority::Principal(&allowed, address);
    let version = notice_settings::find_snmp_version(&parts, &authority, &node, &id).await?;
    let credentials = read_credentials(&mut input);
    if let Some(credentials) = &credentials {
        input.report(credentials.find_errors(&version));
    }
    input.finish()?;
    let credentials = credentials.ok_or_else(WebError::not_found)?;
    notice_settings::set_snmp_secrets(&parts, &authority, &node, &id, credentials).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the credentials. Without a result, the input has an error.
fn read_credentials(input: &mut Input) -> Option<SnmpCredentials> {
    let community = input.optional_secret("community");
    let auth_password = input.optional_secret("auth_password");
    let privacy_password = input.optional_secret("privacy_password");
    let (field, message) = match (community, auth_password, privacy_password) {
        (Some(community), None, None) => return Some(SnmpCredentials::Community(community)),
        (None, Some(auth_password), Some(privacy_password)) => {
            return Some(SnmpCredentials::User {
                auth_password,
                privacy_password,
            });
        }
        (None, None, None) => (
            "community",
            "give community for version v2c, or auth_password and privacy_password for v3",
        ),
        (Some(_), _, _) => (
            "community",
            "give either community, or auth_password and privacy_password",
        ),
        (None, None, Some(_)) => ("auth_password", "the field is missing"),
        (None, Some(_), None) => ("privacy_password", "the field is missing"),
    };
    input.report(vec![field_error(field, message)]);
    None
}

pub(super) async fn send_test(
    State(parts): State<AccessParts>,
    allowed: Change,
    address: ClientAddress,
    Path((node, id)): Path<(String, String)>,
) -> Result<Json<TestReport>, WebError> {
    let node = find_node(&parts, &node).await?;
    let authority = Authority::Principal(&allowed, address);
    notice_settings::find_version(&parts, &authority, &node).await?;
    let notices = find_notices(&parts)
        .ok_or_else(|| AppError::new(ErrorKind::Unavailable, "this host does not send notices"))?;
    let report = notice_settings::send_test(&parts, &authority, notices, &node, &id).await?;
    Ok(Json(report))
}

pub(super) async fn enable(
    State(parts): State<AccessParts>,
    allowed: Change,
    address: ClientAddress,
    Path((node, id)): Path<(String, String)>,
) -> Result<StatusCode, WebError> {
    let node = find_node(&parts, &node).await?;
    let authority = Authority::Principal(&allowed, address);
    notice_settings::enable(&parts, &authority, &node, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
