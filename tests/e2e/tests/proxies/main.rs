//! Egress through real proxies: tinyproxy and squid from Debian, each started by its test.
//!
//! Tests of a proxy that is not installed report that they were skipped; with
//! `RELATION_REQUIRE_PROXIES` set they fail instead.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

mod command;
mod customers;
mod daemon;
mod faults;
mod forwarding;
mod servers;
mod squid;
mod targets;
mod tinyproxy;
