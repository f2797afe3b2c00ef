//! The reference host of the relation plugin: runs its workflows on wasmtime with a durable store.
//!
//! An engine links this library and calls the workflows on a [`Host`]. It uses the included
//! [`store::Store`] and [`clock::Clock`] or implements its own: `examples/embed.rs` is
//! the shortest such program.
//!
//! # Stability
//! Stable: [`Host`], [`HostBuilder`], [`reports`], [`types`], [`limits`], the traits
//! [`store::Store`] and [`clock::Clock`], and [`store::conformance`]. Everything else is
//! public for the tests and benches only, and may change in any release.
#![deny(missing_docs)]

pub mod component;
mod host;
#[cfg(not(feature = "test-util"))]
mod imports;
#[cfg(feature = "test-util")]
pub mod imports;
pub mod schedule;

pub use host::{
    AddRequest, BuildError, CallError, CallErrorKind, CallOutput, ComponentSource, Host,
    HostBuilder, Retention, StashSummary, WakeupOutcome,
};
pub use relation_egress as egress;
pub use relation_store as store;
#[cfg(feature = "test-util")]
pub use relation_types::entropy;
pub use relation_types::limits::Limits;
pub use relation_types::{self as types, clock, limits, reports, text, transactions, wakeup_kinds};
