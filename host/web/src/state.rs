//! What every handler works with: the host and the options.

use std::sync::Arc;
use std::time::Duration;

use relation_host::Host;
use relation_host::clock::Clock;
use relation_host::reports::Model;
use relation_host::store::Store;
use relation_host::types::Timestamp;
use url::Url;

/// The options of the API and the page.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// The address under which browsers reach the page, such as `https://relation.example.com/`.
    pub public_url: Url,
    /// How long a session lasts without a request.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_lifetime: Duration,
    /// How long a consent link that is handed on stays valid.
    pub consent_link_lifetime: Duration,
}

impl WebOptions {
    /// Returns the default options for a public address.
    pub fn new(public_url: Url) -> Self {
        const MINUTE: u64 = 60;
        const DAY: u64 = 86_400;
        Self {
            public_url,
            session_idle: Duration::from_secs(30 * MINUTE),
            session_lifetime: Duration::from_secs(DAY / 2),
            consent_link_lifetime: Duration::from_secs(3 * DAY),
        }
    }
}

/// The API and the page of one host. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Web {
    parts: Arc<Parts>,
}

struct Parts {
    host: Host,
    model: Model,
    options: WebOptions,
}

impl Web {
    /// Creates the API and the page of `host`. `model` is the host's description of its plugin.
    pub fn new(host: Host, model: Model, options: WebOptions) -> Self {
        let parts = Parts {
            host,
            model,
            options,
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.parts.host
    }

    /// The host's store.
    pub fn store(&self) -> &dyn Store {
        self.parts.host.store().as_ref()
    }

    /// The host's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.parts.host.clock().as_ref()
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// The model that the plugin describes.
    pub fn model(&self) -> &Model {
        &self.parts.model
    }

    /// The options.
    pub fn options(&self) -> &WebOptions {
        &self.parts.options
    }
}
