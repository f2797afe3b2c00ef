//! `describe`: shows the model and the settings that the plugin provides.

use relation_app::AppError;
use relation_host::reports::{Action, Field, Model};
use serde_json::Value;

use crate::Context;
use crate::output::escape_control_chars;
use crate::table::{Column, Table};

/// Prints the model's fields and actions, and the settings.
pub async fn run(context: &Context) -> Result<(), AppError> {
    let host = context.installation.plugin_host().await?;
    let model = host.describe().await?;
    context.output.print(&model, render_text)
}

fn render_text(model: &Model) -> String {
    let mut fields = Table::with_columns(&[
        Column::new("field"),
        Column::new("title").wrapped(16).droppable(1),
        Column::new("kind").droppable(2),
        Column::new("rules").wrapped(16),
        Column::new("help").wrapped(24),
    ]);
    for field in &model.fields {
        fields.add([
            &field.name,
            &field.title,
            &kind(field),
            &rules(field),
            &field.help,
        ]);
    }
    let mut actions = Table::with_columns(&[
        Column::new("action"),
        Column::new("title").wrapped(16).droppable(1),
        Column::new("arguments").wrapped(16),
        Column::new("help").wrapped(24),
    ]);
    for action in &model.actions {
        let arguments = render_arguments(action);
        actions.add([&action.name, &action.title, &arguments, &action.help]);
    }
    let mut settings = Table::with_columns(&[
        Column::new("setting"),
        Column::new("default").wrapped(16).droppable(2),
        Column::new("format").wrapped(16).droppable(1),
        Column::new("help").wrapped(24),
    ]);
    for setting in &model.settings {
        let default = match (&setting.default, setting.secret) {
            (_, true) => "secret",
            (Some(default), false) => default,
            (None, false) => "none",
        };
        settings.add([&setting.key, default, &setting.format, &setting.help]);
    }
    let name = escape_control_chars(&model.name);
    let title = escape_control_chars(&model.title);
    format!("{name}: {title}\n\n{fields}\n\n{actions}\n\n{settings}")
}

fn render_arguments(action: &Action) -> String {
    let schema = &action.arguments_schema;
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|each| each == name));
    let names = schema.get("properties").and_then(Value::as_object);
    let names = names.into_iter().flatten();
    let arguments = names.map(|(name, _)| match is_required(name) {
        true => format!("{name} (required)"),
        false => name.clone(),
    });
    arguments.collect::<Vec<_>>().join(", ")
}

fn kind(field: &Field) -> String {
    // Use the contract's names, as in JSON.
    serde_json::to_value(field.kind)
        .ok()
        .and_then(|kind| kind.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn rules(field: &Field) -> String {
    let flags = [
        (field.required, "required"),
        (field.password, "password"),
        (field.read_only, "read-only"),
        (field.add_only, "at add only"),
    ];
    let mut rules: Vec<String> = flags
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, rule)| rule.to_owned())
        .collect();
    if let Some(length) = field.max_length {
        rules.push(format!("at most {length} characters"));
    }
    if !field.choices.is_empty() {
        let choices = field.choices.iter();
        let choices = choices.map(|choice| match choice.title == choice.value {
            true => choice.value.clone(),
            false => format!("{} ({:?})", choice.value, choice.title),
        });
        let choices: Vec<String> = choices.collect();
        rules.push(format!("one of {}", choices.join(", ")));
    }
    rules.join("; ")
}
