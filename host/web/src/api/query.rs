//! The query of a request: known parameters only, and all errors together.

use std::str::FromStr;

use relation_app::{AppError, ErrorKind};
use relation_host::types::FieldError;

use crate::WebError;
use crate::access::nodes::NodeName;

/// The number of items of a page if none is requested.
pub(crate) const DEFAULT_LIMIT: u32 = 50;
/// The maximum number of items of a page.
pub(crate) const MAX_LIMIT: u32 = 1000;
/// The maximum number of items that a list skips. A cursor goes further, at no cost.
pub(crate) const MAX_SKIP: u32 = 10_000;

/// The parameters of a query, from which known ones are taken.
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Query {
    /// Parses the query of a URL.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self {
            parameters: pairs.into_owned().collect(),
            known: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Takes a text. An empty one counts as absent.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parameters)
            .into_iter()
            .partition(|(each, _)| each == name);
        self.parameters = rest;
        if taken.len() > 1 {
            self.report(name, "is given more than once");
        }
        let value = taken.into_iter().next().map(|(_, value)| value);
        value.filter(|value| !value.is_empty())
    }

    /// Takes a value that is parsed from its text. `expected` follows the words "must be".
    pub(crate) fn value<T: FromStr>(&mut self, name: &'static str, expected: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.report(name, &format!("must be {expected}"));
        }
        parsed
    }

    /// Takes `true` or `false`.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        self.value(name, "true or false").unwrap_or(default)
    }

    /// Takes one of several words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(name)?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.report(name, &format!("must be one of {}", words.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// Takes a node of the hierarchy, by its path or its pkid.
    pub(crate) fn hierarchy(&mut self) -> Option<NodeName> {
        self.value(
            "hierarchy",
            "the pkid or the dotted path of a node, such as sys.Provider.Customer",
        )
    }

    /// Takes skip, limit, count and cursor.
    pub(crate) fn paging(&mut self) -> Paging {
        let skip: Option<u32> = self.value("skip", "a whole number");
        let limit: Option<u32> = self.value("limit", "a whole number");
        let paging = Paging {
            skip: skip.unwrap_or(0),
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            count: self.flag("count", true),
            cursor: self.text("cursor"),
        };
        if !(1..=MAX_LIMIT).contains(&paging.limit) {
            self.report("limit", &format!("must be 1 to {MAX_LIMIT}"));
        }
        if paging.skip > MAX_SKIP {
            let message = format!("must be at most {MAX_SKIP}; follow `next` to go further");
            self.report("skip", &message);
        }
        if paging.skip > 0 && paging.cursor.is_some() {
            self.report("skip", "cannot be combined with cursor");
        }
        paging
    }

    /// Takes the format of a list. Returns whether it is the whole list as lines of JSON, which has no pages.
    pub(crate) fn is_export(&mut self) -> bool {
        let formats = [("json", false), ("ndjson", true)];
        let is_export = self.choice("format", &formats).unwrap_or(false);
        if is_export {
            let message = "cannot be combined with format=ndjson, which has no pages";
            self.refuse(&["skip", "limit", "cursor", "count"], message);
        }
        is_export
    }

    /// Reports parameters that do not go together with another one.
    pub(crate) fn refuse(&mut self, names: &[&str], message: &str) {
        for name in names {
            if self.parameters.iter().any(|(each, _)| each == name) {
                self.report(name, message);
            }
        }
    }

    /// Reports an error of a parameter.
    pub(crate) fn report(&mut self, name: &str, message: &str) {
        self.errors.push(FieldError {
            field: name.to_owned(),
            message: message.to_owned(),
        });
    }

    /// Refuses unknown parameters.
    ///
    /// # Errors
    /// All errors that were found.
    pub(crate) fn close(mut self) -> Result<(), WebError> {
        for (name, _) in std::mem::take(&mut self.parameters) {
            let message = format!("is unknown here; known are {}", self.known.join(", "));
            self.report(&name, &message);
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        let error = AppError::new(ErrorKind::Usage, "the query is not right");
        Err(AppError {
            field_errors: self.errors,
            ..error
        }
        .into())
    }
}

/// The requested page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    /// The number of items before the page.
    pub(crate) skip: u32,
    /// The maximum number of items.
    pub(crate) limit: u32,
    /// Whether to count all items.
    pub(crate) count: bool,
    /// The cursor of an earlier page.
    pub(crate) cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(error: WebError) -> Vec<String> {
        let errors = error.error.field_errors.into_iter();
        errors.map(|error| error.field).collect()
    }

    #[test]
    fn all_errors_are_reported_together() {
        let mut query = Query::parse(Some("limit=0&skip=x&direction=up&colour=red&count=maybe"));
        query.paging();
        query.choice("direction", &[("asc", false), ("desc", true)]);
        let mut reported = fields(query.close().unwrap_err());
        reported.sort();
        assert_eq!(reported, ["colour", "count", "direction", "limit", "skip"]);
    }

    #[test]
    fn repeated_and_empty_parameters() {
        let mut query = Query::parse(Some("hierarchy=&name=a&name=b"));
        assert_eq!(query.hierarchy(), None);
        assert_eq!(query.text("name").as_deref(), Some("a"));
        assert_eq!(fields(query.close().unwrap_err()), ["name"]);
    }

    #[test]
    fn export_has_no_pages() {
        let mut query = Query::parse(Some("format=ndjson&limit=5"));
        assert!(query.is_export());
        query.paging();
        assert_eq!(fields(query.close().unwrap_err()), ["limit"]);
        let mut query = Query::parse(Some("format=json&limit=5"));
        assert!(!query.is_export());
    }

    #[test]
    fn page_has_defaults_and_bounds() {
        let mut query = Query::parse(None);
        let expected = Paging {
            skip: 0,
            limit: DEFAULT_LIMIT,
            count: true,
            cursor: None,
        };
        assert_eq!(query.paging(), expected);
        query.close().unwrap();
        let mut query = Query::parse(Some("limit=1001&skip=10001&cursor=x"));
        query.paging();
        assert_eq!(
            fields(query.close().unwrap_err()),
            ["limit", "skip", "skip"]
        );
    }
}
