//! Arguments of the actions on wholesale customers.

use serde_json::json;

use super::*;
use crate::testing::field_errors;
use crate::webex::wholesale::PACKAGES;

/// Returns the fields with errors.
fn errors(action: &Action, arguments: Value) -> Vec<(String, String)> {
    let text = arguments.to_string();
    match Arguments::parse(&text, action.parameters, action.check) {
        Ok(_) => Vec::new(),
        Err(failure) => field_errors::<()>(Err(failure)),
    }
}

fn fields(action: &Action, arguments: Value) -> Vec<String> {
    let errors = errors(action, arguments).into_iter();
    let mut fields: Vec<String> = errors.map(|(field, _)| field).collect();
    fields.sort();
    fields
}

fn valid() -> Value {
    json!({
        "external_id": "c1", "provisioning_id": "p1", "packages": ["webex_meetings"],
        "name": "Newcomer", "email": "boss@newcomer.example",
        "address_line1": "1 Main Street", "city": "Austin", "country": "US",
    })
}

#[test]
fn choices_are_the_packages() {
    let names: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
    assert_eq!(names, PACKAGE_NAMES);
}

#[test]
fn texts_are_parameters_of_both_or_of_add() {
    for (name, _) in TEXTS {
        let has = |action: &Action| action.parameters.iter().any(|each| each.name == *name);
        assert!(has(&ADD_CUSTOMER), "{name}");
    }
    let modified = MODIFY_CUSTOMER.parameters.iter();
    let texts = modified.filter(|each| matches!(each.kind, ParameterKind::Text));
    for text in texts.filter(|text| text.name != CUSTOMER.name) {
        assert!(
            TEXTS.iter().any(|(name, _)| *name == text.name),
            "{}",
            text.name
        );
    }
}

#[test]
fn all_errors_of_a_new_customer_are_reported_together() {
    assert!(errors(&ADD_CUSTOMER, valid()).is_empty());
    let wrong = json!({
        "external_id": " ", "provisioning_id": 1, "packages": ["attendant_console", "cx_essentials"],
        "name": "100 %", "email": "nobody", "address_line1": "x".repeat(51), "country": "USA",
    });
    assert_eq!(
        fields(&ADD_CUSTOMER, wrong),
        [
            "address_line1",
            "city",
            "country",
            "email",
            "external_id",
            "location_language",
            "location_name",
            "location_timezone",
            "name",
            "provisioning_id"
        ]
    );
    let mut dependent = valid();
    dependent["packages"] = json!(["cisco_calling_plan", "attendant_console"]);
    let found = errors(&ADD_CUSTOMER, dependent);
    assert!(
        found[0].1.starts_with("cisco_calling_plan needs one of "),
        "{found:?}"
    );
    let mut unknown = valid();
    unknown["packages"] = json!(["webex_caling"]);
    let found = errors(&ADD_CUSTOMER, unknown);
    assert!(
        found[0]
            .1
            .starts_with("has \"webex_caling\", which is none of "),
        "{found:?}"
    );
}

#[test]
fn existing_organization_needs_no_name() {
    let mut existing = valid();
    existing["name"] = Value::Null;
    existing["email"] = Value::Null;
    assert_eq!(fields(&ADD_CUSTOMER, existing.clone()), ["email", "name"]);
    existing["org_id"] = json!("8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11");
    assert!(errors(&ADD_CUSTOMER, existing).is_empty());
}

#[test]
fn change_is_a_full_list_or_a_difference() {
    let both = json!({
        "customer": "c1", "packages": ["webex_calling"], "add_packages": ["webex_meetings"],
    });
    assert_eq!(fields(&MODIFY_CUSTOMER, both), ["packages"]);
    let same = json!({
        "customer": "c1", "add_packages": ["webex_meetings"],
        "remove_packages": ["webex_meetings"],
    });
    assert_eq!(fields(&MODIFY_CUSTOMER, same), ["remove_packages"]);
    let part = json!({
        "customer": "c1", "add_packages": ["webex_calling"], "location_name": "Office",
    });
    assert_eq!(
        fields(&MODIFY_CUSTOMER, part),
        ["location_language", "location_timezone"]
    );
}
