//! The check of a new record's fields against the description of the model, for a request whose node is wrong. The
//! plugin checks fields only together with a node.

use relation_app::names::find_hidden_character;
use relation_host::reports::{Field, FieldKind, Model};
use relation_host::types::FieldError;
use serde_json::{Map, Value};

use crate::access::users::field_error;

/// Returns the errors in a new record's fields that the description of the model shows. Only the plugin knows the rules
/// between fields and for the syntax of texts.
pub(crate) fn find_field_errors(model: &Model, fields: &Map<String, Value>) -> Vec<FieldError> {
    let errors = fields.iter().filter_map(|(name, value)| {
        let field = model.fields.iter().find(|field| field.name == *name);
        let error = match field.filter(|field| !field.name.contains('[')) {
            Some(field) => find_error(field, value),
            None => Some(format!("is not a field of {}", model.name)),
        };
        error.map(|error| field_error(name, error))
    });
    errors.collect()
}

/// Returns the error of a field's value. A missing value is not an error: the plugin may have a default.
fn find_error(field: &Field, value: &Value) -> Option<String> {
    if field.read_only {
        return Some("is set by the platform and cannot be given".to_owned());
    }
    let expected = match (field.kind, value) {
        (_, Value::Null)
        | (FieldKind::Boolean, Value::Bool(_))
        | (FieldKind::Objects, Value::Array(_)) => return None,
        (FieldKind::Boolean, _) => "true or false",
        (FieldKind::Objects, _) => "a list",
        (_, Value::String(text)) => return find_text_error(field, text.trim()),
        _ => "a text",
    };
    Some(format!("must be {expected}"))
}

fn find_text_error(field: &Field, text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let length = text.chars().count();
    let limit = field.max_length.filter(|limit| length > *limit as usize);
    if let Some(limit) = limit {
        return Some(format!(
            "has {length} characters; at most {limit} are possible"
        ));
    }
    let is_choice = |text: &str| {
        let mut choices = field.choices.iter();
        choices.any(|choice| {
            choice.value.eq_ignore_ascii_case(text) || choice.title.eq_ignore_ascii_case(text)
        })
    };
    if !field.choices.is_empty() && !is_choice(text) {
        let choices = field.choices.iter();
        let choices: Vec<&str> = choices.map(|choice| choice.value.as_str()).collect();
        return Some(format!("must be one of {}", choices.join(", ")));
    }
    match field.kind {
        FieldKind::Email if !text.contains('@') => {
            Some("is not an e-mail address: it has no @".to_owned())
        }
        FieldKind::Text if !field.password => find_hidden_character(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use relation_host::reports::Choice;
    use serde_json::json;

    use super::*;

    fn field(name: &str, kind: FieldKind) -> Field {
        Field {
            name: name.to_owned(),
            title: name.to_owned(),
            kind,
            required: false,
            max_length: Some(5),
            password: false,
            read_only: name == "link",
            add_only: false,
            choices: Vec::new(),
            help: String::new(),
        }
    }

    #[test]
    fn all_wrong_fields_are_reported() {
        let mut region = field("region", FieldKind::Text);
        region.choices = vec![Choice {
            value: "us".to_owned(),
            title: "US".to_owned(),
        }];
        let model = Model {
            name: "relation/SparkCustomer".to_owned(),
            record_model: "data/SparkCustomer".to_owned(),
            title: "Webex".to_owned(),
            fields: vec![
                field("name", FieldKind::Text),
                field("flag", FieldKind::Boolean),
                field("list", FieldKind::Objects),
                field("list[].name", FieldKind::Text),
                field("link", FieldKind::Uri),
                region,
            ],
            actions: Vec::new(),
            settings: Vec::new(),
        };
        let errors = |fields: Value| {
            let fields = fields.as_object().cloned().unwrap_or_default();
            let errors = find_field_errors(&model, &fields).into_iter();
            errors.map(|error| error.field).collect::<Vec<String>>()
        };
        let wrong = json!({
            "flag": "yes", "link": "x", "list": {}, "list[].name": "x", "name": "Contoso", "other": 1, "region": "eu",
        });
        let all = [
            "flag",
            "link",
            "list",
            "list[].name",
            "name",
            "other",
            "region",
        ];
        assert_eq!(errors(wrong), all);
        assert_eq!(errors(json!({ "name": 7 })), ["name"]);
        assert_eq!(errors(json!({ "name": "a\u{200b}" })), ["name"]);
        let right = json!({
            "flag": true, "list": [], "name": " Acme ", "region": "US",
        });
        assert_eq!(errors(right), [""; 0]);
    }
}
