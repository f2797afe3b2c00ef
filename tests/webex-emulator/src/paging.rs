//! Listings in pages, as each list of the API has them, and defects of pages seen in the wild.

mod cursor;
mod links;
mod numbered;

use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::links::NextUrl;
pub(crate) use self::links::origin;
use crate::errors::ApiError;
use crate::query::Query;

/// A list of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Listing {
    /// `GET /v1/roles`.
    Roles,
    /// `GET /v1/licenses`.
    Licenses,
    /// `GET /v1/people`.
    People,
    /// `GET /v1/locations`.
    Locations,
    /// `GET /v1/workspaces`.
    Workspaces,
    /// `GET /v1/workspaceLocations`: the locations, in an older format.
    WorkspaceLocations,
    /// `GET /v1/groups`.
    Groups,
    /// `GET /organization/{uuid}/v2/site` of Contact Center.
    Sites,
    /// `GET /v1/wholesale/customers` of a partner.
    Customers,
    /// `GET /v1/wholesale/subscribers` of a partner.
    Subscribers,
    /// `GET /v1/wholesale/subPartners` of a partner.
    SubPartners,
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

/// A defect of pages. They are counted from 1. Lists without a next URL, such as those of workspaces and
/// sites, have only [`RepeatedPage`](Self::RepeatedPage) and [`CutOff`](Self::CutOff).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum PagingDefect {
    /// From this page on the position is ignored: the same page comes repeatedly, each time with a
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
    /// Next URLs have `max=null`.
    NullMax,
    /// Next URLs lack the filters and options of the first request, so that later pages ignore them.
    LostFilters,
    /// This page has no next URL, although there are more entries. Later pages are empty.
    CutOff {
        /// The last page.
        page: usize,
    },
}

/// The way in which a list is split into pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PagingStyle {
    /// One page with all entries. If a page size is set, next URLs are opaque. They have a cursor and a parameter
    /// without `=`, but neither filters nor a meaningful `max`.
    Whole,
    /// `max`, and next URLs with a cursor.
    Cursor {
        default: usize,
        limit: usize,
        /// Lower limits of requests that have a parameter, or a parameter with a value.
        lower_limits: &'static [(&'static str, Option<&'static str>, usize)],
    },
    /// Parameters for the start and the size of a page.
    Numbered {
        start: &'static str,
        size: &'static str,
        /// Number of the first entry or page.
        first: usize,
        /// Whether `start` counts pages instead of entries.
        counts_pages: bool,
        default: usize,
        limit: usize,
        links: Links,
    },
}

impl PagingStyle {
    /// Describes pages by `offset` and `max`, with next and previous URLs.
    pub(crate) const fn offset(default: usize, limit: usize) -> Self {
        Self::Numbered {
            start: "offset",
            size: "max",
            first: 0,
            counts_pages: false,
            default,
            limit,
            links: Links::NextAndPrevious,
        }
    }
}

/// The URLs in the `Link` header of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    None,
    Next,
    NextAndPrevious,
}

/// The entries that match a request.
pub(crate) trait Entries {
    /// Returns up to `size` entries from a position on, without the first `skip` of them, and the
    /// position of the next one.
    fn page(&self, from: usize, skip: usize, size: usize) -> (Vec<Value>, Option<usize>);

    /// Returns the number of entries.
    fn total(&self) -> usize;
}

impl Entries for Vec<Value> {
    fn page(&self, from: usize, skip: usize, size: usize) -> (Vec<Value>, Option<usize>) {
        let start = from.saturating_add(skip);
        let entries: Vec<_> = self.iter().skip(start).take(size).cloned().collect();
        let next = start.saturating_add(size);
        (entries, (next < self.len()).then_some(next))
    }

    fn total(&self) -> usize {
        self.len()
    }
}

/// A request for a page.
pub(crate) struct PageRequest<'a> {
    pub(crate) request: &'a Parts,
    pub(crate) query: &'a Query,
    /// The settings for the list, if the test changed them.
    pub(crate) paging: Option<&'a Paging>,
    /// UUID of the organization.
    pub(crate) organization: &'a str,
    /// Makes a next URL unique.
    pub(crate) salt: String,
}

/// A page with the URLs of others.
pub(crate) struct Page {
    pub(crate) entries: Vec<Value>,
    /// Value of the `Link` header.
    pub(crate) link: Option<String>,
    /// Number of the first entry or page, as in the request.
    pub(crate) start: usize,
    pub(crate) size: usize,
    /// Whether more entries follow.
    pub(crate) has_next: bool,
}

impl PagingStyle {
    /// Returns the requested page.
    ///
    /// # Errors
    /// If the request has an invalid cursor.
    pub(crate) fn page(
        self,
        entries: &dyn Entries,
        request: PageRequest<'_>,
    ) -> Result<Page, ApiError> {
        match self {
            Self::Whole => match request.paging {
                None => Ok(whole(entries)),
                Some(paging) => {
                    cursor::page(entries, request, paging.page_size, paging.page_size, true)
                }
            },
            Self::Cursor {
                default,
                limit,
                lower_limits,
            } => {
                let query = request.query;
                let lower = lower_limits.iter().filter(|(name, value, _)| {
                    let given = query.get(name);
                    given.is_some() && (value.is_none() || given == *value)
                });
                let limit = request.paging.map_or(limit, |paging| paging.page_size);
                let limit = lower.map(|(_, _, lower)| *lower).fold(limit, usize::min);
                cursor::page(entries, request, default.min(limit), limit, false)
            }
            Self::Numbered { .. } => Ok(numbered::page(self, entries, &request)),
        }
    }
}

fn whole(entries: &dyn Entries) -> Page {
    let (entries, _) = entries.page(0, 0, usize::MAX);
    Page {
        start: 0,
        size: entries.len(),
        entries,
        link: None,
        has_next: false,
    }
}

impl PageRequest<'_> {
    fn defect(&self) -> Option<&PagingDefect> {
        self.paging?.defect.as_ref()
    }

    /// Returns the size that the request names, at most `limit`, or the default.
    fn size(&self, name: &str, default: usize, limit: usize) -> usize {
        let named = self.query.number(name);
        named.map_or(default, |size| size.min(limit)).max(1)
    }

    /// Returns whether the page, which has entries or none, gets a next URL, and which.
    fn next_url(&self, page: usize, is_empty: bool, has_next: bool) -> Option<NextUrl> {
        match self.defect() {
            Some(PagingDefect::RepeatedPage { page: from }) if page >= *from => {
                Some(NextUrl::Following)
            }
            Some(PagingDefect::LinkToItself { page: own }) if page == *own => Some(NextUrl::Own),
            Some(PagingDefect::ForeignNext {
                page: foreign,
                origin,
            }) if page == *foreign => Some(NextUrl::Foreign(origin.clone())),
            // Only the last page with entries: the empty one has no next.
            Some(PagingDefect::EmptyLastPage) if !has_next && !is_empty => Some(NextUrl::Following),
            Some(PagingDefect::CutOff { page: last }) if page >= *last => None,
            _ => has_next.then_some(NextUrl::Following),
        }
    }

    /// Returns the parameters that a next URL keeps, besides those named, which it sets itself.
    fn kept_query(&self, set: &[&str]) -> String {
        match self.defect() {
            Some(PagingDefect::LostFilters) => String::new(),
            _ => self.query.encode_without(set),
        }
    }
}
