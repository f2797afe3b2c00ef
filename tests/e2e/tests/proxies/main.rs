//! Egress through real proxies: tinyproxy and squid from Debian, each started by its test.
//!
//! Tests of a proxy that is not installed report that they were skipped; with
//! `RELATION_REQUIRE_PROXIES` set they fail instead.
#![cfg(unix)]

mod command;
mod customers;
mod daemon;
mod faults;
mod forwarding;
mod servers;
mod squid;
mod targets;
mod tinyproxy;
