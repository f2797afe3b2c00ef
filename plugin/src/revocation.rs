//! Revokes a grant at Webex that no connection uses any more: best effort, with a reported outcome.

use crate::platform::{Failure, Filter, Key, Level, Platform, RECORD_MODEL, Scope, Secret};
use crate::record::{Record, key};
use crate::reports::Revocation;
use crate::settings::Settings;
use crate::webex::client::{Proxies, Webex};
use crate::webex::ids::OrgId;
use crate::webex::oauth;

/// Revokes what the organisation of `record` granted, with `access_token` and through `proxies`,
/// which the caller revealed before they were deleted with the record.
///
/// Webex revokes per client and organisation, so the grant is kept while another record is
/// connected to the same organisation. Never fails: errors are part of the outcome.
pub fn revoke<P: Platform + ?Sized>(
    platform: &P,
    settings: &Settings,
    record: &Record,
    access_token: Option<&Secret>,
    proxies: &Proxies,
) -> Revocation {
    let skipped = |why: &str| Revocation::Skipped(why.to_owned());
    let Some(access_token) = access_token else {
        return skipped("there are no tokens");
    };
    let Some(organization) = organization_api_id(record) else {
        return skipped("the organization is not known");
    };
    let Some(client_id) = &settings.client_id else {
        return skipped("webex.client-id is not configured");
    };
    match is_shared(platform, record) {
        Ok(false) => {}
        Ok(true) => return skipped("another connection uses the same grant"),
        Err(failure) => {
            return Revocation::Failed(format!(
                "the search for another connection with the same grant failed: {failure}"
            ));
        }
    }
    let webex = match Webex::new(platform, settings, proxies) {
        Ok(webex) => webex,
        Err(failure) => {
            return Revocation::Failed(format!("the proxies cannot be used: {failure}"));
        }
    };
    match oauth::revoke(&webex, client_id, &organization, access_token) {
        Ok(()) => Revocation::Revoked,
        Err(error) => {
            let text = format!("the tokens were not revoked at Webex: {error}");
            platform.log(Level::Warning, &text);
            Revocation::Failed(error.to_string())
        }
    }
}

/// Whether any other record is connected to the organisation of `record`.
fn is_shared<P: Platform + ?Sized>(platform: &P, record: &Record) -> Result<bool, Failure> {
    let Some(organization) = record.organization() else {
        return Ok(false);
    };
    let filter = Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: root_node(&record.hierarchy).to_owned(),
        scope: Scope::Subtree,
        equals: vec![Key::new(key::ORGANIZATION, organization)],
    };
    if !filter.can_match() {
        return Ok(false);
    }
    let mut cursor = None;
    loop {
        let page = platform.find(&filter, cursor.as_deref(), 100)?;
        for document in page.documents {
            let is_other = document.reference.pkid != record.pkid;
            if is_other && Record::from_document(document)?.has_tokens() {
                return Ok(true);
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(false),
        }
    }
}

/// Returns the organisation's id in the form that the API uses.
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
    use serde_json::json;

    use super::*;
    use crate::platform::{Environment, HttpError};
    use crate::record::GrantState;
    use crate::testing::{
        ACCESS_TOKEN, MemoryPlatform, connected_record, json_response, raw_response,
    };

    fn record(platform: &MemoryPlatform) -> Record {
        connected_record(platform.now())
    }

    fn run(platform: &MemoryPlatform, record: &Record, token: Option<&str>) -> Revocation {
        let settings = Settings::load(platform).unwrap();
        let token = token.map(Secret::new);
        revoke(
            platform,
            &settings,
            record,
            token.as_ref(),
            &Proxies::default(),
        )
    }

    fn other_record(platform: &MemoryPlatform, number: usize) -> Record {
        let mut other_record = record(platform);
        other_record.pkid = format!("{number:024x}");
        other_record.hierarchy = format!("sys.Other{number}");
        other_record
    }

    #[test]
    fn revoke_names_client_and_organisation() {
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
        assert!(matches!(unconfigured, Revocation::Skipped(why) if why.contains("client-id")));
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
        platform
            .store_connected(other_record(&platform, 999))
            .unwrap();
        let shared = run(&platform, &own, Some(ACCESS_TOKEN));
        assert!(matches!(shared, Revocation::Skipped(why) if why.contains("another connection")));
        assert_eq!(platform.sent().len(), 1);
    }

    #[test]
    fn failed_revocation_is_logged_without_secrets() {
        for response in [
            json_response(
                403,
                json!({"message": "missing scopes", "trackingId": "T1"}),
            ),
            Err(HttpError::Network(format!("reset, {ACCESS_TOKEN}"))),
        ] {
            let platform = MemoryPlatform::new();
            let record = record(&platform);
            platform.expect(Method::DELETE, "/authorizations", response);
            match run(&platform, &record, Some(ACCESS_TOKEN)) {
                Revocation::Failed(why) => assert!(!why.contains(ACCESS_TOKEN), "{why}"),
                other => panic!("{other:?}"),
            }
            assert!(platform.logged(Level::Warning, "not revoked"));
            assert!(!platform.visible_output().contains(ACCESS_TOKEN));
        }
    }
}
