//! Calls that are cut off, and others who are faster.

use super::*;

#[test]
fn a_call_cut_off_anywhere_leaves_the_old_connection_or_the_new_one() {
    let down = || Failure::Unavailable("the store is down".to_owned());
    // Before the code is shown: the same callback serves again.
    let platform = connected();
    let begun = begin(&platform);
    let before = kept(&platform);
    platform.interrupt_commit(1, Interruption::Fail(down()));
    assert_eq!(run(&platform, &callback(&begun)).unwrap_err(), down());
    assert_eq!(kept(&platform), before);
    assert!(platform.sent().is_empty());
    webex(&platform, ORGANIZATION, reply(200, answer()));
    run(&platform, &callback(&begun)).unwrap();

    // After the answer: a store that fails once, or whose answer is lost, loses nothing.
    for interruption in [Interruption::Fail(down()), Interruption::LoseAnswer(down())] {
        let platform = connected();
        let begun = begin(&platform);
        webex(&platform, ORGANIZATION, reply(200, answer()));
        platform.interrupt_commit(2, interruption);
        let report = run(&platform, &callback(&begun)).unwrap();
        assert_eq!(report.connection.state, State::Connected);
        assert_eq!(tokens(&platform)[1].as_deref(), Some("NEWREFRESH"));
        assert_eq!(record(&platform).body.connection.generation, 2);
    }

    // A store that stays down: the old tokens are untouched and still refresh.
    let platform = connected();
    let begun = begin(&platform);
    let before = kept(&platform);
    webex(&platform, ORGANIZATION, reply(200, answer()));
    for nth in 2..=4 {
        platform.interrupt_commit(nth, Interruption::Fail(down()));
    }
    assert_eq!(run(&platform, &callback(&begun)).unwrap_err(), down());
    assert_eq!(kept(&platform), before);
    assert_eq!(tokens(&platform)[1].as_deref(), Some(REFRESH_TOKEN));
}

#[test]
fn a_change_made_meanwhile_is_kept_beside_the_new_tokens() {
    let platform = connected();
    let begun = begin(&platform);
    platform.serve_organization(ORGANIZATION);
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        edit(platform, |record| {
            let name = "email_domain".to_owned();
            record.body.fields.insert(name, "acme.example".into());
        });
        reply(200, answer())
    });
    run(&platform, &callback(&begun)).unwrap();
    assert_eq!(record(&platform).text("email_domain"), Some("acme.example"));
    assert_eq!(tokens(&platform)[1].as_deref(), Some("NEWREFRESH"));
}

#[test]
fn a_store_that_fails_at_a_read_behind_the_answer_is_asked_again_and_the_tokens_are_stored() {
    let down = || Failure::Unavailable("the store is down".to_owned());
    // Behind the verifier come the tokens that the answer replaces.
    for nth in [2, 3] {
        let platform = connected();
        let begun = begin(&platform);
        webex(&platform, ORGANIZATION, reply(200, answer()));
        platform.fail_reveal(nth, down());
        let report = run(&platform, &callback(&begun)).unwrap();
        assert_eq!(report.connection.state, State::Connected);
        let stored = tokens(&platform);
        assert_eq!(stored[1].as_deref(), Some("NEWREFRESH"), "reveal {nth}");
        assert_eq!(record(&platform).body.connection.generation, 2);
    }
}
