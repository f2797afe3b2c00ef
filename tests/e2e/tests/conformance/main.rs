//! The suite for hosts: ours passes it on every store, and a host that is broken in one way fails
//! the matching check.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

mod broken;
mod documented;
mod passing;
mod support;
