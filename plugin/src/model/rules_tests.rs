//! The rules of the model as an administrator meets them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::field;
use crate::platform::FieldError;
use crate::testing::{HIERARCHY, ORGANIZATION, START, connected_record};

fn accept_new(fields: Value) -> Result<Accepted, Vec<FieldError>> {
    accept_with(fields, None, false)
}

fn accept_with(
    fields: Value,
    current: Option<&Record>,
    answer: bool,
) -> Result<Accepted, Vec<FieldError>> {
    let mut faults = Faults::default();
    let none = Map::new();
    let shown = current.map_or(&none, |record| &record.body.fields);
    let input = Input::read(&fields.to_string(), shown, &mut faults);
    let accepted = accept(input, current, HIERARCHY, answer, &mut faults);
    match faults.check() {
        Ok(()) => Ok(accepted),
        Err(crate::platform::Failure::Invalid(faults)) => Err(faults),
        Err(other) => panic!("not a fault of the input: {other}"),
    }
}

fn blamed(result: Result<Accepted, Vec<FieldError>>) -> Vec<String> {
    let mut fields: Vec<String> = result
        .unwrap_err()
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    fields.sort();
    fields
}

#[test]
fn all_faults_are_told_at_once_and_by_field() {
    let result = accept_new(json!({
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
        "colour": "red",
        "shadow": [{"name": ""}],
        "dirsync_enabled": 1,
    }));
    assert_eq!(
        blamed(result),
        [
            "account_email",
            "account_number",
            "base_url_setting",
            "colour",
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
fn a_field_that_is_wrong_is_not_told_to_be_missing_as_well() {
    assert_eq!(blamed(accept_new(json!({"name": 7}))), ["name"]);
    let tokens = json!({
        "token": "a", "token_repeat": "a",
        "refresh_token": "a b", "refresh_token_repeat": "a b",
    });
    assert_eq!(
        blamed(accept_new(tokens)),
        ["refresh_token", "refresh_token_repeat"]
    );
}

#[test]
fn nothing_needs_to_be_given_but_what_the_node_says_already() {
    let accepted = accept_new(json!({})).unwrap();
    assert_eq!(Value::Object(accepted.fields), json!({"name": "Acme"}));
    assert_eq!(accepted.tokens, None);
    assert_eq!(accepted.organization, None);
}

#[test]
fn the_limit_of_a_name_counts_characters_and_not_bytes() {
    assert!(accept_new(json!({"name": "ü".repeat(1024)})).is_ok());
    assert_eq!(
        blamed(accept_new(json!({"name": "ü".repeat(1025)}))),
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
        let faults = accept_new(given).unwrap_err();
        assert!(
            faults
                .iter()
                .any(|fault| fault.field == path && fault.message.contains("at most")),
            "{path}: {faults:?}"
        );
    }
}

#[test]
fn every_read_only_field_is_refused() {
    for field in FIELDS.iter().filter(|field| field.read_only) {
        assert_eq!(blamed(accept_new(json!({field.name: "x"}))), [field.name]);
    }
}

#[test]
fn every_field_refuses_values_of_another_type() {
    for field in FIELDS {
        if field.read_only || field.name.contains('[') {
            continue;
        }
        let faults = accept_new(json!({field.name: 7})).unwrap_err();
        assert_eq!(faults[0].field, field.name);
        assert!(faults[0].message.contains("not a number"), "{faults:?}");
    }
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_name() {
    let faults =
        accept_new(json!({"htttp_proxy": "x", "qqq": 1, "shadow[].name": "x"})).unwrap_err();
    let message = |name: &str| {
        let fault = faults.iter().find(|fault| fault.field == name).unwrap();
        fault.message.clone()
    };
    assert!(message("htttp_proxy").ends_with("did you mean http_proxy?"));
    assert!(!message("qqq").contains("did you mean"));
    assert!(message("shadow[].name").contains("is not a field"));
}

#[test]
fn what_is_no_object_of_fields_is_refused_as_a_whole() {
    for text in ["", "{", "[]", "\"x\"", "{\"name\": \"Acme\""] {
        let mut faults = Faults::default();
        Input::read(text, &Map::new(), &mut faults);
        let Err(crate::platform::Failure::Invalid(faults)) = faults.check() else {
            panic!("{text:?} was accepted");
        };
        assert_eq!(faults[0].field, "fields");
    }
}

#[test]
fn either_account_number_brings_the_other() {
    let organization = OrgId::parse(ORGANIZATION).unwrap();
    for given in [
        json!({EXTERNAL: ORGANIZATION.to_uppercase()}),
        json!({INTERNAL: organization.internal()}),
        json!({INTERNAL: ORGANIZATION}),
        json!({EXTERNAL: organization.internal(), INTERNAL: ORGANIZATION}),
    ] {
        let accepted = accept_new(given).unwrap();
        assert_eq!(accepted.fields[EXTERNAL], ORGANIZATION);
        assert_eq!(accepted.fields[INTERNAL], organization.internal());
        assert_eq!(accepted.organization, Some(organization));
    }
}

#[test]
fn account_numbers_of_two_organisations_are_refused() {
    let other = "00000000-0000-4000-8000-000000000000";
    let result = accept_new(json!({EXTERNAL: ORGANIZATION, INTERNAL: other}));
    assert_eq!(blamed(result), [INTERNAL]);
}

#[test]
fn a_region_is_required_exactly_when_contact_center_is_on() {
    assert_eq!(blamed(accept_new(json!({CONTACT_CENTER: true}))), [REGION]);
    assert_eq!(blamed(accept_new(json!({REGION: "EU"}))), [REGION]);
    assert_eq!(
        blamed(accept_new(json!({CONTACT_CENTER: true, REGION: "Mars"}))),
        [REGION]
    );
    for choice in field(REGION).unwrap().choices {
        accept_new(json!({CONTACT_CENTER: true, REGION: choice.value})).unwrap();
    }
}

#[test]
fn switching_contact_center_off_takes_the_region_along() {
    let mut record = connected_record(START);
    record
        .body
        .fields
        .insert(CONTACT_CENTER.into(), true.into());
    record.body.fields.insert(REGION.into(), "EU".into());
    let accepted = accept_with(json!({CONTACT_CENTER: false}), Some(&record), false).unwrap();
    assert!(!accepted.fields.contains_key(REGION));
}

#[test]
fn tokens_come_in_pairs_and_each_twice() {
    let both = json!({
        "token": "a", "token_repeat": "a", "refresh_token": "r", "refresh_token_repeat": " r\n",
    });
    let tokens = accept_new(both).unwrap().tokens.unwrap();
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
        let fields = blamed(accept_new(given));
        assert!(fields.contains(&field.to_owned()), "{fields:?}");
    }
}

#[test]
fn an_answer_leaves_no_room_for_typed_tokens() {
    let typed = json!({
        "token": "a", "token_repeat": "a", "refresh_token": "r", "refresh_token_repeat": "r",
    });
    assert_eq!(blamed(accept_with(typed, None, true)), ["token"]);
}

#[test]
fn no_fault_repeats_a_secret() {
    let secret = "hunter2";
    let faults = accept_new(json!({
        "token": format!("{secret} x"),
        "refresh_token": secret,
        "refresh_token_repeat": format!("{secret}3"),
        "http_proxy": format!("http://bob:{secret}@/"),
        "https_proxy": format!("http://bob:{secret}/@proxy:1/"),
    }))
    .unwrap_err();
    assert!(!format!("{faults:?}").contains(secret), "{faults:?}");
}

#[test]
fn a_proxy_is_sealed_whole_and_shown_without_its_password() {
    let accepted = accept_new(json!({"https_proxy": "http://bob:hunter2@proxy:3128"})).unwrap();
    assert_eq!(accepted.fields["https_proxy"], "http://bob@proxy:3128/");
    let sealed = Secret::new("http://bob:hunter2@proxy:3128/");
    assert_eq!(accepted.sealed, [(secret::HTTPS_PROXY, Some(sealed))]);
}

#[test]
fn a_form_that_sends_back_what_it_was_shown_changes_nothing() {
    let mut record = connected_record(START);
    let fields = &mut record.body.fields;
    fields.insert("http_proxy".into(), "http://bob@proxy:3128/".into());
    let shown = Value::Object(fields.clone());
    let accepted = accept_with(shown, Some(&record), false).unwrap();
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
    let accepted = accept_with(given, Some(&record), false).unwrap();
    assert!(!accepted.fields.contains_key("email_domain"));
    assert!(!accepted.fields.contains_key("https_proxy"));
    assert_eq!(accepted.sealed, [(secret::HTTPS_PROXY, None)]);
}

#[test]
fn the_name_can_be_changed_and_not_taken_away() {
    let record = connected_record(START);
    let renamed = accept_with(json!({"name": "Acme Ltd"}), Some(&record), false).unwrap();
    assert_eq!(renamed.fields["name"], "Acme Ltd");
    let cleared = accept_with(json!({"name": null}), Some(&record), false);
    assert_eq!(blamed(cleared), ["name"]);
}

#[test]
fn wholesale_is_decided_when_the_record_is_added() {
    let record = connected_record(START);
    let changed = accept_with(json!({"wholesale_status": true}), Some(&record), false);
    assert_eq!(blamed(changed), ["wholesale_status"]);
    accept_with(json!({"wholesale_status": false}), Some(&record), false).unwrap();
    accept_new(json!({"wholesale_status": true})).unwrap();
}

#[test]
fn the_organisation_of_a_connection_changes_only_with_its_tokens() {
    let record = connected_record(START);
    let other = json!({EXTERNAL: "00000000-0000-4000-8000-000000000000"});
    assert_eq!(
        blamed(accept_with(other.clone(), Some(&record), false)),
        [EXTERNAL]
    );
    let cleared = json!({EXTERNAL: null});
    assert_eq!(
        blamed(accept_with(cleared, Some(&record), false)),
        [EXTERNAL]
    );
    accept_with(other, Some(&record), true).unwrap();
    accept_with(json!({EXTERNAL: ORGANIZATION}), Some(&record), false).unwrap();
}

#[test]
fn there_is_one_shadow_or_none() {
    for given in [json!([]), json!(null)] {
        assert!(
            !accept_new(json!({"shadow": given}))
                .unwrap()
                .fields
                .contains_key("shadow")
        );
    }
    let one = accept_new(json!({"shadow": [{"name": " Umbra "}]})).unwrap();
    assert_eq!(one.fields["shadow"], json!([{"name": "Umbra"}]));
    for (given, path) in [
        (json!([{"name": "a"}, {"name": "b"}]), "shadow"),
        (json!({"name": "a"}), "shadow"),
        (json!(["a"]), "shadow[0]"),
        (json!([{}]), "shadow[0].name"),
        (json!([{"name": "a", "colour": "red"}]), "shadow[0].colour"),
    ] {
        assert_eq!(blamed(accept_new(json!({"shadow": given}))), [path]);
    }
}

#[test]
fn an_email_address_is_one_and_nothing_else() {
    accept_new(json!({"account_email": "admin@acme.example"})).unwrap();
    for text in [
        "admin",
        "admin@",
        "@acme.example",
        "a b@acme.example",
        "admin@acme",
        "A <a@b.example>",
    ] {
        assert_eq!(
            blamed(accept_new(json!({"account_email": text}))),
            ["account_email"],
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(text: String, name: String, value: String) {
        let mut faults = Faults::default();
        Input::read(&text, &Map::new(), &mut faults);
        let _ = accept_new(json!({name: value.clone(), "shadow": [{"name": value.clone()}]}));
        for field in FIELDS {
            let _ = accept_new(json!({field.name: value}));
        }
    }
}
