//! Tests of the egress against real servers on this machine.

mod attempts;
mod deadlines;
mod exchange;
mod harness;
mod policy;
mod proxies;
mod proxy_url;
mod resolving;
mod reuse;
mod secrecy;
mod tls;
mod tls_versions;
mod transport;
