//! Metrics and health of a relation host.
//!
//! [`Metrics`] is a registry of its own: it is passed to the parts of a host, so that two hosts of a process do not mix. It
//! observes calls, wakeups and requests ([`Observer`](relation_host::Observer)), deliveries of notices
//! ([`DeliveryObserver`](relation_notify::runner::DeliveryObserver)), the store ([`Metrics::observe_store`]) and responses
//! ([`observe_response`]). [`Endpoints`] shows them, and reads the rest from the store when they are scraped.
//!
//! Each label has a closed set of values. There is none for a node, a transaction, a URL or a text of an error, and one for
//! customers only if [`EndpointOptions::per_connection`] is set.

mod collector;
mod endpoints;
mod families;
mod health;
mod labels;
mod metrics;
mod observer;
mod per_connection;
mod process;
mod reference;
mod streams;

pub use endpoints::{EndpointOptions, Endpoints, TokenSource, observe_response};
pub use families::{Definition, MetricKind};
pub use health::{PartHealth, Readiness};
pub use metrics::Metrics;
pub use reference::render_reference;
