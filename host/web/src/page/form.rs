//! Forms from the fields that the plugin describes.

use relation_host::reports::{Field, FieldKind, Model};
use relation_host::types::FieldError;
use serde_json::{Map, Value};

use super::parts::clean;
use super::texts::Language;

/// The maximum number of entries of a list of objects that a form reads.
const MAX_ENTRIES: usize = 20;
/// Fields that matter only while a flag is on, which the script of the page hides otherwise.
const DEPENDENT: &[(&str, &str)] = &[("base_url_setting", "webex_contact_center")];

/// The control of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// An input of one line, of this HTML type.
    Input(&'static str),
    /// A text of several lines.
    Area,
    /// One of some values: value, label, whether chosen.
    Choice(Vec<(String, String, bool)>),
    /// Any of some values.
    Checks(Vec<CheckBox>),
    /// Yes or no.
    Check(bool),
    /// A value that cannot be changed here.
    Fixed,
}

/// A value of a field that has any of some values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckBox {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) is_on: bool,
    /// Whether the value is always chosen.
    pub(crate) is_fixed: bool,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormField {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) help: String,
    pub(crate) control: Control,
    pub(crate) value: String,
    /// The value when the form was opened; `None`: not compared.
    pub(crate) was: Option<String>,
    pub(crate) required: bool,
    pub(crate) max_length: Option<u32>,
    pub(crate) secret: bool,
    pub(crate) autocomplete: &'static str,
    /// The flag that the field depends on.
    pub(crate) when: Option<&'static str>,
    pub(crate) error: Option<String>,
}

impl FormField {
    /// Creates a field with a name, a label and a help text.
    pub(crate) fn new(name: &str, label: String, help: String) -> Self {
        Self {
            id: format!(
                "f-{}",
                super::parts::slug(&name.replace(['[', ']', '.'], "-"))
            ),
            name: name.to_owned(),
            label,
            help,
            control: Control::Input("text"),
            value: String::new(),
            was: None,
            required: false,
            max_length: None,
            secret: false,
            autocomplete: "off",
            when: None,
            error: None,
        }
    }

    /// Returns the ids of the texts that describe the control.
    pub(crate) fn described_by(&self) -> String {
        let help = (!self.help.is_empty()).then(|| format!("{}-help", self.id));
        let error = self.error.is_some().then(|| format!("{}-error", self.id));
        help.into_iter().chain(error).collect::<Vec<_>>().join(" ")
    }

    /// Returns the type of an `input` element; empty for another control.
    pub(crate) fn input_type(&self) -> &'static str {
        match self.control {
            Control::Input(kind) => kind,
            _ => "",
        }
    }

    pub(crate) fn is_area(&self) -> bool {
        self.control == Control::Area
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.control == Control::Fixed
    }

    /// Returns whether the flag is on; `None` for another control.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self.control {
            Control::Check(on) => Some(on),
            _ => None,
        }
    }

    pub(crate) fn choices(&self) -> Option<&[(String, String, bool)]> {
        match &self.control {
            Control::Choice(choices) => Some(choices),
            _ => None,
        }
    }

    pub(crate) fn checks(&self) -> Option<&[CheckBox]> {
        match &self.control {
            Control::Checks(choices) => Some(choices),
            _ => None,
        }
    }
}

/// The values of a sent form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Posted(pub(crate) Vec<(String, String)>);

impl Posted {
    /// Returns a value, with line breaks as the plugin expects them.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(each, _)| each == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns all values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(each, _)| each == name);
        pairs.map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Returns the value when the form was opened.
    fn was(&self, name: &str) -> &str {
        self.text(&format!("was.{name}"))
    }
}

/// The purpose of a form: to add a record or to change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Add,
    Modify,
}

/// Returns the name of a field of a list's entry, such as `shadow[0].name` for `shadow[].name`.
fn entry_name(field: &str, position: usize) -> String {
    field.replace("[]", &format!("[{position}]"))
}

/// Returns the fields of the entries of a list.
fn entry_fields<'a>(model: &'a Model, list: &str) -> impl Iterator<Item = &'a Field> {
    let prefix = format!("{list}[].");
    model
        .fields
        .iter()
        .filter(move |field| field.name.starts_with(&prefix))
}

fn is_input(field: &Field, purpose: Purpose) -> bool {
    let is_fixed = field.add_only && purpose == Purpose::Modify;
    !(field.read_only || is_fixed || field.name.contains('['))
}

/// Returns a stored value as the text of a control.
fn to_text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Builds the fields of a form. `current` are the values of the record. `posted` is the sent form, whose values are
/// shown again.
pub(crate) fn model_fields(
    model: &Model,
    purpose: Purpose,
    current: &Map<String, Value>,
    posted: Option<&Posted>,
    errors: &[FieldError],
    language: Language,
) -> Vec<FormField> {
    let mut fields = Vec::new();
    for field in model
        .fields
        .iter()
        .filter(|field| !field.read_only && !field.name.contains('['))
    {
        if field.kind == FieldKind::Objects {
            let entries = current.get(&field.name).and_then(Value::as_array);
            let count = entries.map_or(0, Vec::len).max(1);
            for position in 0..count.min(MAX_ENTRIES) {
                for member in entry_fields(model, &field.name) {
                    let name = entry_name(&member.name, position);
                    let key = member.name.rsplit('.').next().unwrap_or_default();
                    let value = entries.and_then(|entries| entries.get(position)?.get(key));
                    let mut built = model_field(member, &name, purpose, value, posted, language);
                    built.label = format!("{}: {}", field.title, member.title);
                    // An entry is optional as a whole.
                    built.required = false;
                    fields.push(built);
                }
            }
            continue;
        }
        let value = current.get(&field.name);
        fields.push(model_field(
            field,
            &field.name,
            purpose,
            value,
            posted,
            language,
        ));
    }
    set_errors(&mut fields, errors);
    fields
}

fn model_field(
    field: &Field,
    name: &str,
    purpose: Purpose,
    value: Option<&Value>,
    posted: Option<&Posted>,
    language: Language,
) -> FormField {
    let stored = if field.password {
        String::new()
    } else {
        to_text(value)
    };
    let was = posted.map_or(stored.as_str(), |posted| {
        match posted.get(&format!("was.{name}")) {
            Some(was) => was,
            None => stored.as_str(),
        }
    });
    let was = was.to_owned();
    let shown = match posted {
        // A secret never returns to the page.
        Some(_) if field.password => "",
        Some(posted) if !(field.add_only && purpose == Purpose::Modify) => posted.text(name),
        _ => stored.as_str(),
    };
    let mut built = FormField::new(name, field.title.clone(), field.help.clone());
    built.control = if field.add_only && purpose == Purpose::Modify {
        Control::Fixed
    } else if field.kind == FieldKind::Boolean {
        Control::Check(shown == "true")
    } else if !field.choices.is_empty() {
        let choices = field.choices.iter();
        let choices = choices.map(|choice| {
            (
                choice.value.clone(),
                choice.title.clone(),
                choice.value == shown,
            )
        });
        let none = (
            String::new(),
            language.text("form.no-choice"),
            shown.is_empty(),
        );
        Control::Choice(std::iter::once(none).chain(choices).collect())
    } else if field.password {
        Control::Input("password")
    } else if field.kind == FieldKind::Email {
        Control::Input("email")
    } else {
        // A URL may have a form that browsers refuse, such as that of a proxy with escaped characters.
        Control::Input("text")
    };
    built.value = match (&built.control, field.kind) {
        (Control::Fixed, FieldKind::Boolean) => match stored == "true" {
            true => language.text("form.yes"),
            false => language.text("form.no"),
        },
        (Control::Fixed, _) => clean(&stored),
        _ => shown.to_owned(),
    };
    built.was = (purpose == Purpose::Modify && !field.password && !field.add_only).then_some(was);
    built.required = field.required;
    built.max_length = field.max_length;
    built.secret = field.password;
    built.autocomplete = if field.password {
        "new-password"
    } else {
        "off"
    };
    built.when = DEPENDENT
        .iter()
        .find(|(each, _)| *each == name)
        .map(|(_, flag)| *flag);
    built
}

/// Puts each error beside its field; an error of a list beside its first entry.
pub(crate) fn set_errors(fields: &mut [FormField], errors: &[FieldError]) {
    for error in errors {
        let entry = format!("{}[", error.field);
        let position = fields.iter().position(|field| field.name == error.field);
        let position = position.or_else(|| {
            fields
                .iter()
                .position(|field| field.name.starts_with(&entry))
        });
        if let Some(field) = position.and_then(|position| fields.get_mut(position)) {
            let message = clean(&error.message);
            field.error = Some(match field.error.take() {
                Some(earlier) => format!("{earlier}; {message}"),
                None => message,
            });
        }
    }
}

/// Returns the entries of a list from a sent form.
fn read_entries(model: &Model, list: &str, value: impl Fn(&str) -> String) -> Vec<Value> {
    let mut entries = Vec::new();
    for position in 0..MAX_ENTRIES {
        let mut entry = Map::new();
        for member in entry_fields(model, list) {
            let key = member.name.rsplit('.').next().unwrap_or_default();
            let text = value(&entry_name(&member.name, position));
            if !text.trim().is_empty() {
                entry.insert(key.to_owned(), text.into());
            }
        }
        if !entry.is_empty() {
            entries.push(Value::Object(entry));
        }
    }
    entries
}

/// Reads the fields of a new record from a sent form. An empty control is a field that is not given.
pub(crate) fn read_new(model: &Model, posted: &Posted) -> Map<String, Value> {
    let mut fields = Map::new();
    for field in model
        .fields
        .iter()
        .filter(|field| is_input(field, Purpose::Add))
    {
        let text = posted.text(&field.name);
        let value = match field.kind {
            FieldKind::Boolean => (text == "true").then_some(Value::Bool(true)),
            FieldKind::Objects => {
                let entries = read_entries(model, &field.name, |name| posted.text(name).to_owned());
                (!entries.is_empty()).then_some(Value::Array(entries))
            }
            _ => (!text.trim().is_empty()).then(|| text.into()),
        };
        if let Some(value) = value {
            fields.insert(field.name.clone(), value);
        }
    }
    fields
}

/// Reads the changed fields from a sent form: those whose control differs from its value when the form was opened.
/// A change that a token refresh or another person made meanwhile stays.
pub(crate) fn read_changes(model: &Model, posted: &Posted) -> Map<String, Value> {
    let mut fields = Map::new();
    for field in model
        .fields
        .iter()
        .filter(|field| is_input(field, Purpose::Modify))
    {
        let name = field.name.as_str();
        let text = posted.text(name);
        let value = match field.kind {
            FieldKind::Boolean => {
                let on = text == "true";
                (on != (posted.was(name) == "true")).then_some(Value::Bool(on))
            }
            FieldKind::Objects => {
                let entries = read_entries(model, name, |name| posted.text(name).to_owned());
                let earlier = read_entries(model, name, |name| posted.was(name).to_owned());
                (entries != earlier).then_some(Value::Array(entries))
            }
            _ if field.password => (!text.trim().is_empty()).then(|| text.into()),
            _ if text == posted.was(name) => None,
            _ if text.trim().is_empty() => Some(Value::Null),
            _ => Some(text.into()),
        };
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    }
    fields
}

/// Returns the changed fields that somebody else has changed as well since the form was opened, each with its present
/// value. Updates the form, so that sending it again keeps its own values.
pub(crate) fn find_conflicts(
    model: &Model,
    current: &Map<String, Value>,
    changes: &Map<String, Value>,
    posted: &mut Posted,
) -> Vec<(String, String)> {
    let mut conflicts = Vec::new();
    for field in model
        .fields
        .iter()
        .filter(|field| changes.contains_key(&field.name))
    {
        if field.password || field.kind == FieldKind::Objects {
            continue;
        }
        let present = to_text(current.get(&field.name));
        let is_off =
            |text: &str| field.kind == FieldKind::Boolean && (text.is_empty() || text == "false");
        let was = posted.was(&field.name).to_owned();
        let mine = posted.text(&field.name).to_owned();
        if present == was || present == mine || (is_off(&present) && is_off(&was)) {
            continue;
        }
        let name = format!("was.{}", field.name);
        posted.0.retain(|(each, _)| *each != name);
        posted.0.push((name, present.clone()));
        conflicts.push((field.name.clone(), present));
    }
    conflicts
}

/// Returns the errors of a form, for its summary: the id of the control, the label and the message.
pub(crate) fn summarize(
    fields: &[FormField],
    errors: &[FieldError],
) -> Vec<(Option<String>, String, String)> {
    let mut summary: Vec<_> = fields
        .iter()
        .filter_map(|field| {
            Some((
                Some(field.id.clone()),
                field.label.clone(),
                field.error.clone()?,
            ))
        })
        .collect();
    let is_shown = |error: &FieldError| {
        let entry = format!("{}[", error.field);
        fields
            .iter()
            .any(|field| field.name == error.field || field.name.starts_with(&entry))
    };
    let others = errors.iter().filter(|error| !is_shown(error));
    summary.extend(others.map(|error| (None, clean(&error.field), clean(&error.message))));
    summary
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
