//! Refusals and the end of the refresh token's time.

use super::*;

#[test]
fn a_refusal_asks_for_a_person_and_keeps_the_access_token() {
    let platform = platform();
    let now = platform.now();
    platform.expect(Method::POST, TOKENS, refused());
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Reauthorize);
    assert_eq!(report.connection.state, State::Reauthorize);
    assert!(
        report.message.contains("invalid_grant: revoked"),
        "{}",
        report.message
    );
    assert_eq!(report.tracking_id.as_deref(), Some("T2"));
    assert!(
        report.connection.notes.contains("T2"),
        "{}",
        report.connection.notes
    );
    assert_nothing_lost(&platform);

    let connection = record(&platform).body.connection;
    assert_eq!(connection.next_refresh, None);
    assert_eq!(connection.attempted, Some(now));
    assert_eq!(wakeup(&platform, "refresh"), None);
    assert_eq!(wakeup(&platform, "expiry").unwrap().due, START + 90 * DAY);
    assert_eq!(schedule_of(&platform, REFRESH_SCHEDULE)["active"], false);
    let alerts = platform.documents_of("data/Alert");
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].body.contains(code::REAUTHORIZE));
    assert_eq!(alerts[0].hierarchy, HIERARCHY);
}

#[test]
fn a_connection_that_works_again_has_no_alert_left() {
    let platform = platform();
    platform.expect(Method::POST, TOKENS, refused());
    run(&platform).unwrap();
    platform.advance(HOUR);
    let mut frozen = answer();
    frozen["refresh_token_expires_in"] = (83 * 86_400 - 3_600).into();
    platform.expect(Method::POST, TOKENS, reply(200, frozen));
    let report = run(&platform).unwrap();
    assert_eq!(report.connection.state, State::Connected);
    assert_eq!(record(&platform).body.connection.refusal, None);
    assert!(platform.documents_of("data/Alert").is_empty());
    assert_eq!(schedule_of(&platform, REFRESH_SCHEDULE)["active"], true);
    // The refusal had left only the look at the expiry; the thresholds are back.
    assert_eq!(wakeup(&platform, "expiry").unwrap().due, START + 60 * DAY);
}

#[test]
fn a_refusal_of_a_token_that_was_replaced_meanwhile_is_not_believed() {
    let platform = platform();
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        let seal = Change::PutSecret {
            owner: Reference::record(PKID),
            name: secret::REFRESH_TOKEN.to_owned(),
            value: Secret::new("the-winners"),
        };
        platform.commit(Vec::new(), vec![seal]).unwrap();
        refused()
    });
    let before = record(&platform);
    assert!(matches!(run(&platform), Err(Failure::Conflict(_))));
    assert_eq!(record(&platform), before);
    assert_eq!(tokens(&platform).1.as_deref(), Some("the-winners"));
    assert!(platform.documents_of("data/Alert").is_empty());
}

#[test]
fn a_refusal_counts_only_for_the_record_as_it_was_read() {
    let platform = platform();
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        edit(platform, |record| {
            record.body.connection.scopes.push("x".to_owned())
        });
        refused()
    });
    assert!(matches!(run(&platform), Err(Failure::Conflict(_))));
    assert_eq!(record(&platform).body.connection.state, State::Connected);
}

#[test]
fn expiry_by_the_clock_alone_ends_only_with_a_refusal() {
    let platform = platform();
    platform.set_now(START + 90 * DAY);
    platform.expect(Method::POST, TOKENS, refused());
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Expired);
    assert_eq!(report.connection.state, State::Expired);
    assert_eq!(platform.sent().len(), 1);
    assert!(platform.all_wakeups().is_empty());
    let alerts = platform.documents_of("data/Alert");
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].body.contains(code::EXPIRED));

    // Webex has spoken: it is not asked again.
    let commits = platform.commits();
    platform.advance(SECOND);
    let again = run(&platform).unwrap();
    assert_eq!(again.outcome, RefreshOutcome::Expired);
    assert_eq!(platform.commits(), commits, "nothing new happened");
    assert_eq!(platform.sent().len(), 1);
}

#[test]
fn expiry_by_the_clock_alone_is_revived_by_tokens() {
    for state in [
        State::Connected,
        State::Expiring,
        State::Retrying,
        State::Expired,
    ] {
        let platform = platform();
        edit(&platform, |record| record.body.connection.state = state);
        platform.set_now(START + 400 * DAY);
        platform.expect(Method::POST, TOKENS, reply(200, answer()));
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Connected, "{state:?}");
        assert!(platform.documents_of("data/Alert").is_empty());

        // The clock is right again: what it said is corrected by the next answer.
        platform.set_now(START + 8 * DAY);
        platform.expect(Method::POST, TOKENS, reply(200, answer()));
        run(&platform).unwrap();
        let connection = record(&platform).body.connection;
        assert_eq!(connection.refresh.unwrap().at, START + 98 * DAY);
        assert!(connection.next_refresh.unwrap() <= START + 15 * DAY);
    }
}

#[test]
fn expiry_by_the_clock_alone_survives_a_passing_fault() {
    let platform = platform();
    platform.set_now(START + 400 * DAY);
    platform.expect(Method::POST, TOKENS, reply(503, json!({})));
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Retrying);
    let refresh = wakeup(&platform, "refresh").unwrap();
    // The end that has passed is no deadline.
    assert_eq!(refresh.deadline, None);
    assert!(refresh.due > platform.now() + 50 * SECOND);
}

#[test]
fn an_assumed_expiry_is_no_reason_not_to_ask() {
    let assumed = || {
        let platform = platform();
        edit(&platform, |record| {
            record.body.connection.refresh.as_mut().unwrap().assumed = true;
        });
        platform.set_now(START + 91 * DAY);
        platform
    };
    let platform = assumed();
    platform.expect(
        Method::POST,
        TOKENS,
        reply(200, json!({"access_token": "A2"})),
    );
    let report = run(&platform).unwrap();
    assert_eq!(report.connection.state, State::Connected);
    let refresh = record(&platform).body.connection.refresh.unwrap();
    assert_eq!(refresh.at, START + 181 * DAY);

    let platform = assumed();
    platform.expect(Method::POST, TOKENS, refused());
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Expired);
    assert_eq!(report.connection.state, State::Expired);
    assert!(
        platform.documents_of("data/Alert")[0]
            .body
            .contains(code::EXPIRED)
    );

    let platform = assumed();
    platform.expect(Method::POST, TOKENS, reply(503, json!({})));
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Retrying);
    let pause = report.connection.next_refresh.unwrap() - platform.now();
    assert!(pause >= 50 * SECOND, "no busy loop: {pause}");
}
