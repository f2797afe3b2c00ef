//! Callbacks and responses that yield no connection.

use super::*;
use crate::platform::Millis;

#[test]
fn callback_error_keeps_the_connection() {
    let error = |name: &str| format!("error={name}&error_description=because+of+it.&state=");
    for (query, case, words) in [
        (error("access_denied"), "reauthorize", "was declined"),
        (error("invalid_scope"), "limit", "webex.scopes"),
        (error("server_error"), "unavailable", "Webex failed"),
        (error("unauthorized_client"), "limit", "webex.client-id"),
        (error("anything"), "reauthorize", "anything: because of it"),
        ("state=".to_owned(), "callback", "has no code"),
    ] {
        let platform = connected();
        let begun = begin(&platform);
        let before = snapshot(&platform);
        let failure = run(&platform, &format!("{REDIRECT}?{query}{}", begun.state)).unwrap_err();
        let (found, text) = classify(&failure);
        assert_eq!(found, case, "{failure:?}");
        assert!(text.contains(words), "{text}");
        assert_eq!(snapshot(&platform), before, "{query}");
        assert!(platform.sent().is_empty());
        // A response of Webex uses up the consent; a truncated address can be given again in full.
        let again = run(&platform, &format!("{REDIRECT}?{query}{}", begun.state)).unwrap_err();
        let used = classify(&again).1.contains("was used already");
        assert_eq!(used, case != "callback", "{again:?}");
    }
}

#[test]
fn wrong_state_is_explained() {
    let platform = connected();
    let superseded = begin(&platform);
    let begun = begin(&platform);
    let before = snapshot(&platform);
    let other = format!("{}.x", "f".repeat(24));
    for (state, words) in [
        (superseded.state.as_str(), "use the newer link"),
        ("", "has no state"),
        ("nonsense", "is unknown"),
        (
            other.as_str(),
            "another record, ffffffffffffffffffffffff: complete it there",
        ),
    ] {
        let failure = run(&platform, &format!("{REDIRECT}?code=X&state={state}")).unwrap_err();
        let (case, text) = classify(&failure);
        assert_eq!(case, "reauthorize");
        assert!(text.contains(words), "{text}");
    }
    let elsewhere = callback(&begun).replace("8085", "8086");
    let (case, text) = classify(&run(&platform, &elsewhere).unwrap_err());
    assert_eq!(case, "callback");
    assert!(
        text.contains(REDIRECT) && !text.contains("THECODE"),
        "{text}"
    );

    platform.advance(Millis(600_000));
    let (case, text) = classify(&run(&platform, &callback(&begun)).unwrap_err());
    assert_eq!(case, "reauthorize");
    assert!(
        text.contains("came too late") && text.contains("within 10 min"),
        "{text}"
    );
    let (_, text) = classify(&run(&platform, &callback(&begun)).unwrap_err());
    assert!(text.contains("has expired"), "{text}");
    assert_eq!(snapshot(&platform), before);
    assert!(platform.sent().is_empty());
    let verifier = consent::verifier_name(GRANT);
    assert_eq!(platform.secret(&Reference::record(PKID), verifier), None);
}

#[test]
fn callback_is_accepted_once() {
    let platform = fresh();
    let begun = begin(&platform);
    serve_tokens(&platform);
    run(&platform, &callback(&begun)).unwrap();
    let before = snapshot(&platform);
    let requests = platform.sent().len();
    // The same callback again: the grant works, so nothing is wrong.
    let repeated = run(&platform, &callback(&begun)).unwrap();
    let text = &repeated.message;
    assert!(
        text.contains("was used already") && text.contains("nothing needs to be done"),
        "{text}"
    );
    assert_eq!(repeated.organization, ORGANIZATION);
    assert_eq!((repeated.sync_due, repeated.cleared.len()), (None, 0));
    assert_eq!(snapshot(&platform), before);
    assert_eq!(platform.sent().len(), requests);
}

#[test]
fn failed_code_exchange_keeps_the_connection() {
    let oauth =
        |code: &str| json!({"error": code, "error_description": "THECODE", "trackingId": "T9"});
    let mut without = token_response();
    without.as_object_mut().unwrap().remove("refresh_token");
    for (response, case, words) in [
        (
            json_response(400, oauth("invalid_grant")),
            "reauthorize",
            "refused the code",
        ),
        (
            json_response(401, oauth("invalid_client")),
            "limit",
            "client id and the client secret",
        ),
        (
            json_response(400, oauth("unauthorized_client")),
            "limit",
            "client id and the client secret",
        ),
        (
            json_response(400, oauth("invalid_scope")),
            "limit",
            "webex.scopes",
        ),
        (json_response(503, json!({})), "unavailable", "503"),
        (
            raw_response(429, &[("retry-after", "7")], ""),
            "unavailable",
            "wait and try again, not before ",
        ),
        (raw_response(429, &[], ""), "unavailable", "try again; the"),
        (json_response(404, json!({})), "limit", "webex.base-url"),
        (raw_response(404, &[], "<html>"), "limit", "webex.base-url"),
        (raw_response(405, &[], ""), "limit", "webex.base-url"),
        (
            json_response(400, oauth("unsupported_grant_type")),
            "unavailable",
            "plugin's authors",
        ),
        (
            json_response(200, json!({"token_type": "Bearer"})),
            "unavailable",
            "not a token response",
        ),
        (
            json_response(200, without),
            "unavailable",
            "has no refresh token",
        ),
        (
            Err(HttpError::Network("cut off".to_owned())),
            "unavailable",
            "cut off",
        ),
        (
            Err(HttpError::Denied("egress".to_owned())),
            "limit",
            "egress",
        ),
    ] {
        let platform = connected();
        let begun = begin(&platform);
        let before = snapshot(&platform);
        serve_webex(&platform, ORGANIZATION, response);
        let failure = run(&platform, &callback(&begun)).unwrap_err();
        let (found, text) = classify(&failure);
        assert_eq!(found, case, "{failure:?}");
        assert!(text.contains(words), "{text}");
        assert!(!text.contains("THECODE"), "{text}");
        assert!(text.contains("the connection is unchanged; "), "{text}");
        assert_ne!(
            text.contains("begin again with connect"),
            text.contains("the consent stays open until "),
            "{text}"
        );
        assert_eq!(snapshot(&platform), before);
    }
}

#[test]
fn request_that_was_not_sent_keeps_the_consent() {
    let again = "use the same callback again";
    for (error, case) in [
        (HttpError::Denied("egress".to_owned()), "limit"),
        (HttpError::ProxyCredentials("407".to_owned()), "limit"),
        (HttpError::Network("refused".to_owned()), "unavailable"),
    ] {
        let platform = connected();
        let begun = begin(&platform);
        let before = snapshot(&platform);
        for _ in 0..2 {
            platform.expect(Method::POST, TOKENS, Err(error.clone()));
            let (found, text) = classify(&run(&platform, &callback(&begun)).unwrap_err());
            assert_eq!(found, case, "{text}");
            assert!(
                text.contains(again) && !text.contains("begin again"),
                "{text}"
            );
            assert_eq!(snapshot(&platform), before);
        }
        serve_tokens(&platform);
        run(&platform, &callback(&begun)).unwrap();
        let text = run(&platform, &callback(&begun)).unwrap().message;
        assert!(text.contains("nothing needs to be done"), "{text}");
    }
}

#[test]
fn consumed_consent_says_that_it_failed() {
    for error in [
        Err(HttpError::Lost("timed out".to_owned())),
        json_response(401, json!({"error": "invalid_client"})),
    ] {
        let platform = connected();
        let begun = begin(&platform);
        platform.expect(Method::POST, TOKENS, error);
        let (_, text) = classify(&run(&platform, &callback(&begun)).unwrap_err());
        assert!(text.contains("begin again with connect"), "{text}");
        // The grant works, but not by this consent.
        let (_, text) = classify(&run(&platform, &callback(&begun)).unwrap_err());
        assert!(
            text.contains("brought no tokens") && !text.contains("nothing needs"),
            "{text}"
        );
    }
}

#[test]
fn consent_of_other_organization_is_rejected() {
    let platform = connected();
    let begun = begin(&platform);
    let before = snapshot(&platform);
    serve_webex(&platform, OTHER, json_response(200, token_response()));
    let (case, text) = classify(&run(&platform, &callback(&begun)).unwrap_err());
    assert_eq!(case, "reauthorize");
    assert!(
        text.contains(OTHER) && text.contains(ORGANIZATION),
        "{text}"
    );
    assert_eq!(snapshot(&platform), before);
    let revoked = platform
        .sent()
        .iter()
        .any(|sent| sent.method == Method::DELETE);
    assert!(!revoked, "others may use what that organization granted");
}

#[test]
fn organization_of_another_record_is_rejected() {
    let platform = fresh();
    let mut neighbor = connected_record(platform.now());
    neighbor.pkid = "f".repeat(24);
    neighbor
        .body
        .fields
        .insert("name".to_owned(), "Neighbor".into());
    platform.store_connected(neighbor.clone()).unwrap();
    let begun = begin(&platform);
    let before = snapshot(&platform);
    serve_tokens(&platform);
    let (case, text) = classify(&run(&platform, &callback(&begun)).unwrap_err());
    assert_eq!(case, "reauthorize");
    assert!(
        text.contains(&neighbor.pkid) && text.contains(ORGANIZATION),
        "{text}"
    );
    assert_eq!(snapshot(&platform), before);
}

#[test]
fn unusable_proxy_does_not_consume_the_consent() {
    let platform = connected();
    edit(&platform, |record| {
        let name = "https_proxy".to_owned();
        record.body.fields.insert(name, "http://proxy:3128/".into());
    });
    let seal = Change::PutSecret {
        owner: Reference::record(PKID),
        name: "https_proxy".to_owned(),
        value: Secret::new("http://proxy:3128/"),
    };
    platform.commit(Vec::new(), vec![seal]).unwrap();
    let begun = begin(&platform);
    platform.refuse_proxies(Failure::LimitExceeded("not allowed".to_owned()));
    for _ in 0..2 {
        let (case, text) = classify(&run(&platform, &callback(&begun)).unwrap_err());
        assert_eq!(case, "limit");
        assert!(text.contains("not allowed"), "{text}");
    }
}
