//! Interrupted calls and concurrent changes.

use super::*;

#[test]
fn interrupted_consent_leaves_old_or_new_connection() {
    let down = || Failure::Unavailable("the store is down".to_owned());
    // Before the code is sent, the same callback can be used again.
    let platform = connected();
    let begun = begin(&platform);
    let before = snapshot(&platform);
    platform.inject_commit_fault(1, CommitFault::Fail(down()));
    assert_eq!(run(&platform, &callback(&begun)).unwrap_err(), down());
    assert_eq!(snapshot(&platform), before);
    assert!(platform.sent().is_empty());
    serve_tokens(&platform);
    run(&platform, &callback(&begun)).unwrap();

    // After the response, one store error or one lost result loses nothing.
    for interruption in [CommitFault::Fail(down()), CommitFault::LoseResult(down())] {
        let platform = connected();
        let begun = begin(&platform);
        serve_tokens(&platform);
        platform.inject_commit_fault(2, interruption);
        let report = run(&platform, &callback(&begun)).unwrap();
        assert_eq!(report.connection.state, State::Connected);
        assert_eq!(tokens(&platform)[1].as_deref(), Some("NEWREFRESH"));
        assert_eq!(record(&platform).body.connection.generation, 2);
    }

    // The store stays down: the old tokens are unchanged and can still be refreshed.
    let platform = connected();
    let begun = begin(&platform);
    let before = snapshot(&platform);
    serve_tokens(&platform);
    for nth in 2..=4 {
        platform.inject_commit_fault(nth, CommitFault::Fail(down()));
    }
    assert_eq!(run(&platform, &callback(&begun)).unwrap_err(), down());
    assert_eq!(snapshot(&platform), before);
    assert_eq!(tokens(&platform)[1].as_deref(), Some(REFRESH_TOKEN));
}

#[test]
fn concurrent_change_is_kept_with_new_tokens() {
    let platform = connected();
    let begun = begin(&platform);
    platform.serve_organization(ORGANIZATION);
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        edit(platform, |record| {
            let name = "email_domain".to_owned();
            record.body.fields.insert(name, "acme.example".into());
        });
        json_response(200, token_response())
    });
    run(&platform, &callback(&begun)).unwrap();
    assert_eq!(record(&platform).text("email_domain"), Some("acme.example"));
    assert_eq!(tokens(&platform)[1].as_deref(), Some("NEWREFRESH"));
}

#[test]
fn failed_read_after_response_is_retried() {
    let down = || Failure::Unavailable("the store is down".to_owned());
    // After the verifier, the tokens that the response replaces are revealed.
    for nth in [2, 3] {
        let platform = connected();
        let begun = begin(&platform);
        serve_tokens(&platform);
        platform.fail_reveal(nth, down());
        let report = run(&platform, &callback(&begun)).unwrap();
        assert_eq!(report.connection.state, State::Connected);
        let stored = tokens(&platform);
        assert_eq!(stored[1].as_deref(), Some("NEWREFRESH"), "reveal {nth}");
        assert_eq!(record(&platform).body.connection.generation, 2);
    }
}
