//! Which organisation an access token belongs to, by Webex's own word.

use serde_json::Value;

use super::client::Webex;
use super::errors::{ErrorKind, WebexError};
use super::ids::OrgId;
use crate::platform::{Level, Platform, Secret};

/// Why nobody can say which organisation a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Webex does not accept the token.
    #[error("is refused by Webex: {0}")]
    Refused(WebexError),
    /// The token works, but may not read what would tell.
    #[error(
        "works, but Webex does not tell its organisation: it needs the scope \
         spark-admin:organizations_read"
    )]
    Silent,
    /// Webex could not be asked.
    #[error("{0}")]
    Unasked(WebexError),
}

/// Asks Webex for the organisation of `token`.
///
/// `expected`, when the administrator named one, is asked for itself: a partner's token reaches
/// organisations other than its own. Otherwise the one organisation that the token can see is
/// meant. A token without the scope for either is asked who it is; what the token says of itself
/// counts only when Webex accepts it and says nothing.
///
/// # Errors
/// See [`Unresolved`].
pub fn organization_of<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
    platform: &P,
    token: &Secret,
    expected: Option<OrgId>,
) -> Result<OrgId, Unresolved> {
    let seen = match expected {
        Some(organization) => answered(webex.get_json(
            &format!("/organizations/{}", organization.internal()),
            token,
        ))?
        .and_then(|found| organization_in(&found, "id")),
        None => {
            answered(webex.get_json("/organizations", token))?.and_then(|found| only_one(&found))
        }
    };
    let organization = match seen {
        Some(organization) => Some(organization),
        None => answered(webex.get_json("/people/me", token))?
            .and_then(|person| organization_in(&person, "orgId")),
    };
    let claimed = OrgId::claimed_by(token);
    match (organization, claimed) {
        (Some(organization), claimed) => {
            if let Some(claimed) = claimed.filter(|claimed| *claimed != organization) {
                platform.log(
                    Level::Info,
                    &format!(
                        "the access token was issued by the organisation {claimed} and serves \
                         {organization}"
                    ),
                );
            }
            Ok(organization)
        }
        (None, Some(claimed)) => {
            platform.log(
                Level::Warning,
                &format!(
                    "Webex did not say which organisation the access token belongs to; going by \
                     the token itself, it is {claimed}. The scope \
                     spark-admin:organizations_read would tell"
                ),
            );
            Ok(claimed)
        }
        (None, None) => Err(Unresolved::Silent),
    }
}

// What a token may not see is no answer, and no error either.
fn answered(answer: Result<Value, WebexError>) -> Result<Option<Value>, Unresolved> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind {
            ErrorKind::Unauthorized | ErrorKind::Refused => Err(Unresolved::Refused(error)),
            ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Rejected => Ok(None),
            _ => Err(Unresolved::Unasked(error)),
        },
    }
}

fn organization_in(value: &Value, field: &str) -> Option<OrgId> {
    OrgId::parse(value.get(field)?.as_str()?).ok()
}

// Several are a partner's view: which of them is meant, the list does not say.
fn only_one(list: &Value) -> Option<OrgId> {
    match list.get("items")?.as_array()?.as_slice() {
        [one] => organization_in(one, "id"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::settings::Settings;
    use crate::testing::{ACCESS_TOKEN, MemoryPlatform, ORGANIZATION, SECOND, reply, reply_with};
    use crate::webex::client::Proxies;

    const OTHER: &str = "00000000-0000-4000-8000-000000000000";

    fn org(uuid: &str) -> OrgId {
        OrgId::parse(uuid).unwrap()
    }

    fn ask(
        platform: &MemoryPlatform,
        token: &str,
        expected: Option<OrgId>,
    ) -> Result<OrgId, Unresolved> {
        let webex = Webex::new(platform, &Settings::default(), &Proxies::default()).unwrap();
        let answer = organization_of(&webex, platform, &Secret::new(token), expected);
        platform.assert_script_done();
        answer
    }

    fn get(platform: &MemoryPlatform, url: &str, status: u16, body: Value) {
        platform.expect(Method::GET, url, reply(status, body));
    }

    #[test]
    fn an_organisation_that_the_token_can_see_is_its_own() {
        let platform = MemoryPlatform::new();
        let id = org(ORGANIZATION).internal();
        get(
            &platform,
            &format!("/v1/organizations/{id}"),
            200,
            json!({"id": id}),
        );
        assert_eq!(
            ask(&platform, ACCESS_TOKEN, Some(org(ORGANIZATION))),
            Ok(org(ORGANIZATION))
        );
    }

    #[test]
    fn a_token_of_another_organisation_is_found_out_by_who_it_is() {
        let platform = MemoryPlatform::new();
        get(&platform, "/organizations/", 404, json!({}));
        get(
            &platform,
            "/people/me",
            200,
            json!({"orgId": org(OTHER).internal()}),
        );
        assert_eq!(
            ask(&platform, ACCESS_TOKEN, Some(org(ORGANIZATION))),
            Ok(org(OTHER))
        );
        assert!(platform.logged(Level::Info, "serves"));
    }

    #[test]
    fn without_an_account_number_the_only_organisation_is_meant() {
        let platform = MemoryPlatform::new();
        let items = json!({"items": [{"id": org(ORGANIZATION).internal()}]});
        get(&platform, "/organizations", 200, items);
        assert_eq!(ask(&platform, ACCESS_TOKEN, None), Ok(org(ORGANIZATION)));
    }

    #[test]
    fn a_partner_who_sees_several_is_asked_who_it_is() {
        let platform = MemoryPlatform::new();
        let items = json!({"items": [{"id": org(OTHER).internal()}, {"id": "x"}]});
        get(&platform, "/organizations", 200, items);
        get(
            &platform,
            "/people/me",
            200,
            json!({"orgId": org(ORGANIZATION).internal()}),
        );
        assert_eq!(ask(&platform, ACCESS_TOKEN, None), Ok(org(ORGANIZATION)));
    }

    #[test]
    fn a_token_that_may_read_nothing_is_believed_with_a_warning() {
        let platform = MemoryPlatform::new();
        get(&platform, "/organizations", 403, json!({}));
        get(&platform, "/people/me", 403, json!({}));
        assert_eq!(ask(&platform, ACCESS_TOKEN, None), Ok(org(ORGANIZATION)));
        assert!(platform.logged(Level::Warning, "spark-admin:organizations_read"));
    }

    #[test]
    fn a_token_of_which_nobody_says_anything_is_not_taken() {
        let platform = MemoryPlatform::new();
        get(&platform, "/organizations", 403, json!({}));
        get(&platform, "/people/me", 200, json!({"orgId": 7}));
        assert_eq!(ask(&platform, "opaque", None), Err(Unresolved::Silent));
    }

    #[test]
    fn a_refused_token_is_refused_and_a_passing_fault_is_not() {
        let platform = MemoryPlatform::new();
        get(
            &platform,
            "/organizations",
            401,
            json!({"trackingId": "ROUTER_1"}),
        );
        let error = ask(&platform, ACCESS_TOKEN, None).unwrap_err();
        assert!(matches!(&error, Unresolved::Refused(_)), "{error:?}");
        assert!(error.to_string().contains("ROUTER_1"), "{error}");

        let patience = reply_with(429, &[("retry-after", "7")], "");
        platform.expect(Method::GET, "/organizations", patience);
        match ask(&platform, ACCESS_TOKEN, None).unwrap_err() {
            Unresolved::Unasked(error) => assert_eq!(error.retry_after, Some(7 * SECOND)),
            other => panic!("{other:?}"),
        }
    }
}
