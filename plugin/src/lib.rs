//! The workflows of `relation/SparkCustomer`: one customer's connection to one Webex organization.
//!
//! The same code is a WebAssembly component (module `component`, on `wasm32-wasip2` only) and a
//! native library for tests and benchmarks. A workflow is a function of a [`platform::Platform`]
//! and its arguments. It keeps no state between calls, never sleeps, and waits by scheduling
//! wakeups.

pub mod actions;
pub mod alerts;
pub mod callback;
pub mod consent;
pub mod contract;
pub mod disconnect;
pub mod grant;
pub mod installation_alert;
pub mod model;
pub mod names;
pub mod owned_documents;
pub mod pasted_tokens;
pub mod platform;
pub mod proxies;
pub mod record;
pub mod recurrence;
pub mod reports;
pub mod revocation;
pub mod scopes;
pub mod settings;
pub mod sites;
pub mod store_tokens;
pub mod sync_schedule;
pub mod text;
pub mod time;
pub mod timing;
pub mod tokens;
pub mod uniqueness;
pub mod webex;
pub mod workflows;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(target_family = "wasm")]
mod component;
