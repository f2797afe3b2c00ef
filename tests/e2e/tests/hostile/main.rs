//! Plugins that misbehave, each in one way: the host stays up, other customers' calls continue, and
//! the error names the limit.
//!
//! Each file of `tests/fixtures/examples/` has a test of its name here; a missing one does not
//! compile.

mod bounds;
mod component;
mod documents;
mod header_tricks;
mod incompatible;
mod network;
mod oversized;
mod secrets;
mod state;
mod world;

use bounds::*;
use documents::*;
use header_tricks::*;
use incompatible::*;
use network::*;
use oversized::*;
use secrets::*;
use state::*;

include!("../../../fixtures/list.rs");

macro_rules! assert_tests_exist {
    ($($name:ident)*) => { const _: &[fn()] = &[$($name),*]; };
}

for_each_fixture!(assert_tests_exist);
