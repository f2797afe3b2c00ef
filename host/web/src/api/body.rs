//! The body of a request: one JSON object.

use axum::body::{Body, to_bytes};
use axum::extract::FromRequest;
use axum::http::{HeaderMap, Request, StatusCode, header};
use relation_app::names::find_hidden_character;
use relation_app::{AppError, ErrorKind};
use relation_host::types::FieldError;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::unique_json;
use crate::WebError;

/// The maximum size of a request's body in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The fields of a request, with what the platform sends beside them. A request without a body is refused.
pub(crate) struct Fields {
    /// The values by field.
    pub(crate) fields: Map<String, Value>,
    /// The text by which the caller finds its request.
    pub(crate) request_meta: RequestMeta,
}

/// The data that the platform sends beside the fields of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestMeta {
    /// The caller's id of the request.
    pub(crate) external_id: Option<String>,
    /// The caller's reference of the request.
    pub(crate) external_reference: Option<String>,
    /// The address that the end of the transaction is posted to.
    pub(crate) callback_url: Option<SecretString>,
    /// The name of the credentials for the callback.
    pub(crate) callback_auth: Option<String>,
    /// The members that are wrong. They are reported together with the errors of the callback.
    pub(crate) errors: Vec<FieldError>,
}

/// The members of `request_meta`.
const META_MEMBERS: [&str; 5] = [
    "external_id",
    "external_reference",
    "callback_url",
    "callback_auth",
    "callback_auth_name",
];
/// The maximum number of unknown members that an error lists, and of characters of each.
const MAX_UNKNOWN: (usize, usize) = (20, 100);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = WebError;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, WebError> {
        let object = read_object(request).await?.ok_or_else(missing)?;
        Self::split(object)
    }
}

/// The fields of a request that may have no body, which is the same as an empty object.
pub(crate) struct OptionalFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for OptionalFields {
    type Rejection = WebError;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, WebError> {
        let object = read_object(request).await?.unwrap_or_default();
        Fields::split(object).map(Self)
    }
}

/// A change of several records.
pub(crate) struct Bulk {
    /// The addresses of the records.
    pub(crate) hrefs: Vec<String>,
    /// The values by field, for all of the records.
    pub(crate) fields: Map<String, Value>,
    /// The text by which the caller finds its request.
    pub(crate) request_meta: RequestMeta,
}

/// The maximum number of records of a bulk.
pub(crate) const MAX_BULK: usize = 1000;

impl<S: Send + Sync> FromRequest<S> for Bulk {
    type Rejection = WebError;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, WebError> {
        let mut object = read_object(request).await?.ok_or_else(missing)?;
        let hrefs = object.remove("hrefs").and_then(|hrefs| {
            let hrefs: Vec<String> = serde_json::from_value(hrefs).ok()?;
            (1..=MAX_BULK).contains(&hrefs.len()).then_some(hrefs)
        });
        let hrefs = hrefs.ok_or_else(|| {
            let message = format!("must be a list of 1 to {MAX_BULK} addresses of records");
            invalid("hrefs", &message)
        })?;
        let Fields {
            fields,
            request_meta,
        } = Fields::split(object)?;
        Ok(Self {
            hrefs,
            fields,
            request_meta,
        })
    }
}

/// Returns the error of a request without a body.
fn missing() -> WebError {
    let error = AppError::new(ErrorKind::Usage, "the request has no body");
    let hint = "send one JSON object with the fields, and `Content-Type: application/json`";
    error.hint(hint).into()
}

/// Reads the object of a body. `None`: the request has no body.
async fn read_object(request: Request<Body>) -> Result<Option<Map<String, Value>>, WebError> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, MAX_BODY_BYTES).await;
    let bytes = bytes.map_err(|_| {
        let message = format!("the body has more than {MAX_BODY_BYTES} bytes");
        WebError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            AppError::new(ErrorKind::LimitExceeded, message),
        )
    })?;
    if bytes.is_empty() {
        return Ok(None);
    }
    check_media_type(&parts.headers)?;
    unique_json::parse_object(&bytes).map(Some)
}

impl Fields {
    /// Separates `request_meta` from the fields. A request may wrap its fields in `data`, as the responses do.
    fn split(mut fields: Map<String, Value>) -> Result<Self, WebError> {
        let request_meta = match fields.remove("request_meta") {
            None => RequestMeta::default(),
            Some(Value::Object(meta)) => RequestMeta::read(meta),
            Some(_) => return Err(invalid("request_meta", "must be an object")),
        };
        let fields = match fields.remove("data") {
            None => fields,
            Some(Value::Object(data)) if fields.is_empty() => data,
            Some(Value::Object(_)) => {
                return Err(invalid(
                    "data",
                    "must be the only member beside request_meta",
                ));
            }
            Some(_) => return Err(invalid("data", "must be an object")),
        };
        Ok(Self {
            fields,
            request_meta,
        })
    }
}

impl RequestMeta {
    fn read(mut meta: Map<String, Value>) -> Self {
        let mut errors = Vec::new();
        let mut text = |name: &str, limit: usize| match meta.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.chars().count() <= limit => Some(text),
            Some(_) => {
                let message = format!("must be a text of at most {limit} characters");
                errors.push(meta_error(name, &message));
                None
            }
        };
        let external_id = text("external_id", 255);
        let external_reference = text("external_reference", 255);
        let callback_url = text("callback_url", 2048).map(SecretString::from);
        let callback_auth = text("callback_auth", 255);
        // The platform's name of the same member.
        let auth_name = text("callback_auth_name", 255);
        for (name, text) in [
            ("external_id", &external_id),
            ("external_reference", &external_reference),
        ] {
            let hidden = text.as_deref().and_then(find_hidden_character);
            errors.extend(hidden.map(|error| meta_error(name, &error)));
        }
        if callback_auth.is_some() && auth_name.is_some() {
            let message = "is another name of callback_auth: give one of them";
            errors.push(meta_error("callback_auth_name", message));
        }
        let callback_auth = callback_auth.or(auth_name);
        let (most, length) = MAX_UNKNOWN;
        for name in meta.keys().take(most) {
            let name: String = name.chars().take(length).collect();
            let message = match name.as_str() {
                "callback_username" | "callback_password" => {
                    "is not supported: add credentials at /api/data/ApiCallbackAuth/, and name them in callback_auth"
                }
                _ => UNKNOWN_MEMBER,
            };
            errors.push(meta_error(&name, message));
        }
        if callback_auth.is_some() && callback_url.is_none() {
            let message = "is used only together with callback_url";
            errors.push(meta_error("callback_auth", message));
        }
        Self {
            external_id,
            external_reference,
            callback_url,
            callback_auth,
            errors,
        }
    }
}

impl RequestMeta {
    /// Returns the errors of a request without a transaction, which has no callback.
    pub(crate) fn into_errors_without_transaction(mut self) -> Vec<FieldError> {
        if self.callback_url.is_some() {
            let message = "has no effect here: the request has no transaction, and is done when its response arrives";
            self.errors.push(meta_error("callback_url", message));
        }
        self.errors
    }
}

/// The error of an unknown member of `request_meta`.
const UNKNOWN_MEMBER: &str = "there is no such member of request_meta";

/// Returns the hint for errors of `request_meta`: the known members, if one is unknown.
pub(crate) fn find_meta_hint(errors: &[FieldError]) -> Option<String> {
    let mut errors = errors.iter();
    let has_unknown = errors.any(|error| error.message == UNKNOWN_MEMBER);
    has_unknown.then(|| {
        format!(
            "the members of request_meta are {}",
            META_MEMBERS.join(", ")
        )
    })
}

/// Returns the error of a member of `request_meta`.
pub(crate) fn meta_error(name: &str, message: &str) -> FieldError {
    FieldError {
        field: format!("request_meta.{name}"),
        message: message.to_owned(),
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), WebError> {
    let media_type = headers.get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    let essence = media_type.map(|value| value.split(';').next().unwrap_or_default().trim());
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => {
            let error = AppError::new(ErrorKind::Usage, "the body is not declared as JSON");
            Err(WebError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                error.hint("send `Content-Type: application/json`"),
            ))
        }
    }
}

/// Returns the error of one field.
pub(crate) fn invalid(field: &str, message: &str) -> WebError {
    all_invalid(vec![FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }])
}

/// Returns the error of several fields.
pub(crate) fn all_invalid(field_errors: Vec<FieldError>) -> WebError {
    let error = AppError::new(ErrorKind::Invalid, "the input is not right");
    AppError {
        hint: find_meta_hint(&field_errors),
        field_errors,
        ..error
    }
    .into()
}
