//! The reference host of the relation plugin: runs its workflows on wasmtime with a durable store.
//!
//! A platform's engine links this library, brings its own [`store::Store`] and
//! [`schedule::clock::Clock`] or takes ours, and calls the workflows on a [`Host`]:
//! see `examples/embed.rs` for the shortest such program.
//!
//! # What is stable
//! [`Host`], [`HostBuilder`], [`reports`], [`types`], [`limits`], the traits [`store::Store`] and
//! [`schedule::clock::Clock`], and [`store::conformance`]. Everything else is public so that the
//! tests and benches reach it, and may change in any release.
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
mod sync;
pub mod text;
pub mod transactions;
pub mod types;

pub use host::{
    AddRequest, BuildError, CallError, CallErrorKind, Called, ComponentSource, Fired, Host,
    HostBuilder, Retention, StashSummary,
};
pub use limits::Limits;
