//! The way out by real proxies: tinyproxy and squid as Debian has them, each started by its test.
//!
//! Where one is not installed its tests say that they were skipped; with `RELATION_REQUIRE_PROXIES`
//! set they fail instead.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

mod command;
mod customers;
mod daemon;
mod faults;
mod passing;
mod servers;
mod squid;
mod tinyproxy;
mod way;
