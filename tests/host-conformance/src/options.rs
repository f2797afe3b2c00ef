//! The driver's options: the fields of `add`.

use serde::{Deserialize, Serialize};

/// The fields of `add`. All are optional; checks without their field are skipped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The name of the record.
    pub name: Option<String>,
    /// `http://HOST:PORT` of a server that the host allows, with the responses of `docs/conformance.md`.
    pub server: Option<String>,
    /// The origin of a server that the host does not allow.
    pub denied: Option<String>,
    /// An origin that the host allows, and on which no server listens.
    pub closed: Option<String>,
    /// The origin of a proxy that the host allows; `server` may be a proxy.
    pub proxy: Option<String>,
    /// The length of a moment between wakeups, in milliseconds; the default is 1000.
    pub moment: Option<u64>,
}

impl Options {
    /// Parses the fields.
    pub fn read(fields: &str) -> Result<Self, String> {
        serde_json::from_str(fields).map_err(|error| error.to_string())
    }

    /// Returns the length of a moment, in milliseconds.
    pub fn moment(&self) -> u64 {
        self.moment.unwrap_or(1000)
    }
}
