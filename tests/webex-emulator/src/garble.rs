//! Applies faults to responses.

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use crate::errors;
use crate::faults::FaultKind;

/// Size of a chunk of a huge body.
const CHUNK: usize = 64 * 1024;

/// A response, and whether the client can still understand it.
pub(crate) struct GarbledResponse {
    pub(crate) response: Response,
    pub(crate) understood: bool,
}

/// Returns the response in place of processing the request, if the fault is of this kind.
pub(crate) fn replacement_response(fault: &FaultKind) -> Option<Response> {
    match fault {
        FaultKind::Status { status, body, .. } => Some(with_status(*status, body.as_ref())),
        FaultKind::RateLimited { retry_after } => {
            let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, None);
            if let Some(text) = retry_after {
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, header_value(text));
            }
            Some(response)
        }
        _ => None,
    }
}

/// Applies the fault to a normal response.
pub(crate) async fn garble(response: Response, fault: &FaultKind) -> GarbledResponse {
    if let Some(response) = replacement_response(fault) {
        return not_understood(response);
    }
    let (mut head, body) = response.into_parts();
    // The emulator's own body cannot fail.
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    head.headers.remove(CONTENT_LENGTH);
    match fault {
        FaultKind::MalformedJson => {
            not_understood(Response::from_parts(head, malformed(&body).into()))
        }
        FaultKind::TruncatedJson => {
            head.headers.insert(CONTENT_LENGTH, body.len().into());
            not_understood(Response::from_parts(head, truncated(body)))
        }
        FaultKind::HugeBody { bytes, announced } => {
            if *announced {
                head.headers.insert(CONTENT_LENGTH, (*bytes).into());
            }
            not_understood(Response::from_parts(head, huge(*bytes)))
        }
        FaultKind::ContentType { content_type } => {
            head.headers
                .insert(CONTENT_TYPE, header_value(content_type));
            not_understood(Response::from_parts(head, body.into()))
        }
        FaultKind::Relabel { status } => {
            head.status = *status;
            GarbledResponse {
                understood: status.is_success(),
                response: Response::from_parts(head, body.into()),
            }
        }
        FaultKind::Prefix { text } => {
            let whole = [text.as_bytes(), &body].concat();
            not_understood(Response::from_parts(head, whole.into()))
        }
        FaultKind::Patch { patch } => GarbledResponse {
            understood: !patch.contains_key("refresh_token"),
            response: Response::from_parts(head, patched(&body, patch)),
        },
        _ => GarbledResponse {
            understood: true,
            response: Response::from_parts(head, body.into()),
        },
    }
}

fn not_understood(response: Response) -> GarbledResponse {
    GarbledResponse {
        response,
        understood: false,
    }
}

fn with_status(status: StatusCode, body: Option<&Value>) -> Response {
    match body {
        None => errors::response(status, errors::usual_message(status)),
        Some(Value::String(text)) => (status, text.clone()).into_response(),
        Some(json) => (status, Json(json.clone())).into_response(),
    }
}

/// Converts any text to a header value, with `?` for invalid characters.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let printable: String = text
            .chars()
            .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
            .collect();
        HeaderValue::from_str(&printable).unwrap_or(HeaderValue::from_static("?"))
    })
}

/// Returns the whole body, secrets too, without its last brace.
fn malformed(body: &[u8]) -> Bytes {
    let mut broken = body.to_vec();
    broken.pop();
    broken.extend_from_slice(b",}");
    broken.into()
}

fn truncated(mut body: Bytes) -> Body {
    body.truncate(body.len() / 2);
    let rest = stream::once(async {
        // Let the connection send its data before it finds the body short.
        tokio::task::yield_now().await;
        Ok(Bytes::new())
    });
    Body::from_stream(stream::once(async { Ok::<_, Infallible>(body) }).chain(rest))
}

fn huge(bytes: u64) -> Body {
    const OPEN: &[u8] = b"{\"padding\":\"";
    const CLOSE: &[u8] = b"\"}";
    let frame = (OPEN.len() + CLOSE.len()) as u64;
    let padding = Bytes::from(vec![b'a'; CHUNK]);
    let middle = stream::unfold(bytes.saturating_sub(frame), move |left| {
        let padding = padding.clone();
        async move {
            let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            (size > 0).then(|| (padding.slice(..size), left - size as u64))
        }
    });
    let open = stream::once(async { Bytes::from_static(OPEN) });
    let close = stream::once(async { Bytes::from_static(CLOSE) });
    Body::from_stream(open.chain(middle).chain(close).map(Ok::<_, Infallible>))
}

fn patched(body: &[u8], patch: &Map<String, Value>) -> Body {
    let mut json = serde_json::from_slice(body).unwrap_or_default();
    merge(&mut json, &Value::Object(patch.clone()));
    Body::from(json.to_string())
}

/// Applies a JSON Merge Patch, RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_replaces_adds_and_leaves_out() {
        let mut json = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": 4});
        merge(
            &mut json,
            &json!({"a": null, "b": {"c": -1}, "f": {"g": null, "h": 5}}),
        );
        assert_eq!(json, json!({"b": {"c": -1, "d": 3}, "e": 4, "f": {"h": 5}}));
    }

    #[test]
    fn malformed_body_is_not_json() {
        let body = malformed(br#"{"a":1}"#);
        assert!(serde_json::from_slice::<Value>(&body).is_err());
    }

    #[tokio::test]
    async fn a_huge_body_is_json_of_the_given_size() {
        for bytes in [14, 15, 65_550, 65_551, 200_000] {
            let body = huge(bytes).collect().await.unwrap().to_bytes();
            assert_eq!(body.len() as u64, bytes);
            assert!(serde_json::from_slice::<Value>(&body).is_ok());
        }
    }

    #[test]
    fn a_header_carries_nonsense_but_no_line_break() {
        assert_eq!(header_value("rand(30),add(30)"), "rand(30),add(30)");
        assert_eq!(header_value("1\r\nx: y"), "1??x: y");
    }
}
