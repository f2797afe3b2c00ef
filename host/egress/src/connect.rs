//! Opens a connection for a route: resolves, drops denied addresses, connects, tunnels, starts TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use url::Host;

use super::error::{EgressError, Peer, RequestPhase};
use super::origin::{Origin, Scheme};
use super::policy::{Denial, Policy};
use super::pool::Route;
use super::proxy::ProxyUrl;
use super::resolve::Resolve;
use super::stream::Stream;
use super::tls::Tls;
use super::tunnel;

/// The maximum number of addresses tried per name: a name service must not keep a call busy.
const MAX_ADDRESSES: usize = 16;

/// The phase that a request has reached, for the text of a time-out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) phase: RequestPhase,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            phase: RequestPhase::Resolve,
        }
    }
}

impl Progress {
    pub(super) fn timeout_error(self, route: &Route) -> EgressError {
        let peer = match self.phase {
            RequestPhase::Resolve | RequestPhase::Connect | RequestPhase::Proxy => route.next_hop(),
            RequestPhase::Budget
            | RequestPhase::Tls
            | RequestPhase::Response
            | RequestPhase::Body => route.responder(),
        };
        EgressError::Timeout {
            peer,
            phase: self.phase,
        }
    }
}

pub(super) struct Connector {
    pub(super) policy: Policy,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) tls: Tls,
}

impl Connector {
    /// Opens a connection for requests, before `until`.
    pub(super) async fn connect(
        &self,
        route: &Route,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Stream, EgressError> {
        let connected = timeout_at(until, self.connect_route(route, progress, until)).await;
        connected.unwrap_or_else(|_| Err(progress.timeout_error(route)))
    }

    async fn connect_route(
        &self,
        route: &Route,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Stream, EgressError> {
        let target = route.target.origin();
        let stream = match &route.proxy {
            None => {
                let check = |address| self.policy.check_address(&route.target, address);
                self.connect_tcp(target, &Peer::Target, check, progress, until)
                    .await?
            }
            Some(proxy) => self.connect_proxy(proxy, target, progress, until).await?,
        };
        match target.scheme() {
            Scheme::Http => Ok(stream),
            Scheme::Https => {
                progress.phase = RequestPhase::Tls;
                self.tls.handshake(stream, target, &Peer::Target).await
            }
        }
    }

    /// Connects to the proxy, and for `https` targets opens a tunnel through it.
    async fn connect_proxy(
        &self,
        proxy: &ProxyUrl,
        target: &Origin,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Stream, EgressError> {
        self.policy.check_proxy(proxy)?;
        let check = |address| self.policy.check_proxy_address(proxy, address);
        let mut stream = self
            .connect_tcp(proxy.origin(), &Peer::Proxy, check, progress, until)
            .await?;
        progress.phase = RequestPhase::Proxy;
        if proxy.origin().scheme() == Scheme::Https {
            stream = self
                .tls
                .handshake(stream, proxy.origin(), &Peer::Proxy)
                .await?;
        }
        match target.scheme() {
            Scheme::Http => Ok(stream),
            Scheme::Https => tunnel::open(stream, target, proxy).await,
        }
    }

    async fn connect_tcp(
        &self,
        origin: &Origin,
        peer: &(dyn Fn(Origin) -> Peer + Sync),
        check: impl Fn(IpAddr) -> Result<(), Denial>,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Stream, EgressError> {
        progress.phase = RequestPhase::Resolve;
        let found = self
            .resolve(origin)
            .await
            .map_err(|reason| EgressError::Resolve {
                peer: peer(origin.clone()),
                reason,
            })?;
        let allowed = filter_permitted(found, check)?;
        progress.phase = RequestPhase::Connect;
        let mut reason = String::new();
        let mut refused = false;
        let mut left = u32::try_from(allowed.len()).unwrap_or(u32::MAX);
        for address in allowed {
            // An address that does not respond must not use up the time of the next ones. The last
            // address has all remaining time.
            let share = match left {
                0 | 1 => Duration::MAX,
                _ => until.saturating_duration_since(Instant::now()) / left,
            };
            left = left.saturating_sub(1);
            match tcp_connect(SocketAddr::new(address, origin.port()), share).await {
                Ok(stream) => {
                    tracing::debug!(%origin, %address, "connected");
                    return Ok(Stream::Tcp(stream));
                }
                Err(why) => {
                    tracing::debug!(%origin, %address, "cannot connect: {why}");
                    refused = why.kind() == io::ErrorKind::ConnectionRefused;
                    reason = why.to_string();
                }
            }
        }
        Err(EgressError::Connect {
            peer: peer(origin.clone()),
            reason,
            refused,
        })
    }

    /// Returns at least one address.
    async fn resolve(&self, origin: &Origin) -> Result<Vec<IpAddr>, String> {
        let mut found = match origin.host() {
            Host::Ipv4(address) => vec![IpAddr::from(*address)],
            Host::Ipv6(address) => vec![IpAddr::from(*address)],
            Host::Domain(name) => {
                let found = self.resolver.resolve(name).await;
                found.map_err(|error| error.to_string())?
            }
        };
        found.truncate(MAX_ADDRESSES);
        if found.is_empty() {
            Err("the name has no address".to_owned())
        } else {
            Ok(found)
        }
    }
}

/// Returns the distinct addresses that pass the check; fails if addresses were denied and none is
/// left.
fn filter_permitted(
    found: Vec<IpAddr>,
    check: impl Fn(IpAddr) -> Result<(), Denial>,
) -> Result<Vec<IpAddr>, EgressError> {
    let mut allowed = Vec::with_capacity(found.len());
    let mut denied: Option<Denial> = None;
    for address in found.into_iter().map(|address| address.to_canonical()) {
        match check(address) {
            Ok(()) if allowed.contains(&address) => {}
            Ok(()) => allowed.push(address),
            Err(why) => {
                tracing::warn!(%address, "resolved address dropped: {why}");
                denied = Some(match denied {
                    Some(before) => before.merge(why),
                    None => why,
                });
            }
        }
    }
    match denied {
        Some(denied) if allowed.is_empty() => Err(denied.into()),
        _ => Ok(allowed),
    }
}

async fn tcp_connect(address: SocketAddr, time: Duration) -> io::Result<TcpStream> {
    let connected = timeout(time, TcpStream::connect(address)).await;
    let stream =
        connected.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no response in time"))??;
    // Requests are small and complete: waiting for more data would only delay them.
    stream.set_nodelay(true)?;
    Ok(stream)
}
