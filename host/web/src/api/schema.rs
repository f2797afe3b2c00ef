//! The platform's schema of a model: JSON Schema, draft 3, with the members that the platform adds.

use relation_host::reports::{Field, FieldKind, Model};
use serde_json::{Map, Value, json};

/// Returns the schema of the plugin's model.
pub(crate) fn of_model(model: &Model) -> Value {
    let mut properties = Map::new();
    for field in &model.fields {
        insert(&mut properties, &field.name, field);
    }
    json!({
        "$schema": "http://json-schema.org/draft-03/schema",
        "type": "object",
        "name": model.name,
        "title": model.title,
        "properties": properties,
    })
}

/// Inserts a field under its name; `shadow[].name` into the items of `shadow`.
fn insert(properties: &mut Map<String, Value>, name: &str, field: &Field) {
    let Some((list, member)) = name.split_once("[].") else {
        properties.insert(name.to_owned(), of_field(field));
        return;
    };
    let list = properties
        .entry(list.to_owned())
        .or_insert_with(|| json!({ "type": "array" }));
    let Some(list) = list.as_object_mut() else {
        return;
    };
    let items = list
        .entry("items")
        .or_insert_with(|| json!({ "type": "object", "properties": {} }));
    if let Some(members) = items.get_mut("properties").and_then(Value::as_object_mut) {
        insert(members, member, field);
    }
}

fn of_field(field: &Field) -> Value {
    let (kind, format) = match field.kind {
        FieldKind::Text => ("string", None),
        FieldKind::Email => ("string", Some("email")),
        FieldKind::Uri if field.read_only => ("string", Some("link")),
        FieldKind::Uri => ("string", Some("uri")),
        FieldKind::DateTime => ("string", Some("date-time")),
        FieldKind::Boolean => ("boolean", None),
        FieldKind::Objects => ("array", None),
    };
    let mut schema = json!({
        "type": kind,
        "title": field.title,
        "description": field.help,
        "required": field.required,
    });
    let Some(members) = schema.as_object_mut() else {
        return schema;
    };
    let mut set = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    if let Some(format) = format {
        set("format", format.into());
    }
    if let Some(length) = field.max_length {
        set("maxLength", length.into());
    }
    if field.password {
        set("is_password", true.into());
    }
    if field.read_only {
        set("readonly", true.into());
    }
    if field.add_only {
        set("add_only", true.into());
    }
    if !field.choices.is_empty() {
        let choices = field.choices.iter();
        let choices = choices.map(|choice| json!({ "value": choice.value, "title": choice.title }));
        set("choices", choices.collect());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: FieldKind) -> Field {
        Field {
            name: name.to_owned(),
            title: name.to_uppercase(),
            kind,
            required: false,
            max_length: None,
            password: false,
            read_only: false,
            add_only: false,
            choices: Vec::new(),
            help: "Help.".to_owned(),
        }
    }

    fn schema_of(fields: Vec<Field>) -> Value {
        let model = Model {
            name: "relation/SparkCustomer".to_owned(),
            record_model: "data/SparkCustomer".to_owned(),
            title: "Webex".to_owned(),
            fields,
            actions: Vec::new(),
            settings: Vec::new(),
        };
        of_model(&model)["properties"].clone()
    }

    #[test]
    fn members_of_lists_are_nested() {
        let properties = schema_of(vec![
            field("shadow", FieldKind::Objects),
            field("shadow[].name", FieldKind::Text),
        ]);
        let expected = json!({
            "type": "string", "title": "SHADOW[].NAME", "description": "Help.", "required": false,
        });
        assert_eq!(
            properties["shadow"]["items"]["properties"]["name"],
            expected
        );
        assert_eq!(properties["shadow"]["title"], "SHADOW");
    }

    #[test]
    fn only_read_only_addresses_are_links() {
        let mut link = field("token_link", FieldKind::Uri);
        link.read_only = true;
        let mut password = field("token", FieldKind::Text);
        password.password = true;
        let properties = schema_of(vec![link, field("http_proxy", FieldKind::Uri), password]);
        assert_eq!(properties["token_link"]["format"], "link");
        assert_eq!(properties["http_proxy"]["format"], "uri");
        assert_eq!(properties["token"]["is_password"], true);
    }
}
