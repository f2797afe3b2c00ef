//! The reference host of the relation plugin: runs its workflows on wasmtime with a durable store.
//!
//! An engine links this library and calls the workflows on a [`Host`]. It uses the included
//! [`store::Store`] and [`schedule::clock::Clock`] or implements its own: `examples/embed.rs` is
//! the shortest such program.
//!
//! # Stability
//! Stable: [`Host`], [`HostBuilder`], [`reports`], [`types`], [`limits`], the traits
//! [`store::Store`] and [`schedule::clock::Clock`], and [`store::conformance`]. Everything else is
//! public for the tests and benches only, and may change in any release.
#![deny(missing_docs)]

pub mod component;
pub mod egress;
pub mod entropy;
pub mod host;
pub mod imports;
pub mod limits;
pub mod reports;
pub mod schedule;
pub mod store;
pub mod text;
pub mod transactions;
pub mod types;

pub use host::{
    AddRequest, BuildError, CallError, CallErrorKind, CallOutput, ComponentSource, Host,
    HostBuilder, Retention, StashSummary, WakeupOutcome,
};
pub use limits::Limits;
