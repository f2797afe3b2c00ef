//! Pages of lists: their parameters and their form in responses.

use std::borrow::Cow;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use relation_host::types::{Hierarchy, Page};
use serde::Serialize;
use url::form_urlencoded;

use crate::WebError;
use crate::access::users::{check_fields, field_error};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 1000;
/// Skipping costs as much as listing: beyond this, use the cursor.
const MAX_SKIP: u32 = 10_000;
/// Totals are counted up to this number.
pub(super) const MAX_TOTAL: u64 = 10_000;

/// The parameters of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListQuery {
    pub(super) hierarchy: Option<Hierarchy>,
    pub(super) cursor: Option<String>,
    skip: u32,
    limit: u32,
    count: bool,
    /// `ndjson`, where the list has it.
    pub(super) ndjson: bool,
}

impl<S: Sync> FromRequestParts<S> for ListQuery {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl ListQuery {
    fn parse(query: &str) -> Result<Self, WebError> {
        let mut list = Self {
            hierarchy: None,
            cursor: None,
            skip: 0,
            limit: DEFAULT_LIMIT,
            count: true,
            ndjson: false,
        };
        let mut errors = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Err(message) = list.set(&name, value) {
                let name: String = name.chars().take(100).collect();
                errors.push(field_error(&name, message));
            }
        }
        check_fields(errors)?;
        Ok(list)
    }

    fn set(&mut self, name: &str, value: Cow<'_, str>) -> Result<(), String> {
        match name {
            "hierarchy" => {
                let node = Hierarchy::from_str(&value).map_err(|error| error.to_string())?;
                self.hierarchy = Some(node);
            }
            "cursor" => self.cursor = Some(value.into_owned()),
            "skip" => self.skip = parse_number(&value, 0, MAX_SKIP)?,
            "limit" => self.limit = parse_number(&value, 1, MAX_LIMIT)?,
            "count" => match &*value {
                "true" => self.count = true,
                "false" => self.count = false,
                _ => return Err("this is not true or false".to_owned()),
            },
            "format" => match &*value {
                "json" => self.ndjson = false,
                "ndjson" => self.ndjson = true,
                _ => return Err("the formats are json and ndjson".to_owned()),
            },
            _ => {
                let known = "hierarchy, skip, limit, cursor, count and format";
                return Err(format!(
                    "there is no such parameter here: there are {known}"
                ));
            }
        }
        Ok(())
    }

    /// Reads the page. `list` takes a cursor and a limit, `count` the largest number to count to.
    pub(super) async fn fetch<T>(
        &self,
        path: &str,
        count: impl AsyncFnOnce(u64) -> Result<u64, WebError>,
        list: impl AsyncFnOnce(Option<&str>, u32) -> Result<Page<T>, WebError>,
    ) -> Result<ListResponse<T>, WebError> {
        let skip = match self.cursor {
            Some(_) => 0,
            None => self.skip,
        };
        let mut page = list(self.cursor.as_deref(), self.limit.saturating_add(skip)).await?;
        page.items.drain(..page.items.len().min(skip as usize));
        let total = match self.count {
            true => count(MAX_TOTAL).await?,
            false => 0,
        };
        Ok(ListResponse {
            pagination: Pagination {
                skip,
                limit: self.limit,
                total,
                next: page.next.map(|cursor| self.to_next(path, &cursor)),
            },
            resources: page.items,
        })
    }

    /// Returns the address of the next page.
    fn to_next(&self, path: &str, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(format!("{path}?"));
        if let Some(node) = &self.hierarchy {
            query.append_pair("hierarchy", node.as_str());
        }
        query.append_pair("limit", &self.limit.to_string());
        if !self.count {
            query.append_pair("count", "false");
        }
        query.append_pair("cursor", cursor);
        query.finish()
    }
}

fn parse_number(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("this is not a number from {min} to {max}"))
}

/// A page of a list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ListResponse<T> {
    pagination: Pagination,
    resources: Vec<T>,
}

#[derive(Clone, Debug, Serialize)]
struct Pagination {
    skip: u32,
    limit: u32,
    /// At most [`MAX_TOTAL`]; 0 if it was not requested.
    total: u64,
    /// The address of the next page.
    next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked_all_at_once() {
        let query = "limit=0&skip=x&hierarchy=a..b&count=yes&format=xml&color=blue";
        let error = ListQuery::parse(query).unwrap_err().error;
        let fields: Vec<&str> = error
            .field_errors
            .iter()
            .map(|error| error.field.as_str())
            .collect();
        assert_eq!(
            fields,
            ["limit", "skip", "hierarchy", "count", "format", "color"]
        );
    }

    #[test]
    fn next_keeps_the_parameters() {
        let query = ListQuery::parse("hierarchy=sys.A%26B&limit=7&count=false&skip=3").unwrap();
        let next = query.to_next("/api/data/User/", "c+1");
        assert_eq!(
            next,
            "/api/data/User/?hierarchy=sys.A%26B&limit=7&count=false&cursor=c%2B1"
        );
        let (_, query_text) = next.split_once('?').unwrap();
        let parsed = ListQuery::parse(query_text).unwrap();
        assert_eq!(parsed.cursor.as_deref(), Some("c+1"));
        assert_eq!(parsed.hierarchy, query.hierarchy);
    }
}
