//! Injected faults: their effect, the requests they hit, and how often.

mod pending;

use std::time::Duration;

use http::StatusCode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

pub(crate) use self::pending::{Faults, RequestFaults, path_matches};
use crate::gate::ProcessingStage;

/// A fault of the next requests to a path.
///
/// A request hits the oldest latency that matches it and, besides, the oldest other fault that
/// matches it. A sequence of faults therefore acts in the order of injection. As JSON, with the
/// kind's own fields beside the common ones:
///
/// ```
/// let fault: webex_emulator::Fault = serde_json::from_str(
///     r#"{"path": "/v1/access_token", "count": 2, "kind": "status", "status": 503}"#,
/// )?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Fault {
    /// Prefix of the paths it hits, ending at a segment: `/v1/people` hits `/v1/people/me` but not
    /// `/v1/peoples`.
    path: String,
    /// Number of requests it hits before it is used up; `None` (JSON `null`): until cleared.
    count: Option<u32>,
    /// Number of matching requests that pass first, whatever else hits them: those before the
    /// failing page of a listing, for example.
    skip: u32,
    /// At the token endpoint: the only `grant_type` it hits.
    grant_type: Option<String>,
    kind: FaultKind,
}

/// Not derived, because a flattened kind would let misspelt fields pass.
impl TryFrom<Map<String, Value>> for Fault {
    type Error = serde_json::Error;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, Self::Error> {
        let path = fields
            .remove("path")
            .and_then(|path| path.as_str().map(str::to_owned))
            .filter(|path| path.starts_with('/'))
            .ok_or_else(|| serde_json::Error::custom("`path` is not a path from `/`"))?;
        let count = match fields.remove("count") {
            None => once(),
            Some(count) => serde_json::from_value(count)?,
        };
        let skip = match fields.remove("skip") {
            None => 0,
            Some(skip) => serde_json::from_value(skip)?,
        };
        let grant_type = match fields.remove("grant_type") {
            None => None,
            Some(grant_type) => serde_json::from_value(grant_type)?,
        };
        let kind = serde_json::from_value(Value::Object(fields))?;
        Ok(Self {
            path,
            count,
            skip,
            grant_type,
            kind,
        })
    }
}

fn once() -> Option<u32> {
    Some(1)
}

/// The kind of a fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FaultKind {
    /// Delays the response in real time, by `"1500ms"` or `"2s"`.
    Latency {
        /// The delay.
        #[serde(deserialize_with = "duration")]
        latency: Duration,
        /// Whether the delay is before or after the request is carried out.
        #[serde(default = "before")]
        stage: ProcessingStage,
    },
    /// Replaces status and body.
    Status {
        /// From 200 to 599.
        #[serde(deserialize_with = "status")]
        status: StatusCode,
        /// A string is sent unchanged, as text; anything else as JSON. Without it the body is an
        /// API error of that status.
        #[serde(default)]
        body: Option<Value>,
        /// `After`: the request is carried out nevertheless, as behind a failing gateway.
        #[serde(default = "before")]
        stage: ProcessingStage,
    },
    /// Status 429.
    RateLimited {
        /// The `Retry-After` header, sent unchanged, even if invalid; no header without it.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Breaks the JSON of the normal response at its end.
    MalformedJson,
    /// Sends the first half of the normal response, under the length of the whole, then closes the
    /// connection.
    TruncatedJson,
    /// Sends a JSON body of this many bytes instead of the normal one.
    HugeBody {
        /// The size of the body.
        bytes: u64,
        /// Whether a `Content-Length` announces it; otherwise it comes in chunks.
        #[serde(default)]
        announced: bool,
    },
    /// Resets the connection and never carries out the request.
    ResetBefore,
    /// Carries the request out, then resets the connection: the response is lost.
    ResetAfter,
    /// Changes the content type of the normal response.
    ContentType {
        /// The content type to send.
        content_type: String,
    },
    /// Changes the status of the normal response, as a proxy in between may.
    Relabel {
        /// From 200 to 599.
        #[serde(deserialize_with = "status")]
        status: StatusCode,
    },
    /// Sends a text before the normal response, such as a byte order mark.
    Prefix {
        /// The text before the response.
        text: String,
    },
    /// Replaces or adds these fields in the normal response, and removes those that are `null` (RFC
    /// 7396).
    Patch {
        /// Merged into the response.
        patch: Map<String, Value>,
    },
}

fn before() -> ProcessingStage {
    ProcessingStage::Before
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(D::Error::custom)
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let number = u16::deserialize(deserializer)?;
    valid_status(number)
        .ok_or_else(|| D::Error::custom(format!("status {number} is not within 200..=599")))
}

fn valid_status(number: u16) -> Option<StatusCode> {
    StatusCode::from_u16(number)
        .ok()
        .filter(|_| (200..=599).contains(&number))
}

impl FaultKind {
    /// Returns the kind's name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Status { .. } => "status",
            Self::RateLimited { .. } => "rate-limited",
            Self::MalformedJson => "malformed-json",
            Self::TruncatedJson => "truncated-json",
            Self::HugeBody { .. } => "huge-body",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::ContentType { .. } => "content-type",
            Self::Relabel { .. } => "relabel",
            Self::Prefix { .. } => "prefix",
            Self::Patch { .. } => "patch",
        }
    }
}

impl Fault {
    /// Creates a fault that hits the next request whose path begins with `path`.
    pub fn new(path: impl Into<String>, kind: FaultKind) -> Self {
        Self {
            path: path.into(),
            count: once(),
            skip: 0,
            grant_type: None,
            kind,
        }
    }

    /// Lets this many matching requests pass first, whatever else hits them.
    pub fn skipping(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Hits only requests to the token endpoint with this `grant_type`.
    pub fn for_grant_type(mut self, grant_type: impl Into<String>) -> Self {
        self.grant_type = Some(grant_type.into());
        self
    }

    /// Hits this many requests instead of one.
    pub fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Hits every request until the faults are cleared.
    pub fn always(mut self) -> Self {
        self.count = None;
        self
    }

    /// Waits in real time before the request is carried out.
    pub fn latency(path: impl Into<String>, latency: Duration) -> Self {
        let stage = ProcessingStage::Before;
        Self::new(path, FaultKind::Latency { latency, stage })
    }

    /// Replaces the status, with an API error as the body; 500 if the number is not within
    /// 200..=599.
    pub fn status(path: impl Into<String>, status: u16) -> Self {
        Self::status_and_body(path, status, None)
    }

    /// Replaces status and body; 500 if the number is not within 200..=599.
    pub fn status_with_body(path: impl Into<String>, status: u16, body: Value) -> Self {
        Self::status_and_body(path, status, Some(body))
    }

    fn status_and_body(path: impl Into<String>, status: u16, body: Option<Value>) -> Self {
        let status = valid_status(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let stage = ProcessingStage::Before;
        Self::new(
            path,
            FaultKind::Status {
                status,
                body,
                stage,
            },
        )
    }

    /// Sends status 429 with this `Retry-After`, which may be invalid.
    pub fn rate_limited(path: impl Into<String>, retry_after: impl Into<String>) -> Self {
        let retry_after = Some(retry_after.into());
        Self::new(path, FaultKind::RateLimited { retry_after })
    }

    /// Breaks the JSON of the normal response at its end.
    pub fn malformed_json(path: impl Into<String>) -> Self {
        Self::new(path, FaultKind::MalformedJson)
    }

    /// Sends half of the response, then closes the connection.
    pub fn truncated_json(path: impl Into<String>) -> Self {
        Self::new(path, FaultKind::TruncatedJson)
    }

    /// Sends a body of this many bytes, in chunks.
    pub fn huge_body(path: impl Into<String>, bytes: u64) -> Self {
        let announced = false;
        Self::new(path, FaultKind::HugeBody { bytes, announced })
    }

    /// Resets the connection before the request is carried out.
    pub fn reset_before(path: impl Into<String>) -> Self {
        Self::new(path, FaultKind::ResetBefore)
    }

    /// Resets the connection after the request is carried out.
    pub fn reset_after(path: impl Into<String>) -> Self {
        Self::new(path, FaultKind::ResetAfter)
    }

    /// Changes the content type of the normal response.
    pub fn content_type(path: impl Into<String>, content_type: impl Into<String>) -> Self {
        let content_type = content_type.into();
        Self::new(path, FaultKind::ContentType { content_type })
    }

    /// Merges an object into the normal response; `null` removes a field. A patch that is not an
    /// object changes nothing.
    pub fn patch(path: impl Into<String>, patch: Value) -> Self {
        let patch = match patch {
            Value::Object(patch) => patch,
            _ => Map::new(),
        };
        Self::new(path, FaultKind::Patch { patch })
    }

    fn applies_to(&self, path: &str, grant_type: Option<&str>) -> bool {
        let named = self.grant_type.as_deref();
        self.count != Some(0)
            && path_matches(&self.path, path)
            && named.is_none_or(|named| Some(named) == grant_type)
    }

    /// Returns whether this matching request is one of those that pass first; counts it down.
    fn consume_skip(&mut self) -> bool {
        let passes = self.skip > 0;
        self.skip = self.skip.saturating_sub(1);
        passes
    }

    fn use_up(&mut self) -> FaultKind {
        if let Some(count) = &mut self.count {
            *count = count.saturating_sub(1);
        }
        self.kind.clone()
    }
}
