//! Logs the message of a panic to the transaction, before the call traps.

use std::panic;

use crate::contract::bindings::automate::platform::transactions;
use crate::platform::Level;

/// Runs when the module is initialized, before any export.
#[used]
#[unsafe(link_section = ".init_array")]
static INITIALIZE: extern "C" fn() = log_panics;

extern "C" fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        transactions::log(Level::Error, &format!("the plugin panicked: {panic}"));
    }));
}
