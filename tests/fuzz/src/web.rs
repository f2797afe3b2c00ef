//! The Webex of a trial: answers well, unless the trial prepares answers that are not.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use serde_json::{Value, json};

use crate::edits::{Edit, apply, keep_in_place};

/// Part of every secret of a trial, and of nothing else: where it shows, a secret was shown.
pub const CANARY: &str = "cAnArY7q";
/// The organisation that everybody here belongs to.
pub const ORGANIZATION: &str = "8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
/// Where Webex is.
pub const BASE_URL: &str = "https://webexapis.com/v1";
/// What a grant of everything names.
const SCOPES: &str = "spark-admin:organizations_read spark-admin:licenses_read \
                      spark-admin:roles_read spark-admin:people_read \
                      identity:tokens_read identity:tokens_write";

/// The id of the organisation `uuid` in the API.
pub fn internal_id(uuid: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("ciscospark://us/ORGANIZATION/{uuid}"))
}

/// A whole token answer; `which` tells it from others.
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

/// What happens to an answer on its way.
#[derive(Clone, Debug)]
pub enum Spoiled {
    /// Nothing.
    Good,
    /// It does not come, or not whole.
    Fault(Fault),
    /// It differs.
    Changed {
        /// Another status, when one can have it.
        status: Option<u16>,
        /// Further header fields, or others of that name; what cannot be one is left out.
        headers: Vec<(String, Vec<u8>)>,
        /// Another body.
        body: Body,
    },
}

/// Why an answer does not come, or not whole.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// There is no such name.
    Unresolved,
    /// Nobody listens.
    Refused,
    /// The certificate is not trusted.
    Untrusted,
    /// Nothing comes.
    Timeout,
    /// The connection ends.
    Reset,
    /// It is not HTTP.
    Garbled,
    /// The body breaks off.
    Cut,
    /// The body does not go on.
    Stalled,
}

/// Another body.
#[derive(Clone, Debug)]
pub enum Body {
    /// The good one.
    Good,
    /// The good one, changed.
    Edited(Vec<Edit>),
    /// The good one up to a byte, modulo its length.
    Cut(usize),
    /// The good one with bytes exchanged: place modulo length, and what it is.
    Noise(Vec<(usize, u8)>),
    /// This one.
    Own(Vec<u8>),
    /// An error in both of Webex's shapes, that repeats every secret of the request.
    Echo(&'static str),
}

/// Carries the requests of one trial at a time.
#[derive(Default)]
pub struct Web(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    prepared: VecDeque<Spoiled>,
    requests: u32,
}

impl Web {
    /// Begins a trial: the first requests are answered so, the others well.
    pub fn prepare(&self, answers: impl IntoIterator<Item = Spoiled>) {
        let mut inner = self.lock();
        inner.prepared = answers.into_iter().collect();
        inner.requests = 0;
    }

    /// How many requests were made since then.
    pub fn requests(&self) -> u32 {
        self.lock().requests
    }

    fn next(&self) -> (u32, Spoiled) {
        let mut inner = self.lock();
        inner.requests += 1;
        let spoiled = inner.prepared.pop_front().unwrap_or(Spoiled::Good);
        (inner.requests, spoiled)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Web {
    async fn send(
        &self,
        request: Request<Bytes>,
        _proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        let (number, spoiled) = self.next();
        let (status, good) = good(&request, number);
        match spoiled {
            Spoiled::Good => Ok(answer(status, &[], to_bytes(&good))),
            Spoiled::Fault(fault) => {
                let mut half = to_bytes(&good);
                half.truncate(half.len() / 2);
                Err(fault.on_the_wire(answer(status, &[], half)))
            }
            Spoiled::Changed {
                status: other,
                headers,
                body,
            } => {
                let other = other.and_then(|status| StatusCode::from_u16(status).ok());
                let body = body.made_of(good, &request);
                Ok(answer(other.unwrap_or(status), &headers, body))
            }
        }
    }
}

impl Fault {
    fn on_the_wire(self, begun: Response<Bytes>) -> TransportError {
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

impl Body {
    fn made_of(self, mut good: Value, request: &Request<Bytes>) -> Vec<u8> {
        match self {
            Self::Good => to_bytes(&good),
            Self::Edited(edits) => {
                apply(&mut good, &edits);
                keep_in_place(&mut good, CANARY, &["access_token", "refresh_token"]);
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

/// What Webex answers when nothing is wrong.
fn good(request: &Request<Bytes>, number: u32) -> (StatusCode, Value) {
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

fn answer(status: StatusCode, headers: &[(String, Vec<u8>)], body: Vec<u8>) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
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
    answer
}

fn to_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        value => value.to_string().into_bytes(),
    }
}
