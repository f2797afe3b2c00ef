//! A page of a list, as the platform shapes it.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use relation_host::store::{SortOrder, StoreError};
use relation_host::transactions::TransactionFilter;
use relation_host::types::{Document, Filter};
use serde_json::{Value, json};

use super::query::Paging;
use crate::{Web, WebError};

/// The largest count that is computed exactly. Counting more would make a list as slow as the number of tenants.
pub(crate) const MAX_COUNTED: u64 = 10_000;

/// How long a list counts as too long to be counted.
const RECOUNT_INTERVAL: Duration = Duration::from_secs(10);
/// The number of lists that are remembered as too long.
const MAX_REMEMBERED: usize = 64;

/// The lists that were too long to be counted a moment ago, with the time of that. They are not counted repeatedly,
/// which would take as long as reading a page.
#[derive(Default)]
pub(crate) struct LongLists {
    lists: Mutex<VecDeque<(CountedList, Duration)>>,
}

/// A list that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CountedList {
    Documents(Filter),
    Transactions(TransactionFilter),
}

impl LongLists {
    fn contains(&self, list: &CountedList, now: Duration) -> bool {
        let mut lists = self.lists.lock();
        lists.retain(|(_, counted)| now.saturating_sub(*counted) < RECOUNT_INTERVAL);
        lists.iter().any(|(each, _)| each == list)
    }

    fn add(&self, list: CountedList, now: Duration) {
        let mut lists = self.lists.lock();
        lists.truncate(MAX_REMEMBERED - 1);
        lists.push_front((list, now));
    }
}

/// A page of documents.
pub(crate) struct DocumentPage {
    /// The documents.
    pub(crate) documents: Vec<Document>,
    /// The page's place in the list.
    pub(crate) pagination: Value,
}

/// Reads a page of documents.
///
/// # Errors
/// The cursor belongs to another list; the store cannot be read.
pub(crate) async fn read(
    web: &Web,
    path: &str,
    filter: &Filter,
    order: &SortOrder,
    paging: &Paging,
) -> Result<DocumentPage, WebError> {
    let store = web.store();
    let mut cursor = paging.cursor.clone();
    if paging.skip > 0 {
        let skipped = store.list(filter, order, None, paging.skip).await?;
        cursor = skipped.next;
        if cursor.is_none() {
            let pagination = pagination(web, path, filter, paging, None).await?;
            let documents = Vec::new();
            return Ok(DocumentPage {
                documents,
                pagination,
            });
        }
    }
    let page = store
        .list(filter, order, cursor.as_deref(), paging.limit)
        .await;
    let page = page.map_err(|error| match error {
        StoreError::Invalid(_) if paging.cursor.is_some() => super::cursor_error(),
        error => error.into(),
    })?;
    Ok(DocumentPage {
        pagination: pagination(web, path, filter, paging, page.next).await?,
        documents: page.items,
    })
}

async fn pagination(
    web: &Web,
    path: &str,
    filter: &Filter,
    paging: &Paging,
    next: Option<String>,
) -> Result<Value, WebError> {
    let list = CountedList::Documents(filter.clone());
    paginate(web, path, list, paging, next).await
}

/// Returns the page's place in a list. `next` is the cursor of the next page.
pub(super) async fn paginate(
    web: &Web,
    path: &str,
    list: CountedList,
    paging: &Paging,
    next: Option<String>,
) -> Result<Value, WebError> {
    let total = match paging.count {
        true => Some(count(web, list).await?),
        false => None,
    };
    Ok(json!({
        "skip": paging.skip,
        "limit": paging.limit,
        "total": total,
        "total_is_exact": total.is_some_and(|total| total < MAX_COUNTED),
        "next": next.map(|cursor| next_link(path, paging, &cursor)),
    }))
}

async fn count(web: &Web, list: CountedList) -> Result<u64, WebError> {
    let now = web.clock().monotonic();
    if web.long_lists().contains(&list, now) {
        return Ok(MAX_COUNTED);
    }
    let total = match &list {
        CountedList::Documents(filter) => web.store().count(filter, MAX_COUNTED).await?,
        CountedList::Transactions(filter) => {
            web.store().count_transactions(filter, MAX_COUNTED).await?
        }
    };
    if total >= MAX_COUNTED {
        web.long_lists().add(list, now);
    }
    Ok(total)
}

/// Returns the link of the next page. The caller adds its other parameters.
pub(crate) fn next_link(path: &str, paging: &Paging, cursor: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut link = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if !matches!(name.as_ref(), "skip" | "cursor" | "limit") {
            link.append_pair(&name, &value);
        }
    }
    link.append_pair("limit", &paging.limit.to_string());
    link.append_pair("cursor", cursor);
    format!("{path}?{}", link.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(model: usize) -> CountedList {
        CountedList::Documents(Filter {
            model: model.to_string(),
            hierarchy: None,
            equals: Vec::new(),
        })
    }

    #[test]
    fn a_long_list_is_counted_again_after_some_time() {
        let lists = LongLists::default();
        lists.add(filter(0), Duration::from_secs(5));
        assert!(lists.contains(&filter(0), Duration::from_secs(14)));
        assert!(!lists.contains(&filter(1), Duration::from_secs(14)));
        assert!(!lists.contains(&filter(0), Duration::from_secs(15)));
    }

    #[test]
    fn the_number_of_remembered_lists_is_bounded() {
        let lists = LongLists::default();
        for model in 0..2 * MAX_REMEMBERED {
            lists.add(filter(model), Duration::ZERO);
        }
        assert_eq!(lists.lists.lock().len(), MAX_REMEMBERED);
        assert!(lists.contains(&filter(2 * MAX_REMEMBERED - 1), Duration::ZERO));
    }
}
