//! Webhooks over sockets: a receiver that fails in each way, addresses that the policy denies, and receivers in other
//! languages that verify the signatures.
//!
//! Tests with Python or Node are reported as skipped if it is missing, or fail if `RELATION_REQUIRE_CLIENTS` is set.

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
