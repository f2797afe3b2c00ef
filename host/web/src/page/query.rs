//! The query of a list: its filters, and the page for wrong ones.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;

use super::links;
use crate::WebError;
use crate::api::query::Query;

/// The filters of a list.
pub(crate) trait Filters: Sized {
    /// Takes the filters from a query.
    fn take(query: &mut ListQuery) -> Self;
}

/// The query of a list, from which the filters are taken.
pub(crate) struct ListQuery {
    query: Query,
    pairs: Vec<(String, String)>,
}

impl ListQuery {
    fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self {
            query: Query::parse(query),
            pairs: pairs.into_owned().collect(),
        }
    }

    /// Takes a text. An empty one, which a form sends for an empty field, is the same as none.
    pub(crate) fn text(&mut self, name: &'static str) -> String {
        self.query.forget_empty(name);
        self.query.text(name).unwrap_or_default()
    }

    /// Takes a text that no form sends empty.
    pub(crate) fn filled(&mut self, name: &'static str) -> String {
        self.query.text(name).unwrap_or_default()
    }

    /// Takes a day, or none.
    pub(crate) fn date(&mut self, name: &'static str) -> String {
        self.query.forget_empty(name);
        let day = self
            .query
            .value::<NaiveDate>(name, "a day such as 2026-12-07");
        day.map_or_else(String::new, |day| day.to_string())
    }

    /// Takes one of several words, or none.
    pub(crate) fn word<'a>(
        &mut self,
        name: &'static str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> String {
        self.query.forget_empty(name);
        let words: Vec<(&str, &str)> = words.into_iter().map(|word| (word, word)).collect();
        let word = self.query.choice(name, &words);
        word.unwrap_or_default().to_owned()
    }

    /// Refuses wrong and unknown parameters. The error page leads to `path` with the other ones.
    fn close(self, path: &str) -> Result<(), RefusedQuery> {
        self.query.close().map_err(|error| {
            let wrong = &error.error.field_errors;
            let is_right = |name: &str| wrong.iter().all(|each| each.field != name);
            let right = self.pairs.iter().filter(|(name, _)| is_right(name));
            let right: Vec<(&str, &str)> = right
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let back = links::with_query(path, &right);
            RefusedQuery {
                error: Box::new(error),
                back,
            }
        })
    }
}

/// The filters of the request.
pub(crate) struct Filtered<T>(pub(crate) T);

impl<T: Filters, S: Sync> FromRequestParts<S> for Filtered<T> {
    type Rejection = RefusedQuery;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RefusedQuery> {
        let mut query = ListQuery::parse(parts.uri.query());
        let filters = T::take(&mut query);
        query.close(parts.uri.path())?;
        Ok(Self(filters))
    }
}

/// A query with wrong parameters.
pub(crate) struct RefusedQuery {
    error: Box<WebError>,
    back: String,
}

/// The address of a list without its wrong parameters: an extension of the response, for the error page.
#[derive(Clone, Debug)]
pub(crate) struct ListAddress(pub(crate) String);

impl IntoResponse for RefusedQuery {
    fn into_response(self) -> Response {
        let mut response = (*self.error).into_response();
        response.extensions_mut().insert(ListAddress(self.back));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the refused parameters, and the address of the list without them.
    fn refuse(query: &str) -> Option<(Vec<String>, String)> {
        let mut query = ListQuery::parse(Some(query));
        query.text("q");
        query.word("state", ["expired", "connected"]);
        query.filled("hierarchy");
        let refused = query.close("/organizations").err()?;
        let fields = refused.error.error.field_errors.into_iter();
        Some((fields.map(|error| error.field).collect(), refused.back))
    }

    #[test]
    fn empty_field_of_a_form_is_not_a_filter() {
        for query in ["", "q=&state=", "q=a%26b&state=expired&hierarchy=sys.A"] {
            assert_eq!(refuse(query), None, "{query}");
        }
    }

    #[test]
    fn wrong_filters_are_refused_and_left_out() {
        for (query, fields, back) in [
            ("state=zz&q=a%26b", "state", "?q=a%26b"),
            ("q=a&q=b&state=expired", "q", "?state=expired"),
            ("hierarchy=", "hierarchy", ""),
            ("stat=expired&hierarchy=sys", "stat", "?hierarchy=sys"),
            ("state=zz&hierarchy=&q=a", "state hierarchy", "?q=a"),
        ] {
            let (found, address) = refuse(query).unwrap();
            assert_eq!(found.join(" "), fields, "{query}");
            assert_eq!(address, format!("/organizations{back}"), "{query}");
        }
    }
}
