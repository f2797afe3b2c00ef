//! From a route to a connection: resolve, drop what may not be reached, connect, tunnel, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use url::Host;

use super::error::{EgressError, Peer, Stage};
use super::origin::{Origin, Scheme};
use super::policy::{Denied, Policy};
use super::pool::Route;
use super::proxy::ProxyUrl;
use super::resolve::Resolve;
use super::stream::Stream;
use super::tls::Tls;
use super::tunnel;

/// More addresses of a name are not looked at: a name service must not be able to keep a call busy.
const MOST_ADDRESSES: usize = 16;

/// How far a request has come, for the words of a time-out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) stage: Stage,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            stage: Stage::Resolve,
        }
    }
}

impl Progress {
    pub(super) fn timed_out(self, route: &Route) -> EgressError {
        let peer = match self.stage {
            Stage::Resolve | Stage::Connect | Stage::Proxy => route.near_end(),
            Stage::Tls | Stage::Answer | Stage::Body => route.far_end(),
        };
        EgressError::Timeout {
            peer,
            stage: self.stage,
        }
    }
}

pub(super) struct Connector {
    pub(super) policy: Policy,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) tls: Tls,
}

impl Connector {
    /// A connection over which requests can be sent, until `until` at the latest.
    pub(super) async fn connect(
        &self,
        route: &Route,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Stream, EgressError> {
        let connected = timeout_at(until, self.follow(route, progress, until)).await;
        connected.unwrap_or_else(|_| Err(progress.timed_out(route)))
    }

    async fn follow(
        &self,
        route: &Route,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Stream, EgressError> {
        let target = route.target.origin();
        let stream = match &route.proxy {
            None => {
                let check = |address| self.policy.check_address(&route.target, address);
                self.tcp(target, &Peer::Target, check, progress, until)
                    .await?
            }
            Some(proxy) => self.through(proxy, target, progress, until).await?,
        };
        match target.scheme() {
            Scheme::Http => Ok(stream),
            Scheme::Https => {
                progress.stage = Stage::Tls;
                self.tls.handshake(stream, target, &Peer::Target).await
            }
        }
    }

    /// A connection to the proxy, and for `https` targets on through it.
    async fn through(
        &self,
        proxy: &ProxyUrl,
        target: &Origin,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Stream, EgressError> {
        self.policy.check_proxy(proxy)?;
        let check = |address| self.policy.check_proxy_address(proxy, address);
        let mut stream = self
            .tcp(proxy.origin(), &Peer::Proxy, check, progress, until)
            .await?;
        progress.stage = Stage::Proxy;
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

    async fn tcp(
        &self,
        origin: &Origin,
        peer: &(dyn Fn(Origin) -> Peer + Sync),
        check: impl Fn(IpAddr) -> Result<(), Denied>,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Stream, EgressError> {
        progress.stage = Stage::Resolve;
        let found = self
            .resolve(origin)
            .await
            .map_err(|reason| EgressError::Resolve {
                peer: peer(origin.clone()),
                reason,
            })?;
        let allowed = permitted(found, check)?;
        progress.stage = Stage::Connect;
        let mut reason = String::new();
        let mut refused = false;
        let mut left = u32::try_from(allowed.len()).unwrap_or(u32::MAX);
        for address in allowed {
            // An address that never answers must not use up the time of those after it; the last one has
            // all that is left.
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

    /// At least one address.
    async fn resolve(&self, origin: &Origin) -> Result<Vec<IpAddr>, String> {
        let mut found = match origin.host() {
            Host::Ipv4(address) => vec![IpAddr::from(*address)],
            Host::Ipv6(address) => vec![IpAddr::from(*address)],
            Host::Domain(name) => {
                let found = self.resolver.resolve(name).await;
                found.map_err(|error| error.to_string())?
            }
        };
        found.truncate(MOST_ADDRESSES);
        if found.is_empty() {
            Err("the name has no address".to_owned())
        } else {
            Ok(found)
        }
    }
}

/// The addresses that pass the check, each once; an error when none does.
fn permitted(
    found: Vec<IpAddr>,
    check: impl Fn(IpAddr) -> Result<(), Denied>,
) -> Result<Vec<IpAddr>, EgressError> {
    let mut allowed = Vec::with_capacity(found.len());
    let mut denied: Option<Denied> = None;
    for address in found.into_iter().map(|address| address.to_canonical()) {
        match check(address) {
            Ok(()) if allowed.contains(&address) => {}
            Ok(()) => allowed.push(address),
            Err(why) => {
                tracing::warn!(%address, "resolved address dropped: {why}");
                denied = Some(match denied {
                    Some(before) => before.and(why),
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
        connected.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
    // Requests are small and complete: waiting for more to send with them only delays them.
    stream.set_nodelay(true)?;
    Ok(stream)
}
