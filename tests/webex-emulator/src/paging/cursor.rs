//! Pages whose next URLs have a cursor.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Entries, Page, PageRequest, PagingDefect};
use crate::errors::ApiError;

/// The start of a page, as encoded in the next URL.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    organization: String,
    /// Number of the page, from 1.
    page: usize,
    /// Position of the first entry.
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

/// Returns the requested page. An opaque next URL has a parameter without `=`, but neither the filters
/// of the first request nor a meaningful `max`.
pub(super) fn page(
    entries: &dyn Entries,
    mut request: PageRequest<'_>,
    default: usize,
    limit: usize,
    is_opaque: bool,
) -> Result<Page, ApiError> {
    let cursor = match request.query.get("cursor") {
        Some(text) => Cursor::decode(text)
            .filter(|cursor| cursor.organization == request.organization && cursor.size > 0)
            .ok_or(ApiError::BadRequest("The cursor is not valid."))?,
        None => Cursor {
            organization: request.organization.to_owned(),
            page: 1,
            offset: 0,
            size: request.size("max", default, limit),
            salt: String::new(),
        },
    };
    let (found, following) = entries.page(cursor.offset, 0, cursor.size);
    let end = following.unwrap_or(cursor.offset.saturating_add(found.len()));
    let next = request.next_url(cursor.page, found.is_empty(), following.is_some());
    let is_repeated = matches!(
        request.defect(),
        Some(PagingDefect::RepeatedPage { page }) if cursor.page >= *page
    );
    let after = Cursor {
        page: cursor.page.saturating_add(1),
        offset: if is_repeated { cursor.offset } else { end },
        size: cursor.size,
        salt: std::mem::take(&mut request.salt),
        organization: cursor.organization,
    };
    let after = after.encode();
    let query = match request.defect() {
        _ if is_opaque => format!("max=null&cursor={after}&opaque"),
        Some(PagingDefect::NullMax) => {
            let kept = request.kept_query(&["cursor", "max"]);
            format!("{kept}&max=null&cursor={after}")
        }
        _ => format!("{}&cursor={after}", request.kept_query(&["cursor"])),
    };
    Ok(Page {
        link: next.map(|next| format!("<{}>; rel=\"next\"", request.resolve(&next, &query))),
        has_next: following.is_some(),
        start: cursor.offset,
        size: cursor.size,
        entries: found,
    })
}
