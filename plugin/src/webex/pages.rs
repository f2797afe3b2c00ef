//! Lists at Webex's REST API: one page at a time, and the address of the next one.
//!
//! Only the link to the next page is guaranteed. Its address is opaque, with the defects that were
//! seen in the wild mended: `max=null`, which Webex then refuses itself, and a filter that got
//! lost, without which the list would go on as another one. It is followed only at the origin of
//! the API, because the access token goes with it.

use http::Method;
use serde_json::Value;
use url::Url;

use super::client::Webex;
use super::errors::{Answered, WebexError};
use super::links;
use crate::platform::{Platform, Secret};

/// The longest address of a next page that is followed, in bytes.
pub const LONGEST_ADDRESS: usize = 8 * 1024;

/// Query parameters that narrow a list, by name and value.
pub type Filters = [(&'static str, String)];

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// What is on it, as Webex sent it.
    pub items: Vec<Value>,
    /// The address of the page behind it; none: it is the last.
    pub next: Option<String>,
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
    /// Anything but a page in JSON whose link to the next one, if it has any, can be followed:
    /// without it, the list could not be known to be whole.
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
        let next = match links::next(answer.headers()) {
            None => None,
            Some(target) => {
                let next = follow(&self.address("/"), address, target, filters)
                    .and_then(|next| match next.contains(token.expose()) {
                        true => Err(BadLink::Secret),
                        false => Ok(next),
                    })
                    .map_err(|bad| unusable(&bad.to_string()))?;
                Some(next)
            }
        };
        let text = String::from_utf8_lossy(answer.body());
        if text.contains(token.expose()) {
            // What is on a page gets stored, and a token must not.
            return Err(unusable("the answer repeats the access token"));
        }
        match self.json(&request, &answer, token)? {
            Value::Object(mut fields) => match fields.remove("items") {
                Some(Value::Array(items)) => Ok(Page { items, next }),
                _ => Err(unusable("the answer has no list of items")),
            },
            _ => Err(unusable("the answer is not a JSON object")),
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
