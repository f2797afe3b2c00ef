//! The conformance suite for hosts: a plugin of the world `automate:spark-customer`, which every host that runs that
//! plugin can run without other bindings.
//!
//! The suite checks each promise of `automate:platform`, and of the imported parts of WASI. The results are stored in
//! a document, and returned as JSON in `connection.notes`:
//!
//! ```json
//! {"suite": "host-conformance 0.1.0", "next": "checks",
//!  "checks": [{"id": "storage.put.version", "says": "…", "status": "passed", "why": null}]}
//! ```
//!
//! `status` is `passed`, `failed`, `skipped` (`why` names what was missing) or `pending` (a wakeup will decide). A check
//! that was not tried never passes. `next` is the driver's next action: call `checks` again (`checks`), let time pass
//! (`wait`), or nothing (`done`).
//!
//! # The driver
//! 1. `add`, with the fields that `options.rs` describes: addresses of a server for the egress checks, and the length
//!    of a moment. The call creates the record; no checks run.
//! 2. `modify` with the fields `{"do": "checks"}`, until `next` is no longer `checks`. A call that fails is made again:
//!    the check that was cut off has failed.
//! 3. `refresh` once, which compares the time of the request with the plugin's clock.
//! 4. Two concurrent calls, one that outlives its lease, and a restart: the actions of `driver_actions.rs`.
//! 5. Let wakeups come, and call `check-expiry` until `next` is `done`. The last wakeup is due after ten moments; a
//!    failed one is retried when the host chooses.
//! 6. `delete`. An error names remaining data, or another problem.
//!
//! A host conforms if no check `failed` or is `pending`, no check was `skipped` whose means the host should have, and
//! `delete` succeeds.
#![cfg(target_family = "wasm")]
#![allow(
    missing_docs,
    clippy::panic,
    reason = "one of the checks is that a host survives a trap"
)]

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/spark-customer",
        world: "automate:spark-customer/spark-customer",
        generate_all,
    });
}

mod checks;
mod cleanup;
mod deliveries;
mod driver_actions;
mod exchange;
mod options;
mod outcome;
mod registry;
mod samples;
mod state;
/// As in the plugin: no import of `wasi:cli`.
#[path = "../../../plugin/src/component/unused_wasi.rs"]
mod unused_wasi;
mod workflows;

/// The identity of this plugin for hosts.
const IDENTITY: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

#[used]
#[unsafe(link_section = "automate:plugin")]
static SECTION: [u8; IDENTITY.len()] = match IDENTITY.as_bytes().first_chunk() {
    Some(bytes) => *bytes,
    None => [b' '; IDENTITY.len()],
};

bindings::export!(Suite with_types_in bindings);

use workflows::Suite;
