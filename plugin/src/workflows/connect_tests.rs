//! The link of a consent, and the data stored about it.

use std::collections::BTreeMap;

use url::Url;

use super::*;
use crate::platform::{Environment, Reference, Secret, Secrets};
use crate::testing::*;

const REDIRECT: &str = "http://127.0.0.1:8085/callback";
const GRANT: Grant = Grant::Organization;

fn begin(platform: &MemoryPlatform) -> Authorization {
    connect(platform, PKID, GRANT, REDIRECT).unwrap()
}

fn verifier(platform: &MemoryPlatform) -> Option<Secret> {
    let owner = Reference::record(PKID);
    platform
        .reveal(&owner, consent::verifier_name(GRANT))
        .unwrap()
}

#[test]
fn the_link_asks_for_a_code_with_state_and_challenge() {
    let platform = MemoryPlatform::connected().unwrap();
    platform.set("webex.scopes", "spark-admin:people_read cjp:config");
    let begun = begin(&platform);
    assert_eq!(begun.grant, GRANT);
    assert_eq!(begun.redirect_uri, REDIRECT);
    assert_eq!(begun.expires, platform.now().0 + 600_000);
    assert_eq!(begun.scopes, ["spark-admin:people_read", "cjp:config"]);

    let url = Url::parse(&begun.url).unwrap();
    assert!(begun.url.starts_with("https://webexapis.com/v1/authorize?"));
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let verifier = verifier(&platform).unwrap();
    let pkce = oauth2::PkceCodeVerifier::new(verifier.expose().to_owned());
    let challenge = oauth2::PkceCodeChallenge::from_code_verifier_sha256(&pkce);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "C0ffee"),
        ("redirect_uri", REDIRECT),
        ("scope", "spark-admin:people_read cjp:config"),
        ("state", begun.state.as_str()),
        ("code_challenge_method", "S256"),
        ("code_challenge", challenge.as_str()),
    ] {
        assert_eq!(query.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(query.len(), 7);
    assert!(!begun.url.contains("client-secret"));
    assert!(platform.sent().is_empty());
}

#[test]
fn link_expires_after_the_configured_lifetime() {
    let platform = MemoryPlatform::connected().unwrap();
    platform.set("connect.lifetime", "7d");
    let begun = begin(&platform);
    assert_eq!(begun.expires, (platform.now() + 7 * DAY).0);
    assert!(platform.logged(Level::Info, "until 2026-01-08T00:00:00Z"));
}

#[test]
fn state_and_verifier_are_not_stored_in_clear() {
    let platform = MemoryPlatform::connected().unwrap();
    let begun = begin(&platform);
    let (pkid, random) = begun.state.split_once('.').unwrap();
    assert_eq!((pkid, random.len()), (PKID, 43));
    let verifier = verifier(&platform).unwrap();
    assert_eq!(verifier.expose().len(), 43);
    let visible = platform.visible_output();
    for secret in [random, verifier.expose()] {
        assert!(!visible.contains(secret));
    }
    assert!(visible.contains(&consent::hash_state(&begun.state)));
}

#[test]
fn connect_leaves_the_connection_unchanged() {
    let platform = MemoryPlatform::connected().unwrap();
    let before = Record::load(&platform, PKID).unwrap();
    let wakeups = platform.all_wakeups();
    begin(&platform);
    let after = Record::load(&platform, PKID).unwrap();
    assert_eq!(after.body.connection, before.body.connection);
    assert_eq!(after.body.fields, before.body.fields);
    assert_eq!(platform.all_wakeups(), wakeups);
}

#[test]
fn second_link_has_new_state_and_verifier() {
    let platform = MemoryPlatform::connected().unwrap();
    let first = begin(&platform);
    let first_verifier = verifier(&platform);
    let second = begin(&platform);
    assert_ne!(first.state, second.state);
    assert_ne!(first_verifier, verifier(&platform));
}

#[test]
fn connect_fails_when_a_setting_is_missing() {
    let platform = MemoryPlatform::connected().unwrap();
    let run = |grant, redirect: &str| connect(&platform, PKID, grant, redirect).unwrap_err();
    match run(GRANT, "http://relation.example.com/") {
        Failure::Invalid(errors) => assert_eq!(errors[0].field, "redirect-uri"),
        other => panic!("{other:?}"),
    }
    match run(Grant::WholesaleUsers, REDIRECT) {
        Failure::Invalid(errors) => assert_eq!(errors[0].field, "grant"),
        other => panic!("{other:?}"),
    }
    let unknown = connect(&platform, &"0".repeat(24), GRANT, REDIRECT);
    assert!(matches!(unknown, Err(Failure::NotFound(_))));
    platform.unset_secret("webex.client-secret");
    let error = run(GRANT, REDIRECT);
    assert!(
        matches!(&error, Failure::LimitExceeded(text) if text.contains("the client secret is not"))
    );
    platform.unset("webex.client-id");
    let error = run(GRANT, REDIRECT);
    assert!(
        matches!(&error, Failure::LimitExceeded(text) if text.contains("client id and client secret are not"))
    );
    assert_eq!(verifier(&platform), None);
}
