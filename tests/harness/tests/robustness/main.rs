//! What workflows come to when things go wrong: every import failing in turn, the process lost at every
//! point, and calls at once in every order. In the end nothing is lost and nothing is doubled.
//!
//! `docs/sweep.md` and `docs/schedules.md` are written from what is found here:
//! `INSTA_UPDATE=always cargo test --workspace --test robustness`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

mod page;
mod schedules;
mod sweep;
mod world;
