//! Refuses requests that another site makes a browser send (CSRF).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use relation_app::{AppError, ErrorKind};

use super::authenticate::read_bearer_key;
use super::{AccessParts, sessions};
use crate::WebError;

/// Refuses requests from other sites, unless their method is safe.
///
/// A browser says in `Sec-Fetch-Site` where a request comes from; an older one sends at least `Origin`. A request with
/// neither comes from another program. Requests with an API key and without a session are not checked.
///
/// Use it with [`axum::middleware::from_fn_with_state`].
pub async fn refuse_cross_site(
    State(parts): State<AccessParts>,
    request: Request,
    next: Next,
) -> Response {
    match is_allowed(&parts, request.method(), request.headers()) {
        true => next.run(request).await,
        false => {
            let message = "the request comes from another site";
            let hint = format!("open the page at {}", parts.options().public_url);
            let error = AppError::new(ErrorKind::Usage, message).hint(hint);
            WebError::new(StatusCode::FORBIDDEN, error).into_response()
        }
    }
}

fn is_allowed(parts: &AccessParts, method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return true;
    }
    let has_key = read_bearer_key(headers).is_some();
    if has_key && sessions::read_cookie(parts, headers).is_none() {
        return true;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    match headers.get(header::ORIGIN) {
        Some(origin) => {
            let own = parts.options().public_url.origin().ascii_serialization();
            origin.as_bytes() == own.as_bytes()
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::access::testing::create_parts;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn unsafe_requests_of_other_sites_are_refused() {
        let parts = create_parts();
        let cookie = ("cookie", "a=b; relation=0123");
        let cases: &[(&[(&'static str, &'static str)], bool)] = &[
            (&[], true),
            (&[cookie], true),
            (&[cookie, ("sec-fetch-site", "same-origin")], true),
            (&[cookie, ("sec-fetch-site", "none")], true),
            (&[cookie, ("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "other")], false),
            (&[("origin", "http://127.0.0.1:8400")], true),
            (&[("origin", "http://127.0.0.1:8401")], false),
            (&[("origin", "https://127.0.0.1:8400")], false),
            (&[("origin", "null")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://127.0.0.1:8400"),
                ],
                false,
            ),
            (
                &[
                    ("authorization", "Bearer rel_1"),
                    ("sec-fetch-site", "cross-site"),
                ],
                true,
            ),
            (
                &[
                    ("authorization", "Bearer rel_1"),
                    cookie,
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ];
        for (pairs, expected) in cases {
            let headers = headers(pairs);
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let allowed = is_allowed(&parts, &method, &headers);
                assert_eq!(allowed, *expected, "{method} {pairs:?}");
            }
            assert!(is_allowed(&parts, &Method::GET, &headers));
        }
    }
}
