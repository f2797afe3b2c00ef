//! Customers of a wholesale partner at Webex: their packages, their state, and the requests that change them.
//!
//! Webex accepts a change with status 202 and carries it out later; the customer's `status` shows the progress.

mod packages;

use http::Method;
use http::header::LOCATION;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::Webex;
use super::directories::WHOLESALE_CUSTOMERS;
use super::directory::Entry;
use super::errors::{ErrorDetail, ErrorKind, WebexError};
use super::ids::OrgId;
use super::redactor::Redactor;
use crate::platform::{FieldError, Millis, Secret};
use crate::text::strip_byte_order_mark;

pub use packages::{CALLING, PACKAGES, check_packages, needs_location};

/// The pause between two requests for the state of a customer that Webex works on. Webex's reference application
/// has the same.
pub const POLL_INTERVAL: Millis = Millis::from_seconds(5);
/// How long Webex may work on a customer before the result counts as unknown. Webex's reference application has the
/// same.
pub const MAX_PROVISIONING: Millis = Millis::from_seconds(120);

/// The maximum number of pages that a search for a customer reads: a server may ignore the filter.
const MAX_SEARCH_PAGES: u32 = 20;
/// Characters that a customer's id in a path must not have as they are.
const OUTSIDE_IDS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
/// Webex's number of the error of an e-mail address that another customer has.
const EMAIL_IN_USE: u64 = 10_022;

/// The texts that describe a customer: the name of the argument, and the member of Webex's request.
pub const TEXTS: &[(&str, &[&str])] = &[
    ("external_id", &["externalId"]),
    ("provisioning_id", &["provisioningId"]),
    ("org_id", &["orgId"]),
    ("name", &["customerInfo", "name"]),
    ("email", &["customerInfo", "primaryEmail"]),
    ("language", &["customerInfo", "language"]),
    ("address_line1", &["address", "addressLine1"]),
    ("address_line2", &["address", "addressLine2"]),
    ("city", &["address", "city"]),
    ("state", &["address", "stateOrProvince"]),
    ("postal_code", &["address", "zipOrPostalCode"]),
    ("country", &["address", "country"]),
    (
        "location_name",
        &["provisioningParameters", "calling", "location", "name"],
    ),
    (
        "location_timezone",
        &["provisioningParameters", "calling", "location", "timezone"],
    ),
    (
        "location_language",
        &["provisioningParameters", "calling", "location", "language"],
    ),
    (
        "location_emergency_id",
        &[
            "provisioningParameters",
            "calling",
            "location",
            "emergencyLocationIdentifier",
        ],
    ),
    (
        "meetings_timezone",
        &["provisioningParameters", "meetings", "timezone"],
    ),
    ("sub_partner_admin_email", &["subPartnerAdminEmail"]),
];

/// The member with the location of calling.
const LOCATION_PATH: [&str; 3] = ["provisioningParameters", "calling", "location"];

/// The state of a package of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageState {
    /// The package, such as `webex_calling`.
    pub name: String,
    /// The state at Webex, such as `provisioned`; empty: unknown.
    pub status: String,
    /// Errors and warnings of the package.
    pub errors: Vec<ErrorDetail>,
}

/// A customer as Webex shows it. No member but the id is certain.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    /// The complete customer, as Webex sent it.
    pub entry: Entry,
    /// The partner's own id of the customer.
    pub external_id: Option<String>,
    /// The customer's organization, once it is provisioned.
    pub organization: Option<OrgId>,
    /// The state, such as `provisioning`; empty: unknown.
    pub status: String,
    /// All packages.
    pub packages: Vec<String>,
    /// The states of the packages.
    pub details: Vec<PackageState>,
    /// Errors of Webex's work on the customer.
    pub errors: Vec<ErrorDetail>,
}

impl Customer {
    /// Reads a customer from JSON.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let entry = Entry::parse(json).ok()?;
        let fields = &entry.fields;
        let text = |name: &str| {
            let text = fields.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let organization = text("orgId").and_then(|id| OrgId::parse(&id).ok());
        let names = fields.get("packages").and_then(Value::as_array);
        let names = names.into_iter().flatten().filter_map(Value::as_str);
        let packages = names.map(str::to_owned).collect();
        let details = fields.get("resourceDetails");
        let details = details.and_then(|details| details.get("packages")?.as_array());
        let details = details.into_iter().flatten();
        Some(Self {
            external_id: text("externalId"),
            organization,
            status: text("status").unwrap_or_default().to_ascii_lowercase(),
            packages,
            details: details.filter_map(parse_package).collect(),
            errors: parse_errors(fields.get("errors")),
            entry,
        })
    }

    /// Returns Webex's id of the customer.
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// Returns whether the customer has exactly these packages.
    pub fn has_packages(&self, packages: &[String]) -> bool {
        packages.iter().all(|name| self.packages.contains(name))
            && self.packages.iter().all(|name| packages.contains(name))
    }

    /// Returns what Webex says about errors: of the customer, and of its packages.
    pub fn reasons(&self) -> Vec<ErrorDetail> {
        let packages = self.details.iter().flat_map(|package| {
            let named = |error: &ErrorDetail| ErrorDetail {
                code: error.code,
                description: format!("{}: {}", package.name, error.description),
            };
            package.errors.iter().map(named).collect::<Vec<_>>()
        });
        self.errors.iter().cloned().chain(packages).collect()
    }
}

fn parse_package(package: &Value) -> Option<PackageState> {
    let text = |name: &str| Some(package.get(name)?.as_str()?.to_owned());
    let mut errors = parse_errors(package.get("errors"));
    errors.extend(parse_errors(package.get("warnings")));
    Some(PackageState {
        name: text("name")?,
        status: text("status").unwrap_or_default(),
        errors,
    })
}

fn parse_errors(list: Option<&Value>) -> Vec<ErrorDetail> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    let redactor = Redactor::default();
    list.filter_map(ErrorDetail::parse)
        .filter_map(|error| {
            let description = redactor.redact(&error.description)?;
            Some(ErrorDetail {
                description,
                ..error
            })
        })
        .take(20)
        .collect()
}

/// Sets the member at `path` of a request.
pub fn set_member(body: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [name] => {
            body.insert((*name).to_owned(), value);
        }
        [first, rest @ ..] => {
            let inner = body.entry((*first).to_owned());
            let inner = inner.or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                set_member(inner, rest, value);
            }
        }
    }
}

/// Completes a request that names a location of calling: the location has the address of the customer.
pub fn complete_location(body: &mut Map<String, Value>) {
    let [first, second, third] = LOCATION_PATH;
    let location = body
        .get(first)
        .and_then(|body| body.get(second)?.get(third));
    if location.is_some()
        && let Some(address) = body.get("address").cloned()
    {
        set_member(body, &[first, second, third, "address"], address);
    }
}

/// Attributes the errors of a request that Webex rejected to arguments of the caller. An error of no known field is
/// that of the argument `customer`.
pub fn field_errors(error: &WebexError, packages_argument: &str) -> Vec<FieldError> {
    let fields = error.details().iter().map(|detail| {
        let field = match detail.code {
            Some(EMAIL_IN_USE) => Some("email"),
            _ => find_argument(&detail.description, packages_argument),
        };
        let message = format!("Webex rejects it: {detail}");
        FieldError::new(field.unwrap_or("customer"), message)
    });
    let fields: Vec<FieldError> = fields.collect();
    match fields.is_empty() {
        true => vec![FieldError::new("customer", error.reason_with_tracking_id())],
        false => fields,
    }
}

/// Finds the argument whose member of the request an error text names, such as `address.country`.
fn find_argument<'a>(text: &str, packages_argument: &'a str) -> Option<&'a str> {
    let by_path = TEXTS
        .iter()
        .map(|(argument, path)| (*argument, path.join(".")))
        // An error may name only the last part of a path, if no other path has it.
        .chain(TEXTS.iter().filter_map(|(argument, path)| {
            let last = path.last()?;
            let is_distinct = last.contains(|c: char| c.is_ascii_uppercase());
            is_distinct.then(|| (*argument, (*last).to_owned()))
        }))
        .filter(|(_, path)| contains_word(text, path))
        .max_by_key(|(_, path)| path.len());
    match by_path {
        Some((argument, _)) => Some(argument),
        None if contains_word(text, "packages") => Some(packages_argument),
        None => PACKAGES
            .iter()
            .any(|package| contains_word(text, package.name))
            .then_some(packages_argument),
    }
}

fn contains_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at.saturating_add(word.len())..);
        let after = after.and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Finds the customer with the partner's own id `external_id`.
///
/// # Errors
/// Any response that is not a list of customers; a list that does not end.
pub fn find_customer(
    webex: &Webex<'_>,
    external_id: &str,
    token: &Secret,
) -> Result<Option<Customer>, WebexError> {
    let directory = &WHOLESALE_CUSTOMERS;
    let filters = [("externalId", external_id.to_owned())];
    let parameters = [filters.to_vec(), directory.first_page()].concat();
    let mut address = webex.first_page_url(directory.path, &parameters);
    for _ in 0..MAX_SEARCH_PAGES {
        let page = webex.fetch_page(directory, &address, &filters, token)?;
        let mut customers = page.items.iter().filter_map(|item| Customer::parse(item));
        let is_wanted = |customer: &Customer| customer.external_id.as_deref() == Some(external_id);
        if let Some(found) = customers.find(is_wanted) {
            return Ok(Some(found));
        }
        match (page.next, page.link_error) {
            (Some(next), _) if next != address && !page.items.is_empty() => address = next,
            (_, Some(error)) => return Err(unfinished(error)),
            _ => return Ok(None),
        }
    }
    Err(unfinished("the list of customers does not end".to_owned()))
}

fn unfinished(error: String) -> WebexError {
    let request = format!("the search in {}", WHOLESALE_CUSTOMERS.path);
    WebexError::new(ErrorKind::Unavailable, request, Some(error))
}

/// Returns the customer with Webex's id `id`, if Webex has it.
///
/// # Errors
/// Any other response that is not a customer.
pub fn fetch_customer(
    webex: &Webex<'_>,
    id: &str,
    token: &Secret,
) -> Result<Option<Customer>, WebexError> {
    let path = customer_path(id);
    let customer = match webex.get_json(&path, token) {
        Ok(customer) => customer,
        Err(error) if error.kind == ErrorKind::NotFound && error.is_webex => return Ok(None),
        Err(error) => return Err(error),
    };
    match Customer::parse(customer.to_string().as_bytes()) {
        Some(customer) => Ok(Some(customer)),
        None => Err(WebexError::new(
            ErrorKind::Unavailable,
            format!("GET {path}"),
            Some("the response is not a customer".to_owned()),
        )),
    }
}

/// Requests a new customer. Returns Webex's id of the customer, if the response names it.
///
/// # Errors
/// Any response other than success.
pub fn create_customer(
    webex: &Webex<'_>,
    body: &Value,
    token: &Secret,
) -> Result<Option<String>, WebexError> {
    let address = webex.address(WHOLESALE_CUSTOMERS.path);
    let (_, response) = webex.exchange_json(Method::POST, &address, Some(body), token)?;
    let body: Option<Value> = serde_json::from_slice(strip_byte_order_mark(response.body())).ok();
    let url = body.as_ref().and_then(|body| body.get("url")?.as_str());
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let id = url.or(location).and_then(|url| {
        let path = url.split(['?', '#']).next()?;
        path.trim_end_matches('/').rsplit('/').next()
    });
    let is_id = |id: &&str| !id.is_empty() && id.len() <= 1_024 && *id != "customers";
    Ok(id.filter(is_id).map(str::to_owned))
}

/// Requests the change of a customer to `body`, in which the list of packages is the full one.
///
/// # Errors
/// Any response other than success.
pub fn update_customer(
    webex: &Webex<'_>,
    id: &str,
    body: &Value,
    token: &Secret,
) -> Result<(), WebexError> {
    let address = webex.address(&customer_path(id));
    let sent = webex.exchange_json(Method::PUT, &address, Some(body), token);
    sent.map(drop)
}

/// Requests the deletion of a customer.
///
/// # Errors
/// Any response other than success.
pub fn delete_customer(webex: &Webex<'_>, id: &str, token: &Secret) -> Result<(), WebexError> {
    webex.delete(&customer_path(id), token)
}

/// Asks for the identity of a customer's organization. Webex may refuse a partner's requests for a new
/// organization until the partner has done so once.
///
/// # Errors
/// Any response other than JSON.
pub fn identify_organization(
    webex: &Webex<'_>,
    organization: OrgId,
    token: &Secret,
) -> Result<(), WebexError> {
    let path = format!("/identity/organizations/{organization}");
    webex.get_json(&path, token).map(drop)
}

fn customer_path(id: &str) -> String {
    let id = utf8_percent_encode(id, OUTSIDE_IDS);
    format!("{}/{id}", WHOLESALE_CUSTOMERS.path)
}

#[cfg(test)]
#[path = "wholesale_tests.rs"]
mod tests;
