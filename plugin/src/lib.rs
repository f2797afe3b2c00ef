//! The workflows of `relation/SparkCustomer`: one customer's connection to one Webex organisation.
//!
//! The same code is a WebAssembly component (`component`, the glue, on `wasm32-wasip2` only) and a
//! native library for tests and baselines. A workflow is a function of a [`platform::Platform`] and
//! its arguments; it keeps nothing between calls, never sleeps, and waits by means of wakeups.

pub mod admission;
pub mod alerts;
pub mod callback;
pub mod consent;
pub mod ending;
pub mod grant;
pub mod installation;
pub mod model;
pub mod names;
pub mod parts;
pub mod pasted;
pub mod platform;
pub mod record;
pub mod reports;
pub mod revocation;
pub mod scopes;
pub mod settings;
pub mod text;
pub mod timing;
pub mod tokens;
pub mod webex;
pub mod workflows;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(target_family = "wasm")]
mod component;
