//! Requests whose answers are lost, under a server that gives out a new refresh token each time.

use super::*;

const LOST: &str = "possibly lost rotation";

fn refused_after(platform: &MemoryPlatform) -> RefreshReport {
    platform.advance(SECOND);
    platform.expect(Method::POST, TOKENS, refused());
    run(platform).unwrap()
}

#[test]
fn a_refusal_after_an_answer_that_was_lost_says_so() {
    for lost in [
        Err(HttpError::Lost("cut off".to_owned())),
        Err(HttpError::TooLarge("too large".to_owned())),
        reply(504, json!({})),
        reply_with(
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
        let report = refused_after(&platform);
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
fn a_request_that_was_never_sent_or_an_answer_that_came_loses_nothing() {
    for answer in [
        Err(HttpError::Network("no route".to_owned())),
        Err(HttpError::Denied("not allowed".to_owned())),
        reply(503, json!({})),
        reply_with(429, &[], ""),
    ] {
        let platform = platform();
        platform.expect(Method::POST, TOKENS, answer);
        run(&platform).unwrap();
        let report = refused_after(&platform);
        assert!(!report.message.contains(LOST), "{}", report.message);
    }
}

#[test]
fn tokens_that_came_end_the_doubt() {
    let platform = platform();
    platform.expect(
        Method::POST,
        TOKENS,
        Err(HttpError::Lost("cut off".to_owned())),
    );
    run(&platform).unwrap();
    platform.advance(SECOND);
    platform.expect(Method::POST, TOKENS, reply(200, super::answer()));
    run(&platform).unwrap();
    let report = refused_after(&platform);
    assert!(!report.message.contains(LOST), "{}", report.message);
}

#[test]
fn a_call_that_was_cut_off_is_remembered_until_tokens_come() {
    let platform = platform();
    platform.set_interrupted(Some(platform.now()));
    let report = refused_after(&platform);
    assert!(report.message.contains(LOST), "{}", report.message);

    // Also when another call is the first to hear of it.
    let platform = super::platform();
    platform.set_interrupted(Some(platform.now()));
    crate::workflows::expiry::check_expiry(&platform, PKID, Grant::Organization).unwrap();
    platform.set_interrupted(None);
    let report = refused_after(&platform);
    assert!(report.message.contains(LOST), "{}", report.message);
}
