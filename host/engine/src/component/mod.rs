//! Components: the engine, resource limits, calls, and the errors of failed calls.

mod cache;
pub(crate) mod convert;
mod engine;
mod entropy_rng;
mod error;
mod identity;
mod inspect;
mod instance;
mod plugin;

pub use cache::{CacheUse, ComponentCache};
#[cfg(feature = "test-util")]
pub use engine::engine;
pub use error::{GuestError, GuestErrorKind};
pub use inspect::{Export, Import, ImportStatus, InspectError, Inspection, inspect, inspect_with};
pub(crate) use instance::{CallState, InstanceParams};
pub use plugin::Plugin;
