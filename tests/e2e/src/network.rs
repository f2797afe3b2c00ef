//! The network between a world's hosts and its Webex: direct, by name over TLS, or through a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use relation_host::Limits;
use relation_host::egress::{Client, ClientOptions, Policy, Resolve, SystemResolver};
use serde_json::{Map, Value, json};

use crate::faulty_proxy::{FaultyProxy, ProxyFault};
use crate::tls_front::{NAME, TlsFault, TlsFront};

/// A route to Webex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Plain HTTP to the emulator's address.
    #[default]
    Direct,
    /// `https` to a name, at a TLS front.
    Tls,
    /// Plain HTTP through a proxy with a password.
    Proxy,
    /// `https` to a name, through a tunnel of a proxy with a password.
    TlsThroughProxy,
}

/// The network of one world.
pub struct Network {
    emulator: SocketAddr,
    front: Option<TlsFront>,
    proxy: Option<FaultyProxy>,
}

impl Network {
    /// Creates the route to the emulator.
    pub(crate) async fn start(route: Route, emulator: SocketAddr) -> Self {
        let front = match route {
            Route::Tls | Route::TlsThroughProxy => Some(TlsFront::start(emulator).await),
            Route::Direct | Route::Proxy => None,
        };
        let target = front.as_ref().map_or(emulator, TlsFront::address);
        let proxy = match route {
            Route::Proxy | Route::TlsThroughProxy => Some(FaultyProxy::start(target).await),
            Route::Direct | Route::Tls => None,
        };
        Self {
            emulator,
            front,
            proxy,
        }
    }

    /// Returns scheme, host and port of Webex as the hosts reach it.
    pub fn origin(&self) -> String {
        match &self.front {
            Some(front) => format!("https://{NAME}:{}", front.address().port()),
            None => format!("http://{}", self.emulator),
        }
    }

    /// Returns the TLS front.
    pub fn tls_front(&self) -> &TlsFront {
        self.front.as_ref().expect("the route has a TLS front")
    }

    /// Returns the proxy.
    pub fn proxy(&self) -> &FaultyProxy {
        self.proxy.as_ref().expect("the route has a proxy")
    }

    /// Returns the proxy's address, if the route uses one.
    pub fn proxy_address(&self) -> Option<SocketAddr> {
        self.proxy.as_ref().map(FaultyProxy::address)
    }

    /// Ends every fault.
    pub async fn repair(&self) {
        if let Some(front) = &self.front {
            front.set(TlsFault::None);
        }
        if let Some(proxy) = &self.proxy {
            proxy.set(ProxyFault::None).await;
        }
    }

    /// Returns the fields that a customer's record needs for this route.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        match &self.proxy {
            None => Map::new(),
            Some(proxy) => crate::world::object(
                json!({ "http_proxy": proxy.url(), "https_proxy": proxy.url() }),
            ),
        }
    }

    /// Returns the `egress.allow` entries that this route needs.
    pub(crate) fn allowed(&self) -> Vec<String> {
        let literal = self
            .front
            .as_ref()
            .map(|front| format!("https://{}", front.address()));
        literal.into_iter().chain([self.origin()]).collect()
    }

    /// Returns a host's client that may reach what `allow` names.
    pub(crate) fn client(&self, allow: &[String], limits: &Limits) -> Client {
        let proxies = self.proxy.iter();
        let proxies: Vec<String> = proxies
            .map(|proxy| format!("http://{}", proxy.address()))
            .collect();
        let policy = Policy::parse(allow).and_then(|policy| policy.with_proxies(&proxies));
        // A fault must not be avoided by a connection that was opened before.
        let max_idle = if self.front.is_some() || self.proxy.is_some() {
            0
        } else {
            ClientOptions::default().max_idle_per_route
        };
        let options = ClientOptions {
            max_header_bytes: limits.headers,
            max_response_bytes: limits.response as u64,
            max_idle_per_route: max_idle,
            extra_ca_file: self.front.as_ref().map(TlsFront::authority),
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
