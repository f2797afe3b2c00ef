//! What the tests of the whole share: a world with a host, a store, an emulated Webex and one clock,
//! and the programs under test as processes.
//!
//! This crate is test code: it stops with a message where a test could not go on.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

pub mod artifacts;
pub mod browser;
pub mod database;
pub mod faulty_store;
pub mod front;
pub mod gateway;
pub mod installed;
pub mod network;
pub mod process;
pub mod proxy;
pub mod scene;
pub mod time;
pub mod world;

pub use world::{Customer, World, WorldBuilder};
