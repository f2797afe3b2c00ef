//! Pagination of lists.

use relation_app::AppError;
use relation_host::types::Page;

/// The page size for `--all`.
const MAX_PAGE_SIZE: u32 = 1000;

/// The part of a list to print.
#[derive(Debug, clap::Args)]
pub struct PageArgs {
    /// The maximum number of items
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Continue after the page that printed this cursor
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    cursor: Option<String>,
    /// List every item
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
}

impl PageArgs {
    /// Returns the cursor after which the page begins.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Returns the maximum number of items, or `None` for all.
    pub fn limit(&self) -> Option<u32> {
        (!self.all).then_some(self.limit)
    }

    /// Fetches the requested page. With `--all`, fetches every page and joins them. `fetch` takes a cursor
    /// and a limit.
    pub async fn fetch<T, E: Into<AppError>>(
        &self,
        fetch: impl AsyncFn(Option<String>, u32) -> Result<Page<T>, E>,
    ) -> Result<Page<T>, AppError> {
        if !self.all {
            return fetch(self.cursor.clone(), self.limit)
                .await
                .map_err(Into::into);
        }
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let page = fetch(cursor, MAX_PAGE_SIZE).await.map_err(Into::into)?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(Page { items, next: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use relation_host::store::StoreError;

    use super::*;

    /// Returns the numbers from the cursor on, below 10.
    async fn numbers(cursor: Option<String>, limit: u32) -> Result<Page<u32>, StoreError> {
        let first = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let end = (first + limit.min(3)).min(10);
        Ok(Page {
            items: (first..end).collect(),
            next: (end < 10).then(|| end.to_string()),
        })
    }

    #[tokio::test]
    async fn page_has_requested_items_and_next_cursor() {
        let args = PageArgs {
            limit: 2,
            cursor: Some("4".to_owned()),
            all: false,
        };
        let page = args.fetch(numbers).await.unwrap();
        assert_eq!(page.items, [4, 5]);
        assert_eq!(page.next.as_deref(), Some("6"));
    }

    #[tokio::test]
    async fn all_fetches_every_page() {
        let args = PageArgs {
            limit: 50,
            cursor: None,
            all: true,
        };
        let page = args.fetch(numbers).await.unwrap();
        assert_eq!(page.items, (0..10).collect::<Vec<_>>());
        assert_eq!(page.next, None);
    }
}
