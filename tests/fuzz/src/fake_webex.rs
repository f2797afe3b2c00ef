//! The Webex of a trial: it responds correctly, unless the trial prepares response mutations.

use std::collections::VecDeque;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use parking_lot::{Mutex, MutexGuard};
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use serde_json::{Value, json};

use crate::edits::{Edit, apply, keep_only_in};

/// Part of every secret of a trial, and of nothing else: wherever it appears, a secret has leaked.
pub const CANARY: &str = "cAnArY7q";
/// The organization of every trial.
pub const ORGANIZATION: &str = "8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
/// The base URL of Webex.
pub const BASE_URL: &str = "https://webexapis.com/v1";
/// The scopes of a full grant.
const SCOPES: &str = "spark-admin:organizations_read spark-admin:licenses_read \
                      spark-admin:roles_read spark-admin:people_read \
                      identity:tokens_read identity:tokens_write";

/// Returns the API's id of the organization `uuid`.
pub fn internal_id(uuid: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("ciscospark://us/ORGANIZATION/{uuid}"))
}

/// Returns a whole token response; `which` makes it unique.
pub fn token_response(which: &str) -> Value {
    json!({
        "access_token": format!("{CANARY}a{which}_P0A1_{ORGANIZATION}"),
        "refresh_token": format!("{CANARY}r{which}_P0A1_{ORGANIZATION}"),
        "expires_in": 1_209_599,
        "refresh_token_expires_in": 7_775_999,
        "token_type": "Bearer",
        "scope": SCOPES,
    })
}

/// A mutation of a response on its way.
#[derive(Clone, Debug)]
pub enum ResponseMutation {
    /// No mutation.
    Good,
    /// A network fault: the response does not arrive, or not whole.
    NetworkFault(NetworkFault),
    /// A changed response.
    Changed {
        /// Another status, if a response can have it.
        status: Option<u16>,
        /// Further header fields, or replacements of those with the same name; invalid ones are
        /// omitted.
        headers: Vec<(String, Vec<u8>)>,
        /// Another body.
        body: BodyMutation,
    },
}

/// A network fault.
#[derive(Clone, Copy, Debug)]
pub enum NetworkFault {
    /// The name does not resolve.
    Unresolved,
    /// The connection is refused.
    Refused,
    /// The certificate is not trusted.
    Untrusted,
    /// No response arrives.
    Timeout,
    /// The connection is reset.
    Reset,
    /// The response is not HTTP.
    Garbled,
    /// The body ends early.
    Cut,
    /// The body stalls.
    Stalled,
}

/// Another body.
#[derive(Clone, Debug)]
pub enum BodyMutation {
    /// The correct body.
    Good,
    /// The correct body with these changes.
    Edited(Vec<Edit>),
    /// The correct body up to a byte, modulo its length.
    Cut(usize),
    /// The correct body with replaced bytes: index modulo length, and value.
    Noise(Vec<(usize, u8)>),
    /// This body.
    Own(Vec<u8>),
    /// An error in both of Webex's shapes that repeats every secret of the request.
    Echo(&'static str),
}

/// A Webex that responds to the requests of one trial at a time.
#[derive(Default)]
pub struct FakeWebex(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    prepared: VecDeque<ResponseMutation>,
    requests: u32,
}

impl FakeWebex {
    /// Begins a trial: the first requests get these mutations, the others correct responses.
    pub fn prepare(&self, mutations: impl IntoIterator<Item = ResponseMutation>) {
        let mut inner = self.lock();
        inner.prepared = mutations.into_iter().collect();
        inner.requests = 0;
    }

    /// Returns the number of requests since then.
    pub fn requests(&self) -> u32 {
        self.lock().requests
    }

    fn next(&self) -> (u32, ResponseMutation) {
        let mut inner = self.lock();
        inner.requests += 1;
        let mutation = inner.prepared.pop_front().unwrap_or(ResponseMutation::Good);
        (inner.requests, mutation)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

#[async_trait]
impl Transport for FakeWebex {
    async fn send(
        &self,
        request: Request<Bytes>,
        _proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        let (number, mutation) = self.next();
        let (status, good) = ordinary_response(&request, number);
        match mutation {
            ResponseMutation::Good => Ok(http_response(status, &[], to_bytes(&good))),
            ResponseMutation::NetworkFault(fault) => {
                let mut half = to_bytes(&good);
                half.truncate(half.len() / 2);
                Err(fault.into_transport_fault(http_response(status, &[], half)))
            }
            ResponseMutation::Changed {
                status: other,
                headers,
                body,
            } => {
                let other = other.and_then(|status| StatusCode::from_u16(status).ok());
                let body = body.apply_to(good, &request);
                Ok(http_response(other.unwrap_or(status), &headers, body))
            }
        }
    }
}

impl NetworkFault {
    fn into_transport_fault(self, begun: Response<Bytes>) -> TransportError {
        match self {
            Self::Unresolved => TransportError::Unresolved,
            Self::Refused => TransportError::Refused,
            Self::Untrusted => TransportError::Untrusted,
            Self::Timeout => TransportError::Timeout,
            Self::Reset => TransportError::Reset,
            Self::Garbled => TransportError::Garbled,
            Self::Cut => TransportError::Cut(begun),
            Self::Stalled => TransportError::Stalled(begun),
        }
    }
}

impl BodyMutation {
    fn apply_to(self, mut good: Value, request: &Request<Bytes>) -> Vec<u8> {
        match self {
            Self::Good => to_bytes(&good),
            Self::Edited(edits) => {
                apply(&mut good, &edits);
                keep_only_in(&mut good, CANARY, &["access_token", "refresh_token"]);
                to_bytes(&good)
            }
            Self::Cut(at) => {
                let mut bytes = to_bytes(&good);
                bytes.truncate(at % bytes.len().max(1));
                bytes
            }
            Self::Noise(exchanges) => {
                let mut bytes = to_bytes(&good);
                let length = bytes.len().max(1);
                for (place, byte) in exchanges {
                    if let Some(there) = bytes.get_mut(place % length) {
                        *there = byte;
                    }
                }
                bytes
            }
            Self::Own(bytes) => bytes,
            Self::Echo(error) => to_bytes(&echo(error, request)),
        }
    }
}

/// Returns Webex's correct response.
fn ordinary_response(request: &Request<Bytes>, number: u32) -> (StatusCode, Value) {
    let id = internal_id(ORGANIZATION);
    let path = request.uri().path();
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let list = |kind: &str| {
        let entry = |n: u32| json!({"id": format!("{kind}{n}"), "name": format!("{kind} {n}"), "totalUnits": n});
        json!({"items": [entry(1), entry(2), entry(3)]})
    };
    let body = match (request.method(), path) {
        (&Method::POST, "/access_token") => token_response(&number.to_string()),
        (&Method::GET, "/organizations") => {
            json!({"items": [{"id": id, "displayName": "Acme"}]})
        }
        (&Method::GET, "/people/me") => json!({"id": "someone", "orgId": id}),
        (&Method::GET, "/roles") => list("role"),
        (&Method::GET, "/licenses") => list("license"),
        (&Method::DELETE, "/authorizations") => return (StatusCode::NO_CONTENT, Value::Null),
        (&Method::GET, path) if path.strip_prefix("/organizations/") == Some(&*id) => {
            json!({"id": id, "displayName": "Acme"})
        }
        _ => {
            let body = json!({
                "message": "The requested resource could not be found.",
                "trackingId": "ROUTER_0",
            });
            return (StatusCode::NOT_FOUND, body);
        }
    };
    (StatusCode::OK, body)
}

fn echo(error: &str, request: &Request<Bytes>) -> Value {
    let mut secrets: Vec<String> = url::form_urlencoded::parse(request.body())
        .map(|(_, value)| value.into_owned())
        .filter(|value| value.contains(CANARY))
        .collect();
    let authorization = request.headers().get(http::header::AUTHORIZATION);
    let bearer = authorization.and_then(|value| value.to_str().ok());
    secrets.extend(bearer.map(|value| value.replace("Bearer ", "")));
    let all = secrets.join(" and ");
    json!({
        "error": if error.is_empty() { all.as_str() } else { error },
        "error_description": format!("the refresh token {all} is revoked"),
        "message": format!("do not like {all}, nor \"{all}\""),
        "errors": [{"description": all}],
        "trackingId": format!("ROUTER_{all}"),
    })
}

fn http_response(
    status: StatusCode,
    headers: &[(String, Vec<u8>)],
    body: Vec<u8>,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            fields.insert(name, value);
        }
    }
    response
}

fn to_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        value => value.to_string().into_bytes(),
    }
}
