//! The way out: what of a request and of its answer arrives, and which code a fault has.

use serde_json::Value;

use crate::bindings::automate::platform::egress as out;
use crate::bindings::wasi::http::types::ErrorCode;
use crate::exchange::{Answer, Request, answered, certainly_not_sent, exchange};
use crate::samples::Scene;
use crate::verdict::{Outcome, Verdict, failed, holds, same, skipped};

/// The driver's server.
pub fn server(scene: &Scene) -> Result<&str, Verdict> {
    match &scene.options.server {
        Some(server) => Ok(server),
        None => skipped("the driver gave no `server`"),
    }
}

/// What the server saw of a request.
pub fn seen(answer: &Answer) -> Result<Value, Verdict> {
    serde_json::from_slice(&answer.body)
        .or_else(|error| failed(format!("what the server echoes is no JSON: {error}")))
}

fn code<T: std::fmt::Debug>(
    what: &str,
    answer: Result<T, ErrorCode>,
) -> Result<ErrorCode, Verdict> {
    match answer {
        Err(code) => Ok(code),
        Ok(answer) => failed(format!("{what}: expected an error, found {answer:?}")),
    }
}

pub fn answer(scene: &Scene) -> Outcome {
    let answer = answered(&Request::get(server(scene)?, "/answer"))?;
    same("the status", answer.status, 201)?;
    same(
        "the header `x-conformance`",
        answer.header("x-conformance"),
        vec!["one".to_owned(), "two".to_owned()],
    )?;
    let body: Vec<u8> = (0..=255).collect();
    same("the body", answer.body, body)
}

pub fn request(scene: &Scene) -> Outcome {
    let body = "b\u{e9}".repeat(5000);
    let sent = Request {
        post: true,
        headers: &[("x-conformance", "as sent"), ("content-type", "text/plain")],
        body: body.as_bytes(),
        ..Request::get(server(scene)?, "/echo?a=b%20c&d")
    };
    let seen = seen(&answered(&sent)?)?;
    let text = |name: &str| seen.get(name).and_then(Value::as_str).map(str::to_owned);
    let header = |name: &str| {
        let value = seen.get("headers").and_then(|headers| headers.get(name));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    same("the method", text("method").as_deref(), Some("POST"))?;
    same("the path", text("target").as_deref(), Some(sent.path))?;
    same(
        "the header `x-conformance`",
        header("x-conformance").as_deref(),
        Some("as sent"),
    )?;
    let authority = sent
        .origin
        .split_once("://")
        .map(|(_, authority)| authority);
    same("the host", header("host").as_deref(), authority)?;
    same("the body", text("body"), Some(body.clone()))
}

pub fn status(scene: &Scene) -> Outcome {
    let answer = answered(&Request::get(server(scene)?, "/unavailable"))?;
    same("the status", answer.status, 503)
}

pub fn redirect(scene: &Scene) -> Outcome {
    let answer = answered(&Request::get(server(scene)?, "/redirect"))?;
    same("the status", answer.status, 302)?;
    same(
        "the header `location`",
        answer.header("location"),
        vec!["/echo".to_owned()],
    )
}

pub fn denied(scene: &Scene) -> Outcome {
    let Some(origin) = &scene.options.denied else {
        return skipped("the driver gave no `denied` address");
    };
    let code = code("a denied target", exchange(&Request::get(origin, "/echo")))?;
    if !matches!(
        code,
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited
    ) {
        return failed(format!(
            "expected HTTP-request-denied or destination-IP-prohibited, found {code:?}"
        ));
    }
    match out::last_error() {
        Some(words) => holds("the fault has no words", !words.trim().is_empty()),
        None => failed("`last-error` knows nothing of it"),
    }
}

pub fn refused(scene: &Scene) -> Outcome {
    let Some(origin) = &scene.options.closed else {
        return skipped("the driver gave no `closed` address");
    };
    let code = code("where nobody listens", exchange(&Request::get(origin, "/")))?;
    let kept = certainly_not_sent(&code) && !matches!(code, ErrorCode::HttpRequestDenied);
    holds(
        &format!("expected a code such as connection-refused, found {code:?}"),
        kept,
    )
}

/// The request may have been carried out: the code must not say otherwise.
fn in_doubt(what: &str, answer: Result<Answer, ErrorCode>) -> Outcome {
    let code = code(what, answer)?;
    holds(
        &format!("{what}: {code:?} says that the request was not sent"),
        !certainly_not_sent(&code),
    )
}

pub fn deadline(scene: &Scene) -> Outcome {
    let request = Request {
        patience: Some(100),
        ..Request::get(server(scene)?, "/never")
    };
    in_doubt("an answer that never comes", exchange(&request))
}

pub fn deadline_unset(scene: &Scene) -> Outcome {
    let request = Request::get(server(scene)?, "/never");
    in_doubt("an answer that never comes", exchange(&request))
}

pub fn cut(scene: &Scene) -> Outcome {
    let request = Request::get(server(scene)?, "/cut");
    in_doubt("an answer that ends early", exchange(&request))
}

pub fn size(scene: &Scene) -> Outcome {
    // Larger than anything that a host should take from anybody.
    let request = Request::get(server(scene)?, "/large?bytes=50331648");
    let answer = exchange(&request).map(|answer| answer.body.len());
    in_doubt_of_size(answer)
}

fn in_doubt_of_size(answer: Result<usize, ErrorCode>) -> Outcome {
    match code("an answer of 48 MiB", answer)? {
        ErrorCode::HttpResponseBodySize(_) => Ok(()),
        other => failed(format!("expected HTTP-response-body-size, found {other:?}")),
    }
}

pub fn last_error(scene: &Scene) -> Outcome {
    let server = server(scene)?;
    answered(&Request::get(server, "/answer"))?;
    same("after a whole answer", out::last_error(), None)?;
    // That it failed is another check's.
    let _ = exchange(&Request::get(server, "/cut"));
    match out::last_error() {
        None => return failed("nothing is said about an answer that ended early"),
        Some(words) => holds("the fault has no words", !words.trim().is_empty())?,
    }
    answered(&Request::get(server, "/answer"))?;
    same("after the next whole answer", out::last_error(), None)
}
