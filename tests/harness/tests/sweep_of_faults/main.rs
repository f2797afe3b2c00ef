//! The fault sweep of every workflow: one import fails, or the process is lost, at every point in turn;
//! in the end nothing is lost and nothing is doubled. `docs/sweep.md` is written from what is found here:
//! `INSTA_UPDATE=always cargo test --workspace --test sweep_of_faults`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

mod judged;
mod page;
mod stories;
mod world;
