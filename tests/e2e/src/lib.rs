//! Common parts of the end-to-end tests: a world with a host, a store, an emulated Webex and one clock; the programs as
//! processes.
//!
//! This crate is test code: it panics with a message where a test could not continue.

pub mod api_client;
pub mod artifacts;
pub mod axe;
pub mod browser;
pub mod cli_world;
pub mod database;
pub mod faulty_proxy;
pub mod faulty_store;
pub mod network;
pub mod openid_provider;
pub mod optional_programs;
pub mod packages;
pub mod process;
pub mod time;
pub mod tls;
pub mod tls_front;
pub mod trace_collector;
pub mod webhook_receiver;
pub mod world;
mod world_store;

pub use world::{Customer, World, WorldBuilder};
