//! The rules of the model, applied to an administrator's input.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::find_field;
use crate::platform::FieldError;
use crate::testing::{HIERARCHY, ORGANIZATION, START, connected_record};

fn validate_new(fields: Value) -> Result<ValidatedInput, Vec<FieldError>> {
    validate_with(fields, None, false)
}

fn validate_with(
    fields: Value,
    current: Option<&Record>,
    has_token_response: bool,
) -> Result<ValidatedInput, Vec<FieldError>> {
    let mut errors = FieldErrors::default();
    let none = Map::new();
    let shown = current.map_or(&none, |record| &record.body.fields);
    let input = Input::parse(&fields.to_string(), shown, &mut errors);
    let accepted = validate(input, current, HIERARCHY, has_token_response, &mut errors);
    match errors.into_result() {
        Ok(()) => Ok(accepted),
        Err(crate::platform::Failure::Invalid(errors)) => Err(errors),
        Err(other) => panic!("not an error of the input: {other}"),
    }
}

fn invalid_fields(result: Result<ValidatedInput, Vec<FieldError>>) -> Vec<String> {
    let mut fields: Vec<String> = result
        .unwrap_err()
        .into_iter()
        .map(|error| error.field)
        .collect();
    fields.sort();
    fields
}

#[test]
fn all_errors_are_reported_together_by_field() {
    let result = validate_new(json!({
        "name": "x".repeat(1025),
        "account_number": "not an id",
        "account_email": "nobody",
        "http_proxy": "proxy:3128",
        "https_proxy": "http://proxy:3128/path",
        "webex_contact_center": true,
        "wholesale_status": "yes",
        "token": "a",
        "token_repeat": "b",
        "notes": "hello",
        "color": "red",
        "shadow": [{"name": ""}],
        "dirsync_enabled": 1,
    }));
    assert_eq!(
        invalid_fields(result),
        [
            "account_email",
            "account_number",
            "base_url_setting",
            "color",
            "dirsync_enabled",
            "http_proxy",
            "https_proxy",
            "name",
            "notes",
            "refresh_token",
            "shadow[0].name",
            "token_repeat",
            "wholesale_status",
        ]
    );
}

#[test]
fn invalid_field_is_not_reported_as_missing_too() {
    assert_eq!(invalid_fields(validate_new(json!({"name": 7}))), ["name"]);
    let tokens = json!({
        "token": "a", "token_repeat": "a",
        "refresh_token": "a b", "refresh_token_repeat": "a b",
    });
    assert_eq!(
        invalid_fields(validate_new(tokens)),
        ["refresh_token", "refresh_token_repeat"]
    );
}

#[test]
fn empty_input_takes_the_name_of_the_node() {
    let accepted = validate_new(json!({})).unwrap();
    assert_eq!(Value::Object(accepted.fields), json!({"name": "Acme"}));
    assert_eq!(accepted.tokens, None);
    assert_eq!(accepted.organization, None);
}

#[test]
fn name_of_the_node_is_trimmed_like_a_given_one() {
    for (hierarchy, name) in [
        ("sys.Provider.\u{feff} Acme\u{a0}", Some("Acme")),
        ("sys.Provider.  ", None),
    ] {
        let mut errors = FieldErrors::default();
        let accepted = validate(Input::default(), None, hierarchy, false, &mut errors);
        let found = accepted.fields.get("name").and_then(Value::as_str);
        assert_eq!(found, name);
        assert_eq!(errors.has_error_for("name"), name.is_none());
    }
}

#[test]
fn older_account_number_is_shown_in_both_forms() {
    let organization = OrgId::parse(ORGANIZATION).unwrap();
    let (external, internal) = (organization.external(), organization.internal());
    let other = "00000000-0000-4000-8000-000000000000";
    for (stored, shown) in [
        (
            json!({INTERNAL: internal}),
            json!({EXTERNAL: external, INTERNAL: internal}),
        ),
        (
            json!({INTERNAL: external}),
            json!({EXTERNAL: external, INTERNAL: internal}),
        ),
        (
            json!({INTERNAL: format!("{internal}=")}),
            json!({EXTERNAL: external, INTERNAL: internal}),
        ),
        (
            json!({EXTERNAL: external}),
            json!({EXTERNAL: external, INTERNAL: internal}),
        ),
        (json!({INTERNAL: "opaque"}), json!({INTERNAL: "opaque"})),
        (
            json!({EXTERNAL: other, INTERNAL: internal}),
            json!({EXTERNAL: other, INTERNAL: internal}),
        ),
        (json!({}), json!({})),
    ] {
        let Value::Object(mut fields) = stored else {
            panic!("not an object");
        };
        complete_organization(&mut fields);
        assert_eq!(Value::Object(fields), shown);
    }
}

#[test]
fn name_limit_counts_characters_not_bytes() {
    assert!(validate_new(json!({"name": "ü".repeat(1024)})).is_ok());
    assert_eq!(
        invalid_fields(validate_new(json!({"name": "ü".repeat(1025)}))),
        ["name"]
    );
}

#[test]
fn every_text_field_obeys_its_limit() {
    for field in FIELDS.iter().filter(|field| !field.read_only) {
        let Some(limit) = field.max_length else {
            continue;
        };
        let long = "a".repeat(usize::try_from(limit).unwrap() + 1);
        let (given, path) = match field.name {
            "shadow[].name" => (json!({"shadow": [{"name": long}]}), "shadow[0].name"),
            name => (json!({name: long}), name),
        };
        let errors = validate_new(given).unwrap_err();
        assert!(
            errors
                .iter()
                .any(|error| error.field == path && error.message.contains("at most")),
            "{path}: {errors:?}"
        );
    }
}

#[test]
fn every_read_only_field_is_refused() {
    for field in FIELDS.iter().filter(|field| field.read_only) {
        assert_eq!(
            invalid_fields(validate_new(json!({field.name: "x"}))),
            [field.name]
        );
    }
}

#[test]
fn every_field_refuses_values_of_another_type() {
    for field in FIELDS {
        if field.read_only || field.name.contains('[') {
            continue;
        }
        let errors = validate_new(json!({field.name: 7})).unwrap_err();
        assert_eq!(errors[0].field, field.name);
        assert!(errors[0].message.contains("not a number"), "{errors:?}");
    }
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_name() {
    let errors =
        validate_new(json!({"htttp_proxy": "x", "qqq": 1, "shadow[].name": "x"})).unwrap_err();
    let message = |name: &str| {
        let error = errors.iter().find(|error| error.field == name).unwrap();
        error.message.clone()
    };
    assert!(message("htttp_proxy").ends_with("did you mean http_proxy?"));
    assert!(!message("qqq").contains("did you mean"));
    assert!(message("shadow[].name").contains("is not a field"));
}

#[test]
fn input_that_is_not_an_object_is_refused() {
    for text in ["", "{", "[]", "\"x\"", "{\"name\": \"Acme\""] {
        let mut errors = FieldErrors::default();
        Input::parse(text, &Map::new(), &mut errors);
        let Err(crate::platform::Failure::Invalid(errors)) = errors.into_result() else {
            panic!("{text:?} was accepted");
        };
        assert_eq!(errors[0].field, "fields");
    }
}

#[test]
fn either_account_number_sets_the_other() {
    let organization = OrgId::parse(ORGANIZATION).unwrap();
    for given in [
        json!({EXTERNAL: ORGANIZATION.to_uppercase()}),
        json!({INTERNAL: organization.internal()}),
        json!({INTERNAL: ORGANIZATION}),
        json!({EXTERNAL: organization.internal(), INTERNAL: ORGANIZATION}),
    ] {
        let accepted = validate_new(given).unwrap();
        assert_eq!(accepted.fields[EXTERNAL], ORGANIZATION);
        assert_eq!(accepted.fields[INTERNAL], organization.internal());
        assert_eq!(accepted.organization, Some(organization));
    }
}

#[test]
fn account_numbers_of_two_organizations_are_refused() {
    let other = "00000000-0000-4000-8000-000000000000";
    let result = validate_new(json!({EXTERNAL: ORGANIZATION, INTERNAL: other}));
    assert_eq!(invalid_fields(result), [INTERNAL]);
}

#[test]
fn region_is_required_only_with_contact_center() {
    assert_eq!(
        invalid_fields(validate_new(json!({CONTACT_CENTER: true}))),
        [REGION]
    );
    assert_eq!(
        invalid_fields(validate_new(json!({REGION: "EU"}))),
        [REGION]
    );
    assert_eq!(
        invalid_fields(validate_new(json!({CONTACT_CENTER: true, REGION: "Mars"}))),
        [REGION]
    );
    for choice in find_field(REGION).unwrap().choices {
        for text in [choice.value, choice.title, &choice.title.to_lowercase()] {
            let accepted = validate_new(json!({CONTACT_CENTER: true, REGION: text})).unwrap();
            assert_eq!(
                accepted.fields.get(REGION),
                Some(&choice.value.into()),
                "{text}"
            );
        }
    }
}

#[test]
fn disabling_contact_center_removes_the_region() {
    let mut record = connected_record(START);
    record
        .body
        .fields
        .insert(CONTACT_CENTER.into(), true.into());
    record.body.fields.insert(REGION.into(), "EU".into());
    let accepted = validate_with(json!({CONTACT_CENTER: false}), Some(&record), false).unwrap();
    assert!(!accepted.fields.contains_key(REGION));
}

#[test]
fn tokens_need_their_pair_and_their_repeats() {
    let both = json!({
        "token": "a", "token_repeat": "a", "refresh_token": "r", "refresh_token_repeat": " r\n",
    });
    let tokens = validate_new(both).unwrap().tokens.unwrap();
    assert_eq!(
        (tokens.access.expose(), tokens.refresh.expose()),
        ("a", "r")
    );
    for (given, field) in [
        (json!({"token": "a", "token_repeat": "a"}), "refresh_token"),
        (
            json!({"refresh_token": "a", "refresh_token_repeat": "a"}),
            "token",
        ),
        (json!({"token_repeat": "a"}), "token_repeat"),
        (json!({"refresh_token": "a b"}), "refresh_token"),
    ] {
        let fields = invalid_fields(validate_new(given));
        assert!(fields.contains(&field.to_owned()), "{fields:?}");
    }
}

#[test]
fn token_response_excludes_typed_tokens() {
    let typed = json!({
        "token": "a", "token_repeat": "a", "refresh_token": "r", "refresh_token_repeat": "r",
    });
    assert_eq!(invalid_fields(validate_with(typed, None, true)), ["token"]);
}

#[test]
fn no_error_repeats_a_secret() {
    let secret = "hunter2";
    let errors = validate_new(json!({
        "token": format!("{secret} x"),
        "refresh_token": secret,
        "refresh_token_repeat": format!("{secret}3"),
        "http_proxy": format!("http://bob:{secret}@/"),
        "https_proxy": format!("http://bob:{secret}/@proxy:1/"),
    }))
    .unwrap_err();
    assert!(!format!("{errors:?}").contains(secret), "{errors:?}");
}

#[test]
fn proxy_is_sealed_and_shown_without_its_password() {
    let accepted = validate_new(json!({"https_proxy": "http://bob:hunter2@proxy:3128"})).unwrap();
    assert_eq!(accepted.fields["https_proxy"], "http://bob@proxy:3128/");
    let sealed = Secret::new("http://bob:hunter2@proxy:3128/");
    assert_eq!(accepted.sealed, [(secret::HTTPS_PROXY, Some(sealed))]);
}

#[test]
fn resubmitting_shown_fields_changes_nothing() {
    let mut record = connected_record(START);
    let fields = &mut record.body.fields;
    fields.insert("http_proxy".into(), "http://bob@proxy:3128/".into());
    let shown = Value::Object(fields.clone());
    let accepted = validate_with(shown, Some(&record), false).unwrap();
    assert_eq!(accepted.sealed, []);
    assert_eq!(accepted.fields["http_proxy"], "http://bob@proxy:3128/");
}

#[test]
fn null_and_empty_text_clear_a_field() {
    let mut record = connected_record(START);
    let fields = &mut record.body.fields;
    fields.insert("email_domain".into(), "acme.example".into());
    fields.insert("https_proxy".into(), "http://proxy:3128/".into());
    let given = json!({"email_domain": "", "https_proxy": null});
    let accepted = validate_with(given, Some(&record), false).unwrap();
    assert!(!accepted.fields.contains_key("email_domain"));
    assert!(!accepted.fields.contains_key("https_proxy"));
    assert_eq!(accepted.sealed, [(secret::HTTPS_PROXY, None)]);
}

#[test]
fn name_can_be_changed_but_not_cleared() {
    let record = connected_record(START);
    let renamed = validate_with(json!({"name": "Acme Ltd"}), Some(&record), false).unwrap();
    assert_eq!(renamed.fields["name"], "Acme Ltd");
    let cleared = validate_with(json!({"name": null}), Some(&record), false);
    assert_eq!(invalid_fields(cleared), ["name"]);
}

#[test]
fn wholesale_status_is_set_only_on_add() {
    let record = connected_record(START);
    let changed = validate_with(json!({"wholesale_status": true}), Some(&record), false);
    assert_eq!(invalid_fields(changed), ["wholesale_status"]);
    validate_with(json!({"wholesale_status": false}), Some(&record), false).unwrap();
    validate_new(json!({"wholesale_status": true})).unwrap();
}

#[test]
fn organization_changes_only_with_new_tokens() {
    let record = connected_record(START);
    let other = json!({EXTERNAL: "00000000-0000-4000-8000-000000000000"});
    assert_eq!(
        invalid_fields(validate_with(other.clone(), Some(&record), false)),
        [EXTERNAL]
    );
    let cleared = json!({EXTERNAL: null});
    assert_eq!(
        invalid_fields(validate_with(cleared, Some(&record), false)),
        [EXTERNAL]
    );
    validate_with(other, Some(&record), true).unwrap();
    validate_with(json!({EXTERNAL: ORGANIZATION}), Some(&record), false).unwrap();
}

#[test]
fn at_most_one_shadow_is_accepted() {
    for given in [json!([]), json!(null)] {
        assert!(
            !validate_new(json!({"shadow": given}))
                .unwrap()
                .fields
                .contains_key("shadow")
        );
    }
    let one = validate_new(json!({"shadow": [{"name": " Umbra "}]})).unwrap();
    assert_eq!(one.fields["shadow"], json!([{"name": "Umbra"}]));
    for (given, path) in [
        (json!([{"name": "a"}, {"name": "b"}]), "shadow"),
        (json!({"name": "a"}), "shadow"),
        (json!(["a"]), "shadow[0]"),
        (json!([{}]), "shadow[0].name"),
        (json!([{"name": "a", "color": "red"}]), "shadow[0].color"),
    ] {
        assert_eq!(
            invalid_fields(validate_new(json!({"shadow": given}))),
            [path]
        );
    }
}

#[test]
fn errors_of_every_shadow_have_its_index() {
    let long = "x".repeat(1_025);
    let given = json!([{"name": long}, {"name": ""}, 7, {"name": "a", "color": "red"}]);
    assert_eq!(
        invalid_fields(validate_new(json!({"shadow": given}))),
        [
            "shadow",
            "shadow[0].name",
            "shadow[1].name",
            "shadow[2]",
            "shadow[3].color"
        ]
    );
}

#[test]
fn email_field_takes_one_plain_address() {
    validate_new(json!({"account_email": "admin@acme.example"})).unwrap();
    for text in [
        "admin",
        "admin@",
        "@acme.example",
        "a b@acme.example",
        "admin@acme",
        "A <a@b.example>",
    ] {
        assert_eq!(
            invalid_fields(validate_new(json!({"account_email": text}))),
            ["account_email"],
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn validation_never_panics(text: String, name: String, value: String) {
        let mut errors = FieldErrors::default();
        Input::parse(&text, &Map::new(), &mut errors);
        let _ = validate_new(json!({name: value.clone(), "shadow": [{"name": value.clone()}]}));
        for field in FIELDS {
            let _ = validate_new(json!({field.name: value}));
        }
    }
}
