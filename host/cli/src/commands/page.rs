//! Long listings come in pages; `--all` takes every page.

use relation_host::store::StoreError;
use relation_host::types::Page;

use crate::failure::Failed;

/// Items that are asked for at once when all are wanted.
const WHOLE: u32 = 1000;

/// Which part of a listing is wanted.
#[derive(Debug, clap::Args)]
pub struct PageArgs {
    /// The most items of a page
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on behind the page that gave this cursor
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Every item
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
}

impl PageArgs {
    /// Where to go on.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The most items that are wanted; none: all of them.
    pub fn most(&self) -> Option<u32> {
        (!self.all).then_some(self.limit)
    }

    /// The page that is wanted, or all of them as one, from what `fetch` gives for a cursor and a
    /// limit.
    pub async fn fetch<T>(
        &self,
        fetch: impl AsyncFn(Option<String>, u32) -> Result<Page<T>, StoreError>,
    ) -> Result<Page<T>, Failed> {
        if !self.all {
            return Ok(fetch(self.cursor.clone(), self.limit).await?);
        }
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let page = fetch(cursor, WHOLE).await?;
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
    use super::*;

    /// Numbers from the cursor on, ten in all.
    async fn numbers(cursor: Option<String>, limit: u32) -> Result<Page<u32>, StoreError> {
        let first = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let end = (first + limit.min(3)).min(10);
        Ok(Page {
            items: (first..end).collect(),
            next: (end < 10).then(|| end.to_string()),
        })
    }

    #[tokio::test]
    async fn a_page_is_what_was_asked_for_and_where_it_goes_on() {
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
    async fn all_pages_become_one() {
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
