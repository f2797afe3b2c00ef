//! The TCP connection to a mail server, to permitted addresses only.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use relation_egress::{AddressClass, Resolve, classify};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Host;

use super::failure::Step;

/// Decides whether an address may be connected to. An error is the reason, for an administrator.
pub type AddressCheck = Arc<dyn Fn(IpAddr) -> Result<(), String> + Send + Sync>;

/// Permits globally reachable addresses, and the listed ones.
///
/// Names are resolved first and each address is checked, so a name that changes its address has no effect on the check.
#[must_use]
pub fn permit_global_and(listed: Vec<IpAddr>) -> AddressCheck {
    Arc::new(move |address| match classify(address) {
        AddressClass::Global => Ok(()),
        _ if listed.contains(&address) => Ok(()),
        class => Err(format!("{address} ({class}) is not a permitted address")),
    })
}

/// The maximum number of addresses tried for a name.
const MAX_ADDRESSES: usize = 8;

/// A failed connection.
#[derive(Debug)]
pub(super) struct ConnectError {
    pub(super) step: Step,
    pub(super) reason: String,
}

/// Resolves the host, drops addresses that are not permitted, and connects to the first that responds in time.
pub(super) async fn connect(
    host: &Host<String>,
    port: u16,
    resolver: &dyn Resolve,
    check: &(dyn Fn(IpAddr) -> Result<(), String> + Send + Sync),
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    let until = Instant::now() + limit;
    let unresolved = |reason| ConnectError {
        step: Step::Resolve,
        reason,
    };
    let mut found = match host {
        Host::Ipv4(address) => vec![IpAddr::from(*address)],
        Host::Ipv6(address) => vec![IpAddr::from(*address)],
        Host::Domain(name) => match timeout_at(until, resolver.resolve(name)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(unresolved(error.to_string())),
            Err(_) => {
                return Err(unresolved(
                    "no response in time (`connect-limit`)".to_owned(),
                ));
            }
        },
    };
    found.truncate(MAX_ADDRESSES);
    let mut reason = "the name has no address".to_owned();
    let mut permitted = Vec::new();
    for address in found.into_iter().map(|address| address.to_canonical()) {
        match check(address) {
            Ok(()) => permitted.push(address),
            Err(denied) => reason = denied,
        }
    }
    if permitted.is_empty() {
        return Err(unresolved(reason));
    }
    let mut left = u32::try_from(permitted.len()).unwrap_or(u32::MAX);
    for address in permitted {
        // An address that does not respond must not use up the time of the next ones.
        let now = Instant::now();
        let share = until.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        let connecting = TcpStream::connect(SocketAddr::new(address, port));
        match timeout_at(now + share, connecting).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => reason = format!("{address}: {error}"),
            Err(_) => reason = format!("{address}: no response in time (`connect-limit`)"),
        }
    }
    let step = Step::Connect;
    Err(ConnectError { step, reason })
}
