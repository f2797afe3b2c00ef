//! The component test harness: what a plugin's author and a platform's engineer use to know that a
//! component and a host keep the contract.
//!
//! It loads a component, not a crate: no code of any plugin is linked.
#![deny(missing_docs)]

pub mod conformance;
pub mod memory;
pub mod scenario;

pub use memory::MemoryStore;
