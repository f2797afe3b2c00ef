//! Prepares a request: rejects fields that control the connection, and sets the fields that the
//! client owns.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Method, Version};

use super::error::{EgressError, Limit};
use super::origin::{Origin, Scheme};
use super::policy::Target;
use super::proxy::ProxyUrl;

/// Hop-by-hop header fields (RFC 9110, section 7.6.1), which only the client may set.
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// More hop-by-hop fields, older and newer ones. All fields of the form `proxy-…` are rejected too.
const HOP_BY_HOP_NAMES: [&str; 2] = ["keep-alive", "http2-settings"];

/// The same number that hyper accepts in a response.
const MAX_FIELDS: usize = 100;

/// Rejects invalid requests and completes the others for sending.
///
/// `body_bytes` is the length of the body, if known.
pub(super) fn prepare(
    parts: &mut Parts,
    target: &Target,
    proxy: Option<&ProxyUrl>,
    body_bytes: Option<u64>,
    max_header_bytes: usize,
) -> Result<(), EgressError> {
    let origin = target.origin();
    // CONNECT would turn an allowed request into a tunnel to any server. TRACE would reveal added
    // fields, such as a proxy's password.
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return refused(format!("the method {} is not for components", parts.method));
    }
    check_fields(&parts.headers, origin, body_bytes)?;
    let path = match parts.uri.path_and_query() {
        Some(path) => path.clone(),
        None => PathAndQuery::from_static("/"),
    };
    // After the authority of an absolute URI, the path would be read as part of the authority.
    if !path.as_str().starts_with(['/', '?']) {
        return refused("its path does not begin with `/`".to_owned());
    }
    let bytes = path.as_str().len() + field_bytes(&parts.headers);
    if bytes > max_header_bytes || parts.headers.len() > MAX_FIELDS {
        return Err(EgressError::Limit {
            limit: Limit::RequestHead,
            origin: origin.clone(),
            bytes: u64::try_from(max_header_bytes).unwrap_or(u64::MAX),
        });
    }
    let unusable = |_| EgressError::Refused {
        reason: "its address cannot be written as a request line".to_owned(),
    };
    let authority = origin.authority();
    let host = HeaderValue::from_str(&authority).map_err(|error| unusable(error.into()))?;
    parts.headers.insert(header::HOST, host);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    parts.uri = match proxy {
        Some(proxy) if origin.scheme() == Scheme::Http => {
            if let Some(value) = proxy.authorization() {
                parts.headers.insert(header::PROXY_AUTHORIZATION, value);
            }
            let uri = Uri::builder().scheme("http").authority(authority);
            uri.path_and_query(path).build().map_err(unusable)?
        }
        _ => Uri::from(path),
    };
    Ok(())
}

fn refused(reason: String) -> Result<(), EgressError> {
    Err(EgressError::Refused { reason })
}

fn check_fields(
    headers: &HeaderMap,
    origin: &Origin,
    body_bytes: Option<u64>,
) -> Result<(), EgressError> {
    for name in headers.keys() {
        let ours = HOP_BY_HOP.contains(name)
            || HOP_BY_HOP_NAMES.contains(&name.as_str())
            || name.as_str().starts_with("proxy-");
        if ours {
            return refused(format!(
                "the header field `{name}` controls the connection, which only the host may do"
            ));
        }
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    if hosts.any(|value| !is_host_of(value, origin)) {
        return refused(format!(
            "its header field `host` differs from its address `{origin}`; leave the field out"
        ));
    }
    // If the end of a request can be read in two ways, an attacker can smuggle a second request.
    let lengths: Vec<&HeaderValue> = headers.get_all(header::CONTENT_LENGTH).iter().collect();
    let stated = match lengths.as_slice() {
        [] => return Ok(()),
        [one] => one.to_str().ok().and_then(digits),
        _ => None,
    };
    match (stated, body_bytes) {
        (Some(stated), Some(actual)) if stated == actual => Ok(()),
        (Some(_), None) => Ok(()),
        _ => refused("its header field `content-length` is not the length of its body".to_owned()),
    }
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Returns whether a `Host` field matches the URI, with or without the default port.
fn is_host_of(value: &HeaderValue, origin: &Origin) -> bool {
    let stated = value.to_str().ok();
    let uri = stated.and_then(|text| {
        let uri = Uri::builder()
            .scheme(origin.scheme().as_str())
            .authority(text);
        uri.path_and_query("/").build().ok()
    });
    uri.and_then(|uri| Origin::from_uri(&uri).ok()).as_ref() == Some(origin)
}

/// Returns the size of the fields on the wire: name, colon, space, value, line end.
fn field_bytes(headers: &HeaderMap) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    headers.iter().map(field).sum()
}
