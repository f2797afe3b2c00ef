//! `egress.use-proxies`: use, duration and malformed proxies.

use serde_json::Value;

use crate::bindings::automate::platform::egress;
use crate::bindings::automate::platform::types::Failure;
use crate::checks::egress::{parse_echo, server};
use crate::exchange::{Request, send, send_ok};
use crate::outcome::{CheckFailure, Outcome, ensure, ensure_eq, fail, failure_case, skip};
use crate::samples::CheckContext;

/// Returns the form of the request target at the server: `absolute` through a proxy, otherwise `origin`.
pub fn request_form(origin: &str) -> Result<Option<String>, CheckFailure> {
    let seen = parse_echo(&send_ok(&Request::get(origin, "/echo"))?)?;
    Ok(seen.get("form").and_then(Value::as_str).map(str::to_owned))
}

/// Returns the driver's proxy.
pub fn proxy(context: &CheckContext) -> Result<&str, CheckFailure> {
    match &context.options.proxy {
        Some(proxy) => Ok(proxy),
        None => skip("the driver gave no `proxy`"),
    }
}

pub fn used(context: &CheckContext) -> Outcome {
    let (server, proxy) = (server(context)?, proxy(context)?);
    ensure_eq("before", request_form(server)?.as_deref(), Some("origin"))?;
    egress::use_proxies(Some(proxy), None)?;
    ensure_eq(
        "with a proxy",
        request_form(server)?.as_deref(),
        Some("absolute"),
    )?;
    egress::use_proxies(None, Some(proxy))?;
    ensure_eq(
        "with a proxy for https alone",
        request_form(server)?.as_deref(),
        Some("origin"),
    )?;
    egress::use_proxies(None, None)?;
    ensure_eq(
        "without one again",
        request_form(server)?.as_deref(),
        Some("origin"),
    )?;
    // Not reset: the next call must not use the proxy.
    egress::use_proxies(Some(proxy), None)?;
    Ok(())
}

pub fn malformed(_: &CheckContext) -> Outcome {
    match egress::use_proxies(Some("not a proxy"), Some("ftp://also.not.one/")) {
        Ok(()) => fail("malformed proxies were accepted"),
        Err(Failure::Invalid(faults)) => {
            let mut fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
            fields.sort_unstable();
            ensure_eq("the fields named", fields, vec!["http", "https"])
        }
        Err(other) => fail(format!("expected invalid, found {other:?}")),
    }
}

pub fn denied(context: &CheckContext) -> Outcome {
    let Some(denied) = &context.options.denied else {
        return skip("the driver gave no `denied` address");
    };
    match egress::use_proxies(Some(denied), None) {
        Err(failure) => ensure_eq("the case", failure_case(&failure), "limit-exceeded"),
        // A host may only know after resolving the name: then no request may succeed.
        Ok(()) => {
            let response = send(&Request::get(server(context)?, "/echo"));
            egress::use_proxies(None, None)?;
            ensure("a request used the proxy", response.is_err())
        }
    }
}
