//! The emulator as a client sees it: over HTTP, and as a process.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should fail, also in its helpers"
)]

mod administrator;
mod api;
mod authorizations;
mod binary;
mod changes;
mod client_authentication;
mod consent;
mod contact_center;
mod control;
mod directory;
mod exchange;
mod faults;
mod gates;
mod identity_broker;
mod in_process;
mod in_process_faults;
mod lists;
mod paging_defects;
mod program;
mod refresh_modes;
mod revocation;
mod soundness;
mod support;
mod wholesale;
