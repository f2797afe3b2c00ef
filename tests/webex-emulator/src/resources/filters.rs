//! Filters of lists by query parameters.

use chrono::DateTime;
use serde_json::Value;

use crate::ids;
use crate::query::Query;

/// The comparison of an entry's value with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Equals,
    IgnoreCase,
    /// Begins with the parameter, in any case.
    Prefix,
    /// Contains the parameter, in any case.
    Contains,
    /// The value is in the list, which is separated by commas or repeated parameters.
    AnyOf,
    /// The value is an id of the same UUID.
    SameUuid,
    /// The value is a time at or after the parameter: epoch milliseconds or ISO 8601.
    NotBefore,
    /// Fulfils `displayName eq …` or `displayName sw …`.
    Scim,
}

/// A query parameter that selects entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    pub(crate) parameter: &'static str,
    /// JSON pointers to the values, one of which has to match.
    pointers: &'static [&'static str],
    rule: Rule,
    /// Stands for a value that the entry lacks.
    absent: Option<&'static str>,
}

impl Filter {
    pub(super) const fn new(
        parameter: &'static str,
        pointers: &'static [&'static str],
        rule: Rule,
    ) -> Self {
        Self {
            parameter,
            pointers,
            rule,
            absent: None,
        }
    }

    pub(super) const fn or_absent(self, value: &'static str) -> Self {
        Self {
            absent: Some(value),
            ..self
        }
    }

    /// Returns whether the query has the parameter.
    pub(crate) fn is_active(&self, query: &Query) -> bool {
        query
            .get(self.parameter)
            .is_some_and(|value| !value.is_empty())
    }

    /// Returns whether the entry is one that the query asks for.
    pub(crate) fn matches(&self, entry: &Value, query: &Query) -> bool {
        self.pointers
            .iter()
            .any(|pointer| match entry.pointer(pointer) {
                None => self.absent.is_some_and(|value| self.accepts(value, query)),
                Some(Value::Array(values)) => {
                    values.iter().any(|value| self.accepts(&text(value), query))
                }
                Some(value) => self.accepts(&text(value), query),
            })
    }

    fn accepts(&self, value: &str, query: &Query) -> bool {
        let wanted = query.get(self.parameter).unwrap_or_default();
        let lower = || (value.to_lowercase(), wanted.to_lowercase());
        match self.rule {
            Rule::Equals => value == wanted,
            Rule::IgnoreCase => value.eq_ignore_ascii_case(wanted),
            Rule::Prefix => {
                let (value, wanted) = lower();
                value.starts_with(&wanted)
            }
            Rule::Contains => {
                let (value, wanted) = lower();
                value.contains(&wanted)
            }
            Rule::AnyOf => {
                let mut listed = query.all(self.parameter).flat_map(|list| list.split(','));
                listed.any(|one| one.trim() == value)
            }
            Rule::SameUuid => {
                let uuid = ids::uuid_in(value);
                uuid.is_some() && uuid == ids::uuid_in(wanted)
            }
            Rule::NotBefore => match (milliseconds(value), milliseconds(wanted)) {
                (Some(value), Some(wanted)) => value >= wanted,
                _ => false,
            },
            Rule::Scim => is_scim_match(value, wanted),
        }
    }
}

/// Returns a string as it is, and any other value as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Parses a time in epoch milliseconds or ISO 8601.
fn milliseconds(text: &str) -> Option<i64> {
    let parsed = text.parse();
    parsed
        .ok()
        .or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()))
}

fn is_scim_match(value: &str, filter: &str) -> bool {
    let mut words = filter.trim().splitn(3, ' ');
    let (Some(field), Some(operator), Some(wanted)) = (words.next(), words.next(), words.next())
    else {
        return false;
    };
    let wanted = wanted.trim().trim_matches('"').to_lowercase();
    let value = value.to_lowercase();
    field.eq_ignore_ascii_case("displayName")
        && match operator.to_ascii_lowercase().as_str() {
            "eq" => value == wanted,
            "sw" => value.starts_with(&wanted),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(rule: Rule, entry: &Value, query: &str) -> bool {
        let query = Query::new(&format!("/?{query}").parse().unwrap());
        Filter::new("x", &["/a"], rule)
            .or_absent("none")
            .matches(entry, &query)
    }

    #[test]
    fn rules_compare_values_with_the_parameter() {
        for (rule, entry, query) in [
            (Rule::Equals, json!({"a": 5}), "x=5"),
            (Rule::Equals, json!({}), "x=none"),
            (Rule::IgnoreCase, json!({"a": ["b", "C"]}), "x=c"),
            (Rule::Prefix, json!({"a": "Ada Chen"}), "x=ada"),
            (Rule::Contains, json!({"a": "Ada Chen"}), "x=CHEN"),
            (Rule::AnyOf, json!({"a": "c"}), "x=b,c"),
            (Rule::AnyOf, json!({"a": "c"}), "x=b&x=c"),
            (
                Rule::NotBefore,
                json!({"a": "2023-11-14T22:13:20.000Z"}),
                "x=1700000000000",
            ),
            (
                Rule::NotBefore,
                json!({"a": "2023-11-14T22:13:20.000Z"}),
                "x=2023-11-14T22:13:20Z",
            ),
            (
                Rule::Scim,
                json!({"a": "Board 1"}),
                "x=displayName+sw+%22board%22",
            ),
        ] {
            assert!(matches(rule, &entry, query), "{rule:?} {query}");
        }
        for (rule, entry, query) in [
            (Rule::Equals, json!({"a": "5 "}), "x=5"),
            (Rule::Prefix, json!({"a": "Ada Chen"}), "x=chen"),
            (
                Rule::NotBefore,
                json!({"a": "2023-11-14T22:13:19.999Z"}),
                "x=1700000000000",
            ),
            (
                Rule::Scim,
                json!({"a": "Board 1"}),
                "x=displayName+eq+board",
            ),
            (Rule::Scim, json!({"a": "Board 1"}), "x=members+sw+board"),
        ] {
            assert!(!matches(rule, &entry, query), "{rule:?} {query}");
        }
    }
}
