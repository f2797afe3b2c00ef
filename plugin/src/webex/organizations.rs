//! Determines the organization of an access token by asking Webex.

use http::Method;
use serde_json::Value;

use super::client::{Webex, label};
use super::errors::{ErrorKind, WebexError};
use super::ids::OrgId;
use crate::platform::{Level, Platform, Secret};

/// The initial trust in a token, which decides how much evidence it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTrust {
    /// From outside: only a response of Webex itself proves that the token works.
    Pasted,
    /// Just issued by Webex's token endpoint: the token is known to work.
    Issued,
}

/// The reason why the organization of a token is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationError {
    /// Webex does not accept the token.
    #[error("is refused by Webex: {0}")]
    Refused(WebexError),
    /// The token works, but lacks the scope to read its organization.
    #[error(
        "works, but Webex does not tell its organization: it needs the scope \
         spark-admin:organizations_read"
    )]
    Undisclosed,
    /// No response was Webex's own, or none said anything about the token. The first one was not a 404.
    #[error("the tokens cannot be checked: {0}")]
    Unverified(String),
    /// The request to Webex failed.
    #[error("{0}")]
    RequestFailed(WebexError),
}

/// Asks Webex for the organization of `token`.
///
/// If the administrator named an organization, `expected`, that organization is requested, because
/// a partner's token reaches organizations other than its own. Otherwise the token's only visible
/// organization is used. A token without the scope for either is asked for its person. The
/// organization in the token itself counts only when Webex accepts the token and names none.
///
/// A pasted token is proven by a response of Webex's own: the requested object, or a refusal for
/// lack of permission. A 404 says nothing about the token, because another server may have sent it. Usually the
/// base address is wrong then.
///
/// # Errors
/// See [`OrganizationError`].
pub fn resolve_organization(
    webex: &Webex<'_>,
    platform: &dyn Platform,
    token: &Secret,
    expected: Option<OrgId>,
    trust: TokenTrust,
) -> Result<OrgId, OrganizationError> {
    let mut evidence = Evidence {
        trust,
        is_proven: trust == TokenTrust::Issued,
        first_response: String::new(),
        missing: None,
    };
    let (path, read): (_, Reader) = match expected {
        Some(organization) => (
            format!("/organizations/{}", organization.internal()),
            |found| read_organization(found, "id").map(Some),
        ),
        None => ("/organizations".to_owned(), single_organization),
    };
    let request = |path: &str| label(&Method::GET, &webex.address(path));
    let found = webex.get_json(&path, token);
    let mut organization = evidence.evaluate(found, &request(&path), read)?;
    if organization.is_none() {
        let path = "/people/me";
        let person = webex.get_json(path, token);
        let read = |found: &Value| read_organization(found, "orgId").map(Some);
        organization = evidence.evaluate(person, &request(path), read)?;
    }
    if !evidence.is_proven {
        return Err(evidence.to_unverified());
    }
    let claimed = OrgId::from_token_claim(token);
    match (organization, claimed) {
        (Some(organization), claimed) => {
            if let Some(claimed) = claimed.filter(|claimed| *claimed != organization) {
                platform.log(
                    Level::Info,
                    &format!(
                        "the access token was issued by the organization {claimed} and serves \
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
                    "Webex did not say which organization the access token belongs to; going by \
                     the token itself, it is {claimed}. The scope \
                     spark-admin:organizations_read would tell"
                ),
            );
            Ok(claimed)
        }
        (None, None) => Err(OrganizationError::Undisclosed),
    }
}

/// A function that reads the requested object. `None` for unexpected JSON, `Some(None)` when the object names no single
/// organization.
type Reader = fn(&Value) -> Option<Option<OrgId>>;

/// The evidence about a token from the responses so far.
struct Evidence {
    trust: TokenTrust,
    // Whether a response has proven that the token works.
    is_proven: bool,
    // The first response that did not prove it.
    first_response: String,
    // That response, if it says that the requested object does not exist.
    missing: Option<WebexError>,
}

impl Evidence {
    /// Returns the organization that a response names. A refusal for lack of permission counts
    /// neither as an organization nor as an error.
    fn evaluate(
        &mut self,
        response: Result<Value, WebexError>,
        request: &str,
        read: Reader,
    ) -> Result<Option<OrgId>, OrganizationError> {
        let error = match response {
            Ok(found) => {
                let organization = read(&found);
                self.is_proven |= organization.is_some();
                if organization.is_none() {
                    self.note_response(format!("{request} received unexpected JSON"));
                }
                return Ok(organization.flatten());
            }
            Err(error) => error,
        };
        let pasted = self.trust == TokenTrust::Pasted;
        match error.kind {
            // A refusal without a status means that the request was not sent, because the text
            // cannot be a token.
            ErrorKind::Unauthorized | ErrorKind::Refused
                if !pasted || error.is_webex || error.status.is_none() =>
            {
                Err(OrganizationError::Refused(error))
            }
            ErrorKind::Unauthorized | ErrorKind::Refused => {
                self.note_response(error.describe_response());
                Err(self.to_unverified())
            }
            ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Rejected => {
                self.is_proven |= error.kind == ErrorKind::Forbidden && error.is_webex;
                let description = error.describe_response();
                if self.first_response.is_empty() && error.kind == ErrorKind::NotFound {
                    self.missing = Some(error);
                }
                self.note_response(description);
                Ok(None)
            }
            // An HTML page in place of JSON, or a redirect to one.
            ErrorKind::Unavailable
                if pasted && error.error.is_none() && matches!(error.status, Some(200..=399)) =>
            {
                self.note_response(error.describe_response());
                Err(self.to_unverified())
            }
            _ => Err(OrganizationError::RequestFailed(error)),
        }
    }

    fn note_response(&mut self, description: String) {
        if self.first_response.is_empty() {
            self.first_response = description;
        }
    }

    fn to_unverified(&self) -> OrganizationError {
        if let Some(missing) = &self.missing {
            return OrganizationError::RequestFailed(missing.clone());
        }
        OrganizationError::Unverified(format!(
            "{}, which does not show that Webex accepts them; check webex.base-url in the host's \
             configuration, and whether a proxy or a filter responds in place of Webex",
            self.first_response
        ))
    }
}

fn read_organization(value: &Value, field: &str) -> Option<OrgId> {
    OrgId::parse(value.get(field)?.as_str()?).ok()
}

// A list of several organizations is a partner's view, and does not say which one is meant.
fn single_organization(list: &Value) -> Option<Option<OrgId>> {
    let items = list.get("items")?.as_array()?;
    let mut organizations = items
        .iter()
        .filter_map(|item| read_organization(item, "id"));
    let first = organizations.next()?;
    Some((items.len() == 1).then_some(first))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::settings::Settings;
    use crate::testing::{
        ACCESS_TOKEN, MemoryPlatform, ORGANIZATION, SECOND, json_response, raw_response,
    };
    use crate::webex::client::Proxies;

    const OTHER: &str = "00000000-0000-4000-8000-000000000000";

    fn org(uuid: &str) -> OrgId {
        OrgId::parse(uuid).unwrap()
    }

    fn ask(
        platform: &MemoryPlatform,
        token: &str,
        expected: Option<OrgId>,
    ) -> Result<OrgId, OrganizationError> {
        let webex = Webex::new(platform, &Settings::default(), &Proxies::default()).unwrap();
        let token = Secret::new(token);
        let result = resolve_organization(&webex, platform, &token, expected, TokenTrust::Pasted);
        platform.assert_script_done();
        result
    }

    fn get(platform: &MemoryPlatform, url: &str, status: u16, body: Value) {
        platform.expect(Method::GET, url, json_response(status, body));
    }

    fn forbidden() -> Value {
        json!({"message": "missing required scopes", "trackingId": "ROUTER_1"})
    }

    #[test]
    fn visible_organization_is_the_tokens_own() {
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
    fn other_organization_is_found_by_people_me() {
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
    fn single_organization_is_used_without_account_number() {
        let platform = MemoryPlatform::new();
        let items = json!({"items": [{"id": org(ORGANIZATION).internal()}]});
        get(&platform, "/organizations", 200, items);
        assert_eq!(ask(&platform, ACCESS_TOKEN, None), Ok(org(ORGANIZATION)));
    }

    #[test]
    fn partner_with_several_organizations_asks_people_me() {
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
    fn token_without_scopes_is_believed_with_a_warning() {
        let platform = MemoryPlatform::new();
        get(&platform, "/organizations", 403, forbidden());
        get(&platform, "/people/me", 403, forbidden());
        assert_eq!(ask(&platform, ACCESS_TOKEN, None), Ok(org(ORGANIZATION)));
        assert!(platform.logged(Level::Warning, "spark-admin:organizations_read"));
    }

    #[test]
    fn token_without_any_organization_is_refused() {
        let platform = MemoryPlatform::new();
        get(&platform, "/organizations", 403, forbidden());
        get(&platform, "/people/me", 200, json!({"orgId": 7}));
        assert_eq!(
            ask(&platform, "opaque", None),
            Err(OrganizationError::Undisclosed)
        );
    }

    #[test]
    fn only_a_401_refuses_a_token() {
        let platform = MemoryPlatform::new();
        get(
            &platform,
            "/organizations",
            401,
            json!({"trackingId": "ROUTER_1"}),
        );
        let error = ask(&platform, ACCESS_TOKEN, None).unwrap_err();
        assert!(matches!(&error, OrganizationError::Refused(_)), "{error:?}");
        assert!(error.to_string().contains("ROUTER_1"), "{error}");

        let rate_limited = raw_response(429, &[("retry-after", "7")], "");
        platform.expect(Method::GET, "/organizations", rate_limited);
        match ask(&platform, ACCESS_TOKEN, None).unwrap_err() {
            OrganizationError::RequestFailed(error) => {
                assert_eq!(error.retry_after, Some(7 * SECOND))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pasted_token_needs_a_response_from_webex() {
        let page =
            |status| raw_response(status, &[("content-type", "text/html; charset=x")], "<p>");
        for (response, first_response) in [
            (page(200), "200 OK and text/html"),
            (page(302), "302 Found and text/html"),
            (page(401), "401 Unauthorized and text/html"),
            (page(403), "403 Forbidden and text/html"),
            (raw_response(200, &[], ""), "200 OK and no content type"),
            (raw_response(401, &[], ""), "401 Unauthorized and no"),
            (json_response(200, json!({})), "unexpected JSON"),
            (
                json_response(200, json!({"items": [], "id": "x", "orgId": "x"})),
                "unexpected JSON",
            ),
            (json_response(200, json!([1])), "unexpected JSON"),
            (
                json_response(403, json!({"message": "Forbidden"})),
                "403 Forbidden and application/json",
            ),
            (
                json_response(401, json!({"error": "login"})),
                "401 Unauthorized and application/json",
            ),
        ] {
            for expected in [None, Some(org(ORGANIZATION))] {
                let platform = MemoryPlatform::new();
                let response = response.clone();
                platform.serve(move |_, _| response.clone());
                let error = ask(&platform, ACCESS_TOKEN, expected).unwrap_err();
                assert!(
                    matches!(&error, OrganizationError::Unverified(_)),
                    "{first_response}: {error:?}"
                );
                let message = error.to_string();
                for part in [
                    first_response,
                    "webex.base-url",
                    "proxy",
                    "https://webexapis.com/v1/org",
                ] {
                    assert!(message.contains(part), "{message}");
                }
            }
        }
    }

    #[test]
    fn token_without_objects_needs_another_base_address() {
        let own = json!({"message": "no", "errors": [{"description": "no"}]});
        for response in [
            raw_response(404, &[("content-type", "text/html")], "<p>"),
            raw_response(404, &[], ""),
            json_response(404, own),
        ] {
            for expected in [None, Some(org(ORGANIZATION))] {
                let platform = MemoryPlatform::new();
                let response = response.clone();
                platform.serve(move |_, _| response.clone());
                match ask(&platform, ACCESS_TOKEN, expected).unwrap_err() {
                    OrganizationError::RequestFailed(error) => {
                        assert!(error.needs_change(), "{error}");
                        assert!(error.to_string().contains("webex.base-url"), "{error}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn people_me_decides_after_a_404() {
        let platform = MemoryPlatform::new();
        let page = raw_response(404, &[], "<html>");
        platform.expect(Method::GET, "/organizations", page);
        let me = json!({"orgId": org(ORGANIZATION).internal()});
        get(&platform, "/people/me", 200, me);
        assert_eq!(ask(&platform, "opaque", None), Ok(org(ORGANIZATION)));
    }

    #[test]
    fn issued_token_needs_no_proof() {
        let platform = MemoryPlatform::new();
        platform.serve(|_, _| raw_response(404, &[], "<html>"));
        let webex = Webex::new(&platform, &Settings::default(), &Proxies::default()).unwrap();
        let token = Secret::new(ACCESS_TOKEN);
        let result = resolve_organization(&webex, &platform, &token, None, TokenTrust::Issued);
        assert_eq!(result, Ok(org(ORGANIZATION)));
    }
}
