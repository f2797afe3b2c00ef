//! The address of a client, also behind proxies.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

use crate::Web;
use crate::access::ClientAddress;

/// Sets the [`ClientAddress`] of a request.
pub(crate) async fn set(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|peer| peer.0.ip().to_canonical());
    if let Some(peer) = peer {
        let address = client(peer, request.headers(), &web.options().trusted_proxies);
        let address = ClientAddress(Some(address));
        request.extensions_mut().insert(address);
    }
    next.run(request).await
}

/// Returns the last address of the way that no trusted proxy has. Only trusted proxies are believed, so a client cannot
/// choose its address.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter();
    let forwarded = forwarded.filter_map(|value| value.to_str().ok());
    let mut way: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    let mut address = peer;
    while trusted.contains(&address) {
        let before = way
            .pop()
            .and_then(|text| text.trim().parse::<IpAddr>().ok());
        match before {
            Some(before) => address = before.to_canonical(),
            None => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        let forwarded = HeaderValue::from_static("192.0.2.1, 192.0.2.9");
        headers.append("x-forwarded-for", forwarded);
        headers.append("x-forwarded-for", HeaderValue::from_static("10.0.0.6"));
        let trusted = [ip("10.0.0.5"), ip("10.0.0.6")];
        assert_eq!(
            client(ip("198.51.100.1"), &headers, &trusted),
            ip("198.51.100.1")
        );
        assert_eq!(client(ip("10.0.0.5"), &headers, &trusted), ip("192.0.2.9"));
        assert_eq!(
            client(ip("10.0.0.5"), &headers, &trusted[..1]),
            ip("10.0.0.6")
        );
        assert_eq!(
            client(ip("10.0.0.5"), &HeaderMap::new(), &trusted),
            ip("10.0.0.5")
        );
    }
}
