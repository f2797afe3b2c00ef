//! Pages whose requests have the number of the first entry, or of the page.

use super::links::origin;
use super::{Entries, Links, Page, PageRequest, PagingDefect, PagingStyle};

/// Returns the requested page.
pub(super) fn page(style: PagingStyle, entries: &dyn Entries, request: &PageRequest<'_>) -> Page {
    let PagingStyle::Numbered {
        start,
        size: size_name,
        first,
        counts_pages,
        default,
        limit,
        links,
    } = style
    else {
        return super::whole(entries);
    };
    let limit = request.paging.map_or(limit, |paging| paging.page_size);
    let size = request.size(size_name, default.min(limit), limit);
    let number = request.query.number(start).unwrap_or(first).max(first);
    let step = if counts_pages { 1 } else { size };
    // Counted from 1, as in defects.
    let page = ((number - first) / step).saturating_add(1);

    let skip = (number - first).saturating_mul(size / step);
    let skip = match request.defect() {
        Some(PagingDefect::RepeatedPage { page: repeated }) if page >= *repeated => {
            repeated.saturating_sub(1).saturating_mul(size)
        }
        // Beyond all entries.
        Some(PagingDefect::CutOff { page: last }) if page > *last => usize::MAX,
        _ => skip,
    };
    let (found, following) = entries.page(0, skip, size);
    let next = request.next_url(page, found.is_empty(), following.is_some());

    let query_from = |number: usize| {
        let size = match request.defect() {
            Some(PagingDefect::NullMax) => "null".to_owned(),
            _ => size.to_string(),
        };
        let kept = request.kept_query(&[start, size_name]);
        format!("{kept}&{start}={number}&{size_name}={size}")
    };
    let mut urls = Vec::new();
    if links != Links::None
        && let Some(next) = next
    {
        let query = query_from(number.saturating_add(step));
        urls.push(format!(
            "<{}>; rel=\"next\"",
            request.resolve(&next, &query)
        ));
    }
    if links == Links::NextAndPrevious && number > first {
        let query = query_from(number.saturating_sub(step).max(first));
        let url = request.url(&origin(request.request), &query);
        urls.push(format!("<{url}>; rel=\"prev\""));
    }
    Page {
        link: (!urls.is_empty()).then(|| urls.join(", ")),
        has_next: following.is_some(),
        start: number,
        size,
        entries: found,
    }
}
