//! The rules between fields, and the fields of a record that follows all of them.

use serde_json::{Map, Value};

use super::input::{FieldUpdate, Input};
use super::proxy::Proxy;
use super::{FIELDS, FieldErrors};
use crate::platform::Secret;
use crate::record::{Record, secret};
use crate::text::trim_text;
use crate::webex::ids::OrgId;

const NAME: &str = "name";
const EXTERNAL: &str = "account_number_external";
const INTERNAL: &str = "account_number";
const CONTACT_CENTER: &str = "webex_contact_center";
const REGION: &str = "base_url_setting";

/// Tokens typed into the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastedTokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token.
    pub refresh: Secret,
}

/// Input that follows every rule that needs no request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValidatedInput {
    /// All fields of the record after the change.
    pub fields: Map<String, Value>,
    /// Secrets to seal, or to remove if they have no value. Tokens are not included.
    pub sealed: Vec<(&'static str, Option<Secret>)>,
    /// Both tokens, if they were typed in.
    pub tokens: Option<PastedTokens>,
    /// The organization from the account numbers.
    pub organization: Option<OrgId>,
    /// The field to report if this organization is the wrong one.
    pub organization_field: &'static str,
}

impl ValidatedInput {
    /// Sets the record's organization.
    pub fn set_organization(&mut self, organization: OrgId) {
        self.organization = Some(organization);
        set_organization_fields(&mut self.fields, organization);
    }
}

/// Applies `input` to the fields of `current`, or of a new record at `hierarchy`.
///
/// `has_token_response` says that the tokens come in a token endpoint's response, apart from the fields.
/// Use the result only if `errors` is empty.
pub fn validate(
    input: Input,
    current: Option<&Record>,
    hierarchy: &str,
    has_token_response: bool,
    errors: &mut FieldErrors,
) -> ValidatedInput {
    let mut accepted = ValidatedInput {
        fields: current
            .map(|record| record.body.fields.clone())
            .unwrap_or_default(),
        tokens: check_tokens(&input, has_token_response, errors),
        organization_field: EXTERNAL,
        ..ValidatedInput::default()
    };
    if let Some(record) = current {
        check_add_only(&input, record, errors);
    }
    apply_proxies(&input, &mut accepted);
    let connected = current.is_some_and(|record| record.body.connection.refresh.is_some());
    let renewed =
        has_token_response || accepted.tokens.is_some() || input.tokens.contains_key("token");
    // New tokens replace only those of the organization's grant.
    let further = current.is_some_and(|record| {
        let mut further = record.body.further_grants.values();
        further.any(|connection| connection.refresh.is_some())
    });
    let bound = (connected && !renewed) || further;
    apply_organization(&input, bound, &mut accepted, errors);
    for (name, value) in &input.values {
        if value.is_null() {
            accepted.fields.remove(*name);
        } else {
            accepted.fields.insert((*name).to_owned(), value.clone());
        }
    }
    if current.is_none() && !errors.has_error_for(NAME) {
        set_default_name(&input, hierarchy, &mut accepted.fields);
    }
    check_region(&input, &mut accepted.fields, errors);
    for field in FIELDS {
        let part = field.name.contains('[');
        let missing = field.required && !part && !accepted.fields.contains_key(field.name);
        if missing && !errors.has_error_for(field.name) {
            errors.add(field.name, "is required");
        }
    }
    accepted
}

fn check_tokens(
    input: &Input,
    has_token_response: bool,
    errors: &mut FieldErrors,
) -> Option<PastedTokens> {
    let mut complete = true;
    let pairs = [
        ("token", "token_repeat"),
        ("refresh_token", "refresh_token_repeat"),
    ];
    for (name, repeat) in pairs {
        if errors.has_error_for(name) || errors.has_error_for(repeat) {
            complete = false;
            continue;
        }
        match (input.tokens.get(name), input.tokens.get(repeat)) {
            (None, None) => {}
            (Some(token), Some(repeated)) if token == repeated => {}
            (Some(_), None) => {
                errors.add(repeat, format!("is required and must equal {name}"));
                complete = false;
            }
            _ => {
                errors.add(repeat, format!("does not equal {name}"));
                complete = false;
            }
        }
    }
    let (access, refresh) = (input.tokens.get("token"), input.tokens.get("refresh_token"));
    if has_token_response && (access.is_some() || refresh.is_some()) {
        errors.add(
            "token",
            "cannot be given together with the response of a token endpoint",
        );
        return None;
    }
    match (access, refresh) {
        (Some(access), Some(refresh)) if complete => Some(PastedTokens {
            access: access.clone(),
            refresh: refresh.clone(),
        }),
        (Some(_), None) if !errors.has_error_for("refresh_token") => {
            errors.add("refresh_token", "is required when token is given");
            None
        }
        (None, Some(_)) if !errors.has_error_for("token") => {
            errors.add("token", "is required when refresh_token is given");
            None
        }
        _ => None,
    }
}

// Forms send back the values they showed, so an equal value is not a change.
fn check_add_only(input: &Input, record: &Record, errors: &mut FieldErrors) {
    for field in FIELDS.iter().filter(|field| field.add_only) {
        let Some(given) = input.values.get(field.name) else {
            continue;
        };
        // To an administrator, a missing value and `false` are the same.
        let set = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or(false);
        if set(Some(given)) != set(record.body.fields.get(field.name)) {
            errors.add(
                field.name,
                "can only be set when the record is added: delete it and add it again",
            );
        }
    }
}

fn apply_proxies(input: &Input, accepted: &mut ValidatedInput) {
    for (field, given) in &input.proxies {
        let name = match *field {
            "http_proxy" => secret::HTTP_PROXY,
            _ => secret::HTTPS_PROXY,
        };
        match given {
            FieldUpdate::Keep => {}
            FieldUpdate::Clear => {
                accepted.fields.remove(*field);
                accepted.sealed.push((name, None));
            }
            FieldUpdate::Set(proxy) => {
                let shown = Value::String(proxy.to_string());
                accepted.fields.insert((*field).to_owned(), shown);
                accepted.sealed.push((name, Some(Proxy::to_secret(proxy))));
            }
        }
    }
}

// Either account number determines the other.
fn apply_organization(
    input: &Input,
    bound: bool,
    accepted: &mut ValidatedInput,
    errors: &mut FieldErrors,
) {
    let before = [EXTERNAL, INTERNAL]
        .iter()
        .find_map(|name| accepted.fields.get(*name)?.as_str())
        .and_then(|text| OrgId::parse(text).ok());
    let given = |name: &str| match input.organizations.get(name) {
        Some(FieldUpdate::Set(organization)) => Some(*organization),
        _ => None,
    };
    let (field, after) = match (given(EXTERNAL), given(INTERNAL)) {
        (Some(external), Some(internal)) if external != internal => {
            errors.add(
                INTERNAL,
                format!("names the organization {internal}, but {EXTERNAL} names {external}"),
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
        errors.add(
            field,
            "cannot change while the tokens belong to the organization: give new tokens with it",
        );
        return;
    }
    accepted.organization = after;
    match after {
        Some(organization) => set_organization_fields(&mut accepted.fields, organization),
        None => {
            accepted.fields.remove(EXTERNAL);
            accepted.fields.remove(INTERNAL);
        }
    }
}

/// Completes the account numbers of a record that an older release stored: before 21.4-PB3 only
/// `account_number`, in either form. Then the external id is shown as the account number, and
/// `account_number` has the API's id. An id that is not Webex's stays as it is.
pub fn complete_organization(fields: &mut Map<String, Value>) {
    let parse = |field: &str| {
        let text = fields.get(field).and_then(Value::as_str);
        let text = text.filter(|text| !text.is_empty());
        text.map(|id| OrgId::parse(id).ok())
    };
    let (external, internal) = (parse(EXTERNAL), parse(INTERNAL));
    match (external, internal) {
        (None, Some(Some(organization))) | (Some(Some(organization)), None) => {
            set_organization_fields(fields, organization);
        }
        (Some(Some(external)), Some(Some(internal))) if external == internal => {
            set_organization_fields(fields, external);
        }
        _ => {}
    }
}

fn set_organization_fields(fields: &mut Map<String, Value>, organization: OrgId) {
    fields.insert(EXTERNAL.to_owned(), organization.external().into());
    fields.insert(INTERNAL.to_owned(), organization.internal().into());
}

// The node's name is the last part of its path, trimmed like a given name.
fn set_default_name(input: &Input, hierarchy: &str, fields: &mut Map<String, Value>) {
    let given = input.values.get(NAME).is_some_and(Value::is_string);
    let name = hierarchy.rsplit('.').next().map(trim_text);
    if !given && let Some(name) = name.filter(|name| !name.is_empty()) {
        fields.insert(NAME.to_owned(), name.into());
    }
}

// Contact Center customers need a region; others must not have one. A form hides the region when the
// flag is off, so the user cannot clear the field.
fn check_region(input: &Input, fields: &mut Map<String, Value>, errors: &mut FieldErrors) {
    let contact_center = fields.get(CONTACT_CENTER).and_then(Value::as_bool) == Some(true);
    let region = fields.contains_key(REGION);
    if errors.has_error_for(REGION) || errors.has_error_for(CONTACT_CENTER) {
        return;
    }
    if contact_center && !region {
        errors.add(REGION, format!("is required when {CONTACT_CENTER} is true"));
    } else if !contact_center && region {
        if input.values.get(REGION).is_some_and(Value::is_string) {
            errors.add(
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
