//! The query of a request: known parameters only, and all errors together.

use std::collections::BTreeSet;
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
    hints: Vec<String>,
}

impl Query {
    /// Parses the query of a URL.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self {
            parameters: pairs.into_owned().collect(),
            known: Vec::new(),
            errors: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Forgets a parameter without a value, which a form sends for an empty field.
    pub(crate) fn forget_empty(&mut self, name: &str) {
        let values = self.parameters.iter().filter(|(each, _)| each == name);
        if values.map(|(_, value)| value.as_str()).eq([""]) {
            self.parameters.retain(|(each, _)| each != name);
        }
    }

    /// Takes a text. An empty one is an error: it is more likely a mistake than a wish for everything.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parameters)
            .into_iter()
            .partition(|(each, _)| each == name);
        self.parameters = rest;
        if taken.len() > 1 {
            self.report(name, "is given more than once");
        }
        let (_, value) = taken.into_iter().next()?;
        if value.is_empty() {
            self.report(name, "is empty: leave the parameter out, or give a value");
            return None;
        }
        Some(value)
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

    /// Takes one of several words. Case does not matter, nor do spaces, hyphens and underscores: the page and the API
    /// spell some words differently.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(name)?;
        let folded = fold_word(&text);
        let found = choices.iter().find(|(word, _)| fold_word(word) == folded);
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
        self.paging_after(skip.unwrap_or(0))
    }

    /// Takes limit, count and cursor, of a list that skips nothing.
    pub(crate) fn paging_by_cursor(&mut self) -> Paging {
        self.paging_after(0)
    }

    /// Takes limit and cursor, of a list that skips and counts nothing.
    pub(crate) fn paging_without_count(&mut self) -> Paging {
        self.paging_of(0, false)
    }

    fn paging_after(&mut self, skip: u32) -> Paging {
        let count = self.flag("count", true);
        self.paging_of(skip, count)
    }

    fn paging_of(&mut self, skip: u32, count: bool) -> Paging {
        let limit: Option<u32> = self.value("limit", "a whole number");
        let paging = Paging {
            skip,
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            count,
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

    /// Returns whether a parameter has an error so far.
    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
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

    /// Reports an error of a parameter, with a hint that says what to do.
    pub(crate) fn report_with_hint(&mut self, name: &str, message: &str, hint: impl Into<String>) {
        self.report(name, message);
        self.hints.push(hint.into());
    }

    /// Refuses unknown parameters.
    ///
    /// # Errors
    /// All errors that were found.
    pub(crate) fn close(mut self) -> Result<(), WebError> {
        let unknown = std::mem::take(&mut self.parameters).into_iter();
        let unknown: BTreeSet<String> = unknown.map(|(name, _)| name).collect();
        if !unknown.is_empty() {
            self.hints.push(match self.known.as_slice() {
                [] => "this request takes no parameters".to_owned(),
                known => format!("the parameters are {}", known.join(", ")),
            });
        }
        for name in unknown {
            self.report(&name, "is unknown here");
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        let error = AppError::new(ErrorKind::Usage, "the query is not right");
        let error = AppError {
            field_errors: self.errors,
            ..error
        };
        Err(match self.hints.is_empty() {
            true => error,
            false => error.hint(self.hints.join("; ")),
        }
        .into())
    }
}

/// Returns a word as it is compared.
fn fold_word(word: &str) -> String {
    word.to_lowercase().replace([' ', '_'], "-")
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
        let mut query = Query::parse(Some("limit=0&skip=x&direction=up&color=red&count=maybe"));
        query.paging();
        query.choice("direction", &[("asc", false), ("desc", true)]);
        let mut reported = fields(query.close().unwrap_err());
        reported.sort();
        assert_eq!(reported, ["color", "count", "direction", "limit", "skip"]);
    }

    #[test]
    fn repeated_and_empty_parameters() {
        let mut query = Query::parse(Some("hierarchy=&name=a&name=b"));
        assert_eq!(query.hierarchy(), None);
        assert_eq!(query.text("name").as_deref(), Some("a"));
        assert_eq!(fields(query.close().unwrap_err()), ["hierarchy", "name"]);
    }

    #[test]
    fn unknown_parameters_are_reported_with_known_ones() {
        let mut query = Query::parse(Some("q=a&q=b&name=c"));
        query.text("name");
        query.flag("count", true);
        let error = query.close().unwrap_err();
        let hint = error.error.hint.as_deref();
        assert_eq!(hint, Some("the parameters are name, count"));
        assert_eq!(fields(error), ["q"]);
        let error = Query::parse(Some("dry_run=true")).close().unwrap_err();
        let hint = error.error.hint.as_deref();
        assert_eq!(hint, Some("this request takes no parameters"));
    }

    #[test]
    fn choice_has_any_case_and_separator() {
        let choices = [("Fail", 1), ("Success With Async Failures", 2)];
        for (text, expected) in [
            ("Fail", Some(1)),
            ("fAIL", Some(1)),
            ("success-with-async-failures", Some(2)),
            ("Success+With+Async+Failures", Some(2)),
            ("SuccessWithAsyncFailures", None),
            ("failed", None),
        ] {
            let mut query = Query::parse(Some(&format!("status={text}")));
            assert_eq!(query.choice("status", &choices), expected, "{text}");
        }
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
