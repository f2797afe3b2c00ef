//! The actions on the customers of a wholesale partner.

use serde_json::{Map, Value};

use super::arguments::{Arguments, Parameter, ParameterKind};
use super::{Action, no_check, schema, to_json};
use crate::platform::FieldError;
use crate::webex::wholesale::{
    CALLING, TEXTS, check_packages, complete_location, needs_location, set_member,
};
use crate::workflows::wholesale::{self, OrderReport, PackageChange};

/// The packages, as choices.
const PACKAGE_NAMES: &[&str] = &[
    "common_area_calling",
    "webex_calling",
    "webex_meetings",
    "webex_suite",
    "webex_voice",
    "cx_essentials",
    "webex_calling_standard",
    "cisco_calling_plan",
    "attendant_console",
    "cx_premium_agent",
    "cx_standard_agent",
    "cx_voice_ports",
    "cx_ai_assistant",
    "webex_ai_agent",
];

/// The maximum length of a line of an address, in characters.
const MAX_ADDRESS_LINE: usize = 50;
/// The maximum length of any other text, in characters.
const MAX_TEXT: usize = 1_024;

const fn text(name: &'static str, help: &'static str) -> Parameter {
    Parameter {
        name,
        help,
        kind: ParameterKind::Text,
        required: false,
    }
}

const fn required(parameter: Parameter) -> Parameter {
    Parameter {
        required: true,
        ..parameter
    }
}

const fn packages(name: &'static str, help: &'static str) -> Parameter {
    Parameter {
        name,
        help,
        kind: ParameterKind::Texts(PACKAGE_NAMES),
        required: false,
    }
}

const CUSTOMER: Parameter = required(text(
    "customer",
    "The customer: the partner's own id of it, or Webex's id.",
));
const ADDRESS_LINE1: Parameter = text("address_line1", "The address, at most 50 characters.");
const ADDRESS_LINE2: Parameter = text(
    "address_line2",
    "The second line of the address, at most 50 characters.",
);
const CITY: Parameter = text("city", "The city of the address.");
const STATE: Parameter = text("state", "The state or province of the address.");
const POSTAL_CODE: Parameter = text("postal_code", "The ZIP or postal code of the address.");
const COUNTRY: Parameter = text(
    "country",
    "The country of the address: a code of two capital letters, such as US.",
);
const LOCATION_NAME: Parameter = text(
    "location_name",
    "The name of the first location of calling, which has the customer's address; needed with the first \
     calling package.",
);
const LOCATION_TIMEZONE: Parameter = text(
    "location_timezone",
    "The time zone of that location, such as America/Chicago.",
);
const LOCATION_LANGUAGE: Parameter = text(
    "location_language",
    "The language of announcements in that location, such as en_us.",
);
const LOCATION_EMERGENCY_ID: Parameter = text(
    "location_emergency_id",
    "The identifier of that location for emergency calls.",
);
const MEETINGS_TIMEZONE: Parameter = text(
    "meetings_timezone",
    "The time zone of meetings, such as America/Chicago.",
);
const SUB_PARTNER_ADMIN_EMAIL: Parameter = text(
    "sub_partner_admin_email",
    "The e-mail address of a sub-partner's administrator.",
);

/// Adds a customer at Webex.
pub(super) const ADD_CUSTOMER: Action = Action {
    name: "AddWholesaleCustomer",
    title: "Add Wholesale Customer",
    help: "Requests a new customer of the wholesale partner from Webex, which provisions it later.",
    parameters: &[
        required(text(
            "external_id",
            "The partner's own id of the customer, which no other customer has.",
        )),
        required(text(
            "provisioning_id",
            "The id of the partner's subscription that the customer belongs to, from Partner Hub.",
        )),
        required(packages("packages", "All packages of the customer.")),
        text(
            "org_id",
            "The id of the customer's organization, if Webex has it; the customer needs no name then.",
        ),
        text("name", "The name of the customer's new organization."),
        text(
            "email",
            "The e-mail address of the new organization's first administrator.",
        ),
        text(
            "language",
            "The language of the new organization, such as en.",
        ),
        required(ADDRESS_LINE1),
        ADDRESS_LINE2,
        required(CITY),
        STATE,
        POSTAL_CODE,
        required(COUNTRY),
        LOCATION_NAME,
        LOCATION_TIMEZONE,
        LOCATION_LANGUAGE,
        LOCATION_EMERGENCY_ID,
        MEETINGS_TIMEZONE,
        SUB_PARTNER_ADMIN_EMAIL,
    ],
    check: check_new,
    result_schema: schema::<OrderReport>,
    run: |platform, pkid, arguments| {
        let mut body = request(arguments);
        let packages = arguments.texts("packages").unwrap_or_default();
        set_member(&mut body, &["packages"], packages.into());
        complete_location(&mut body);
        let external_id = arguments.text("external_id").unwrap_or_default().trim();
        to_json(&wholesale::add(platform, pkid, external_id, body)?)
    },
};

/// Changes a customer at Webex.
pub(super) const MODIFY_CUSTOMER: Action = Action {
    name: "ModifyWholesaleCustomer",
    title: "Modify Wholesale Customer",
    help: "Requests a change of a wholesale customer from Webex. Packages and details that are not named stay.",
    parameters: &[
        CUSTOMER,
        packages("add_packages", "Packages that the customer gets."),
        packages("remove_packages", "Packages that the customer loses."),
        packages(
            "packages",
            "All packages, in place of the present ones: the customer loses those that are not named.",
        ),
        ADDRESS_LINE1,
        ADDRESS_LINE2,
        CITY,
        STATE,
        POSTAL_CODE,
        COUNTRY,
        LOCATION_NAME,
        LOCATION_TIMEZONE,
        LOCATION_LANGUAGE,
        LOCATION_EMERGENCY_ID,
        MEETINGS_TIMEZONE,
        SUB_PARTNER_ADMIN_EMAIL,
    ],
    check: check_change,
    result_schema: schema::<OrderReport>,
    run: |platform, pkid, arguments| {
        let change = PackageChange {
            all: arguments.texts("packages"),
            add: arguments.texts("add_packages").unwrap_or_default(),
            remove: arguments.texts("remove_packages").unwrap_or_default(),
        };
        let customer = arguments.text(CUSTOMER.name).unwrap_or_default();
        let details = request(arguments);
        to_json(&wholesale::modify(
            platform, pkid, customer, &change, details,
        )?)
    },
};

/// Deletes a customer at Webex.
pub(super) const DELETE_CUSTOMER: Action = Action {
    name: "DeleteWholesaleCustomer",
    title: "Delete Wholesale Customer",
    help: "Requests the deletion of a wholesale customer, with all its packages, from Webex.",
    parameters: &[CUSTOMER],
    check: no_check,
    result_schema: schema::<OrderReport>,
    run: |platform, pkid, arguments| {
        let customer = arguments.text(CUSTOMER.name).unwrap_or_default();
        to_json(&wholesale::delete(platform, pkid, customer)?)
    },
};

/// Asks for the state of a customer at Webex.
pub(super) const CHECK_CUSTOMER: Action = Action {
    name: "CheckWholesaleCustomer",
    title: "Check Wholesale Customer",
    help: "Asks Webex for the state of a wholesale customer, and of the last change that was requested.",
    parameters: &[CUSTOMER],
    check: no_check,
    result_schema: schema::<OrderReport>,
    run: |platform, pkid, arguments| {
        let customer = arguments.text(CUSTOMER.name).unwrap_or_default();
        to_json(&wholesale::check(platform, pkid, customer)?)
    },
};

/// Builds Webex's request from the texts among the arguments.
fn request(arguments: &Arguments) -> Map<String, Value> {
    let mut body = Map::new();
    for (argument, path) in TEXTS {
        if let Some(text) = arguments.text(argument).map(str::trim)
            && !text.is_empty()
        {
            set_member(&mut body, path, text.into());
        }
    }
    body
}

fn has(arguments: &Arguments, name: &str) -> bool {
    let text = arguments.text(name);
    text.is_some_and(|text| !text.trim().is_empty())
}

fn check_new(arguments: &Arguments) -> Vec<FieldError> {
    let mut errors = check_texts(arguments);
    let mut report = |field: &str, message: &str| errors.push(FieldError::new(field, message));
    for name in [
        "external_id",
        "provisioning_id",
        "address_line1",
        "city",
        "country",
    ] {
        if arguments.text(name).is_some() && !has(arguments, name) {
            report(name, "must not be empty");
        }
    }
    if !has(arguments, "org_id") {
        for name in ["name", "email"] {
            if !has(arguments, name) {
                report(
                    name,
                    "is required for a new organization, which has no org_id",
                );
            }
        }
    }
    if let Some(packages) = arguments.texts("packages") {
        for error in check_packages(&packages) {
            report("packages", &error);
        }
        if needs_location(&packages) {
            for error in missing_location(arguments) {
                report(error, LOCATION_NEEDED);
            }
        }
    }
    errors
}

fn check_change(arguments: &Arguments) -> Vec<FieldError> {
    let mut errors = check_texts(arguments);
    let mut report = |field: &str, message: &str| errors.push(FieldError::new(field, message));
    let [all, add, remove] =
        ["packages", "add_packages", "remove_packages"].map(|name| arguments.texts(name));
    if all.is_some() && (add.is_some() || remove.is_some()) {
        report(
            "packages",
            "is the full list, and excludes add_packages and remove_packages",
        );
    }
    for name in add.iter().flatten() {
        if remove.iter().flatten().any(|removed| removed == name) {
            report(
                "remove_packages",
                &format!("{name} is also in add_packages"),
            );
        }
    }
    for error in all.iter().flat_map(|packages| check_packages(packages)) {
        report("packages", &error);
    }
    if add
        .iter()
        .flatten()
        .any(|name| CALLING.contains(&name.as_str()))
        || all.as_deref().is_some_and(needs_location)
    {
        // Whether a location is needed depends on the present packages.
        let missing = missing_location(arguments);
        if missing.len() < LOCATION.len() {
            for name in missing {
                report(name, "is required, because the location is named");
            }
        }
    }
    errors
}

/// The arguments that describe a location of calling.
const LOCATION: [&str; 3] = [
    LOCATION_NAME.name,
    LOCATION_TIMEZONE.name,
    LOCATION_LANGUAGE.name,
];
const LOCATION_NEEDED: &str = "is required with a calling package";

fn missing_location(arguments: &Arguments) -> Vec<&'static str> {
    let missing = LOCATION.into_iter();
    missing.filter(|name| !has(arguments, name)).collect()
}

fn check_texts(arguments: &Arguments) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut report = |field: &str, message: String| errors.push(FieldError::new(field, message));
    for (name, _) in TEXTS {
        let Some(text) = arguments.text(name) else {
            continue;
        };
        let most = match *name {
            "address_line1" | "address_line2" => MAX_ADDRESS_LINE,
            _ => MAX_TEXT,
        };
        let length = text.chars().count();
        if length > most {
            report(
                name,
                format!("has {length} characters; at most {most} are allowed"),
            );
        } else if text.chars().any(char::is_control) {
            report(name, "has control characters".to_owned());
        }
    }
    if arguments
        .text("name")
        .is_some_and(|name| name.contains('%'))
    {
        report("name", "must not contain a percent sign".to_owned());
    }
    for name in ["email", "sub_partner_admin_email"] {
        let is_address = |text: &str| email_address::EmailAddress::is_valid(text.trim());
        if has(arguments, name) && !arguments.text(name).is_some_and(is_address) {
            report(name, "is not an e-mail address".to_owned());
        }
    }
    let is_country = |text: &str| {
        let text = text.trim();
        text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
    };
    if has(arguments, COUNTRY.name) && !arguments.text(COUNTRY.name).is_some_and(is_country) {
        let message = "must be a code of two capital letters, such as US".to_owned();
        report(COUNTRY.name, message);
    }
    errors
}

#[cfg(test)]
#[path = "wholesale_tests.rs"]
mod tests;
