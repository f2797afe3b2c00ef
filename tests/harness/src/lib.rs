//! The component test harness: what a plugin's author and a platform's engineer use to know that a
//! component and a host keep the contract.
//!
//! It loads a component, not a crate: no code of any plugin is linked.
//!
#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod conformance;
pub mod emulated;
pub mod explore;
pub mod harness;
pub mod memory;
pub mod recording;
pub mod redaction;
pub mod scenario;
pub mod script;
pub mod storage;
pub mod sweep;
pub mod transcript;

pub use emulated::Emulated;
pub use harness::{Call, Failed, Harness, HarnessBuilder, Http, Observed, StartError, StoreKind};
pub use memory::MemoryStore;
