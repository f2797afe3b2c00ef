//! Listings in pages, with the `Link` header of RFC 5988 and defects seen in the wild.
//!
//! A next URL is opaque: it has a cursor and a parameter without `=`, but neither the filters of
//! the first request nor a meaningful `max`. A client follows it unchanged.

use std::collections::HashMap;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HOST, LINK};
use http::request::Parts;
use http::{HeaderValue, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::errors::ApiError;

/// A listing of the API that can be split into pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Listing {
    /// `GET /v1/roles`.
    Roles,
    /// `GET /v1/licenses`.
    Licenses,
}

/// The pages of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Maximum number of entries per page, at least 1; a larger `max` of a request is silently
    /// capped.
    pub page_size: usize,
    /// The defect, if any.
    #[serde(default)]
    pub defect: Option<PagingDefect>,
}

impl Paging {
    /// Creates pages of this size without a defect.
    pub fn with_size(page_size: usize) -> Self {
        Self {
            page_size,
            defect: None,
        }
    }

    /// Adds a defect.
    pub fn with_defect(self, defect: PagingDefect) -> Self {
        Self {
            defect: Some(defect),
            ..self
        }
    }
}

/// A defect of pages. They are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum PagingDefect {
    /// From this page on the cursor is ignored: the same page comes repeatedly, each time with a
    /// new next URL.
    RepeatedPage {
        /// The repeated page.
        page: usize,
    },
    /// The next URL of this page is the page's own.
    LinkToItself {
        /// The page that links to itself.
        page: usize,
    },
    /// The last page has a next URL, which leads to a page without entries and without a next URL.
    EmptyLastPage,
    /// The next URL of this page is on another origin.
    ForeignNext {
        /// The page with that URL.
        page: usize,
        /// The other origin, such as `http://127.0.0.1:9`.
        origin: String,
    },
}

/// The start of a page, as encoded in the next URL.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    organization: String,
    /// Number of the page, from 1.
    page: usize,
    offset: usize,
    size: usize,
    /// Distinguishes two URLs of the same page.
    salt: String,
}

impl Cursor {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!(self).to_string())
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// Returns the first of each query parameter.
pub(crate) fn parameters(uri: &Uri) -> HashMap<String, String> {
    let mut parameters = HashMap::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        parameters
            .entry(name.into_owned())
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

/// Responds with `{"items": […]}`: all entries, or the requested page. `salt` makes its next URL
/// unique.
pub(crate) fn respond(
    entries: Vec<Value>,
    paging: Option<&Paging>,
    organization: &str,
    request: &Parts,
    salt: String,
) -> Result<Response, ApiError> {
    let Some(paging) = paging else {
        return Ok(Json(json!({"items": entries})).into_response());
    };
    let parameters = parameters(&request.uri);
    let cursor = match parameters.get("cursor") {
        Some(text) => Cursor::decode(text)
            .filter(|cursor| cursor.organization == organization && cursor.size > 0)
            .ok_or(ApiError::BadRequest("The cursor is not valid."))?,
        None => Cursor {
            organization: organization.to_owned(),
            page: 1,
            offset: 0,
            size: parameters
                .get("max")
                .and_then(|max| max.parse().ok())
                .map_or(paging.page_size, |max: usize| max.min(paging.page_size))
                .max(1),
            salt: String::new(),
        },
    };
    let next = next_link(&cursor, entries.len(), paging.defect.as_ref(), salt);
    let page: Vec<_> = entries
        .into_iter()
        .skip(cursor.offset)
        .take(cursor.size)
        .collect();
    let mut response = Json(json!({"items": page})).into_response();
    if let Some(next) = next
        && let Ok(link) = HeaderValue::from_str(&format!("<{}>; rel=\"next\"", next.url(request)))
    {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// The target of a page's next URL.
enum NextLink {
    Cursor(Cursor),
    Foreign(Cursor, String),
    Itself,
}

impl NextLink {
    fn url(&self, request: &Parts) -> String {
        let own = origin(request);
        let path = request.uri.path();
        let at = |origin: &str, cursor: &Cursor| {
            format!("{origin}{path}?max=null&cursor={}&opaque", cursor.encode())
        };
        match self {
            Self::Cursor(cursor) => at(&own, cursor),
            Self::Foreign(cursor, origin) => at(origin, cursor),
            Self::Itself => match request.uri.query() {
                Some(query) => format!("{own}{path}?{query}"),
                None => format!("{own}{path}"),
            },
        }
    }
}

/// Returns the server's origin as the client named it: in the request's URI if that is absolute, as
/// in process, or in its `Host`.
fn origin(request: &Parts) -> String {
    let scheme = request.uri.scheme_str().unwrap_or("http");
    let host = request.headers.get(HOST);
    let host = host
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri.authority().map(|authority| authority.as_str()))
        .unwrap_or("localhost");
    format!("{scheme}://{host}")
}

fn next_link(
    cursor: &Cursor,
    total: usize,
    defect: Option<&PagingDefect>,
    salt: String,
) -> Option<NextLink> {
    let after = |offset| Cursor {
        organization: cursor.organization.clone(),
        page: cursor.page + 1,
        offset,
        size: cursor.size,
        salt,
    };
    let end = cursor.offset.saturating_add(cursor.size);
    let more = end < total;
    match defect {
        Some(PagingDefect::RepeatedPage { page }) if cursor.page >= *page => {
            Some(NextLink::Cursor(after(cursor.offset)))
        }
        Some(PagingDefect::LinkToItself { page }) if cursor.page == *page => Some(NextLink::Itself),
        Some(PagingDefect::ForeignNext { page, origin }) if cursor.page == *page => {
            Some(NextLink::Foreign(after(end), origin.clone()))
        }
        // Only the last page with entries: the empty one has no next.
        Some(PagingDefect::EmptyLastPage) if !more && cursor.offset < total => {
            Some(NextLink::Cursor(after(end)))
        }
        _ => more.then(|| NextLink::Cursor(after(end))),
    }
}
