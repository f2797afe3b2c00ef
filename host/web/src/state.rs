//! The state of every handler: the host and the options.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use relation_app::config::RedirectAddress;
use relation_app::notices::Notices;
use relation_app::oidc::Provider;
use relation_host::Host;
use relation_host::clock::Clock;
use relation_host::reports::Model;
use relation_host::store::Store;
use relation_host::types::Timestamp;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::access::{AccessParts, PasswordCost};
use crate::api::page::LongLists;
use crate::api::shown::ShownRecords;
use crate::demo::Demo;
use crate::page::Live;

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
    /// The redirect address that is registered for the integration at Webex. The page serves its path.
    pub redirect: RedirectAddress,
    /// The addresses of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long a request waits for the end of its call, before the response has the call's transaction instead.
    pub call_wait: Duration,
    /// Canceled when the server stops, which ends streams.
    pub shutdown: CancellationToken,
    /// How long audit events are kept.
    pub audit_retention: Duration,
    /// How many requests one principal may send in a minute.
    pub requests_per_minute: NonZeroU32,
    /// The OpenID provider at which people log in, besides passwords.
    pub oidc: Option<Provider>,
    /// The notices of the installation, for previews and tests. Without them, the API offers neither.
    pub notices: Option<Notices>,
    /// The cost of hashing passwords. Only tests lower it.
    pub password_cost: PasswordCost,
    /// The parts that only a demo has.
    pub demo: Option<Demo>,
}

impl WebOptions {
    /// Returns the default options for a public address and a redirect address.
    pub fn new(public_url: Url, redirect: RedirectAddress) -> Self {
        const MINUTE: u64 = 60;
        const DAY: u64 = 86_400;
        Self {
            public_url,
            session_idle: Duration::from_secs(30 * MINUTE),
            session_lifetime: Duration::from_secs(DAY / 2),
            consent_link_lifetime: Duration::from_secs(3 * DAY),
            redirect,
            trusted_proxies: Vec::new(),
            call_wait: Duration::from_secs(30),
            shutdown: CancellationToken::new(),
            audit_retention: Duration::from_secs(365 * DAY),
            requests_per_minute: NonZeroU32::new(1200).unwrap_or(NonZeroU32::MAX),
            oidc: None,
            notices: None,
            password_cost: PasswordCost::default(),
            demo: None,
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
    access: AccessParts,
    live: Live,
    long_lists: LongLists,
    shown_records: ShownRecords,
}

impl Web {
    /// Creates the API and the page of `host`. `model` is the host's description of its plugin.
    pub fn new(host: Host, model: Model, options: WebOptions) -> Self {
        let (store, clock) = (Arc::clone(host.store()), Arc::clone(host.clock()));
        let sealer = Arc::clone(host.sealer());
        let parts = Parts {
            host,
            model,
            access: AccessParts::new(store, clock, options).with_sealer(sealer),
            live: Live::default(),
            long_lists: LongLists::default(),
            shown_records: ShownRecords::default(),
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.parts.host
    }

    /// Returns the host's store.
    pub fn store(&self) -> &dyn Store {
        self.parts.host.store().as_ref()
    }

    /// Returns the host's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.parts.host.clock().as_ref()
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Returns the model that the plugin describes.
    pub fn model(&self) -> &Model {
        &self.parts.model
    }

    /// Returns the options.
    pub fn options(&self) -> &WebOptions {
        self.parts.access.options()
    }

    /// Returns the parts that the functions for users, sessions, keys and the audit log work with.
    pub fn access(&self) -> &AccessParts {
        &self.parts.access
    }

    /// Returns the transactions whose progress browsers follow.
    pub(crate) fn live(&self) -> &Live {
        &self.parts.live
    }

    /// Returns the records that the plugin has shown recently.
    pub(crate) fn shown_records(&self) -> &ShownRecords {
        &self.parts.shown_records
    }

    /// Returns the lists that were too long to be counted a moment ago.
    pub(crate) fn long_lists(&self) -> &LongLists {
        &self.parts.long_lists
    }
}

impl FromRef<Web> for AccessParts {
    fn from_ref(web: &Web) -> Self {
        web.access().clone()
    }
}
