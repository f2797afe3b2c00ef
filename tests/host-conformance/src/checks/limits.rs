//! The limits of a call: far beyond any reasonable limit, hosts must refuse.

use crate::bindings::automate::platform::storage::Change;
use crate::bindings::automate::platform::types::Failure;
use crate::bindings::wasi::http::types::ErrorCode;
use crate::checks::egress::server;
use crate::exchange::{Request, send};
use crate::outcome::{Outcome, ensure, fail};
use crate::samples::{self, CheckContext, commit, is_there};

fn ensure_exceeded(what: &str, result: Result<(), Failure>) -> Outcome {
    match result {
        Err(Failure::LimitExceeded(text)) => ensure(
            &format!("{what}: the error does not name the limit"),
            !text.trim().is_empty(),
        ),
        Err(other) => fail(format!("{what}: expected limit-exceeded, found {other:?}")),
        Ok(()) => fail(format!("{what}: the commit was made")),
    }
}

pub fn changes(context: &CheckContext) -> Outcome {
    let document = context.document();
    let mut changes = vec![Change::Put(document.clone())];
    changes.extend((0..50_000).map(|n| samples::cancel(document.reference.clone(), n.to_string())));
    ensure_exceeded("50 000 changes", commit(changes))?;
    ensure("the commit was refused but made", !is_there(&document)?)
}

pub fn commit_size(context: &CheckContext) -> Outcome {
    let mut document = context.document();
    document.body = format!("{{\"x\":\"{}\"}}", "x".repeat(8 << 20));
    ensure_exceeded(
        "a body of 8 MiB",
        commit(vec![Change::Put(document.clone())]),
    )?;
    ensure("the commit was refused but made", !is_there(&document)?)
}

pub fn requests(context: &CheckContext) -> Outcome {
    const MANY: u32 = 2000;
    let server = server(context)?;
    for sent in 0..MANY {
        match send(&Request::get(server, "/response")) {
            Ok(_) => {}
            Err(ErrorCode::ConnectionLimitReached) => return Ok(()),
            Err(other) => {
                return fail(format!(
                    "after {sent} requests: expected connection-limit-reached, found {other:?}"
                ));
            }
        }
    }
    fail(format!("{MANY} requests got a response in one call"))
}
