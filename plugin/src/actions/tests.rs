//! The description of actions, and `invoke`.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::platform::Environment;
use crate::testing::{MemoryPlatform, PKID, connected_record, field_errors, json_response};

const REDIRECT: &str = "http://127.0.0.1:8085/callback";

fn invoke_with(
    platform: &MemoryPlatform,
    action: &str,
    arguments: Value,
) -> Result<Value, Failure> {
    let result = invoke(platform, action, PKID, &arguments.to_string())?;
    Ok(serde_json::from_str(&result).unwrap())
}

fn described(name: &str) -> (Value, Value) {
    let action = ACTIONS.iter().find(|action| action.name == name).unwrap();
    let action = contract::Action::from(action);
    (
        serde_json::from_str(&action.arguments_schema).unwrap(),
        serde_json::from_str(&action.result_schema).unwrap(),
    )
}

#[test]
fn every_action_has_a_name_a_title_a_help_and_schemas() {
    let names: BTreeSet<&str> = ACTIONS.iter().map(|action| action.name).collect();
    assert_eq!(names.len(), ACTIONS.len());
    for action in ACTIONS {
        assert!(!action.title.is_empty() && action.help.ends_with('.'));
        for parameter in action.parameters {
            assert!(parameter.help.ends_with('.'), "{}", parameter.name);
        }
        let (arguments, result) = described(action.name);
        for schema in [arguments, result] {
            assert_eq!(
                schema["$schema"],
                "https://json-schema.org/draft/2020-12/schema"
            );
            assert_eq!(schema["type"], "object");
        }
    }
}

#[test]
fn result_has_the_members_of_its_schema() {
    let platform = MemoryPlatform::connected().unwrap();
    for (name, arguments) in [
        ("Connect", json!({ "redirect_uri": REDIRECT })),
        (CHECK_EXPIRY, json!({})),
    ] {
        let result = invoke_with(&platform, name, arguments).unwrap();
        let (_, schema) = described(name);
        let members = |value: &Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(members(&result), members(&schema["properties"]), "{name}");
        assert_eq!(result["grant"], "organization");
    }
}

#[test]
fn all_errors_in_the_arguments_are_reported_together() {
    let platform = MemoryPlatform::connected().unwrap();
    let arguments = json!({ "grant": "everything", "redirect_url": REDIRECT, "x": 1 });
    let mut errors = field_errors(invoke_with(&platform, "Connect", arguments));
    errors.sort();
    assert_eq!(
        errors,
        [
            (
                "grant",
                "must be one of organization, wholesale-customers, wholesale-users"
            ),
            ("redirect_uri", "is required"),
            (
                "redirect_url",
                "is not an argument of this action; did you mean redirect_uri?"
            ),
            (
                "x",
                "is not an argument of this action, which has redirect_uri, grant"
            ),
        ]
        .map(|(field, error)| (field.to_owned(), error.to_owned()))
    );
    let kinds = json!({ "grant": 1, "requested_at": -1 });
    let mut errors = field_errors(invoke_with(&platform, REFRESH, kinds));
    errors.sort();
    assert_eq!(errors[0].1, "must be a text, not a number");
    assert!(errors[1].1.starts_with("must be milliseconds since 1970"));
    for text in ["", "[]", "null", "{"] {
        let error = invoke(&platform, REFRESH, PKID, text).map(Value::from);
        assert_eq!(field_errors(error)[0].0, "arguments", "{text}");
    }
    assert!(platform.sent().is_empty());
}

#[test]
fn lists_and_choices_are_checked_by_kind() {
    let platform = MemoryPlatform::connected().unwrap();
    let arguments = json!({
        "sync_type": 1, "refresh_existing_data": "yes", "model_type_list": "device/spark/User",
        "model_instance_filter": [1], "disabled_operations": [1],
    });
    let mut errors = field_errors(invoke_with(&platform, "SaveDataSync", arguments));
    errors.sort();
    assert_eq!(
        errors,
        [
            (
                "disabled_operations",
                "must be a list of texts, not of a number"
            ),
            (
                "model_instance_filter",
                "must be a list of JSON objects, not of a number"
            ),
            ("model_type_list", "must be a list of texts, not a text"),
            ("refresh_existing_data", "must be true or false, not a text"),
            ("sync_type", "must be a text, not a number"),
        ]
        .map(|(field, error)| (field.to_owned(), error.to_owned()))
    );
}

#[test]
fn data_sync_is_saved_scheduled_and_deleted_by_name() {
    let platform = MemoryPlatform::connected().unwrap();
    for (action, arguments) in [
        (
            "SaveDataSync",
            json!({ "name": "Nightly", "model_type_list": ["device/spark/User"] }),
        ),
        (
            "ScheduleDataSync",
            json!({ "sync": "Nightly", "start": "2026-01-02T03:00", "every": "1d" }),
        ),
        ("UnscheduleDataSync", json!({ "sync": "Nightly" })),
        ("DeleteDataSync", json!({ "sync": "Nightly" })),
    ] {
        let result = invoke_with(&platform, action, arguments).unwrap();
        assert_eq!(result["sync"], "Nightly", "{action}");
        let (_, schema) = described(action);
        let members = result.as_object().unwrap().keys();
        let described = &schema["properties"];
        assert!(
            members.clone().all(|name| described.get(name).is_some()),
            "{action}"
        );
    }
}

#[test]
fn unknown_action_suggests_the_nearest() {
    let platform = MemoryPlatform::connected().unwrap();
    let error = |name: &str| field_errors(invoke_with(&platform, name, json!({}))).remove(0);
    let (field, message) = error("refreshaccesstokens");
    assert_eq!(field, "action");
    assert!(message.ends_with("did you mean RefreshAccessToken?"));
    assert!(error("Zzz").1.contains("the actions are Connect, "));
}

#[test]
fn null_is_an_absent_argument() {
    let platform = MemoryPlatform::connected().unwrap();
    let arguments = json!({ "grant": null });
    assert!(invoke_with(&platform, CHECK_EXPIRY, arguments).is_ok());
}

#[test]
fn failed_refresh_is_an_error() {
    for (status, body, case) in [
        (503, json!({}), "unavailable"),
        (407, json!({}), "limit"),
        (401, json!({ "error": "invalid_client" }), "limit"),
        (400, json!({ "error": "invalid_grant" }), "reauthorize"),
    ] {
        let platform = MemoryPlatform::connected().unwrap();
        platform.serve(move |_, _| json_response(status, body.clone()));
        match invoke_with(&platform, REFRESH, json!({})) {
            Err(Failure::Unavailable(_)) => assert_eq!(case, "unavailable"),
            Err(Failure::LimitExceeded(_)) => assert_eq!(case, "limit"),
            Err(Failure::Reauthorize(_)) => assert_eq!(case, "reauthorize"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn refresh_joins_an_attempt_begun_after_the_request() {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(platform.now());
    record.body.connection.attempted = Some(platform.now());
    platform.store_connected(record).unwrap();
    let arguments = json!({ "requested_at": platform.now().0 });
    let report = invoke_with(&platform, REFRESH, arguments).unwrap();
    assert_eq!(report["joined"], true);
    assert!(platform.sent().is_empty());
}
