//! The URLs of other pages.

use http::header::HOST;
use http::request::Parts;

use super::PageRequest;

/// The target of a page's next URL.
pub(super) enum NextUrl {
    /// The following page.
    Following,
    /// The following page, on another origin.
    Foreign(String),
    /// The page itself.
    Own,
}

impl PageRequest<'_> {
    /// Returns the URL of another page of the list, whose query is this.
    pub(super) fn url(&self, origin: &str, query: &str) -> String {
        let path = self.request.uri.path();
        format!("{origin}{path}?{}", query.trim_start_matches('&'))
    }

    /// Returns the next URL. `query` is that of the following page.
    pub(super) fn resolve(&self, next: &NextUrl, query: &str) -> String {
        let own = origin(self.request);
        match next {
            NextUrl::Following => self.url(&own, query),
            NextUrl::Foreign(origin) => self.url(origin, query),
            NextUrl::Own => {
                let path_and_query = self.request.uri.path_and_query();
                let path_and_query = path_and_query.map_or("/", |both| both.as_str());
                format!("{own}{path_and_query}")
            }
        }
    }
}

/// Returns the server's origin as the client named it: in the request's URI if that is absolute, as
/// in process, or in its `Host`.
pub(crate) fn origin(request: &Parts) -> String {
    let scheme = request.uri.scheme_str().unwrap_or("http");
    let host = request.headers.get(HOST);
    let host = host
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri.authority().map(|authority| authority.as_str()))
        .unwrap_or("localhost");
    format!("{scheme}://{host}")
}
