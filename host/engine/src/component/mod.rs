//! Components: the engine, resource limits, calls, and the errors of failed calls.

mod cache;
pub(crate) mod convert;
pub mod engine;
mod entropy_rng;
pub mod error;
pub mod identity;
pub mod inspect;
mod instance;
mod plugin;

pub use cache::ComponentCache;
pub use error::{GuestError, GuestErrorKind};
pub use inspect::{Export, Import, ImportStatus, InspectError, Inspection, inspect, inspect_with};
pub(crate) use instance::{CallState, InstanceParams};
pub use plugin::Plugin;
