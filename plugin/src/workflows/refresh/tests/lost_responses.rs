//! Lost responses of a server that issues a new refresh token each time.

use super::*;

const LOST: &str = "possibly lost rotation";

fn refresh_refused(platform: &MemoryPlatform) -> RefreshReport {
    platform.advance(SECOND);
    platform.expect(Method::POST, TOKENS, refused());
    run(platform).unwrap()
}

#[test]
fn refusal_after_lost_response_says_so() {
    for lost in [
        Err(HttpError::Lost("cut off".to_owned())),
        Err(HttpError::TooLarge("too large".to_owned())),
        json_response(504, json!({})),
        raw_response(
            200,
            &[("content-type", "application/json")],
            "{\"access_tok",
        ),
    ] {
        let platform = platform();
        platform.expect(Method::POST, TOKENS, lost);
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Retrying);
        assert!(record(&platform).body.connection.uncertain);
        let report = refresh_refused(&platform);
        assert_eq!(report.outcome, RefreshOutcome::Reauthorize);
        assert!(report.message.contains(LOST), "{}", report.message);
        assert!(report.connection.notes.contains(LOST));
        assert!(platform.documents_of("data/Alert")[0].body.contains(LOST));
        assert_nothing_lost(&platform);
        // The same token was tried again first.
        let shown = |nth: usize| platform.sent()[nth].form("refresh_token");
        assert_eq!(shown(0), shown(1));
    }
}

#[test]
fn unsent_or_completed_request_loses_no_token() {
    for response in [
        Err(HttpError::Network("no route".to_owned())),
        Err(HttpError::Denied("not allowed".to_owned())),
        json_response(503, json!({})),
        raw_response(429, &[], ""),
    ] {
        let platform = platform();
        platform.expect(Method::POST, TOKENS, response);
        run(&platform).unwrap();
        let report = refresh_refused(&platform);
        assert!(!report.message.contains(LOST), "{}", report.message);
    }
}

#[test]
fn received_tokens_end_the_uncertainty() {
    let platform = platform();
    platform.expect(
        Method::POST,
        TOKENS,
        Err(HttpError::Lost("cut off".to_owned())),
    );
    run(&platform).unwrap();
    platform.advance(SECOND);
    platform.expect(
        Method::POST,
        TOKENS,
        json_response(200, super::token_response()),
    );
    run(&platform).unwrap();
    let report = refresh_refused(&platform);
    assert!(!report.message.contains(LOST), "{}", report.message);
}

#[test]
fn interrupted_call_is_noted_until_tokens_arrive() {
    let platform = platform();
    platform.set_interrupted(Some(platform.now()));
    let report = refresh_refused(&platform);
    assert!(report.message.contains(LOST), "{}", report.message);

    // Also if another call is the first to learn of the interruption.
    let platform = super::platform();
    platform.set_interrupted(Some(platform.now()));
    crate::workflows::expiry::check_expiry(&platform, PKID, Grant::Organization).unwrap();
    platform.set_interrupted(None);
    let report = refresh_refused(&platform);
    assert!(report.message.contains(LOST), "{}", report.message);
}
