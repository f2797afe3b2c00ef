//! The plugin's description of its model, and the findings of its check.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of value that a field of the model accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// A text.
    Text,
    /// A text that is an e-mail address.
    Email,
    /// A text that is a URL; a link when read-only.
    Uri,
    /// A text: RFC 3339, UTC.
    DateTime,
    /// `true` or `false`.
    Boolean,
    /// A list of objects, whose fields are listed as `name[].field`.
    Objects,
}

/// One of the values that a field may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The stored value.
    pub value: String,
    /// The label that a person sees.
    pub title: String,
}

/// One field of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The field's name.
    pub name: String,
    /// The label of the form.
    pub title: String,
    /// The kind of value.
    pub kind: FieldKind,
    /// Required for `add`.
    pub required: bool,
    /// The maximum number of characters of a text.
    pub max_length: Option<u32>,
    /// Write-only: never returned, displayed or logged.
    pub password: bool,
    /// Set by the plugin; rejected as input.
    pub read_only: bool,
    /// Set by `add` and never changed afterwards.
    pub add_only: bool,
    /// The allowed values; empty allows any.
    pub choices: Vec<Choice>,
    /// One sentence for the person who fills in the form.
    pub help: String,
}

/// An action that a record offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The action's name, such as `RefreshAccessToken`.
    pub name: String,
    /// The action's title.
    pub title: String,
    /// One sentence that describes the action.
    pub help: String,
    /// The JSON Schema of the arguments, which are one object.
    pub arguments_schema: Value,
    /// The JSON Schema of the result.
    pub result_schema: Value,
}

/// A setting that the plugin reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingDescription {
    /// The key under which the plugin reads it.
    pub key: String,
    /// Whether its value is a secret.
    pub secret: bool,
    /// The form of its value, as words that follow "must be".
    pub format: String,
    /// The value in effect without one.
    pub default: Option<String>,
    /// One sentence for an operator.
    pub help: String,
}

/// The level of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingLevel {
    /// The check passed.
    Ok,
    /// Something will not work, but most does.
    Warning,
    /// The installation does not work.
    Error,
}

/// A finding of a check of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The checked part, such as `client`.
    pub check: String,
    /// The level.
    pub level: FindingLevel,
    /// The finding, for an operator.
    pub message: String,
    /// The next step for the operator; empty if the check passed.
    pub hint: String,
}

/// The model as the plugin describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name that callers use: `relation/SparkCustomer`.
    pub name: String,
    /// The name of the stored model: `data/SparkCustomer`.
    pub record_model: String,
    /// The model's title.
    pub title: String,
    /// The model's fields, in the order of the form.
    pub fields: Vec<Field>,
    /// The model's actions.
    pub actions: Vec<Action>,
    /// The settings that the plugin reads.
    pub settings: Vec<SettingDescription>,
}
