//! What a record must pass besides its fields' rules: tokens that work, and a place of its own.

use serde_json::{Map, Value};

use crate::model::{Accepted, Faults};
use crate::platform::{
    Check, Failure, FieldFault, Filter, Key, Platform, RECORD_MODEL, Reference, Scope, Secret,
    Storage,
};
use crate::record::key;
use crate::settings::Settings;
use crate::webex::answer::TokenAnswer;
use crate::webex::client::{Proxies, Webex};
use crate::webex::ids::OrgId;
use crate::webex::organizations::{Unresolved, organization_of};

/// What the caller knows the token endpoint's answer as.
const TOKEN_ANSWER: &str = "token_answer";
const TOKEN: &str = "token";

/// The tokens that came with the input, by either way; faults when they cannot be used.
pub fn tokens(
    accepted: &Accepted,
    answer: Option<&Secret>,
    faults: &mut Faults,
) -> Option<TokenAnswer> {
    let Some(answer) = answer else {
        return accepted.tokens.as_ref().map(|pasted| {
            TokenAnswer::pasted(pasted.access.clone(), Some(pasted.refresh.clone()))
        });
    };
    match TokenAnswer::parse(answer.expose()) {
        Ok(answer) if answer.refresh_token.is_none() => {
            faults.add(
                TOKEN_ANSWER,
                "has no `refresh_token`: without it the connection cannot be kept alive",
            );
            None
        }
        Ok(answer) => Some(answer),
        Err(error) => {
            faults.add(TOKEN_ANSWER, error.to_string());
            None
        }
    }
}

/// Asks Webex whether `tokens` work and whose they are; they must belong to the organisation of
/// the account number, which is filled in when there is none.
///
/// # Errors
/// `invalid` when the tokens are the wrong ones, `unavailable`, `rate-limited` or
/// `limit-exceeded` when Webex could not be asked.
pub fn verify<P: Platform + ?Sized>(
    platform: &P,
    settings: &Settings,
    proxies: &Proxies,
    tokens: &TokenAnswer,
    accepted: &mut Accepted,
) -> Result<(), Failure> {
    let webex = Webex::new(platform, settings, proxies).map_err(by_our_names)?;
    let expected = accepted.organization;
    let asked = organization_of(&webex, platform, &tokens.access_token, expected);
    let actual = asked.map_err(|unresolved| match unresolved {
        Unresolved::Refused(_) | Unresolved::Silent => invalid(TOKEN, unresolved.to_string()),
        Unresolved::Unasked(error) => error.into_failure(platform.now()),
    })?;
    match expected {
        None => {
            accepted.set_organization(actual);
            Ok(())
        }
        Some(expected) if expected == actual => Ok(()),
        Some(expected) => Err(invalid(
            accepted.organization_field,
            format!("names the organisation {expected}, but the tokens belong to {actual}"),
        )),
    }
}

/// Looks whether name and organisation are free at `hierarchy`; `except` is the record itself.
pub fn find_doubles(
    storage: &(impl Storage + ?Sized),
    hierarchy: &str,
    accepted: &Accepted,
    except: Option<&Reference>,
    faults: &mut Faults,
) -> Result<(), Failure> {
    let [name, organization] = doubles(hierarchy, accepted);
    for (filter, field, what) in [
        (name, "name", "this name"),
        (
            organization,
            accepted.organization_field,
            "this organisation",
        ),
    ] {
        let Some(filter) = filter else { continue };
        // Two, because one of them may be the record itself.
        let page = storage.find(&filter, None, 2)?;
        let double = page
            .documents
            .into_iter()
            .find(|document| Some(&document.reference) != except);
        if let Some(double) = double {
            let other = double.reference.pkid;
            faults.add(
                field,
                format!("is taken: the record {other} at {hierarchy} has {what} already"),
            );
        }
    }
    Ok(())
}

/// The same as conditions of the commit, for two calls at once.
pub fn no_doubles(
    hierarchy: &str,
    accepted: &Accepted,
    except: Option<&Reference>,
) -> impl Iterator<Item = Check> {
    doubles(hierarchy, accepted)
        .into_iter()
        .flatten()
        .map(move |filter| Check::Unique(filter, except.cloned()))
}

/// By what records at `hierarchy` are found that have the same name, and the same organisation.
fn doubles(hierarchy: &str, accepted: &Accepted) -> [Option<Filter>; 2] {
    let name = name_of(&accepted.fields).map(|name| named(hierarchy, name));
    let organization = accepted
        .organization
        .map(|organization| connected_to(hierarchy, organization));
    // A stored name may be longer than any key.
    [name.filter(Filter::can_match), organization]
}

/// Records at `hierarchy` that have this key.
pub fn at_node(hierarchy: &str, key: Key) -> Filter {
    Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: hierarchy.to_owned(),
        scope: Scope::Node,
        equals: vec![key],
    }
}

fn named(hierarchy: &str, name: &str) -> Filter {
    at_node(hierarchy, Key::new(key::NAME, name))
}

fn connected_to(hierarchy: &str, organization: OrgId) -> Filter {
    at_node(
        hierarchy,
        Key::new(key::ORGANIZATION, organization.external()),
    )
}

fn name_of(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("name").and_then(Value::as_str)
}

fn invalid(field: &str, message: impl Into<String>) -> Failure {
    Failure::Invalid(vec![FieldFault::new(field, message)])
}

// The host calls the proxies by the schemes they are for.
fn by_our_names(failure: Failure) -> Failure {
    let Failure::Invalid(mut faults) = failure else {
        return failure;
    };
    for fault in &mut faults {
        if fault.field == "http" || fault.field == "https" {
            fault.field.push_str("_proxy");
        }
    }
    Failure::Invalid(faults)
}
