//! Tests of how options become fields.

use clap::Parser;
use relation_app::ErrorKind;
use relation_host::reports::Field;
use serde_json::json;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    fields: FieldArgs,
}

fn read(arguments: &[&str]) -> Result<FieldInput, AppError> {
    let line = ["add"].iter().chain(arguments);
    Line::try_parse_from(line).unwrap().fields.read(Vec::new())
}

fn fields(arguments: &[&str]) -> Value {
    let input = read(arguments).unwrap();
    input.into_fields(&model()).unwrap().into()
}

fn model() -> Model {
    let field = |name: &str, kind, password| Field {
        name: name.to_owned(),
        title: String::new(),
        kind,
        required: false,
        max_length: None,
        password,
        read_only: false,
        add_only: false,
        choices: Vec::new(),
        help: String::new(),
    };
    Model {
        name: String::new(),
        record_model: String::new(),
        title: String::new(),
        fields: vec![
            field("email_domain", FieldKind::Text, false),
            field("dirsync_enabled", FieldKind::Boolean, false),
            field("shadow", FieldKind::Objects, false),
            field("future_secret", FieldKind::Text, true),
        ],
        actions: Vec::new(),
        settings: Vec::new(),
    }
}

fn file(content: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("input");
    std::fs::write(&path, content).unwrap();
    let path = path.display().to_string();
    (directory, path)
}

#[test]
fn account_number_field_depends_on_uuid_form() {
    let uuid = "8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
    assert_eq!(
        fields(&["--account-number", uuid]),
        json!({"account_number_external": uuid})
    );
    assert_eq!(
        fields(&["--account-number", "Y2lzY29zcGFyazovL3Vz"]),
        json!({"account_number": "Y2lzY29zcGFyazovL3Vz"})
    );
}

#[test]
fn a_switch_without_a_value_is_on() {
    assert_eq!(fields(&["--dirsync"]), json!({"dirsync_enabled": true}));
    assert_eq!(
        fields(&["--dirsync=false", "--contact-center", "--region", "US"]),
        json!({"dirsync_enabled": false, "webex_contact_center": true, "base_url_setting": "US"})
    );
}

#[test]
fn set_parses_values_by_field_kind() {
    assert_eq!(
        fields(&[
            "--set=email_domain=a=b",
            "--set=dirsync_enabled=true",
            "--set=shadow=[{\"name\":\"S\"}]",
            "--set=unknown=true",
        ]),
        json!({
            "email_domain": "a=b", "dirsync_enabled": true, "shadow": [{"name": "S"}],
            "unknown": "true"
        })
    );
    let wrong = read(&["--set=dirsync_enabled=maybe"]).unwrap();
    assert_eq!(
        wrong.into_fields(&model()).unwrap_err().kind,
        ErrorKind::Usage
    );
}

#[test]
fn secret_argument_is_refused_without_quoting() {
    for field in SECRET_FIELDS {
        let argument = format!("{field}=s3cret");
        let error = read(&["--set", &argument]).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Usage);
        assert!(error.hint.is_some(), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let error = read(&["--set", "s3cret"]).err().unwrap();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn password_field_of_the_model_is_refused() {
    let input = read(&["--set=future_secret=s3cret"]).unwrap();
    let error = input.into_fields(&model()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn a_file_of_fields_may_carry_secrets() {
    let (_directory, path) = file(r#"{"http_proxy": "http://u:p@h:1/", "dirsync_enabled": true}"#);
    assert_eq!(
        fields(&["--fields", &path, "--email-domain", "example.com"]),
        json!({
            "http_proxy": "http://u:p@h:1/", "dirsync_enabled": true, "email_domain": "example.com"
        })
    );
}

#[test]
fn a_proxy_comes_from_its_own_file() {
    let (_directory, path) = file("http://u:p@h:1/\n");
    assert_eq!(
        fields(&["--https-proxy-file", &path]),
        json!({"https_proxy": "http://u:p@h:1/"})
    );
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    let (_directory, path) = file(r#"{"email_domain": "a"}"#);
    for arguments in [
        ["--fields", path.as_str(), "--email-domain=b"].as_slice(),
        ["--set=email_domain=a", "--email-domain=b"].as_slice(),
        ["--set=email_domain=a", "--set=email_domain=b"].as_slice(),
    ] {
        let error = read(arguments).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Usage);
        assert!(error.message.contains("email_domain"), "{error}");
    }
}

#[test]
fn stdin_can_be_read_once() {
    let error = read(&["--tokens=-", "--fields=-"]).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.message.contains("stdin"), "{error}");
}

#[test]
fn cleared_field_is_null_and_takes_no_value() {
    let mut input = read(&["--email-domain=a"]).unwrap();
    input.clear(vec!["notes".to_owned()]).unwrap();
    assert!(input.clear(vec!["email_domain".to_owned()]).is_err());
    let fields = Value::from(input.into_fields(&model()).unwrap());
    assert_eq!(fields, json!({"email_domain": "a", "notes": null}));
}
