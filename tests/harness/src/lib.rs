//! The component test harness: tools for authors of plugins and for platform engineers to check that a component and
//! a host keep the contract.
//!
//! The harness loads a component, not a crate: no plugin code is linked.
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

pub use emulated::EmulatedWebex;
pub use harness::{
    Call, CallFailure, Harness, HarnessBuilder, Http, ObservedCall, StartError, StoreKind,
};
pub use memory::MemoryStore;
