//! Egress: the transfer of requests and responses, and the codes of errors.

use serde_json::Value;

use crate::bindings::automate::platform::egress;
use crate::bindings::wasi::http::types::ErrorCode;
use crate::exchange::{Request, Response, certainly_not_sent, send, send_ok};
use crate::outcome::{CheckFailure, Outcome, ensure, ensure_eq, fail, skip};
use crate::samples::CheckContext;

/// Returns the driver's server.
pub fn server(context: &CheckContext) -> Result<&str, CheckFailure> {
    match &context.options.server {
        Some(server) => Ok(server),
        None => skip("the driver gave no `server`"),
    }
}

/// Returns the request as the server saw it.
pub fn parse_echo(response: &Response) -> Result<Value, CheckFailure> {
    serde_json::from_slice(&response.body)
        .or_else(|error| fail(format!("the echo of the server is not JSON: {error}")))
}

fn expect_code<T: std::fmt::Debug>(
    what: &str,
    response: Result<T, ErrorCode>,
) -> Result<ErrorCode, CheckFailure> {
    match response {
        Err(code) => Ok(code),
        Ok(response) => fail(format!("{what}: expected an error, found {response:?}")),
    }
}

pub fn response(context: &CheckContext) -> Outcome {
    let response = send_ok(&Request::get(server(context)?, "/response"))?;
    ensure_eq("the status", response.status, 201)?;
    ensure_eq(
        "the header `x-conformance`",
        response.header("x-conformance"),
        vec!["one".to_owned(), "two".to_owned()],
    )?;
    let body: Vec<u8> = (0..=255).collect();
    ensure_eq("the body", response.body, body)
}

pub fn request(context: &CheckContext) -> Outcome {
    let body = "b\u{e9}".repeat(5000);
    let sent = Request {
        post: true,
        headers: &[("x-conformance", "as sent"), ("content-type", "text/plain")],
        body: body.as_bytes(),
        ..Request::get(server(context)?, "/echo?a=b%20c&d")
    };
    let received = parse_echo(&send_ok(&sent)?)?;
    let text = |name: &str| {
        received
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let header = |name: &str| {
        let value = received
            .get("headers")
            .and_then(|headers| headers.get(name));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    ensure_eq("the method", text("method").as_deref(), Some("POST"))?;
    ensure_eq("the path", text("target").as_deref(), Some(sent.path))?;
    ensure_eq(
        "the header `x-conformance`",
        header("x-conformance").as_deref(),
        Some("as sent"),
    )?;
    let authority = sent
        .origin
        .split_once("://")
        .map(|(_, authority)| authority);
    ensure_eq("the host", header("host").as_deref(), authority)?;
    ensure_eq("the body", text("body"), Some(body.clone()))
}

pub fn status(context: &CheckContext) -> Outcome {
    let response = send_ok(&Request::get(server(context)?, "/unavailable"))?;
    ensure_eq("the status", response.status, 503)
}

pub fn redirect(context: &CheckContext) -> Outcome {
    let response = send_ok(&Request::get(server(context)?, "/redirect"))?;
    ensure_eq("the status", response.status, 302)?;
    ensure_eq(
        "the header `location`",
        response.header("location"),
        vec!["/echo".to_owned()],
    )
}

pub fn denied(context: &CheckContext) -> Outcome {
    let Some(origin) = &context.options.denied else {
        return skip("the driver gave no `denied` address");
    };
    let code = expect_code("a denied target", send(&Request::get(origin, "/echo")))?;
    if !matches!(
        code,
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited
    ) {
        return fail(format!(
            "expected HTTP-request-denied or destination-IP-prohibited, found {code:?}"
        ));
    }
    match egress::last_error() {
        Some(text) => ensure("the error has no text", !text.trim().is_empty()),
        None => fail("`last-error` returns nothing"),
    }
}

pub fn refused(context: &CheckContext) -> Outcome {
    let Some(origin) = &context.options.closed else {
        return skip("the driver gave no `closed` address");
    };
    let code = expect_code("a closed origin", send(&Request::get(origin, "/")))?;
    let is_unsent_code = certainly_not_sent(&code) && !matches!(code, ErrorCode::HttpRequestDenied);
    ensure(
        &format!("expected a code such as connection-refused, found {code:?}"),
        is_unsent_code,
    )
}

/// Checks that the error code leaves open whether the request was sent.
fn ensure_possibly_sent(what: &str, response: Result<Response, ErrorCode>) -> Outcome {
    let code = expect_code(what, response)?;
    ensure(
        &format!("{what}: {code:?} means that the request was not sent"),
        !certainly_not_sent(&code),
    )
}

pub fn deadline(context: &CheckContext) -> Outcome {
    let request = Request {
        timeout_ms: Some(100),
        ..Request::get(server(context)?, "/never")
    };
    ensure_possibly_sent("a response that never comes", send(&request))
}

pub fn deadline_unset(context: &CheckContext) -> Outcome {
    let request = Request::get(server(context)?, "/never");
    ensure_possibly_sent(
        "a response that never comes, without request options",
        send(&request),
    )
}

pub fn cut(context: &CheckContext) -> Outcome {
    let request = Request::get(server(context)?, "/cut");
    ensure_possibly_sent("a response that ends early", send(&request))
}

pub fn size(context: &CheckContext) -> Outcome {
    // Larger than any reasonable limit.
    let request = Request::get(server(context)?, "/large?bytes=50331648");
    let response = send(&request).map(|response| response.body.len());
    ensure_body_size_error(response)
}

fn ensure_body_size_error(response: Result<usize, ErrorCode>) -> Outcome {
    match expect_code("a response of 48 MiB", response)? {
        ErrorCode::HttpResponseBodySize(_) => Ok(()),
        other => fail(format!("expected HTTP-response-body-size, found {other:?}")),
    }
}

pub fn last_error(context: &CheckContext) -> Outcome {
    let server = server(context)?;
    send_ok(&Request::get(server, "/response"))?;
    ensure_eq("after a complete response", egress::last_error(), None)?;
    // Another check tests that the request fails.
    let _ = send(&Request::get(server, "/cut"));
    match egress::last_error() {
        None => return fail("`last-error` returns nothing about a response that ended early"),
        Some(text) => ensure("the error has no text", !text.trim().is_empty())?,
    }
    send_ok(&Request::get(server, "/response"))?;
    ensure_eq(
        "after the next complete response",
        egress::last_error(),
        None,
    )
}
