//! `egress.use-proxies`: which way requests go, for how long, and what is no proxy.

use serde_json::Value;

use crate::bindings::automate::platform::egress as out;
use crate::bindings::automate::platform::types::Failure;
use crate::checks::egress::{seen, server};
use crate::exchange::{Request, answered, exchange};
use crate::samples::Scene;
use crate::verdict::{Outcome, Verdict, case, failed, holds, same, skipped};

/// How the server was asked: `absolute`, which is how proxies are, or `origin`.
pub fn way(origin: &str) -> Result<Option<String>, Verdict> {
    let seen = seen(&answered(&Request::get(origin, "/echo"))?)?;
    Ok(seen.get("form").and_then(Value::as_str).map(str::to_owned))
}

/// The driver's proxy.
pub fn proxy(scene: &Scene) -> Result<&str, Verdict> {
    match &scene.options.proxy {
        Some(proxy) => Ok(proxy),
        None => skipped("the driver gave no `proxy`"),
    }
}

pub fn used(scene: &Scene) -> Outcome {
    let (server, proxy) = (server(scene)?, proxy(scene)?);
    same("before", way(server)?.as_deref(), Some("origin"))?;
    out::use_proxies(Some(proxy), None)?;
    same("with a proxy", way(server)?.as_deref(), Some("absolute"))?;
    out::use_proxies(None, Some(proxy))?;
    same(
        "with a proxy for https alone",
        way(server)?.as_deref(),
        Some("origin"),
    )?;
    out::use_proxies(None, None)?;
    same("without one again", way(server)?.as_deref(), Some("origin"))?;
    // Left set: the next call must not know of it.
    out::use_proxies(Some(proxy), None)?;
    Ok(())
}

pub fn malformed(_: &Scene) -> Outcome {
    match out::use_proxies(Some("not a proxy"), Some("ftp://also.not.one/")) {
        Ok(()) => failed("malformed proxies were taken"),
        Err(Failure::Invalid(faults)) => {
            let mut fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
            fields.sort_unstable();
            same("the fields named", fields, vec!["http", "https"])
        }
        Err(other) => failed(format!("expected invalid, found {other:?}")),
    }
}

pub fn denied(scene: &Scene) -> Outcome {
    let Some(denied) = &scene.options.denied else {
        return skipped("the driver gave no `denied` address");
    };
    match out::use_proxies(Some(denied), None) {
        Err(failure) => same("the case", case(&failure), "limit-exceeded"),
        // A host may know only when it resolves the name: then no request gets through.
        Ok(()) => {
            let answer = exchange(&Request::get(server(scene)?, "/echo"));
            out::use_proxies(None, None)?;
            holds("a request went through it", answer.is_err())
        }
    }
}
