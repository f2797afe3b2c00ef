//! Tests of webhooks over sockets: receivers with each kind of failure, addresses that the policy denies, and receivers
//! in other languages that verify the signatures.
//!
//! A test that needs Python or Node is reported as skipped if the program is missing. If `RELATION_REQUIRE_CLIENTS` is
//! set, the test fails instead.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should fail, also in its helpers"
)]

mod addresses;
mod documentation;
mod failures;
mod libraries;
#[path = "../python/packages.rs"]
mod packages;
mod receivers;
mod support;
