//! What the driver says about the surroundings: the fields of `add`.

use serde::{Deserialize, Serialize};

/// The fields of `add`. All may be left out; what they would serve is skipped then.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Names the record.
    pub name: Option<String>,
    /// `http://HOST:PORT` of a server that the host allows and that answers as
    /// `docs/conformance.md` describes.
    pub server: Option<String>,
    /// The origin of a server that the host does not allow.
    pub denied: Option<String>,
    /// An origin that the host allows and where nobody listens.
    pub closed: Option<String>,
    /// The origin of a proxy that the host allows; `server` may be one.
    pub proxy: Option<String>,
    /// How long a moment is, in milliseconds, between the wakeups that check delivery; 1000.
    pub moment: Option<u64>,
}

impl Options {
    /// The fields as the caller gave them.
    pub fn read(fields: &str) -> Result<Self, String> {
        serde_json::from_str(fields).map_err(|error| error.to_string())
    }

    /// How long a moment is, in milliseconds.
    pub fn moment(&self) -> u64 {
        self.moment.unwrap_or(1000)
    }
}
