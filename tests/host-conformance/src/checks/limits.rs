//! Bounds of a call, as far as every host must have one somewhere: what is far beyond is refused.

use crate::bindings::automate::platform::storage::Change;
use crate::bindings::automate::platform::types::Failure;
use crate::bindings::wasi::http::types::ErrorCode;
use crate::checks::egress::server;
use crate::exchange::{Request, exchange};
use crate::samples::{self, Scene, commit, is_there};
use crate::verdict::{Outcome, failed, holds};

fn exceeded(what: &str, answer: Result<(), Failure>) -> Outcome {
    match answer {
        Err(Failure::LimitExceeded(words)) => holds(
            &format!("{what}: the limit is not named"),
            !words.trim().is_empty(),
        ),
        Err(other) => failed(format!("{what}: expected limit-exceeded, found {other:?}")),
        Ok(()) => failed(format!("{what}: it was done")),
    }
}

pub fn changes(scene: &Scene) -> Outcome {
    let document = scene.document();
    let mut changes = vec![Change::Put(document.clone())];
    changes.extend((0..50_000).map(|n| samples::cancel(document.reference.clone(), n.to_string())));
    exceeded("50 000 changes", commit(changes))?;
    holds("it was refused and done", !is_there(&document)?)
}

pub fn commit_size(scene: &Scene) -> Outcome {
    let mut document = scene.document();
    document.body = format!("{{\"x\":\"{}\"}}", "x".repeat(8 << 20));
    exceeded(
        "a body of 8 MiB",
        commit(vec![Change::Put(document.clone())]),
    )?;
    holds("it was refused and done", !is_there(&document)?)
}

pub fn requests(scene: &Scene) -> Outcome {
    const MANY: u32 = 2000;
    let server = server(scene)?;
    for sent in 0..MANY {
        match exchange(&Request::get(server, "/answer")) {
            Ok(_) => {}
            Err(ErrorCode::ConnectionLimitReached) => return Ok(()),
            Err(other) => {
                return failed(format!(
                    "after {sent} requests: expected connection-limit-reached, found {other:?}"
                ));
            }
        }
    }
    failed(format!("{MANY} requests were answered in one call"))
}
