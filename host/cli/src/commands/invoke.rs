//! `invoke`: runs an action that the plugin describes, on one customer.

use relation_app::AppError;
use relation_host::reports::Action;
use serde_json::{Map, Value};

use crate::record_selector::RecordSelector;
use crate::table::pair_table;
use crate::{Context, progress};

/// Arguments of `invoke`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
`relation-host describe` lists the actions with their arguments; with --json, also the JSON Schemas of the arguments
and the result.

The values of a list are separated by commas; a list of objects, and a value with a comma, is written as JSON.

Examples:
  relation-host invoke CheckTokenExpiry Acme grant=organization
  relation-host invoke SaveDataSync Acme sync=users refresh_existing_data=false
  relation-host invoke ScheduleDataSync Acme sync=all start=2026-12-01T03:00 \\
      every=1d time_zone=Europe/Zurich")]
pub struct Args {
    /// The action, such as RefreshAccessToken
    #[arg(value_name = "ACTION")]
    action: String,
    #[command(flatten)]
    record: RecordSelector,
    /// The arguments of the action
    #[arg(value_name = "NAME=VALUE", value_parser = parse_argument)]
    arguments: Vec<(String, String)>,
}

fn parse_argument(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Runs the action and prints its result.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let model = host.describe().await?;
    let action = model.actions.iter().find(|each| each.name == args.action);
    let arguments = to_json(action, args.arguments)?;
    let label = format!("{} of {}", args.action, record.name());
    let watched = Some((host.store().as_ref(), record.reference()));
    let call = host.invoke(&args.action, &record.pkid, arguments);
    let call_output = progress::show_while(&label, watched, call).await;
    let call_output = call_output.map_err(|error| record.explain(error))?;
    context.print_call(&call_output, render_text)
}

/// Converts the arguments to the types of the action's schema. The plugin reports what does not fit.
fn to_json(
    action: Option<&Action>,
    arguments: Vec<(String, String)>,
) -> Result<Map<String, Value>, AppError> {
    let mut converted = Map::new();
    for (name, text) in arguments {
        let properties = action.and_then(|action| action.arguments_schema.get("properties"));
        let schema = properties.and_then(|properties| properties.get(&name));
        let value = to_value(schema, text);
        if converted.insert(name.clone(), value).is_some() {
            return Err(AppError::usage(format!(
                "the argument {name} is given twice"
            )));
        }
    }
    Ok(converted)
}

/// Converts the text of an argument to the type of its schema.
fn to_value(schema: Option<&Value>, text: String) -> Value {
    let kind = schema.and_then(|schema| schema.get("type")?.as_str());
    let items = schema.and_then(|schema| schema.get("items")?.get("type")?.as_str());
    match (kind, items, serde_json::from_str(&text)) {
        (None | Some("string"), _, _) => Value::String(text),
        (Some("array"), Some("string"), Ok(list @ Value::Array(_))) => list,
        (Some("array"), Some("string"), _) => {
            let texts = text.split(',').map(str::trim);
            texts.filter(|text| !text.is_empty()).collect()
        }
        (_, _, Ok(value)) => value,
        (_, _, Err(_)) => Value::String(text),
    }
}

/// Renders every value of the result that is not null, with the path to it.
fn render_text(result: &Value) -> String {
    let mut lines = Vec::new();
    collect_lines("", result, &mut lines);
    pair_table(
        lines
            .iter()
            .map(|(path, text)| (path.as_str(), text.clone())),
    )
    .to_string()
}

fn collect_lines(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect_lines(&below(name), member, lines);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_lines(&below(&index.to_string()), item, lines);
            }
        }
        Value::Null => {}
        Value::String(text) => lines.push((path.to_owned(), text.clone())),
        other => lines.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action() -> Action {
        Action {
            name: "Do".to_owned(),
            title: String::new(),
            help: String::new(),
            arguments_schema: json!({
                "properties": {
                    "flag": { "type": "boolean" },
                    "text": { "type": "string" },
                    "texts": { "type": "array", "items": { "type": "string" } },
                    "objects": { "type": "array", "items": { "type": "object" } },
                },
            }),
            result_schema: json!({}),
        }
    }

    fn convert(arguments: &[(&str, &str)]) -> Result<Value, AppError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let arguments = arguments.iter().map(owned).collect();
        to_json(Some(&action()), arguments).map(Value::Object)
    }

    #[test]
    fn arguments_have_the_types_of_the_schema() {
        let converted = convert(&[("flag", "true"), ("text", "true"), ("other", "1")]);
        assert_eq!(
            converted.unwrap(),
            json!({ "flag": true, "text": "true", "other": "1" })
        );
        assert_eq!(
            convert(&[("flag", "maybe")]).unwrap(),
            json!({ "flag": "maybe" })
        );
        assert!(convert(&[("flag", "true"), ("flag", "false")]).is_err());
    }

    #[test]
    fn list_is_json_or_separated_by_commas() {
        for (text, list) in [
            ("a, b", json!(["a", "b"])),
            ("a", json!(["a"])),
            ("", json!([])),
            ("5", json!(["5"])),
            (r#"["a,b"]"#, json!(["a,b"])),
        ] {
            assert_eq!(
                convert(&[("texts", text)]).unwrap()["texts"],
                list,
                "{text}"
            );
        }
        let objects = convert(&[("objects", r#"[{"a": 1}]"#)]).unwrap();
        assert_eq!(objects["objects"], json!([{"a": 1}]));
        assert_eq!(convert(&[("objects", "a")]).unwrap()["objects"], "a");
    }

    #[test]
    fn argument_is_a_name_and_a_value() {
        let parsed = parse_argument("redirect_uri=http://a/?b=c").unwrap();
        assert_eq!(parsed.1, "http://a/?b=c");
        assert!(parse_argument("grant").is_err());
        assert!(parse_argument("=grant").is_err());
    }

    #[test]
    fn result_is_rendered_with_paths() {
        let result = json!({ "message": "done", "counts": [{ "added": 1 }], "none": null });
        let text = render_text(&result);
        assert!(text.contains("message") && text.contains("done"), "{text}");
        assert!(text.contains("counts.0.added"), "{text}");
        assert!(!text.contains("none"), "{text}");
    }
}
