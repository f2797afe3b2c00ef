//! The way from the hosts of a world to its Webex: direct, by name over TLS, through a proxy.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use relation_host::Limits;
use relation_host::egress::{Client, ClientOptions, Policy, Resolve, SystemResolver};
use serde_json::{Map, Value, json};

use crate::front::{Front, NAME, Weather};
use crate::gateway::{Gateway, Manner};

/// Which way it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Plain HTTP to the emulator's address.
    #[default]
    Direct,
    /// `https` to a name, at a front.
    Tls,
    /// Plain HTTP through a proxy with a password.
    Proxy,
    /// `https` to a name, through a tunnel of a proxy with a password.
    TlsThroughProxy,
}

/// The way, as it was laid.
pub struct Network {
    emulator: SocketAddr,
    front: Option<Front>,
    gateway: Option<Gateway>,
}

impl Network {
    /// Lays the way to the emulator; files go into `directory`.
    pub(crate) async fn lay(route: Route, emulator: SocketAddr, directory: &Path) -> Self {
        let front = match route {
            Route::Tls | Route::TlsThroughProxy => Some(Front::start(emulator, directory).await),
            Route::Direct | Route::Proxy => None,
        };
        let target = front.as_ref().map_or(emulator, Front::address);
        let gateway = match route {
            Route::Proxy | Route::TlsThroughProxy => Some(Gateway::start(target).await),
            Route::Direct | Route::Tls => None,
        };
        Self {
            emulator,
            front,
            gateway,
        }
    }

    /// Scheme, host and port at which the hosts reach Webex.
    pub fn origin(&self) -> String {
        match &self.front {
            Some(front) => format!("https://{NAME}:{}", front.address().port()),
            None => format!("http://{}", self.emulator),
        }
    }

    /// The TLS front.
    pub fn front(&self) -> &Front {
        self.front.as_ref().expect("the way leads to a front")
    }

    /// The proxy.
    pub fn gateway(&self) -> &Gateway {
        self.gateway
            .as_ref()
            .expect("the way leads through a proxy")
    }

    /// Where the proxy listens, if the way leads through one.
    pub fn proxy_address(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(Gateway::address)
    }

    /// Ends whatever was wrong.
    pub async fn mend(&self) {
        if let Some(front) = &self.front {
            front.set(Weather::Fair);
        }
        if let Some(gateway) = &self.gateway {
            gateway.set(Manner::Proper).await;
        }
    }

    /// What a customer's record says of the way.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        match &self.gateway {
            None => Map::new(),
            Some(gateway) => crate::world::object(
                json!({ "http_proxy": gateway.url(), "https_proxy": gateway.url() }),
            ),
        }
    }

    /// The entries of `egress.allow` that it needs.
    pub(crate) fn allowed(&self) -> Vec<String> {
        let literal = self
            .front
            .as_ref()
            .map(|front| format!("https://{}", front.address()));
        literal.into_iter().chain([self.origin()]).collect()
    }

    /// A client of a host, which may reach what `allow` names.
    pub(crate) fn client(&self, allow: &[String], limits: &Limits) -> Client {
        let proxies = self.gateway.iter();
        let proxies: Vec<String> = proxies
            .map(|gateway| format!("http://{}", gateway.address()))
            .collect();
        let policy = Policy::parse(allow).and_then(|policy| policy.with_proxies(&proxies));
        // What is spoiled must not be passed by on a connection that was made before.
        let kept = if self.front.is_some() || self.gateway.is_some() {
            0
        } else {
            ClientOptions::default().max_idle_per_route
        };
        let options = ClientOptions {
            max_header_bytes: limits.headers,
            max_response_bytes: limits.response as u64,
            max_idle_per_route: kept,
            extra_ca_file: self
                .front
                .as_ref()
                .map(|front| front.authority().to_owned()),
            ..ClientOptions::default()
        };
        let resolver: Arc<dyn Resolve> = match &self.front {
            Some(front) => front.resolver(),
            None => Arc::new(SystemResolver),
        };
        Client::with_resolver(policy.expect("the policy is valid"), options, resolver)
            .expect("the client starts")
    }
}
