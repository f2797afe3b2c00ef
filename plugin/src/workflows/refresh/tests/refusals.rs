//! Refusals, and the expiry of the refresh token.

use super::*;

#[test]
fn refusal_requires_reauthorization() {
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
    assert_eq!(
        UnixMillis(wakeup(&platform, "expiry").unwrap().due),
        START + 90 * DAY
    );
    assert_eq!(load_schedule(&platform, REFRESH_SCHEDULE)["active"], false);
    let alerts = platform.documents_of("data/Alert");
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].body.contains(code::REAUTHORIZE));
    assert_eq!(alerts[0].hierarchy, HIERARCHY);
}

#[test]
fn recovered_connection_has_no_alert() {
    let platform = platform();
    platform.expect(Method::POST, TOKENS, refused());
    run(&platform).unwrap();
    platform.advance(HOUR);
    let mut frozen = token_response();
    frozen["refresh_token_expires_in"] = (83 * 86_400 - 3_600).into();
    platform.expect(Method::POST, TOKENS, json_response(200, frozen));
    let report = run(&platform).unwrap();
    assert_eq!(report.connection.state, State::Connected);
    assert_eq!(record(&platform).body.connection.refusal, None);
    assert!(platform.documents_of("data/Alert").is_empty());
    assert_eq!(load_schedule(&platform, REFRESH_SCHEDULE)["active"], true);
    // After the refusal only the check at the expiry was scheduled; the thresholds are back.
    assert_eq!(
        UnixMillis(wakeup(&platform, "expiry").unwrap().due),
        START + 60 * DAY
    );
}

#[test]
fn refusal_of_a_replaced_token_is_ignored() {
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
fn refusal_for_a_changed_record_is_a_conflict() {
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
fn clock_expiry_ends_only_on_refusal() {
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

    // Webex has refused the token and is not asked again.
    let commits = platform.commits();
    platform.advance(SECOND);
    let again = run(&platform).unwrap();
    assert_eq!(again.outcome, RefreshOutcome::Expired);
    assert_eq!(platform.commits(), commits, "nothing new happened");
    assert_eq!(platform.sent().len(), 1);
}

#[test]
fn clock_expiry_recovers_with_new_tokens() {
    for state in [
        State::Connected,
        State::Expiring,
        State::Retrying,
        State::Expired,
    ] {
        let platform = platform();
        edit(&platform, |record| record.body.connection.state = state);
        platform.set_now(START + 400 * DAY);
        platform.expect(Method::POST, TOKENS, json_response(200, token_response()));
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Connected, "{state:?}");
        assert!(platform.documents_of("data/Alert").is_empty());

        // The clock is right again; the next response corrects the stored times.
        platform.set_now(START + 8 * DAY);
        platform.expect(Method::POST, TOKENS, json_response(200, token_response()));
        run(&platform).unwrap();
        let connection = record(&platform).body.connection;
        assert_eq!(connection.refresh.unwrap().at, START + 98 * DAY);
        assert!(connection.next_refresh.unwrap() <= START + 15 * DAY);
    }
}

#[test]
fn clock_expiry_survives_a_temporary_error() {
    let platform = platform();
    platform.set_now(START + 400 * DAY);
    platform.expect(Method::POST, TOKENS, json_response(503, json!({})));
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Retrying);
    let refresh = wakeup(&platform, "refresh").unwrap();
    // A past expiry is not a deadline.
    assert_eq!(refresh.deadline, None);
    assert!(refresh.due > (platform.now() + 50 * SECOND).0);
}

#[test]
fn assumed_expiry_does_not_prevent_refresh() {
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
        json_response(200, json!({"access_token": "A2"})),
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
    platform.expect(Method::POST, TOKENS, json_response(503, json!({})));
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Retrying);
    let pause = UnixMillis(report.connection.next_refresh.unwrap()) - platform.now();
    assert!(pause >= 50 * SECOND, "no busy loop: {pause:?}");
}
