//! Egress: the policy of permitted servers, and the client that sends a component's requests to
//! them.
//!
//! This module does not depend on wasm or the store: it takes an [`http::Request`] and returns an
//! [`http::Response`].
//!
//! # Checks of a request, in order
//! 1. **Normalize.** The URI's scheme, host and port become an [`Origin`] with one spelling.
//!    Decimal or hexadecimal IPv4, IPv4-mapped IPv6, percent-encoding, upper case, a trailing dot
//!    and international names all result in the same text. User info is rejected. The request is
//!    built from the origin, so that check and connection cannot read one text in two ways.
//! 2. **Allow-list.** `egress.allow` names scheme, host and port; an empty list allows no request.
//!    See [`Policy::parse`] for the form of an entry.
//! 3. **The request itself.** These are rejected, not silently dropped: header fields that control the connection
//!    (`Connection`, `Transfer-Encoding`, `Upgrade`, `Proxy-…`, …), a `Host` that differs from the URI, `CONNECT` and
//!    `TRACE`. See [`EgressError::Refused`].
//! 4. **Budget.** A request to an API with a [`RequestBudget`] waits for its turn.
//! 5. **Resolve and drop.** Every resolved address that is not globally reachable is dropped (see
//!    [`AddressClass`]), unless `egress.allow` lists the address itself with the same scheme and port.
//!    `http://127.0.0.1:8080` permits 127.0.0.1 for `http` on port 8080; `http://localhost:8080` alone permits no
//!    address. The connection uses the checked address, so changing a name between check and connect has no effect.
//! 6. **Connect, TLS, send**, all before the call's deadline, which also limits the response body.
//!    Redirects are returned like other responses and not followed.
//!
//! # Proxies
//! The target's name has to be in `egress.allow`, but the proxy resolves it. This host connects to
//! the proxy, so the proxy's address is checked instead:
//! - `egress.proxies` empty: any proxy at a globally reachable address; none elsewhere.
//! - An entry with another address adds the proxies at that address, under any name.
//! - An entry with a name or a globally reachable address restricts the proxies to the listed ones.
//!
//! Requests to `http` targets use the absolute form. Requests to `https` targets use a `CONNECT`
//! tunnel with TLS to the target inside. If the proxy's own scheme is `https`, the connection to
//! the proxy uses TLS too. Connections are pooled per target, proxy *and* credentials, so that two
//! customers of one proxy never share a connection. A connection to a proxy in absolute form is
//! only reused if its response says `Connection: keep-alive`. The proxy variables of the
//! environment are not read.
//!
//! # At most once
//! This module never sends a request again after its first byte may have left: a token endpoint
//! must not receive one refresh token twice. Only a pooled connection that the server closed while
//! idle returns the request untouched, and then another connection is tried. TLS early data is off.
//! [`EgressError::may_have_been_sent`] tells a caller whether the request may have been sent.

mod address;
mod body;
mod budget;
mod client;
mod connect;
mod error;
mod origin;
mod policy;
mod pool;
mod proxy;
mod request;
mod resolve;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod tunnel;

pub use address::{AddressClass, classify};
pub use body::LimitedBody;
pub use budget::RequestBudget;
pub use client::{Client, ClientError, ClientOptions};
pub use error::{BoxError, EgressError, Limit, Peer, RequestPhase};
pub use origin::{Origin, OriginError, Scheme};
pub use policy::{Denial, EntryError, Policy, PolicyError, Setting, Target};
pub use proxy::{Proxies, ProxyUrl, ProxyUrlError};
pub use resolve::{Resolve, SystemResolver};
pub use transport::{Deadline, Transport, TransportError};
