//! Reads JSON from callers and collects all errors, each with the path of its field.

use relation_types::FieldError;
use serde_json::{Map, Value};

use super::{List, ListMode, Setting};

/// The maximum number of errors that are listed.
const MAX_ERRORS: usize = 100;
/// The maximum number of characters of the caller's text that an error repeats.
const MAX_QUOTE: usize = 40;
/// The minimum similarity (Jaro-Winkler, 0 to 1) at which a name is suggested for an unknown one.
const MIN_SIMILARITY: f64 = 0.75;
/// The word for a setting that the level does not decide.
pub(super) const INHERIT: &str = "inherit";
/// Names of secrets, which are stored apart from the settings.
const SECRETS: [&str; 8] = [
    "secret",
    "secrets",
    "password",
    "community",
    "key",
    "auth_password",
    "privacy_password",
    "token",
];

/// The errors found so far.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<FieldError>);

impl Errors {
    /// Adds an error at `path`. Further errors than the maximum are dropped.
    pub(super) fn push(&mut self, path: &str, message: impl Into<String>) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(FieldError {
                field: path.to_owned(),
                message: message.into(),
            });
        }
    }

    /// Adds the error of `result` at `path`, and returns its value.
    pub(super) fn keep<T>(&mut self, path: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.push(path, message)).ok()
    }

    /// Returns `value` if there are no errors.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(self.0),
        }
    }

    /// Returns the number of errors.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Quotes a caller's text in an error, cut and with control characters escaped.
pub(super) fn quote(text: &str) -> String {
    let cut: String = text.chars().take(MAX_QUOTE).collect();
    match cut.len() == text.len() {
        true => format!("{text:?}"),
        false => format!("{cut:?}…"),
    }
}

/// Joins the path of an object and the name of its member.
pub(super) fn join(path: &str, name: &str) -> String {
    match path.is_empty() {
        true => name.to_owned(),
        false => format!("{path}.{name}"),
    }
}

/// Returns the name in `known` that is most similar to `typed`, if any is similar.
pub(super) fn find_similar<'n>(
    typed: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let cut: String = typed.chars().take(MAX_QUOTE).collect();
    let typed = cut.replace('-', "_").to_lowercase();
    known
        .into_iter()
        .map(|name| {
            let comparable = name.replace('-', "_").to_lowercase();
            (strsim::jaro_winkler(&typed, &comparable), name)
        })
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// An object of the caller's, and its path.
pub(super) struct Members<'j> {
    /// The path, empty for the settings themselves.
    pub(super) path: &'j str,
    members: &'j Map<String, Value>,
}

impl<'j> Members<'j> {
    /// Reads an object whose members have one of the names `known`. Others are errors.
    pub(super) fn read(
        value: &'j Value,
        path: &'j str,
        known: &[&str],
        errors: &mut Errors,
    ) -> Option<Self> {
        let Value::Object(members) = value else {
            let names = known.join(", ");
            errors.push(
                path,
                format!("must be an object with {names}, not {}", describe(value)),
            );
            return None;
        };
        for name in members
            .keys()
            .filter(|name| !known.contains(&name.as_str()))
        {
            let message = match find_similar(name, known.iter().copied()) {
                Some(similar) => format!("unknown field; did you mean `{similar}`?"),
                None if SECRETS.contains(&name.as_str()) => {
                    "a secret is not part of the settings; set it apart, for the recipient's id"
                        .to_owned()
                }
                None => format!("unknown field; the fields are {}", known.join(", ")),
            };
            let name: String = name.chars().take(MAX_QUOTE).collect();
            errors.push(&join(path, &name), message);
        }
        Some(Self { path, members })
    }

    /// Returns the member.
    pub(super) fn get(&self, name: &str) -> Option<&'j Value> {
        self.members.get(name)
    }

    /// Reads a setting. An absent one is inherited.
    pub(super) fn setting<T>(
        &self,
        name: &str,
        errors: &mut Errors,
        read: impl FnOnce(&Value, &str, &mut Errors) -> Option<T>,
    ) -> Setting<T> {
        match self.get(name) {
            None => Setting::Inherit,
            Some(Value::String(word)) if word == INHERIT => Setting::Inherit,
            Some(value) => match read(value, &join(self.path, name), errors) {
                Some(value) => Setting::Value(value),
                None => Setting::Inherit,
            },
        }
    }

    /// Reads a member that must be present.
    pub(super) fn required<T>(
        &self,
        name: &str,
        errors: &mut Errors,
        read: impl FnOnce(&Value, &str, &mut Errors) -> Option<T>,
    ) -> Option<T> {
        let path = join(self.path, name);
        match self.get(name) {
            Some(value) => read(value, &path, errors),
            None => {
                errors.push(&path, "is missing");
                None
            }
        }
    }

    /// Reads a member that may be absent: `Some(None)`. An invalid one is `None`.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        errors: &mut Errors,
        read: impl FnOnce(&Value, &str, &mut Errors) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.get(name) {
            Some(value) => read(value, &join(self.path, name), errors).map(Some),
            None => Some(None),
        }
    }
}

/// Reads `true` or `false`, or the platform's words `yes` and `no`.
pub(super) fn read_flag(value: &Value, path: &str, errors: &mut Errors) -> Option<bool> {
    const EXPECTED: &str = "must be true, false, \"yes\", \"no\" or \"inherit\"";
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) if word == "yes" => Some(true),
        Value::String(word) if word == "no" => Some(false),
        Value::String(word) => {
            let found = quote(word);
            errors.push(path, format!("{EXPECTED}, not {found}"));
            None
        }
        other => {
            let found = describe(other);
            errors.push(path, format!("{EXPECTED}, not {found}"));
            None
        }
    }
}

/// Reads a text with a parser.
pub(super) fn read_text<T>(
    value: &Value,
    path: &str,
    errors: &mut Errors,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    match value {
        Value::String(text) => errors.keep(path, parse(text)),
        other => {
            errors.push(path, format!("must be a text, not {}", describe(other)));
            None
        }
    }
}

/// Reads a whole number in a range.
pub(super) fn read_number(
    value: &Value,
    path: &str,
    errors: &mut Errors,
    range: std::ops::RangeInclusive<u64>,
) -> Option<u64> {
    let number = value.as_u64().filter(|number| range.contains(number));
    if number.is_none() {
        let (min, max) = (range.start(), range.end());
        errors.push(path, format!("must be a whole number from {min} to {max}"));
    }
    number
}

/// Parses one of a set of words. `noun` is their name in errors, such as `a language`.
pub(super) fn parse_word<T: Copy>(
    text: &str,
    noun: &str,
    words: &[(&'static str, T)],
) -> Result<T, String> {
    if let Some((_, word)) = words.iter().find(|(name, _)| *name == text) {
        return Ok(*word);
    }
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let typed = quote(text);
    Err(match find_similar(text, names.iter().copied()) {
        Some(similar) => format!("{typed} is not {noun}; did you mean \"{similar}\"?"),
        None => format!("{typed} is not {noun}; use one of {}", names.join(", ")),
    })
}

/// Reads a list of at most `max` values: an array, which replaces the inherited list, or an object with `mode` and
/// `values`. Errors name an item by its position, such as `recipients.2`.
pub(super) fn read_list<T>(
    value: &Value,
    path: &str,
    errors: &mut Errors,
    max: usize,
    mut read: impl FnMut(&Value, &str, &mut Errors) -> Option<T>,
) -> Option<List<T>> {
    let before = errors.len();
    let (mode, items) = match value {
        Value::Array(items) => (Some(ListMode::Replace), items),
        Value::Object(_) => {
            let members = Members::read(value, path, &["mode", "values"], errors)?;
            let mode = members.optional("mode", errors, |value, path, errors| {
                read_text(value, path, errors, |text| {
                    parse_word(text, "a mode", &ListMode::WORDS)
                })
            });
            let Some(Value::Array(items)) = members.get("values") else {
                errors.push(&join(path, "values"), "must be a list");
                return None;
            };
            (mode.map(Option::unwrap_or_default), items)
        }
        other => {
            let found = describe(other);
            errors.push(
                path,
                format!("must be a list, or an object with mode and values, not {found}"),
            );
            return None;
        }
    };
    if items.len() > max {
        let count = items.len();
        errors.push(
            path,
            format!("has {count} values; at most {max} are allowed"),
        );
    }
    let mut values = Vec::new();
    for (index, item) in items.iter().take(max).enumerate() {
        values.extend(read(item, &format!("{path}.{index}"), errors));
    }
    let mode = mode?;
    (errors.len() == before).then_some(List { mode, values })
}

/// Names the kind of a value that is not the expected one, without repeating it.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
