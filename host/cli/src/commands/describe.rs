//! `describe`: the model and the settings, as the plugin has them.

use relation_host::reports::{Field, Model};

use crate::Context;
use crate::failure::Failed;
use crate::output::shown;
use crate::table::{Column, Rows};

/// Prints fields, actions and settings.
pub async fn run(context: &Context) -> Result<(), Failed> {
    let host = context.plugin_alone().await?;
    let model = host.describe().await?;
    context.output.print(&model, human)
}

fn human(model: &Model) -> String {
    let mut fields = Rows::under(&[
        Column::new("field"),
        Column::new("title").wrapped(16).dropped(1),
        Column::new("kind").dropped(2),
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
    let mut actions = Rows::under(&[
        Column::new("action"),
        Column::new("title").wrapped(16).dropped(1),
        Column::new("help").wrapped(24),
    ]);
    for action in &model.actions {
        actions.add([&action.name, &action.title, &action.help]);
    }
    let mut settings = Rows::under(&[
        Column::new("setting"),
        Column::new("default").wrapped(16).dropped(2),
        Column::new("format").wrapped(16).dropped(1),
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
    let name = shown(&model.name);
    let title = shown(&model.title);
    format!("{name}: {title}\n\n{fields}\n\n{actions}\n\n{settings}")
}

fn kind(field: &Field) -> String {
    // The words of the contract, which JSON has too.
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
        let choices: Vec<&str> = field
            .choices
            .iter()
            .map(|choice| choice.value.as_str())
            .collect();
        rules.push(format!("one of {}", choices.join(", ")));
    }
    rules.join("; ")
}
