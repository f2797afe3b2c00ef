//! Workflows under faults: every failing import, a crash at every point, and concurrent calls in many orders.
//! No result may be lost or duplicated.
//!
//! `docs/sweep.md` and `docs/schedules.md` are generated from the results: `INSTA_UPDATE=always cargo test
//! --workspace --test robustness`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

mod page;
mod schedules;
mod sweep;
mod world;
