//! The checks of a customer that a partner wants to create or change.

use serde_json::Value;

use crate::errors::FieldError;

/// The packages, each with the packages of which one is required.
const PACKAGES: [(&str, &[&str]); 14] = [
    ("common_area_calling", &[]),
    ("webex_calling", &[]),
    ("webex_meetings", &[]),
    ("webex_suite", &[]),
    ("webex_voice", &[]),
    ("cx_essentials", &[]),
    ("webex_calling_standard", &[]),
    (
        "cisco_calling_plan",
        &[
            "common_area_calling",
            "webex_calling",
            "webex_suite",
            "webex_voice",
            "cx_essentials",
            "webex_calling_standard",
        ],
    ),
    (
        "attendant_console",
        &["webex_calling", "webex_suite", "cx_essentials"],
    ),
    ("cx_premium_agent", &[]),
    ("cx_standard_agent", &[]),
    ("cx_voice_ports", &[]),
    ("cx_ai_assistant", &[]),
    ("webex_ai_agent", &[]),
];

/// Packages that need the location of calling.
const WITH_CALLING: [&str; 6] = [
    "common_area_calling",
    "webex_calling",
    "webex_suite",
    "webex_voice",
    "cx_essentials",
    "webex_calling_standard",
];

/// A request with a customer in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Create,
    Update,
    Validate,
}

/// Returns the errors of the body, one for each field.
pub(super) fn check(body: &Value, kind: RequestKind) -> Vec<FieldError> {
    let mut fields = Fields {
        body,
        errors: Vec::new(),
    };
    let required: &[&str] = match kind {
        RequestKind::Create => &["/provisioningId", "/externalId", "/address", "/packages"],
        RequestKind::Update => &["/packages"],
        RequestKind::Validate => &["/address"],
    };
    for pointer in required {
        fields.require(pointer);
    }
    if body.get("address").is_some() {
        fields.check_address("/address");
    }
    fields.check_packages();
    if kind == RequestKind::Create {
        fields.check_new_customer();
    }
    fields.errors
}

/// Returns the errors of an update that adds calling to a customer with these packages: calling needs a location.
pub(crate) fn check_first_calling(body: &Value, previous: &Value) -> Vec<FieldError> {
    let previous = previous.as_array().into_iter().flatten();
    let mut previous = previous.filter_map(Value::as_str);
    let mut fields = Fields {
        body,
        errors: Vec::new(),
    };
    if !previous.any(|name| WITH_CALLING.contains(&name)) {
        fields.check_location();
    }
    fields.errors
}

struct Fields<'a> {
    body: &'a Value,
    errors: Vec<FieldError>,
}

impl Fields<'_> {
    fn text(&self, pointer: &str) -> &str {
        let value = self.body.pointer(pointer);
        value.and_then(Value::as_str).unwrap_or_default()
    }

    /// Reports an error of a field, which is named as in `address.city`.
    fn report(&mut self, pointer: &str, reason: &str) {
        let name = pointer.trim_start_matches('/').replace('/', ".");
        self.errors.push(FieldError {
            code: None,
            description: format!("{name}: {reason}"),
        });
    }

    /// Reports the field if it is missing or empty.
    fn require(&mut self, pointer: &str) {
        let is_empty = match self.body.pointer(pointer) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(_) => false,
        };
        if is_empty {
            self.report(pointer, "is required");
        }
    }

    fn check_address(&mut self, at: &str) {
        for field in ["addressLine1", "city", "country"] {
            self.require(&format!("{at}/{field}"));
        }
        for field in ["addressLine1", "addressLine2"] {
            let pointer = format!("{at}/{field}");
            if self.text(&pointer).chars().count() > 50 {
                self.report(&pointer, "is longer than 50 characters");
            }
        }
        let pointer = format!("{at}/country");
        let country = self.text(&pointer);
        let is_code = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        if !country.is_empty() && !is_code {
            self.report(&pointer, "is not a country code of two letters");
        }
    }

    fn packages(&self) -> Vec<&str> {
        let packages = self.body.get("packages").and_then(Value::as_array);
        packages
            .into_iter()
            .flatten()
            .map(|name| name.as_str().unwrap_or_default())
            .collect()
    }

    fn check_packages(&mut self) {
        let Some(packages) = self.body.get("packages") else {
            return;
        };
        if !packages.is_array() {
            return self.report("/packages", "is not a list");
        }
        let mut reasons = Vec::new();
        let ordered = self.packages();
        for name in &ordered {
            match PACKAGES.iter().find(|(known, _)| known == name) {
                None => reasons.push(format!("{name} is not a package")),
                Some((_, needed)) => {
                    if !needed.is_empty() && !needed.iter().any(|one| ordered.contains(one)) {
                        reasons.push(format!("{name} needs one of {}", needed.join(", ")));
                    }
                }
            }
        }
        for reason in reasons {
            self.report("/packages", &reason);
        }
    }

    /// Checks a new customer: it gets an organization, or has one, and calling needs a location.
    fn check_new_customer(&mut self) {
        if self.text("/orgId").is_empty() {
            self.require("/customerInfo/name");
            self.require("/customerInfo/primaryEmail");
        }
        if self.text("/customerInfo/name").contains('%') {
            self.report("/customerInfo/name", "contains a percent sign");
        }
        self.check_location();
    }

    fn check_location(&mut self) {
        let location = "/provisioningParameters/calling/location";
        if self
            .packages()
            .iter()
            .any(|name| WITH_CALLING.contains(name))
        {
            for field in ["name", "timezone", "language"] {
                self.require(&format!("{location}/{field}"));
            }
            self.check_address(&format!("{location}/address"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn descriptions(body: &Value, kind: RequestKind) -> Vec<String> {
        let errors = check(body, kind).into_iter();
        errors.map(|error| error.description).collect()
    }

    #[test]
    fn each_wrong_field_is_reported() {
        let body = json!({
            "packages": ["attendant_console", "webex_fax"],
            "externalId": "1",
            "address": {"addressLine1": "a", "city": "b", "country": "Germany"},
            "customerInfo": {"name": "100 %"},
        });
        assert_eq!(
            descriptions(&body, RequestKind::Create),
            [
                "provisioningId: is required",
                "address.country: is not a country code of two letters",
                "packages: attendant_console needs one of webex_calling, webex_suite, cx_essentials",
                "packages: webex_fax is not a package",
                "customerInfo.primaryEmail: is required",
                "customerInfo.name: contains a percent sign",
            ]
        );
    }

    #[test]
    fn first_calling_package_needs_a_location() {
        let body = json!({"packages": ["webex_meetings", "webex_calling"]});
        let errors = check_first_calling(&body, &json!(["webex_meetings"]));
        assert!(
            errors
                .iter()
                .any(|error| error.description.contains("location.timezone"))
        );
        assert!(check_first_calling(&body, &json!(["webex_voice"])).is_empty());
        let other = json!({"packages": ["webex_meetings"]});
        assert!(check_first_calling(&other, &json!([])).is_empty());
    }

    #[test]
    fn calling_needs_a_location() {
        let body = json!({"packages": ["webex_calling", "cisco_calling_plan"]});
        assert!(descriptions(&body, RequestKind::Update).is_empty());
        let errors = descriptions(&body, RequestKind::Create);
        assert!(
            errors
                .contains(&"provisioningParameters.calling.location.name: is required".to_owned())
        );
    }
}
