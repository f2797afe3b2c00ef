//! Plugins that misbehave, each in one way: the host stays up, other customers' calls go on, and the
//! error names what was hit.
//!
//! Each file of `tests/fixtures/examples/` has a test of its name here. One without does not compile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

mod bounds;
mod component;
mod documents;
mod giants;
mod header_tricks;
mod misfits;
mod network;
mod secrets;
mod stage;
mod state;

use bounds::*;
use documents::*;
use giants::*;
use header_tricks::*;
use misfits::*;
use network::*;
use secrets::*;
use state::*;

include!("../../../fixtures/list.rs");

macro_rules! assert_tests_exist {
    ($($name:ident)*) => { const _: &[fn()] = &[$($name),*]; };
}

for_each_fixture!(assert_tests_exist);
