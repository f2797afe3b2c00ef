//! Paginated lists of Webex's REST API.
//!
//! Some lists are read by position or page number. In all others, only the link to the next page is guaranteed. The next
//! page's URL is opaque. Two defects of Webex are corrected: `max=null`, which Webex refuses, and a lost filter, without
//! which the list would continue as another one. The link is followed only to the API's own origin, because the
//! request contains the access token. If the link cannot be followed, or is uncertain, the page
//! says so: the list may then be incomplete.

use std::borrow::Cow;

use http::{HeaderMap, Method};
use url::Url;

use super::client::{Webex, check_content};
use super::directory::{Directory, PageParameters, Paging};
use super::errors::{ResponseHead, WebexError};
use super::links::NextLink;
use super::list_body::{ListError, read_number, split_entries};
use crate::platform::Secret;
use crate::text::strip_byte_order_mark;

/// The maximum length of a next page's URL in bytes.
pub const MAX_NEXT_URL_BYTES: usize = 8 * 1024;

/// Query parameters that filter a list, by name and value.
pub type Filters = [(&'static str, String)];

/// The maximum length of the part of a `Link` header that a message repeats, in bytes.
const MAX_SHOWN_HEADER_BYTES: usize = 120;

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The entries, each in JSON as Webex sent it; some may be unreadable.
    pub items: Vec<Vec<u8>>,
    /// The URL of the next page, if it is known.
    pub next: Option<String>,
    /// Why the list may continue after this page and [`next`](Self::next). `None` when the link, or
    /// the end of the list, is certain.
    pub link_error: Option<String>,
    /// Whether the next page begins with the last entry of this one.
    pub overlaps: bool,
    /// Whether an entry may move unnoticed from the next page to this one before the next page is requested. Then that
    /// page has a number or a position, and does not [overlap](Self::overlaps) with this one.
    pub can_shift: bool,
    /// The number of all entries of the list, if Webex says so.
    pub total: Option<u64>,
}

/// The reason why a link to the next page is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum LinkTargetError {
    #[error("the link to the next page is not a URL")]
    Unreadable,
    #[error("the link to the next page leads away from the API and is not followed")]
    Foreign,
    #[error("the link to the next page is longer than 8 KiB")]
    TooLong,
    #[error("the link to the next page repeats the access token")]
    Secret,
}

impl Webex<'_> {
    /// Returns the URL of the first page of the list at `path`, which starts with a slash.
    pub fn first_page_url(&self, path: &str, filters: &Filters) -> String {
        let query: String = filters
            .iter()
            .zip(std::iter::once('?').chain(std::iter::repeat('&')))
            .map(|((name, value), mark)| format!("{mark}{name}={}", encode(value)))
            .collect();
        self.address(&format!("{path}{query}"))
    }

    /// Returns whether `address` is at this API. An operator may have changed the API's root since an address was
    /// stored.
    pub fn has_address(&self, address: &str) -> bool {
        let origin = |address: &str| Url::parse(address).map(|url| url.origin()).ok();
        let base = origin(&self.address("/"));
        base.is_some() && base == origin(address)
    }

    /// Requests the page of `directory` at `address`, which is [`first_page_url`](Self::first_page_url) or the
    /// `next` of an earlier page; `filters` are those of the list.
    ///
    /// # Errors
    /// Any response other than a page in JSON.
    pub fn fetch_page(
        &self,
        directory: &Directory,
        address: &str,
        filters: &Filters,
        token: &Secret,
    ) -> Result<Page, WebexError> {
        let (request, response) = self.exchange(Method::GET, address, token)?;
        let unusable = |problem: &str| {
            let head = ResponseHead::from_response(&response, self.now());
            WebexError::unusable(&request, head, problem, &self.redactor_with(&[token]))
        };
        check_content(&response).map_err(unusable)?;
        let body = strip_byte_order_mark(response.body());
        let text = match std::str::from_utf8(body) {
            Ok(text) => Cow::Borrowed(text),
            // Much slower, also for a valid text.
            Err(_) => String::from_utf8_lossy(body),
        };
        if text.contains(token.expose()) {
            // The content of a page is stored, but a token must not be.
            return Err(unusable("the response repeats the access token"));
        }
        let items = split_entries(response.body(), directory.items).map_err(|error| {
            let problem = match error {
                ListError::NoItems => format!("the response has no list `{}`", directory.items),
                error => error.to_string(),
            };
            let is_json = text.trim_start().starts_with('{');
            match error {
                ListError::Syntax(_) | ListError::Cut(_) if is_json => {
                    let head = ResponseHead::from_response(&response, self.now());
                    let redactor = self.redactor_with(&[token]);
                    WebexError::malformed(&request, head, &problem, &redactor)
                }
                // An error may have the status of a success.
                ListError::NoItems => match self.parse_json(&request, &response, token) {
                    Ok(_) => unusable(&problem),
                    Err(error) => error,
                },
                _ => unusable(&problem),
            }
        })?;
        let (mut next, link_error) = self.find_next(response.headers(), address, filters, token);
        let mut total = None;
        let mut overlaps = false;
        let mut can_shift = false;
        if let Paging::Position(parameters) | Paging::Number(parameters) = directory.paging {
            let reported = read_number(response.body(), parameters.total);
            let is_by_position = matches!(directory.paging, Paging::Position(_));
            let step = match is_by_position {
                true => u64::try_from(items.len()).unwrap_or(u64::MAX),
                false => 1,
            };
            total = reported.filter(|_| is_by_position);
            // An entry that is deleted while the list is read moves all later ones, and one of them would be missed
            // between two pages.
            let can_overlap = is_by_position && items.len() > 1;
            next = match next {
                None if link_error.is_none() && !items.is_empty() => {
                    overlaps = can_overlap;
                    find_next_position(address, parameters, step, overlaps, reported)
                }
                Some(link) if can_overlap => {
                    let overlapping = overlap_link(&link, address, parameters, step);
                    overlaps = overlapping.is_some();
                    overlapping.or(Some(link))
                }
                next => next,
            };
            let has_position = |next: &str| read_start(next, parameters).is_some();
            can_shift = !overlaps && next.as_deref().is_some_and(has_position);
        }
        Ok(Page {
            items: items.into_iter().map(<[u8]>::to_vec).collect(),
            next,
            link_error,
            overlaps,
            can_shift,
            total,
        })
    }

    /// Requests the page at `address` without waiting for it. The next [`fetch_page`](Self::fetch_page) of this address
    /// takes the response.
    pub fn request_page(&self, address: &str, token: &Secret) {
        self.send_ahead(address, token);
    }

    /// Returns the URL of the page after `address`, and the error in its link.
    fn find_next(
        &self,
        headers: &HeaderMap,
        address: &str,
        filters: &Filters,
        token: &Secret,
    ) -> (Option<String>, Option<String>) {
        let link = NextLink::parse(headers);
        let error = link.error.map(|error| {
            let header = headers.get_all(http::header::LINK).iter();
            let header: Vec<u8> = header
                .flat_map(|value| value.as_bytes().iter().copied().chain([b' ']))
                .collect();
            // Cut only after redaction, so that no part of the token remains.
            let header = String::from_utf8_lossy(&header);
            let redactor = self.redactor_with(&[token]);
            let shown = redactor.redact(&header).unwrap_or_default();
            let shown: String = shown.chars().take(MAX_SHOWN_HEADER_BYTES).collect();
            format!("{error}: `{shown}`")
        });
        let Some(target) = link.target else {
            return (None, error);
        };
        let next =
            resolve_next(&self.address("/"), address, target, filters).and_then(|next| match next
                .contains(token.expose())
            {
                true => Err(LinkTargetError::Secret),
                false => Ok(next),
            });
        match next {
            Ok(next) => (Some(next), error),
            Err(bad) => (None, Some(bad.to_string())),
        }
    }
}

/// Returns the URL of the page after the one at `current`, whose position or number is `step` further. The step is one
/// less if the page `overlaps` with this one; none after the last one of `total`.
fn find_next_position(
    current: &str,
    parameters: PageParameters,
    step: u64,
    overlaps: bool,
    total: Option<u64>,
) -> Option<String> {
    let first = u64::from(parameters.first);
    let start = read_start(current, parameters).unwrap_or(first);
    let start = start.checked_add(step)?;
    // A full page may be followed by another one, whatever the total says.
    let is_full = step >= u64::from(parameters.size.1);
    if !is_full && total.is_some_and(|total| start.saturating_sub(first) >= total) {
        return None;
    }
    replace_start(current, parameters, start.saturating_sub(overlaps.into()))
}

/// Returns the URL of a page that begins one entry before the page at `link`: with the last of the `count` entries at
/// `current`. `None` if `link` does not name the position after these entries.
fn overlap_link(
    link: &str,
    current: &str,
    parameters: PageParameters,
    count: u64,
) -> Option<String> {
    let start = read_start(current, parameters).unwrap_or(parameters.first.into());
    let following = start.checked_add(count)?;
    match read_start(link, parameters) == Some(following) {
        true => replace_start(link, parameters, following.saturating_sub(1)),
        false => None,
    }
}

/// Returns the position or number of the page at `address`, if its URL names one.
fn read_start(address: &str, parameters: PageParameters) -> Option<u64> {
    let (_, query) = address.split_once('?')?;
    query.split('&').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name == parameters.start).then(|| value.parse().ok())?
    })
}

/// Returns the URL with the position or number of another page.
fn replace_start(address: &str, parameters: PageParameters, start: u64) -> Option<String> {
    let mut url = Url::parse(address).ok()?;
    let kept = url.query().unwrap_or_default().split('&');
    let kept = kept.filter(|parameter| {
        !parameter.is_empty() && parameter.split('=').next() != Some(parameters.start)
    });
    let mut query: Vec<String> = kept.map(str::to_owned).collect();
    query.push(format!("{}={start}", parameters.start));
    url.set_query(Some(&query.join("&")));
    Some(url.into())
}

/// Resolves the link `target` on the page `current`.
fn resolve_next(
    base: &str,
    current: &str,
    target: &str,
    filters: &Filters,
) -> Result<String, LinkTargetError> {
    let base = Url::parse(base).map_err(|_| LinkTargetError::Unreadable)?;
    let mut next = Url::parse(current)
        .and_then(|current| current.join(target))
        .map_err(|_| LinkTargetError::Unreadable)?;
    let has_credentials = !next.username().is_empty() || next.password().is_some();
    if next.origin() != base.origin() || has_credentials {
        return Err(LinkTargetError::Foreign);
    }
    next.set_fragment(None);
    let mut query: Vec<String> = next
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|parameter| !parameter.is_empty() && *parameter != "max=null")
        .map(str::to_owned)
        .collect();
    for (name, value) in filters {
        let is_there = query
            .iter()
            .any(|parameter| parameter.split('=').next() == Some(name));
        if !is_there {
            query.push(format!("{name}={}", encode(value)));
        }
    }
    let query = query.join("&");
    next.set_query((!query.is_empty()).then_some(&query));
    let next = String::from(next);
    if next.len() > MAX_NEXT_URL_BYTES {
        return Err(LinkTargetError::TooLong);
    }
    Ok(next)
}

fn encode(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
