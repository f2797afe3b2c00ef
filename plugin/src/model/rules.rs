//! The rules between fields, and what the record's fields become when all of them hold.

use serde_json::{Map, Value};

use super::input::{Given, Input};
use super::proxy::Proxy;
use super::{FIELDS, Faults};
use crate::platform::Secret;
use crate::record::{Record, secret};
use crate::webex::ids::OrgId;

const NAME: &str = "name";
const EXTERNAL: &str = "account_number_external";
const INTERNAL: &str = "account_number";
const CONTACT_CENTER: &str = "webex_contact_center";
const REGION: &str = "base_url_setting";

/// Tokens that were typed into the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastedTokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token.
    pub refresh: Secret,
}

/// Input that obeys every rule that can be checked without asking anybody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accepted {
    /// All of the record's fields afterwards.
    pub fields: Map<String, Value>,
    /// Secrets of the record to seal, or to remove where there is no value; tokens are not here.
    pub sealed: Vec<(&'static str, Option<Secret>)>,
    /// Both tokens, when they were typed in.
    pub tokens: Option<PastedTokens>,
    /// The organisation that the account numbers name.
    pub organization: Option<OrgId>,
    /// The field to name when this organisation is the wrong one.
    pub organization_field: &'static str,
}

impl Accepted {
    /// Makes `organization` the record's.
    pub fn set_organization(&mut self, organization: OrgId) {
        self.organization = Some(organization);
        put_organization(&mut self.fields, organization);
    }
}

/// Applies `input` to the fields of `current`, or of a new record at `hierarchy`.
///
/// `answer` says that tokens come in a token endpoint's answer besides the fields. What is
/// returned is to be used only when `faults` stays empty.
pub fn accept(
    input: Input,
    current: Option<&Record>,
    hierarchy: &str,
    answer: bool,
    faults: &mut Faults,
) -> Accepted {
    let mut accepted = Accepted {
        fields: current
            .map(|record| record.body.fields.clone())
            .unwrap_or_default(),
        tokens: tokens(&input, answer, faults),
        organization_field: EXTERNAL,
        ..Accepted::default()
    };
    if let Some(record) = current {
        never_changes(&input, record, faults);
    }
    proxies(&input, &mut accepted);
    let connected = current.is_some_and(|record| record.body.connection.refresh.is_some());
    let renewed = answer || accepted.tokens.is_some() || input.tokens.contains_key("token");
    // New tokens replace those of the organisation's grant only.
    let further = current.is_some_and(|record| {
        let mut further = record.body.further_grants.values();
        further.any(|connection| connection.refresh.is_some())
    });
    let bound = (connected && !renewed) || further;
    organization(&input, bound, &mut accepted, faults);
    for (name, value) in &input.values {
        if value.is_null() {
            accepted.fields.remove(*name);
        } else {
            accepted.fields.insert((*name).to_owned(), value.clone());
        }
    }
    if current.is_none() && !faults.blames(NAME) {
        default_name(&input, hierarchy, &mut accepted.fields);
    }
    region(&input, &mut accepted.fields, faults);
    for field in FIELDS {
        let part = field.name.contains('[');
        let missing = field.required && !part && !accepted.fields.contains_key(field.name);
        if missing && !faults.blames(field.name) {
            faults.add(field.name, "is required");
        }
    }
    accepted
}

fn tokens(input: &Input, answer: bool, faults: &mut Faults) -> Option<PastedTokens> {
    let mut complete = true;
    let pairs = [
        ("token", "token_repeat"),
        ("refresh_token", "refresh_token_repeat"),
    ];
    for (name, repeat) in pairs {
        if faults.blames(name) || faults.blames(repeat) {
            complete = false;
            continue;
        }
        match (input.tokens.get(name), input.tokens.get(repeat)) {
            (None, None) => {}
            (Some(token), Some(repeated)) if token == repeated => {}
            (Some(_), None) => {
                faults.add(repeat, format!("is required and must equal {name}"));
                complete = false;
            }
            _ => {
                faults.add(repeat, format!("does not equal {name}"));
                complete = false;
            }
        }
    }
    let (access, refresh) = (input.tokens.get("token"), input.tokens.get("refresh_token"));
    if answer && (access.is_some() || refresh.is_some()) {
        faults.add(
            "token",
            "cannot be given together with the answer of a token endpoint",
        );
        return None;
    }
    match (access, refresh) {
        (Some(access), Some(refresh)) if complete => Some(PastedTokens {
            access: access.clone(),
            refresh: refresh.clone(),
        }),
        (Some(_), None) if !faults.blames("refresh_token") => {
            faults.add("refresh_token", "is required when token is given");
            None
        }
        (None, Some(_)) if !faults.blames("token") => {
            faults.add("token", "is required when refresh_token is given");
            None
        }
        _ => None,
    }
}

// A form sends back what it was shown: the same value is no change.
fn never_changes(input: &Input, record: &Record, faults: &mut Faults) {
    for field in FIELDS.iter().filter(|field| field.add_only) {
        let Some(given) = input.values.get(field.name) else {
            continue;
        };
        // No value and `false` are the same to an administrator.
        let set = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or(false);
        if set(Some(given)) != set(record.body.fields.get(field.name)) {
            faults.add(
                field.name,
                "can only be set when the record is added: delete it and add it again",
            );
        }
    }
}

fn proxies(input: &Input, accepted: &mut Accepted) {
    for (field, given) in &input.proxies {
        let name = match *field {
            "http_proxy" => secret::HTTP_PROXY,
            _ => secret::HTTPS_PROXY,
        };
        match given {
            Given::Same => {}
            Given::Clear => {
                accepted.fields.remove(*field);
                accepted.sealed.push((name, None));
            }
            Given::New(proxy) => {
                let shown = Value::String(proxy.to_string());
                accepted.fields.insert((*field).to_owned(), shown);
                accepted.sealed.push((name, Some(Proxy::secret(proxy))));
            }
        }
    }
}

// Each account number follows from the other, so the one that is given decides for both.
fn organization(input: &Input, bound: bool, accepted: &mut Accepted, faults: &mut Faults) {
    let before = [EXTERNAL, INTERNAL]
        .iter()
        .find_map(|name| accepted.fields.get(*name)?.as_str())
        .and_then(|text| OrgId::parse(text).ok());
    let given = |name: &str| match input.organizations.get(name) {
        Some(Given::New(organization)) => Some(*organization),
        _ => None,
    };
    let (field, after) = match (given(EXTERNAL), given(INTERNAL)) {
        (Some(external), Some(internal)) if external != internal => {
            faults.add(
                INTERNAL,
                format!("names the organisation {internal}, but {EXTERNAL} names {external}"),
            );
            return;
        }
        (Some(organization), _) => (EXTERNAL, Some(organization)),
        (None, Some(organization)) => (INTERNAL, Some(organization)),
        (None, None) => match input.organizations.keys().next_back() {
            Some(cleared) => (*cleared, None),
            None => (EXTERNAL, before),
        },
    };
    accepted.organization_field = field;
    if bound && before.is_some() && before != after {
        faults.add(
            field,
            "cannot change while the tokens belong to the organisation: give new tokens with it",
        );
        return;
    }
    accepted.organization = after;
    match after {
        Some(organization) => put_organization(&mut accepted.fields, organization),
        None => {
            accepted.fields.remove(EXTERNAL);
            accepted.fields.remove(INTERNAL);
        }
    }
}

/// Gives a record that was added before 21.4-PB3, and holds the API's id alone, the organisation's external
/// id too: what is asked of the organisation is asked of that one.
pub fn complete_organization(fields: &mut Map<String, Value>) {
    let text = |field: &str| {
        let text = fields.get(field).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    if text(EXTERNAL).is_none()
        && let Some(organization) = text(INTERNAL).and_then(|id| OrgId::parse(id).ok())
    {
        fields.insert(EXTERNAL.to_owned(), organization.external().into());
    }
}

fn put_organization(fields: &mut Map<String, Value>, organization: OrgId) {
    fields.insert(EXTERNAL.to_owned(), organization.external().into());
    fields.insert(INTERNAL.to_owned(), organization.internal().into());
}

// The name of a node is the last part of its path.
fn default_name(input: &Input, hierarchy: &str, fields: &mut Map<String, Value>) {
    let given = input.values.get(NAME).is_some_and(Value::is_string);
    if !given && let Some(name) = hierarchy.rsplit('.').next().filter(|name| !name.is_empty()) {
        fields.insert(NAME.to_owned(), name.into());
    }
}

// A region exactly when the customer is one of Contact Center. Whoever switches the flag off
// cannot be asked to clear a field that the form has hidden.
fn region(input: &Input, fields: &mut Map<String, Value>, faults: &mut Faults) {
    let contact_center = fields.get(CONTACT_CENTER).and_then(Value::as_bool) == Some(true);
    let region = fields.contains_key(REGION);
    if faults.blames(REGION) || faults.blames(CONTACT_CENTER) {
        return;
    }
    if contact_center && !region {
        faults.add(REGION, format!("is required when {CONTACT_CENTER} is true"));
    } else if !contact_center && region {
        if input.values.get(REGION).is_some_and(Value::is_string) {
            faults.add(
                REGION,
                format!("is possible only when {CONTACT_CENTER} is true"),
            );
        } else {
            fields.remove(REGION);
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
