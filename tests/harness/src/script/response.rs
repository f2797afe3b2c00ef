//! The response of a step, or its fault.

use std::collections::BTreeMap;

use bytes::Bytes;
use relation_host::egress::{EgressError, RequestPhase};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A response, or a fault in its place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedResponse {
    /// The status; the default is 200.
    #[serde(default = "ok")]
    pub status: u16,
    /// The header fields. A JSON body sets its content type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A JSON body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Any other body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The fault. [`NetworkFault::Cut`] and [`NetworkFault::Stalled`] occur after the head and half of the
    /// body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<NetworkFault>,
}

/// A network fault during a request, named like the host's [`relation_host::egress::TransportError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkFault {
    /// The name was not resolved: the request was not sent.
    Unresolved,
    /// The connection was refused: the request was not sent.
    Refused,
    /// The certificate is not trusted: the request was not sent.
    Untrusted,
    /// No response came in time.
    Timeout,
    /// The connection was reset after the request was sent.
    Reset,
    /// The response is not HTTP.
    Garbled,
    /// The response's body ended early.
    Cut,
    /// The rest of the response's body did not come in time.
    Stalled,
}

impl NetworkFault {
    /// Returns the fault that looks the same to a plugin; `None` for the host's limits and policy, and for
    /// rejected proxy credentials.
    pub fn from_egress_error(error: &EgressError) -> Option<Self> {
        let at = |stage: RequestPhase, on_the_way: Self, in_the_body: Self| match stage {
            RequestPhase::Resolve => Self::Unresolved,
            RequestPhase::Budget
            | RequestPhase::Connect
            | RequestPhase::Proxy
            | RequestPhase::Tls => Self::Refused,
            RequestPhase::Response => on_the_way,
            RequestPhase::Body => in_the_body,
        };
        Some(match error {
            EgressError::Resolve { .. } => Self::Unresolved,
            EgressError::Connect { .. } => Self::Refused,
            EgressError::Proxy { .. } if !error.is_about_proxy_credentials() => Self::Refused,
            EgressError::Tls { .. } => Self::Untrusted,
            EgressError::Timeout { phase, .. } => at(*phase, Self::Timeout, Self::Stalled),
            EgressError::Closed { phase, .. } => at(*phase, Self::Reset, Self::Cut),
            EgressError::Protocol { phase, .. } => at(*phase, Self::Garbled, Self::Garbled),
            EgressError::Denied(_)
            | EgressError::Refused { .. }
            | EgressError::Limit { .. }
            | EgressError::Proxy { .. }
            | EgressError::RequestBody { .. } => return None,
        })
    }

    /// Returns the name of the fault.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Refused => "refused",
            Self::Untrusted => "untrusted",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Garbled => "garbled",
            Self::Cut => "cut",
            Self::Stalled => "stalled",
        }
    }
}

impl ScriptedResponse {
    /// Creates a response without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// Creates a JSON response.
    pub fn json(status: u16, body: Value) -> Self {
        Self {
            json: Some(body),
            ..Self::status(status)
        }
    }

    /// Creates a response with any other body.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            text: Some(body.into()),
            ..Self::status(status)
        }
    }

    /// Creates a fault in place of a response.
    pub fn fault(fault: NetworkFault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::status(ok())
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Builds the response.
    ///
    /// # Errors
    /// The part that cannot be sent.
    pub(crate) fn response(&self) -> Result<http::Response<Bytes>, String> {
        let mut response = http::Response::builder().status(self.status);
        let given = |name: &str| {
            self.headers
                .keys()
                .any(|key| key.eq_ignore_ascii_case(name))
        };
        if self.json.is_some() && !given("content-type") {
            response = response.header(http::header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        let body = match (&self.json, &self.text) {
            (Some(json), _) => Bytes::from(json.to_string()),
            (None, Some(text)) => Bytes::from(text.clone()),
            (None, None) => Bytes::new(),
        };
        let response = response.body(body);
        response.map_err(|error| format!("the script's response cannot be sent: {error}"))
    }
}

fn ok() -> u16 {
    200
}
