//! Lists at Webex's REST API: one page at a time, and the address of the next one.
//!
//! Only the link to the next page is guaranteed. Its address is opaque, with the defects that were
//! seen in the wild mended: `max=null`, which Webex then refuses itself, and a filter that got
//! lost, without which the list would go on as another one. It is followed only at the origin of
//! the API, because the access token goes with it. Where it cannot be followed, or is not known for
//! certain, the page says so: the list is not known to be whole then.

use http::{HeaderMap, Method};
use url::Url;

use super::client::{Webex, expect_content};
use super::errors::{Answered, WebexError};
use super::links::NextLink;
use super::list_body::{ListFault, split_entries};
use crate::platform::{Platform, Secret};
use crate::text::strip_mark;

/// The longest address of a next page that is followed, in bytes.
pub const LONGEST_ADDRESS: usize = 8 * 1024;

/// Query parameters that narrow a list, by name and value.
pub type Filters = [(&'static str, String)];

/// The longest part of a `Link` header that a message repeats, in bytes.
const SHOWN_HEADER: usize = 120;

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The entries on it, each in JSON as Webex sent it: some may be unreadable.
    pub items: Vec<Vec<u8>>,
    /// The address of the next page; none if no address is known.
    pub next: Option<String>,
    /// Why more of the list may come after this page and [`next`](Self::next), in words; none: it
    /// is known where the list goes on, or that it ends.
    pub link_fault: Option<String>,
}

/// Why a link to the next page is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum BadLink {
    #[error("the link to the next page is no address")]
    Unreadable,
    #[error("the link to the next page leads away from the API and is not followed")]
    Foreign,
    #[error("the link to the next page is longer than any that is expected")]
    TooLong,
    #[error("the link to the next page repeats the access token")]
    Secret,
}

impl<P: Platform + ?Sized> Webex<'_, P> {
    /// The address of the first page of the list at `path`, which starts with a slash.
    pub fn first_page(&self, path: &str, filters: &Filters) -> String {
        let query: String = filters
            .iter()
            .zip(std::iter::once('?').chain(std::iter::repeat('&')))
            .map(|((name, value), mark)| format!("{mark}{name}={}", encoded(value)))
            .collect();
        self.address(&format!("{path}{query}"))
    }

    /// The page at `address`, which [`first_page`](Self::first_page) or an earlier page named;
    /// `filters` are those of the list.
    ///
    /// # Errors
    /// Anything but a page in JSON.
    pub fn page(
        &self,
        address: &str,
        filters: &Filters,
        token: &Secret,
    ) -> Result<Page, WebexError> {
        let (request, answer) = self.exchange(Method::GET, address, token)?;
        let unusable = |what: &str| {
            let answered = Answered::of(&answer, self.now());
            WebexError::unusable(&request, answered, what, &self.scrubber_with(&[token]))
        };
        expect_content(&answer).map_err(unusable)?;
        let text = String::from_utf8_lossy(strip_mark(answer.body()));
        if text.contains(token.expose()) {
            // What is on a page gets stored, and a token must not.
            return Err(unusable("the answer repeats the access token"));
        }
        let items = split_entries(answer.body()).map_err(|fault| {
            let what = fault.to_string();
            let is_json = text.trim_start().starts_with('{');
            match fault {
                ListFault::Syntax(_) | ListFault::Cut(_) if is_json => {
                    let answered = Answered::of(&answer, self.now());
                    let scrubber = self.scrubber_with(&[token]);
                    WebexError::malformed(&request, answered, &what, &scrubber)
                }
                // An error may come with the status of a success.
                ListFault::NoItems => match self.json(&request, &answer, token) {
                    Ok(_) => unusable(&what),
                    Err(error) => error,
                },
                _ => unusable(&what),
            }
        })?;
        let (next, link_fault) = self.next(answer.headers(), address, filters, token);
        Ok(Page {
            items: items.into_iter().map(<[u8]>::to_vec).collect(),
            next,
            link_fault,
        })
    }

    /// The address of the page after the one at `address`, and what is wrong with the link to it.
    fn next(
        &self,
        headers: &HeaderMap,
        address: &str,
        filters: &Filters,
        token: &Secret,
    ) -> (Option<String>, Option<String>) {
        let link = NextLink::read(headers);
        let fault = link.fault.map(|fault| {
            let header = headers.get_all(http::header::LINK).iter();
            let header: Vec<u8> = header
                .flat_map(|value| value.as_bytes().iter().copied().chain([b' ']))
                .collect();
            // Cut only when the token is hidden.
            let header = String::from_utf8_lossy(&header);
            let scrubber = self.scrubber_with(&[token]);
            let shown = scrubber.text(&header).unwrap_or_default();
            let shown: String = shown.chars().take(SHOWN_HEADER).collect();
            format!("{fault}: `{shown}`")
        });
        let Some(target) = link.target else {
            return (None, fault);
        };
        let next = follow(&self.address("/"), address, target, filters).and_then(|next| match next
            .contains(token.expose())
        {
            true => Err(BadLink::Secret),
            false => Ok(next),
        });
        match next {
            Ok(next) => (Some(next), fault),
            Err(bad) => (None, Some(bad.to_string())),
        }
    }
}

/// The address of the next page, which `target` names on the page at `current`.
fn follow(base: &str, current: &str, target: &str, filters: &Filters) -> Result<String, BadLink> {
    let base = Url::parse(base).map_err(|_| BadLink::Unreadable)?;
    let mut next = Url::parse(current)
        .and_then(|current| current.join(target))
        .map_err(|_| BadLink::Unreadable)?;
    let named = !next.username().is_empty() || next.password().is_some();
    if next.origin() != base.origin() || named {
        return Err(BadLink::Foreign);
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
            query.push(format!("{name}={}", encoded(value)));
        }
    }
    let query = query.join("&");
    next.set_query((!query.is_empty()).then_some(&query));
    let next = String::from(next);
    if next.len() > LONGEST_ADDRESS {
        return Err(BadLink::TooLong);
    }
    Ok(next)
}

fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
