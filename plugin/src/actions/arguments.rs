//! The arguments of an action: their schema, and their parsing with all errors reported together.

use serde_json::{Map, Value, json};

use crate::model::type_name;
use crate::platform::{Failure, FieldError, UnixMillis};
use crate::text::find_similar;

/// A parameter of an action.
pub struct Parameter {
    /// The name in the arguments.
    pub name: &'static str,
    /// One sentence for the person who invokes the action.
    pub help: &'static str,
    /// The kind of its value.
    pub kind: ParameterKind,
    /// Whether an argument must be given.
    pub required: bool,
}

/// The kind of value of a parameter. Rules beyond it are checked by the action.
#[derive(Clone, Copy)]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// One of these texts. Without a default, the action checks the text together with its other input.
    Choice {
        /// The texts.
        choices: &'static [&'static str],
        /// The text if none is given.
        default: Option<&'static str>,
    },
    /// `true` or `false`.
    Boolean {
        /// The value if none is given.
        default: Option<bool>,
    },
    /// Milliseconds since the Unix epoch.
    Timestamp,
    /// A list of texts: of these, or of any if these are empty.
    Texts(&'static [&'static str]),
    /// A list of JSON objects.
    Objects,
}

impl ParameterKind {
    /// `true` or `false`; false by default.
    pub const FLAG: Self = Self::Boolean {
        default: Some(false),
    };
}

/// Arguments that satisfy the parameters of their action.
pub struct Arguments(Map<String, Value>);

impl Arguments {
    /// Parses the text of one JSON object. A JSON `null` is an absent argument. `check` returns further errors of the
    /// arguments that have the right types.
    ///
    /// # Errors
    /// `invalid` with all errors, by the argument's name; `arguments` if it is not a JSON object.
    pub fn parse(
        text: &str,
        parameters: &[Parameter],
        check: impl FnOnce(&Self) -> Vec<FieldError>,
    ) -> Result<Self, Failure> {
        let invalid = |error: String| vec![FieldError::new("arguments", error)];
        let mut arguments = match serde_json::from_str(text) {
            Ok(Value::Object(arguments)) => arguments,
            Ok(other) => {
                let error = format!("must be one JSON object, not {}", type_name(&other));
                return Err(Failure::Invalid(invalid(error)));
            }
            Err(error) => return Err(Failure::Invalid(invalid(format!("is not JSON: {error}")))),
        };
        arguments.retain(|_, value| !value.is_null());
        let mut errors = Vec::new();
        for (name, value) in &arguments {
            let known = parameters.iter().find(|parameter| parameter.name == name);
            let error = match known {
                Some(parameter) => parameter.kind.check(value),
                None => Some(unknown_error(name, parameters)),
            };
            errors.extend(error.map(|error| FieldError::new(name, error)));
        }
        let required = parameters.iter().filter(|parameter| parameter.required);
        for missing in required.filter(|parameter| !arguments.contains_key(parameter.name)) {
            errors.push(FieldError::new(missing.name, "is required"));
        }
        // For the check, an argument of another type is absent.
        let reported: Vec<String> = errors.iter().map(|error| error.field.clone()).collect();
        arguments.retain(|name, _| !reported.contains(name));
        let arguments = Self(arguments);
        let further = check(&arguments).into_iter();
        errors.extend(further.filter(|error| !reported.contains(&error.field)));
        match errors.is_empty() {
            true => Ok(arguments),
            false => Err(Failure::Invalid(errors)),
        }
    }

    /// Returns a text that was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Returns a list of texts that was given, without duplicates.
    pub fn texts(&self, name: &str) -> Option<Vec<String>> {
        let list = self.0.get(name)?.as_array()?;
        let mut texts: Vec<String> = Vec::new();
        for text in list.iter().filter_map(Value::as_str) {
            if !texts.iter().any(|earlier| earlier == text) {
                texts.push(text.to_owned());
            }
        }
        Some(texts)
    }

    /// Returns any argument that was given.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns a flag; false if it was not given.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Returns a time that was given.
    pub fn timestamp(&self, name: &str) -> Option<UnixMillis> {
        self.0.get(name).and_then(Value::as_u64).map(UnixMillis)
    }
}

fn unknown_error(name: &str, parameters: &[Parameter]) -> String {
    let names = || parameters.iter().map(|parameter| parameter.name);
    match find_similar(name, names()) {
        Some(similar) => format!("is not an argument of this action; did you mean {similar}?"),
        None => format!(
            "is not an argument of this action, which has {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Checks an item of a list of texts; returns the error, if any.
fn check_item(choices: &[&str], item: &Value) -> Option<String> {
    let Some(text) = item.as_str() else {
        return Some(format!(
            "must be a list of texts, not of {}",
            type_name(item)
        ));
    };
    if choices.is_empty() || choices.contains(&text) {
        return None;
    }
    Some(format!(
        "has {text:?}, which is none of {}",
        choices.join(", ")
    ))
}

impl ParameterKind {
    /// Checks a value; returns the error, if any.
    fn check(self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Text, Value::String(_)) | (Self::Boolean { .. }, Value::Bool(_)) => None,
            (Self::Timestamp, value) if value.is_u64() => None,
            (Self::Choice { choices, default }, Value::String(text)) => {
                let is_right = default.is_none() || choices.contains(&text.as_str());
                (!is_right).then(|| format!("must be one of {}", choices.join(", ")))
            }
            (Self::Texts(choices), Value::Array(items)) => {
                items.iter().find_map(|item| check_item(choices, item))
            }
            (Self::Objects, Value::Array(items)) => items
                .iter()
                .find(|item| !item.is_object())
                .map(|item| format!("must be a list of JSON objects, not of {}", type_name(item))),
            _ => Some(format!(
                "must be {}, not {}",
                self.expected_type(),
                type_name(value)
            )),
        }
    }

    fn expected_type(self) -> &'static str {
        match self {
            Self::Text | Self::Choice { .. } => "a text",
            Self::Boolean { .. } => "true or false",
            Self::Timestamp => "milliseconds since 1970, a whole number",
            Self::Texts(_) => "a list of texts",
            Self::Objects => "a list of JSON objects",
        }
    }

    fn schema(self) -> Value {
        let mut schema = match self {
            Self::Text => json!({ "type": "string" }),
            Self::Choice { choices, .. } => json!({ "type": "string", "enum": choices }),
            Self::Boolean { .. } => json!({ "type": "boolean" }),
            Self::Timestamp => json!({ "type": "integer", "minimum": 0 }),
            Self::Texts([]) => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Texts(choices) => json!({
                "type": "array", "items": { "type": "string", "enum": choices },
            }),
            Self::Objects => json!({ "type": "array", "items": { "type": "object" } }),
        };
        if let (Some(default), Some(schema)) = (self.default(), schema.as_object_mut()) {
            schema.insert("default".to_owned(), default);
        }
        schema
    }

    fn default(self) -> Option<Value> {
        match self {
            Self::Choice { default, .. } => default.map(Value::from),
            Self::Boolean { default } => default.map(Value::from),
            _ => None,
        }
    }
}

/// Returns the JSON Schema (draft 2020-12) of the arguments.
pub fn schema(parameters: &[Parameter]) -> Value {
    let property = |parameter: &Parameter| {
        let mut schema = parameter.kind.schema();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), parameter.help.into());
        }
        (parameter.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = parameters.iter().map(property).collect();
    let required = parameters.iter().filter(|parameter| parameter.required);
    let required: Vec<&str> = required.map(|parameter| parameter.name).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}
