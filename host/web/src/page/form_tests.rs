use serde_json::json;

use super::*;
use crate::page::samples::sample_model;

fn posted(pairs: &[(&str, &str)]) -> Posted {
    let pairs = pairs.iter();
    Posted(
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn build(
    purpose: Purpose,
    current: Value,
    sent: Option<&Posted>,
    errors: &[FieldError],
) -> Vec<FormField> {
    model_fields(
        &sample_model(),
        purpose,
        &object(current),
        sent,
        errors,
        Language::English,
    )
}

fn find<'a>(fields: &'a [FormField], name: &str) -> &'a FormField {
    fields.iter().find(|field| field.name == name).unwrap()
}

#[test]
fn every_kind_of_field_has_its_control() {
    let fields = build(Purpose::Add, json!({}), None, &[]);
    assert_eq!(find(&fields, "name").control, Control::Input("text"));
    assert!(find(&fields, "name").required);
    assert_eq!(find(&fields, "name").max_length, Some(1024));
    assert_eq!(
        find(&fields, "account_email").control,
        Control::Input("email")
    );
    assert_eq!(find(&fields, "token").control, Control::Input("password"));
    assert_eq!(
        find(&fields, "wholesale_status").control,
        Control::Check(false)
    );
    assert_eq!(
        find(&fields, "base_url_setting").choices().unwrap().len(),
        2
    );
    assert_eq!(
        find(&fields, "base_url_setting").when,
        Some("webex_contact_center")
    );
    assert_eq!(
        find(&fields, "shadow[0].name").label,
        "Title of shadow: Title of shadow[].name"
    );
    assert_eq!(find(&fields, "extra").help, "Help of extra.");
    assert!(
        fields
            .iter()
            .all(|field| field.name != "access_token_expires"),
        "read-only fields are not inputs"
    );
}

#[test]
fn add_only_field_is_a_text_when_editing() {
    let fields = build(
        Purpose::Modify,
        json!({"wholesale_status": true}),
        None,
        &[],
    );
    let field = find(&fields, "wholesale_status");
    assert_eq!(
        (&field.control, field.value.as_str()),
        (&Control::Fixed, "Yes")
    );
}

#[test]
fn secret_never_returns_to_the_page() {
    let sent = posted(&[("token", "SECRET"), ("name", "Contoso")]);
    for purpose in [Purpose::Add, Purpose::Modify] {
        let fields = build(purpose, json!({"token": "SECRET"}), Some(&sent), &[]);
        assert_eq!(find(&fields, "name").value, "Contoso");
        assert!(!format!("{fields:?}").contains("SECRET"));
    }
}

#[test]
fn new_record_has_only_what_was_filled_in() {
    let sent = posted(&[
        ("name", "Contoso"),
        ("account_email", " "),
        ("wholesale_status", "true"),
        ("shadow[0].name", "s"),
        ("access_token_expires", "2027-01-01T00:00:00Z"),
        ("unknown", "x"),
    ]);
    let fields = read_new(&sample_model(), &sent);
    let expected = json!({"name": "Contoso", "wholesale_status": true, "shadow": [{"name": "s"}]});
    assert_eq!(Value::Object(fields), expected);
}

#[test]
fn only_changed_fields_are_sent() {
    let sent = posted(&[
        ("name", "Contoso 2"),
        ("was.name", "Contoso"),
        ("account_email", ""),
        ("was.account_email", "a@example.com"),
        ("https_proxy", "http://proxy:80/"),
        ("was.https_proxy", "http://proxy:80/"),
        ("was.webex_contact_center", "true"),
        ("token", ""),
        ("wholesale_status", "true"),
        ("shadow[0].name", "s"),
        ("was.shadow[0].name", "s"),
    ]);
    let fields = read_changes(&sample_model(), &sent);
    let expected =
        json!({"name": "Contoso 2", "account_email": null, "webex_contact_center": false});
    assert_eq!(Value::Object(fields), expected);
}

#[test]
fn conflict_names_both_values_and_can_be_overwritten() {
    let model = sample_model();
    let mut sent = posted(&[
        ("name", "Mine"),
        ("was.name", "Old"),
        ("extra", "same"),
        ("was.extra", "e"),
    ]);
    let changes = read_changes(&model, &sent);
    let current =
        object(json!({"name": "Theirs", "extra": "same", "https_proxy": "http://other/"}));
    let conflicts = find_conflicts(&model, &current, &changes, &mut sent);
    assert_eq!(conflicts, [("name".to_owned(), "Theirs".to_owned())]);
    assert_eq!(
        find_conflicts(&model, &current, &changes, &mut sent),
        [],
        "sent again"
    );
    assert_eq!(read_changes(&model, &sent)["name"], "Mine");
}

#[test]
fn every_error_is_beside_its_field_and_in_the_summary() {
    let error = |field: &str, message: &str| FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    };
    let errors = [
        error("name", "is required"),
        error("shadow", "has too many"),
        error("hierarchy", "is not a path"),
        error("name", "has \u{202e}"),
    ];
    let fields = build(Purpose::Add, json!({}), None, &errors);
    let name = find(&fields, "name");
    assert_eq!(name.error.as_deref(), Some("is required; has \\u{202e}"));
    assert_eq!(name.described_by(), "f-name-help f-name-error");
    assert!(find(&fields, "shadow[0].name").error.is_some());
    let summary = summarize(&fields, &errors);
    assert_eq!(summary.len(), 3);
    assert_eq!(
        summary[2],
        (None, "hierarchy".to_owned(), "is not a path".to_owned())
    );
}
