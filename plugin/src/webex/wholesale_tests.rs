//! Customers in Webex's JSON, and the attribution of errors.

use serde_json::json;

use super::*;

fn parse(customer: &Value) -> Option<Customer> {
    Customer::parse(customer.to_string().as_bytes())
}

#[test]
fn customer_needs_only_an_id() {
    assert_eq!(parse(&json!({"status": "provisioned"})), None);
    let customer = parse(&json!({"id": "C1"})).unwrap();
    assert_eq!(customer.status, "");
    assert!(customer.packages.is_empty() && customer.organization.is_none());
    let odd = json!({"id": "C1", "packages": "webex_calling", "errors": {}, "resourceDetails": []});
    assert!(parse(&odd).unwrap().packages.is_empty());
}

#[test]
fn organization_has_a_type_in_either_case() {
    use base64::Engine as _;
    let uuid = "8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
    for kind in ["ORGANIZATION", "Organization"] {
        let id = format!("ciscospark://us/{kind}/{uuid}");
        let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id);
        let customer = parse(&json!({"id": "C1", "orgId": id})).unwrap();
        assert_eq!(customer.organization.unwrap().external(), uuid);
    }
}

#[test]
fn reasons_name_the_package() {
    let customer = json!({
        "id": "C1", "status": "provisioned_with_errors", "packages": ["webex_calling"],
        "errors": [{"errorCode": 1, "description": "One."}],
        "resourceDetails": {"packages": [{
            "name": "webex_calling", "status": "error",
            "warnings": [{"errorCode": 2560, "description": "Calling is under maintenance."}],
        }]},
    });
    let reasons = parse(&customer).unwrap().reasons();
    let texts: Vec<String> = reasons.iter().map(ErrorDetail::to_string).collect();
    assert_eq!(
        texts,
        [
            "One (error 1)",
            "webex_calling: Calling is under maintenance (error 2560)"
        ]
    );
}

#[test]
fn errors_of_webex_belong_to_arguments() {
    let rejected = |details: &[(Option<u64>, &str)]| {
        let details = details.iter().map(|(code, description)| ErrorDetail {
            code: *code,
            description: (*description).to_owned(),
        });
        let error = WebexError::new(ErrorKind::Rejected, "POST /wholesale/customers", None);
        let error = error.with_details(details.collect());
        field_errors(&error, "add_packages")
    };
    let errors = rejected(&[
        (None, "address.country: is not a country code"),
        (
            None,
            "provisioningParameters.calling.location.name: is required",
        ),
        (None, "The primaryEmail is invalid."),
        (None, "packages: webex_calling is not offered"),
        (None, "attendant_console is not offered"),
        (Some(10_022), "The address is already in use."),
        (None, "Something else, such as nameless."),
    ]);
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "country",
            "location_name",
            "email",
            "add_packages",
            "add_packages",
            "email",
            "customer"
        ]
    );
    assert!(errors[5].message.contains("error 10022"), "{errors:?}");
    assert_eq!(rejected(&[])[0].field, "customer");
}

#[test]
fn location_has_the_address_of_the_customer() {
    let mut body = Map::new();
    complete_location(&mut body);
    assert!(body.is_empty());
    set_member(&mut body, &["address", "city"], "Austin".into());
    let [first, second, third] = LOCATION_PATH;
    set_member(&mut body, &[first, second, third, "name"], "Office".into());
    complete_location(&mut body);
    let location = body["provisioningParameters"]["calling"]["location"].clone();
    assert_eq!(
        location,
        json!({"name": "Office", "address": {"city": "Austin"}})
    );
}
