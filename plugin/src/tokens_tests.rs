//! What a record makes of tokens, pasted or refreshed.

use super::*;
use crate::record::secret;
use crate::testing::{
    ACCESS_TOKEN, DAY, ORGANIZATION, PKID, REFRESH_TOKEN, SECOND, START, connected_record,
};

fn answer(json: &str) -> TokenResponse {
    TokenResponse::parse(json).unwrap()
}

fn held() -> Held {
    Held {
        access_token: Some(Secret::new(ACCESS_TOKEN)),
        refresh_token: Some(Secret::new(REFRESH_TOKEN)),
    }
}

fn paste(record: &mut Record, answer: &TokenResponse, held: &Held) -> Result<Taken, Failure> {
    let settings = Settings::default();
    take(
        record,
        Grant::Organization,
        Received {
            answer,
            held,
            origin: Origin::Pasted,
            issued: START,
        },
        START,
        &settings,
    )
}

fn new_record() -> Record {
    let mut record = connected_record(START);
    record.body.connection = crate::record::Connection::default();
    record
}

fn due(taken: &Taken, wanted: &str) -> Option<Timestamp> {
    taken.changes.iter().find_map(|change| match change {
        Change::Schedule(wakeup) if wakeup.id == wanted => Some(wakeup.due),
        _ => None,
    })
}

fn sealed(taken: &Taken) -> Vec<&str> {
    taken
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::PutSecret { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn pasted_tokens_without_lives_are_assumed_and_refreshed_within_the_hour() {
    let mut record = new_record();
    let pasted = TokenResponse::pasted(Secret::new("A"), Some(Secret::new("R")));
    let taken = paste(&mut record, &pasted, &Held::default()).unwrap();
    let connection = &record.body.connection;
    let assumed = |life: u64| {
        Some(Expiry {
            at: START + life,
            life,
            assumed: true,
        })
    };
    assert_eq!(connection.state, State::Connected);
    assert_eq!(connection.access, assumed(14 * DAY));
    assert_eq!(connection.refresh, assumed(90 * DAY));
    assert_eq!(connection.generation, 1);
    assert!(taken.new_generation);
    assert_eq!(taken.next_refresh, START + SECOND);
    assert_eq!(due(&taken, "refresh"), Some(taken.next_refresh));
    assert_eq!(due(&taken, "expiry"), Some(START + 60 * DAY));
    assert_eq!(
        sealed(&taken),
        [secret::ACCESS_TOKEN, secret::REFRESH_TOKEN]
    );
}

#[test]
fn pasted_tokens_are_refreshed_without_delay() {
    let mut record = new_record();
    let json = r#"{"access_token":"A","refresh_token":"R","expires_in":20,
                   "refresh_token_expires_in":60}"#;
    let taken = paste(&mut record, &answer(json), &Held::default()).unwrap();
    assert_eq!(taken.next_refresh, START + SECOND);
    assert_eq!(taken.next_check, Some(START + 45 * SECOND));
}

#[test]
fn what_was_known_of_other_tokens_says_nothing_about_pasted_ones() {
    let mut record = connected_record(START - 80 * DAY);
    record.body.connection.state = State::Reauthorize;
    let pasted = TokenResponse::pasted(Secret::new("A"), Some(Secret::new("R")));
    let taken = paste(&mut record, &pasted, &held()).unwrap();
    let connection = &record.body.connection;
    assert_eq!(connection.refresh.unwrap().at, START + 90 * DAY);
    assert_eq!(connection.state, State::Connected);
    assert_eq!(connection.generation, 2);
    assert!(taken.new_generation);
}

#[test]
fn the_same_tokens_pasted_again_change_nothing_that_is_known() {
    let mut record = connected_record(START - DAY);
    let pasted = TokenResponse::pasted(Secret::new(ACCESS_TOKEN), Some(Secret::new(REFRESH_TOKEN)));
    let taken = paste(&mut record, &pasted, &held()).unwrap();
    let connection = &record.body.connection;
    assert_eq!(connection.access.unwrap().at, START + 13 * DAY);
    assert_eq!(connection.refresh.unwrap().at, START + 89 * DAY);
    assert_eq!(connection.generation, 1);
    assert!(sealed(&taken).is_empty());
    assert_eq!(taken.next_check, None);
}

#[test]
fn without_any_refresh_token_there_is_no_connection() {
    let mut record = new_record();
    let pasted = TokenResponse::pasted(Secret::new("A"), None);
    match paste(&mut record, &pasted, &Held::default()) {
        Err(Failure::Invalid(faults)) => assert_eq!(faults[0].field, "refresh_token"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens_already_within_a_threshold_are_looked_at_at_once() {
    let mut record = new_record();
    // 90 days of which 10 are left: the whole life is not known, so 10 days it is.
    let json = r#"{"access_token":"A","refresh_token":"R","refresh_token_expires_in":864000}"#;
    let taken = paste(&mut record, &answer(json), &Held::default()).unwrap();
    assert_eq!(taken.next_check, Some(START + 3 * DAY));

    let mut record = connected_record(START - 85 * DAY);
    let json = r#"{"access_token":"A","refresh_token":"rotated","expires_in":60}"#;
    let settings = Settings::default();
    let rotated = answer(json);
    let taken = take(
        &mut record,
        Grant::Organization,
        Received {
            answer: &rotated,
            held: &held(),
            origin: Origin::Refreshed,
            issued: START,
        },
        START,
        &settings,
    )
    .unwrap();
    assert!(taken.new_generation);
    assert_eq!(taken.next_check, Some(START + SOONEST));
}

#[test]
fn a_look_that_is_due_is_not_skipped_by_a_refresh_that_moves_no_expiry() {
    let mut record = connected_record(START - 60 * DAY);
    let json = r#"{"access_token":"A","refresh_token_expires_in":2592000,"expires_in":60}"#;
    let settings = Settings::default();
    let frozen = answer(json);
    let taken = take(
        &mut record,
        Grant::Organization,
        Received {
            answer: &frozen,
            held: &held(),
            origin: Origin::Refreshed,
            issued: START,
        },
        START,
        &settings,
    )
    .unwrap();
    assert_eq!(due(&taken, "expiry"), None);
    assert_eq!(record.body.connection.refresh.unwrap().at, START + 30 * DAY);
}

#[test]
fn the_fixtures_are_of_one_organisation() {
    assert!(ACCESS_TOKEN.ends_with(ORGANIZATION));
    assert_eq!(connected_record(START).pkid, PKID);
}

#[test]
fn nothing_left_of_the_same_refresh_token_is_no_new_lifetime() {
    let over = answer(r#"{"access_token":"A","expires_in":60,"refresh_token_expires_in":0}"#);
    let end = START + 90 * DAY;
    for now in [end - 500, end, end + 500] {
        let mut record = connected_record(START);
        let received = Received {
            answer: &over,
            held: &held(),
            origin: Origin::Refreshed,
            issued: now,
        };
        let settings = Settings::default();
        take(&mut record, Grant::Organization, received, now, &settings).unwrap();
        let connection = &record.body.connection;
        let refresh = connection.refresh.unwrap();
        assert_eq!((refresh.at, refresh.assumed), (end, false), "{now}");
        assert_eq!(connection.state, State::Expiring, "{now}");
        assert!(
            connection.next_refresh.unwrap() <= now + 60 * SECOND,
            "{now}"
        );
    }
}
