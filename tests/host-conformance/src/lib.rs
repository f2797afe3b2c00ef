//! The suite that checks a host's imports: a plugin of the world `automate:spark-customer`, so that a
//! host which can run that plugin can run this one, with no other bindings.
//!
//! It checks sentence by sentence what `automate:platform`, and of WASI what the world imports, promise.
//! What it finds stands in a document of its own and is answered as JSON in `connection.notes`:
//!
//! ```json
//! {"suite": "host-conformance 0.1.0", "next": "checks",
//!  "checks": [{"id": "storage.put.version", "says": "…", "status": "passed", "why": null}]}
//! ```
//!
//! `status` is `passed`, `failed`, `skipped` (`why` says what was missing) or `pending` (a wakeup is
//! to decide it). Nothing is passed that was not tried. `next` says what to do: call `checks` again
//! (`checks`), let time pass (`wait`), or nothing (`done`).
//!
//! # Whoever drives it
//! 1. `add`, with the fields that `options.rs` describes: addresses of a server for the checks of the
//!    way out, how long a moment is. It makes the record; nothing is checked yet.
//! 2. `modify` with the fields `{"do": "checks"}`, until `next` is not `checks` any more. A call that
//!    ends in an error is made again: the check that it was cut off in has failed.
//! 3. `refresh` once: it compares the moment of asking with the plugin's clock.
//! 4. With two calls at once, one that outlives its lease, a restart: the verbs of `verbs.rs`.
//! 5. Let wakeups come, and ask `check-expiry` until `next` is `done`. The last is due after ten
//!    moments; one that failed comes again when the host likes.
//! 6. `delete`. An error says that something was left, or what else went wrong.
//!
//! A pass: no check `failed` or `pending`, none `skipped` that the host should have been given the means
//! for, and `delete` without an error.
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
mod exchange;
mod list;
mod options;
mod samples;
mod state;
mod verbs;
mod verdict;
mod workflows;

/// Names this plugin to hosts.
const IDENTITY: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

#[used]
#[unsafe(link_section = "automate:plugin")]
static SECTION: [u8; IDENTITY.len()] = match IDENTITY.as_bytes().first_chunk() {
    Some(bytes) => *bytes,
    None => [b' '; IDENTITY.len()],
};

bindings::export!(Suite with_types_in bindings);

use workflows::Suite;
