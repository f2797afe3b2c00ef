//! Which organisation an access token belongs to, by Webex's own word.

use http::Method;
use serde_json::Value;

use super::client::{Webex, label};
use super::errors::{ErrorKind, WebexError};
use super::ids::OrgId;
use crate::platform::{Level, Platform, Secret};

/// Where a token comes from, which decides how much must be seen before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From outside: only an answer of Webex itself shows that it works.
    Pasted,
    /// From Webex's token endpoint, just now: that it works is known.
    Issued,
}

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
    /// No answer was Webex's own, or none said anything about the token.
    #[error("the tokens cannot be checked: {0}")]
    Unproven(String),
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
/// A pasted token is accepted by an answer of Webex's own: what was asked for, or its word that the
/// token may not see it. A 404, whoever sent it, says nothing about the token.
///
/// # Errors
/// See [`Unresolved`].
pub fn organization_of<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
    platform: &P,
    token: &Secret,
    expected: Option<OrgId>,
    source: Source,
) -> Result<OrgId, Unresolved> {
    let mut inquiry = Inquiry {
        source,
        proven: source == Source::Issued,
        seen: String::new(),
    };
    let (path, read): (_, Reader) = match expected {
        Some(organization) => (
            format!("/organizations/{}", organization.internal()),
            |found| organization_in(found, "id").map(Some),
        ),
        None => ("/organizations".to_owned(), only_one),
    };
    let request = |path: &str| label(&Method::GET, &webex.address(path));
    let found = webex.get_json(&path, token);
    let mut organization = inquiry.take(found, &request(&path), read)?;
    if organization.is_none() {
        let path = "/people/me";
        let person = webex.get_json(path, token);
        let read = |found: &Value| organization_in(found, "orgId").map(Some);
        organization = inquiry.take(person, &request(path), read)?;
    }
    if !inquiry.proven {
        return Err(inquiry.describe_unproven());
    }
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

/// Reads what was asked for: none when it is something else, `Some(None)` when it names no single
/// organisation.
type Reader = fn(&Value) -> Option<Option<OrgId>>;

/// The evidence of the responses so far about a token.
struct Inquiry {
    source: Source,
    // Whether one of them shows that the token works.
    proven: bool,
    // What was seen first in place of an answer that does.
    seen: String,
}

impl Inquiry {
    /// Returns the organisation that a response names. A response that the token may not see what was
    /// asked for counts neither as an organisation nor as an error.
    fn take(
        &mut self,
        answer: Result<Value, WebexError>,
        request: &str,
        read: Reader,
    ) -> Result<Option<OrgId>, Unresolved> {
        let error = match answer {
            Ok(found) => {
                let organization = read(&found);
                self.proven |= organization.is_some();
                if organization.is_none() {
                    self.note(format!(
                        "{request} was answered with JSON of something else"
                    ));
                }
                return Ok(organization.flatten());
            }
            Err(error) => error,
        };
        let pasted = self.source == Source::Pasted;
        match error.kind {
            // What is refused without a status was not sent: it can be no token.
            ErrorKind::Unauthorized | ErrorKind::Refused
                if !pasted || error.is_webex || error.status.is_none() =>
            {
                Err(Unresolved::Refused(error))
            }
            ErrorKind::Unauthorized | ErrorKind::Refused => {
                self.note(error.describe_response());
                Err(self.describe_unproven())
            }
            ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Rejected => {
                self.proven |= error.kind == ErrorKind::Forbidden && error.is_webex;
                self.note(error.describe_response());
                Ok(None)
            }
            // A page in place of JSON, or a redirect to one.
            ErrorKind::Unavailable
                if pasted && error.error.is_none() && matches!(error.status, Some(200..=399)) =>
            {
                self.note(error.describe_response());
                Err(self.describe_unproven())
            }
            _ => Err(Unresolved::Unasked(error)),
        }
    }

    fn note(&mut self, seen: String) {
        if self.seen.is_empty() {
            self.seen = seen;
        }
    }

    fn describe_unproven(&self) -> Unresolved {
        Unresolved::Unproven(format!(
            "{}, which does not show that Webex accepts them; check webex.base-url in the host's \
             configuration, and whether a proxy or a filter answers in place of Webex",
            self.seen
        ))
    }
}

fn organization_in(value: &Value, field: &str) -> Option<OrgId> {
    OrgId::parse(value.get(field)?.as_str()?).ok()
}

// Several are a partner's view: which of them is meant, the list does not say.
fn only_one(list: &Value) -> Option<Option<OrgId>> {
    let items = list.get("items")?.as_array()?;
    let mut named = items.iter().filter_map(|item| organization_in(item, "id"));
    let first = named.next()?;
    Some((items.len() == 1).then_some(first))
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
        let token = Secret::new(token);
        let answer = organization_of(&webex, platform, &token, expected, Source::Pasted);
        platform.assert_script_done();
        answer
    }

    fn get(platform: &MemoryPlatform, url: &str, status: u16, body: Value) {
        platform.expect(Method::GET, url, reply(status, body));
    }

    fn forbidden() -> Value {
        json!({"message": "missing required scopes", "trackingId": "ROUTER_1"})
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
        get(&platform, "/organizations", 403, forbidden());
        get(&platform, "/people/me", 403, forbidden());
        assert_eq!(ask(&platform, ACCESS_TOKEN, None), Ok(org(ORGANIZATION)));
        assert!(platform.logged(Level::Warning, "spark-admin:organizations_read"));
    }

    #[test]
    fn a_token_of_which_nobody_says_anything_is_not_taken() {
        let platform = MemoryPlatform::new();
        get(&platform, "/organizations", 403, forbidden());
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

    #[test]
    fn a_pasted_token_is_proven_by_webex_alone() {
        let page = |status| reply_with(status, &[("content-type", "text/html; charset=x")], "<p>");
        let own = |status| {
            let body = json!({"message": "no", "errors": [{"description": "no"}]});
            reply(status, body)
        };
        for (answer, seen) in [
            (page(200), "200 OK and text/html"),
            (page(302), "302 Found and text/html"),
            (page(401), "401 Unauthorized and text/html"),
            (page(403), "403 Forbidden and text/html"),
            (page(404), "404 Not Found and text/html"),
            (reply_with(200, &[], ""), "200 OK and no content type"),
            (reply_with(401, &[], ""), "401 Unauthorized and no"),
            (reply_with(404, &[], ""), "404 Not Found and no"),
            (own(404), "404 Not Found and application/json"),
            (reply(200, json!({})), "JSON of something else"),
            (
                reply(200, json!({"items": [], "id": "x", "orgId": "x"})),
                "JSON of something else",
            ),
            (reply(200, json!([1])), "JSON of something else"),
            (
                reply(403, json!({"message": "Forbidden"})),
                "403 Forbidden and application/json",
            ),
            (
                reply(401, json!({"error": "login"})),
                "401 Unauthorized and application/json",
            ),
        ] {
            for expected in [None, Some(org(ORGANIZATION))] {
                let platform = MemoryPlatform::new();
                let answer = answer.clone();
                platform.serve(move |_, _| answer.clone());
                let error = ask(&platform, ACCESS_TOKEN, expected).unwrap_err();
                assert!(
                    matches!(&error, Unresolved::Unproven(_)),
                    "{seen}: {error:?}"
                );
                let words = error.to_string();
                for part in [
                    seen,
                    "webex.base-url",
                    "proxy",
                    "https://webexapis.com/v1/org",
                ] {
                    assert!(words.contains(part), "{words}");
                }
            }
        }
    }

    #[test]
    fn a_404_is_made_up_for_by_who_the_token_is() {
        let platform = MemoryPlatform::new();
        let page = reply_with(404, &[], "<html>");
        platform.expect(Method::GET, "/organizations", page);
        let me = json!({"orgId": org(ORGANIZATION).internal()});
        get(&platform, "/people/me", 200, me);
        assert_eq!(ask(&platform, "opaque", None), Ok(org(ORGANIZATION)));
    }

    #[test]
    fn an_issued_token_needs_no_proof() {
        let platform = MemoryPlatform::new();
        platform.serve(|_, _| reply_with(404, &[], "<html>"));
        let webex = Webex::new(&platform, &Settings::default(), &Proxies::default()).unwrap();
        let token = Secret::new(ACCESS_TOKEN);
        let answer = organization_of(&webex, &platform, &token, None, Source::Issued);
        assert_eq!(answer, Ok(org(ORGANIZATION)));
    }
}
