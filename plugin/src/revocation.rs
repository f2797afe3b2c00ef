//! Revokes the grants of a deleted record at Webex: best effort, with a reported outcome.
//!
//! If the record is the only one of its organization, all that the organization granted is revoked.
//! Otherwise only the record's own grants are, each by the id of its authorization.

use crate::grant::Grant;
use crate::platform::{
    Failure, Filter, Key, Level, Platform, RECORD_MODEL, Scope, Secret, UnixMillis,
};
use crate::record::{GrantState, Record, key};
use crate::reports::Revocation;
use crate::settings::Settings;
use crate::timing::EXPIRY_TOLERANCE;
use crate::webex::authorizations::{Authorization, list_authorizations, revoke_authorization};
use crate::webex::client::{Proxies, Webex};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::oauth;

/// Revokes the grants of `record`, with the access token of each and through `proxies`. The caller has revealed both
/// before they were deleted with the record.
///
/// Never fails: errors are part of the outcome.
pub fn revoke(
    platform: &dyn Platform,
    settings: &Settings,
    record: &Record,
    tokens: &[(Grant, Secret)],
    proxies: &Proxies,
) -> Revocation {
    let skipped = |reason: &str| Revocation::Skipped(reason.to_owned());
    let Some((_, access_token)) = tokens.first() else {
        return skipped("there are no tokens");
    };
    let Some(organization) = organization_api_id(record) else {
        return skipped("the organization is not known");
    };
    let Some(client_id) = &settings.client_id else {
        return skipped("webex.client-id is not configured");
    };
    let others = match find_other_grants(platform, record) {
        Ok(others) => others,
        Err(failure) => {
            return Revocation::Failed(format!(
                "the search for another connection of the same organization failed: {failure}"
            ));
        }
    };
    let webex = match Webex::new(platform, settings, proxies) {
        Ok(webex) => webex,
        Err(failure) => {
            return Revocation::Failed(format!("the proxies cannot be used: {failure}"));
        }
    };
    let is_refused = |grant: &Grant| record.grant_state(*grant).is_refused();
    if others.is_empty() {
        let result = oauth::revoke(&webex, client_id, &organization, access_token);
        let are_refused = tokens.iter().all(|(grant, _)| is_refused(grant));
        return report(platform, result, are_refused);
    }
    let outcomes = tokens.iter().map(|(grant, token)| {
        let state = record.grant_state(*grant);
        revoke_own(platform, &webex, client_id, token, state, &others)
    });
    // Every grant is tried; the first that was not revoked is reported.
    let outcomes: Vec<Revocation> = outcomes.collect();
    let mut problems = outcomes
        .into_iter()
        .filter(|outcome| *outcome != Revocation::Revoked);
    problems.next().unwrap_or(Revocation::Revoked)
}

/// Revokes the authorization of the grant with this state, unless another record may use the same authorization.
/// `others` has the times at which the grants of other records of the organization began.
fn revoke_own(
    platform: &dyn Platform,
    webex: &Webex<'_>,
    client_id: &str,
    access_token: &Secret,
    state: &GrantState,
    others: &[Option<UnixMillis>],
) -> Revocation {
    let (begun, is_refused) = (state.granted, state.is_refused());
    let is_same =
        |other: &UnixMillis| begun.is_some_and(|begun| begun.abs_diff(*other) <= EXPIRY_TOLERANCE);
    if others.iter().flatten().any(is_same) {
        return Revocation::Skipped("another connection uses the same grant".to_owned());
    }
    let listed = match list_authorizations(webex, client_id, access_token) {
        Ok(listed) => listed,
        Err(error) => return report(platform, Err(error), is_refused),
    };
    let own = match listed.as_slice() {
        [] => {
            return Revocation::Skipped(
                "another connection has the same organization, and Webex lists no authorization \
                 of this one"
                    .to_owned(),
            );
        }
        // The access token is of this person, so the only authorization is the token's own.
        [only] => Some(only),
        several => begun.and_then(|begun| find_nearest(several, begun, others)),
    };
    match own {
        Some(own) => {
            let result = revoke_authorization(webex, &own.id, access_token);
            report(platform, result, is_refused)
        }
        None => Revocation::Skipped(format!(
            "another connection has the same organization, and it cannot be told which of the {} \
             authorizations that Webex lists is this one's",
            listed.len()
        )),
    }
}

/// Finds the authorization that was created nearest to `begun`. `None` if one has no time, if another
/// is as near, or if the found one may belong to another record.
fn find_nearest<'a>(
    listed: &'a [Authorization],
    begun: UnixMillis,
    others: &[Option<UnixMillis>],
) -> Option<&'a Authorization> {
    let dated = listed.iter().map(|each| Some((each.created?, each)));
    let mut dated = dated.collect::<Option<Vec<_>>>()?;
    dated.sort_by_key(|(created, _)| created.abs_diff(begun));
    let mut dated = dated.into_iter();
    let (created, nearest) = dated.next()?;
    let limit = created.abs_diff(begun) + EXPIRY_TOLERANCE;
    let is_ambiguous = dated.any(|(other, _)| other.abs_diff(begun) <= limit);
    let is_nearer =
        |other: &Option<UnixMillis>| other.is_none_or(|other| created.abs_diff(other) <= limit);
    (!is_ambiguous && !others.iter().any(is_nearer)).then_some(nearest)
}

/// Reports the result of a revocation. `are_refused`: Webex refused the refresh tokens before.
fn report(
    platform: &dyn Platform,
    result: Result<(), WebexError>,
    are_refused: bool,
) -> Revocation {
    match result {
        Ok(()) => Revocation::Revoked,
        Err(error) if are_refused && error.kind == ErrorKind::Unauthorized => Revocation::Skipped(
            "Webex refuses both tokens already, so neither is valid any more".to_owned(),
        ),
        Err(error) => {
            // Without the error's advice, which is about repeating the request: the record is gone.
            let reason = error.reason_with_tracking_id();
            let text = format!("the tokens were not revoked at Webex: {reason}");
            platform.log(Level::Warning, &text);
            Revocation::Failed(reason)
        }
    }
}

/// Returns when the grants of all other connected records of the organization began, where it is
/// known.
fn find_other_grants(
    platform: &dyn Platform,
    record: &Record,
) -> Result<Vec<Option<UnixMillis>>, Failure> {
    let mut others = Vec::new();
    let Some(organization) = record.organization() else {
        return Ok(others);
    };
    let filter = Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: root_node(&record.hierarchy).to_owned(),
        scope: Scope::Subtree,
        equals: vec![Key::new(key::ORGANIZATION, organization)],
    };
    if !filter.can_match() {
        return Ok(others);
    }
    let mut cursor = None;
    loop {
        let page = platform.find(&filter, cursor.as_deref(), 100)?;
        for document in page.documents {
            if document.reference.pkid == record.pkid {
                continue;
            }
            let other = Record::from_document(document)?;
            let states = other.grants().iter().map(|grant| other.grant_state(*grant));
            let connected = states.filter(|state| state.refresh.is_some());
            others.extend(connected.map(|state| state.granted));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(others),
        }
    }
}

/// Returns the organization's id in the form that the API uses.
fn organization_api_id(record: &Record) -> Option<String> {
    if let Some(id) = record.text("account_number") {
        return Some(id.to_owned());
    }
    let organization = OrgId::parse(record.organization()?).ok()?;
    Some(organization.internal())
}

fn root_node(hierarchy: &str) -> &str {
    hierarchy.split('.').next().unwrap_or(hierarchy)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::platform::{Environment, HttpError};
    use crate::record::{Retry, State};
    use crate::testing::{
        ACCESS_TOKEN, DAY, MemoryPlatform, SECOND, START, connected_record, json_response,
        raw_response,
    };

    fn record(platform: &MemoryPlatform) -> Record {
        connected_record(platform.now())
    }

    fn run(platform: &MemoryPlatform, record: &Record, token: Option<&str>) -> Revocation {
        let settings = Settings::load(platform).unwrap();
        let tokens: Vec<(Grant, Secret)> = token
            .map(|token| (Grant::Organization, Secret::new(token)))
            .into_iter()
            .collect();
        revoke(platform, &settings, record, &tokens, &Proxies::default())
    }

    /// Stores another record of the organization whose grant began at `granted`.
    fn store_other(platform: &MemoryPlatform, granted: Option<UnixMillis>) {
        let mut other = other_record(platform, 999);
        other.body.connection.granted = granted;
        platform.store_connected(other).unwrap();
    }

    fn authorization(id: &str, created: &str) -> Value {
        json!({"id": id, "clientId": "C0ffee", "type": "refresh", "created": created})
    }

    fn list(platform: &MemoryPlatform, items: Vec<Value>) {
        let person = json!({"id": "P/1"});
        platform.expect(Method::GET, "/v1/people/me", json_response(200, person));
        let items = json_response(200, json!({ "items": items }));
        let path = "/v1/authorizations?personId=P%2F1";
        platform.expect(Method::GET, path, items);
    }

    fn other_record(platform: &MemoryPlatform, number: usize) -> Record {
        let mut other_record = record(platform);
        other_record.pkid = format!("{number:024x}");
        other_record.hierarchy = format!("sys.Other{number}");
        other_record
    }

    #[test]
    fn revoke_names_client_and_organization() {
        let platform = MemoryPlatform::new();
        let mut record = record(&platform);
        let internal = "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi94";
        record
            .body
            .fields
            .insert("account_number".to_owned(), internal.into());
        platform.expect(
            Method::DELETE,
            "/v1/authorizations?clientId=C0ffee&orgId=Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi94",
            raw_response(204, &[], ""),
        );
        assert_eq!(
            run(&platform, &record, Some(ACCESS_TOKEN)),
            Revocation::Revoked
        );
        platform.assert_script_done();
    }

    #[test]
    fn revoke_derives_the_api_id_from_the_uuid() {
        let platform = MemoryPlatform::new();
        let record = record(&platform);
        platform.serve(|_, _| raw_response(204, &[], ""));
        assert_eq!(
            run(&platform, &record, Some(ACCESS_TOKEN)),
            Revocation::Revoked
        );
        let sent = platform.sent()[0].uri.to_string();
        assert!(
            sent.contains("orgId=Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi"),
            "{sent}"
        );
    }

    #[test]
    fn revoke_is_skipped_without_token_or_client_id() {
        let platform = MemoryPlatform::new();
        let known = record(&platform);
        let mut unknown = known.clone();
        unknown.body.fields.remove("account_number_external");
        assert!(matches!(
            run(&platform, &known, None),
            Revocation::Skipped(_)
        ));
        let unknown = run(&platform, &unknown, Some(ACCESS_TOKEN));
        assert!(matches!(unknown, Revocation::Skipped(_)));
        platform.unset("webex.client-id");
        let unconfigured = run(&platform, &known, Some(ACCESS_TOKEN));
        assert!(
            matches!(unconfigured, Revocation::Skipped(reason) if reason.contains("client-id"))
        );
        assert!(platform.sent().is_empty());
    }

    #[test]
    fn grant_is_shared_only_by_records_with_tokens() {
        let platform = MemoryPlatform::new();
        let own = record(&platform);
        platform.store_connected(own.clone()).unwrap();
        for number in 0..250 {
            let mut idle = other_record(&platform, number);
            idle.body.connection = GrantState::default();
            platform.store_connected(idle).unwrap();
        }
        platform.serve(|_, _| raw_response(204, &[], ""));
        assert_eq!(
            run(&platform, &own, Some(ACCESS_TOKEN)),
            Revocation::Revoked
        );
        store_other(&platform, None);
        platform.serve(|_, _| json_response(200, json!({"id": "P", "items": []})));
        let shared = run(&platform, &own, Some(ACCESS_TOKEN));
        assert!(
            matches!(shared, Revocation::Skipped(reason) if reason.contains("lists no authorization"))
        );
        assert_eq!(platform.sent().len(), 3);
    }

    #[test]
    fn only_the_own_authorization_is_revoked() {
        let others = || {
            vec![
                json!({"id": "a", "clientId": "C0ffee", "type": "access", "created": "2026-01-01T00:00:00Z"}),
                json!({"id": "b", "clientId": "another", "type": "refresh", "created": "2026-01-01T00:00:00Z"}),
            ]
        };
        let near = authorization("own/1", "2026-01-01T00:00:03.000+00:00");
        let far = authorization("far", "2026-01-05T00:00:00.000Z");
        for (other, listed) in [
            (None, vec![near.clone()]),
            (Some(START + 4 * DAY), vec![far.clone(), near.clone()]),
            (Some(START + 4 * DAY), vec![near, far]),
        ] {
            let platform = MemoryPlatform::new();
            let mut own = record(&platform);
            own.body.connection.granted = Some(START);
            store_other(&platform, other);
            list(&platform, [others(), listed].concat());
            let path = "/v1/authorizations/own%2F1";
            platform.expect(Method::DELETE, path, raw_response(204, &[], ""));
            let outcome = run(&platform, &own, Some(ACCESS_TOKEN));
            assert_eq!(outcome, Revocation::Revoked);
            platform.assert_script_done();
        }
    }

    #[test]
    fn none_is_revoked_that_may_be_another_ones() {
        let near = authorization("near", "2026-01-01T00:00:03Z");
        let far = authorization("far", "2026-01-05T00:00:00Z");
        let undated = json!({"id": "c", "clientId": "C0ffee", "type": "refresh"});
        for (own_begun, other, listed) in [
            // The record is of an older release.
            (None, Some(START + 4 * DAY), vec![near.clone(), far.clone()]),
            (Some(START), None, vec![near.clone(), far.clone()]),
            (
                Some(START),
                Some(START + 4 * DAY),
                vec![near.clone(), undated],
            ),
            (
                Some(START),
                Some(START + 4 * DAY),
                vec![near.clone(), near.clone()],
            ),
            // The nearest is the other record's.
            (Some(START + 2 * DAY), Some(START), vec![near, far]),
        ] {
            let platform = MemoryPlatform::new();
            let mut own = record(&platform);
            own.body.connection.granted = own_begun;
            store_other(&platform, other);
            list(&platform, listed);
            let outcome = run(&platform, &own, Some(ACCESS_TOKEN));
            assert!(
                matches!(&outcome, Revocation::Skipped(reason) if reason.contains("cannot be told")),
                "{outcome:?}"
            );
            platform.assert_script_done();
        }
    }

    #[test]
    fn same_grant_of_two_records_is_kept() {
        let platform = MemoryPlatform::new();
        let mut own = record(&platform);
        own.body.connection.granted = Some(START);
        store_other(&platform, Some(START + SECOND));
        let outcome = run(&platform, &own, Some(ACCESS_TOKEN));
        assert!(
            matches!(outcome, Revocation::Skipped(reason) if reason.contains("the same grant"))
        );
        assert!(platform.sent().is_empty());
    }

    #[test]
    fn unlistable_authorizations_are_reported() {
        let platform = MemoryPlatform::new();
        let own = record(&platform);
        store_other(&platform, None);
        let forbidden = json!({"message": "missing scopes", "trackingId": "T1"});
        platform.expect(Method::GET, "/v1/people/me", json_response(403, forbidden));
        let outcome = run(&platform, &own, Some(ACCESS_TOKEN));
        assert!(matches!(outcome, Revocation::Failed(reason) if reason.contains("T1")));
        assert!(platform.logged(Level::Warning, "not revoked"));
    }

    #[test]
    fn tokens_that_webex_refuses_are_not_valid() {
        for (state, is_known) in [(State::Reauthorize, true), (State::Connected, false)] {
            for is_shared in [false, true] {
                let platform = MemoryPlatform::new();
                let mut own = record(&platform);
                own.body.connection.state = state;
                own.body.connection.refusal = is_known.then(Retry::default);
                if is_shared {
                    store_other(&platform, None);
                }
                platform.serve(|_, _| json_response(401, json!({"message": "no valid token"})));
                match run(&platform, &own, Some(ACCESS_TOKEN)) {
                    Revocation::Skipped(reason) => {
                        assert!(is_known && reason.contains("valid"), "{reason}")
                    }
                    Revocation::Failed(_) => assert!(!is_known),
                    Revocation::Revoked => panic!("nothing was revoked"),
                }
            }
        }
    }

    #[test]
    fn failed_revocation_is_logged_without_secrets() {
        for response in [
            json_response(
                403,
                json!({"message": "missing scopes", "trackingId": "T1"}),
            ),
            json_response(503, json!({"message": "busy"})),
            Err(HttpError::Network(format!("reset, {ACCESS_TOKEN}"))),
        ] {
            let platform = MemoryPlatform::new();
            let record = record(&platform);
            platform.expect(Method::DELETE, "/authorizations", response);
            match run(&platform, &record, Some(ACCESS_TOKEN)) {
                Revocation::Failed(reason) => {
                    assert!(!reason.contains(ACCESS_TOKEN), "{reason}");
                    assert!(!reason.contains("try again"), "{reason}");
                }
                other => panic!("{other:?}"),
            }
            assert!(platform.logged(Level::Warning, "not revoked"));
            assert!(!platform.visible_output().contains(ACCESS_TOKEN));
        }
    }
}
