//! The reference host of the relation plugin: runs its workflows on wasmtime with a durable store.
//!
//! An engine links this library and calls the workflows on a [`Host`]. It uses the included
//! [`store::Store`] and [`clock::Clock`] or implements its own. An [`Observer`] learns of calls,
//! wakeups and alerts. An engine that serves users calls [`Host::on_behalf_of`], so that each transaction
//! names its user, and [`Host::submit`] for callers that do not wait. Spans of calls, for traces, have the target
//! [`SPAN_TARGET`].
//!
//! # Example
//! `examples/embed.rs` of this package:
//!
//! ```no_run
#![doc = include_str!("../examples/embed.rs")]
//! ```
//!
//! # Stability
//! Semantic versioning covers this list and nothing else:
//! - all items at the root of this crate, and those of [`callbacks`], [`component`], [`schedule`], [`reports`],
//!   [`limits`], [`clock`], [`transactions`] and [`wakeup_kinds`];
//! - of [`types`], the items at its root;
//! - of [`store`], all items;
//! - of [`egress`], [`Client`](egress::Client), [`ClientOptions`](egress::ClientOptions),
//!   [`Policy`](egress::Policy), [`Transport`](egress::Transport) and the types that these use.
//!
//! A minor release may add fields to a struct. Therefore, complete option structs with
//! `..Default::default()`, and match reports with `..`. Enums that may grow are `non_exhaustive`.
//!
//! # Features
//! - `conformance`: [`store`] has its conformance suite, for implementers of other stores.
//! - `postgres`: [`store`] has a store in a PostgreSQL database, for several hosts.
//! - `test-util`: hooks before and after each import of a plugin, seeded randomness, and the parts
//!   that benchmarks compare. Not for production, and not stable.
#![deny(missing_docs)]

pub mod component;
mod endpoints;
mod host;
#[cfg(not(feature = "test-util"))]
mod imports;
#[cfg(feature = "test-util")]
pub mod imports;
mod node_settings;
mod observer;
pub mod schedule;
mod secret_setting;
mod spans;

pub use endpoints::{ENDPOINTS, endpoint_name};
pub use host::callbacks;
pub use host::{
    AddRequest, BuildError, CallError, CallErrorKind, CallOutput, Cancellation, ComponentSource,
    HandledWakeup, HandlerError, HandlerOptions, Host, HostBuilder, NextRun, QueueError,
    QueuedCall, Retention, StashSummary, WakeupHandler, WakeupOutcome, WakeupResult,
};
pub use imports::Outbox;
pub use node_settings::NodeSettings;
pub use observer::{
    AlertChange, AlertChanged, CallEnded, InstanceEnded, Observer, RequestEnded, WakeupEnded,
};
pub use relation_egress as egress;
pub use relation_store as store;
#[cfg(feature = "test-util")]
pub use relation_types::entropy;
pub use relation_types::limits::Limits;
pub use relation_types::{self as types, clock, limits, reports, text, transactions, wakeup_kinds};
pub use secret_setting::SecretSetting;
pub use spans::{CUSTOMER_SPAN_TARGET, SPAN_TARGET};
pub use wasmtime_environ::VERSION as WASMTIME_VERSION;
