//! Refreshes that fail for a long time.

use super::*;
use crate::alerts::{ALERT, AlertBody};

const HOUR: Millis = Millis::from_hours(1);

fn fail(platform: &MemoryPlatform) -> Retry {
    platform.expect(Method::POST, TOKENS, json_response(503, json!({})));
    let report = run(platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Retrying);
    record(platform).body.connection.retry.unwrap()
}

fn alerts(platform: &MemoryPlatform) -> Vec<(String, u32)> {
    let alerts = platform.documents_of(ALERT).into_iter();
    let bodies = alerts.map(|alert| serde_json::from_str::<AlertBody>(&alert.body).unwrap());
    bodies.map(|body| (body.code, body.count)).collect()
}

#[test]
fn failures_raise_an_alert_after_the_set_time() {
    let platform = platform();
    platform.set("refresh.failing-after", "2h");
    let began = platform.now();
    for (after, count) in [
        (Millis::ZERO, None),
        (2 * HOUR - SECOND, None),
        (2 * HOUR, Some(1)),
        (5 * HOUR, Some(2)),
    ] {
        platform.set_now(began + after);
        assert_eq!(fail(&platform).since, Some(began));
        let expected = count.map(|count| (code::FAILING.to_owned(), count));
        assert_eq!(alerts(&platform), Vec::from_iter(expected), "{after:?}");
    }
    platform.advance(SECOND);
    let mut response = token_response();
    response["scope"] = Value::Null;
    platform.expect(Method::POST, TOKENS, json_response(200, response));
    run(&platform).unwrap();
    assert_eq!(alerts(&platform), []);
}

#[test]
fn old_record_fails_since_its_last_attempt() {
    let platform = platform();
    let attempted = platform.now() - 7 * HOUR;
    edit(&platform, |record| {
        let connection = &mut record.body.connection;
        connection.state = State::Retrying;
        connection.attempted = Some(attempted);
        connection.retry = Some(Retry {
            attempts: 5,
            ..Retry::default()
        });
    });
    assert_eq!(fail(&platform).since, Some(attempted));
    assert_eq!(alerts(&platform), [(code::FAILING.to_owned(), 1)]);
}

#[test]
fn failures_dated_in_the_future_begin_again() {
    let platform = platform();
    let now = platform.now();
    platform.set_now(now + DAY);
    fail(&platform);
    platform.set_now(now);
    assert_eq!(fail(&platform).since, Some(now));
    assert_eq!(alerts(&platform), []);
}
