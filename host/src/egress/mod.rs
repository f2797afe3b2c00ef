//! The way out: which servers a component's requests may reach, and the client that carries them there.
//!
//! It knows no wasm and no store: a request comes in as [`http::Request`], an answer leaves as
//! [`http::Response`], and everything in between is decided here.
//!
//! # What a request passes, in this order
//! 1. **Normalise.** The URI's scheme, host and port become an [`Origin`] with one spelling
//!    (decimal or hexadecimal IPv4, IPv4-mapped IPv6, percent-encoding, upper case, a trailing dot and
//!    international names all end in the same text). User info is refused. What is sent is built from
//!    the origin, so the check and the connection cannot read one text in two ways.
//! 2. **Allow-list.** `egress.allow` names scheme, host and port; an empty list allows nothing. See
//!    [`Policy::parse`] for what an entry may look like.
//! 3. **The request itself.** Header fields that steer the connection rather than the resource
//!    (`Connection`, `Transfer-Encoding`, `Upgrade`, `Proxy-…`, …), a `Host` that differs from the URI,
//!    `CONNECT` and `TRACE` are refused, not silently dropped; see [`EgressError::Refused`].
//! 4. **Resolve and drop.** Every resolved address that is not globally reachable is dropped (see
//!    [`AddressClass`]) unless an entry of `egress.allow` names that very address as a literal with the
//!    same scheme and port: `http://127.0.0.1:8080` permits 127.0.0.1 for `http` on port 8080, and
//!    `http://localhost:8080` alone reaches nothing. The checked address is the one connected to, so a
//!    name that changes between check and connect gains nothing.
//! 5. **Connect, TLS, send**, all before the call's deadline, which also bounds the answer's body.
//!    Redirects are answers like any other: nothing is followed.
//!
//! # Through a proxy
//! The name is the gate: the target still has to be in `egress.allow`, but the proxy resolves it. What
//! this host connects to is the proxy, so the proxy's address is checked instead:
//! - `egress.proxies` empty: any proxy at a globally reachable address; none elsewhere.
//! - `egress.proxies` not empty: only the proxies it names as `scheme://host:port`, and those at an
//!   address that is not globally reachable only if an entry names that very address as a literal.
//!
//! `http` targets are asked for in absolute form, `https` targets through a `CONNECT` tunnel with TLS to
//! the target inside; a proxy whose own scheme is `https` is spoken to over TLS first. Connections are
//! kept per target, proxy *and* credentials, so two customers never share one by way of a common proxy;
//! one to a proxy that is asked in absolute form only if its answer says `Connection: keep-alive`.
//! The proxy variables of the environment are not read.
//!
//! # At most once
//! A request whose first byte may have left is never sent again by this module: a token endpoint must not
//! see one refresh token twice. A kept connection that the server closed while it was idle gives the
//! request back untouched, and only then another connection is tried. TLS early data is off.
//! [`EgressError::may_have_been_sent`] tells a caller which of the two it met.

mod address;
mod body;
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
pub use client::{Client, ClientError, ClientOptions};
pub use error::{BoxError, EgressError, Limit, Peer, Stage};
pub use origin::{Origin, OriginProblem, Scheme};
pub use policy::{Denied, EntryProblem, Policy, PolicyError, Setting, Target};
pub use proxy::{Proxies, ProxyUrl, ProxyUrlError};
pub use resolve::{Resolve, SystemResolver};
pub use transport::{Deadline, Transport, TransportFault};
