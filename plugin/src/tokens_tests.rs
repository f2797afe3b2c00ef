//! Tests of applying pasted and refreshed tokens to a record.

use super::*;
use crate::platform::{Millis, UnixMillis};
use crate::record::secret;
use crate::testing::{
    ACCESS_TOKEN, DAY, ORGANIZATION, PKID, REFRESH_TOKEN, SECOND, START, connected_record,
};

fn response(json: &str) -> TokenResponse {
    TokenResponse::parse(json).unwrap()
}

fn stored() -> StoredTokens {
    StoredTokens {
        access_token: Some(Secret::new(ACCESS_TOKEN)),
        refresh_token: Some(Secret::new(REFRESH_TOKEN)),
    }
}

fn paste(
    record: &mut Record,
    response: &TokenResponse,
    stored: &StoredTokens,
) -> Result<TokenUpdate, Failure> {
    let settings = Settings::default();
    apply(
        record,
        Grant::Organization,
        ReceivedTokens {
            response,
            stored,
            source: TokenSource::Pasted,
            issued: START,
        },
        START,
        &settings,
    )
}

fn new_record() -> Record {
    let mut record = connected_record(START);
    record.body.connection = crate::record::GrantState::default();
    record
}

fn due(update: &TokenUpdate, wanted: &str) -> Option<UnixMillis> {
    update.changes.iter().find_map(|change| match change {
        Change::Schedule(wakeup) if wakeup.id == wanted => Some(UnixMillis(wakeup.due)),
        _ => None,
    })
}

fn sealed(update: &TokenUpdate) -> Vec<&str> {
    update
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::PutSecret { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn pasted_tokens_without_lifetimes_are_assumed() {
    let mut record = new_record();
    let pasted = TokenResponse::from_pasted(Secret::new("A"), Some(Secret::new("R")));
    let update = paste(&mut record, &pasted, &StoredTokens::default()).unwrap();
    let connection = &record.body.connection;
    let assumed = |lifetime: Millis| {
        Some(Expiry {
            at: START + lifetime,
            lifetime,
            assumed: true,
        })
    };
    assert_eq!(connection.state, State::Connected);
    assert_eq!(connection.access, assumed(14 * DAY));
    assert_eq!(connection.refresh, assumed(90 * DAY));
    assert_eq!(connection.generation, 1);
    assert!(update.new_generation);
    assert_eq!(update.next_refresh, START + SECOND);
    assert_eq!(due(&update, "refresh"), Some(update.next_refresh));
    assert_eq!(due(&update, "expiry"), Some(START + 60 * DAY));
    assert_eq!(
        sealed(&update),
        [secret::ACCESS_TOKEN, secret::REFRESH_TOKEN]
    );
}

#[test]
fn pasted_tokens_are_refreshed_without_delay() {
    let mut record = new_record();
    let json = r#"{"access_token":"A","refresh_token":"R","expires_in":20,
                   "refresh_token_expires_in":60}"#;
    let update = paste(&mut record, &response(json), &StoredTokens::default()).unwrap();
    assert_eq!(update.next_refresh, START + SECOND);
    assert_eq!(update.next_check, Some(START + 45 * SECOND));
}

#[test]
fn pasted_tokens_do_not_inherit_known_expiries() {
    let mut record = connected_record(START - 80 * DAY);
    record.body.connection.state = State::Reauthorize;
    let pasted = TokenResponse::from_pasted(Secret::new("A"), Some(Secret::new("R")));
    let update = paste(&mut record, &pasted, &stored()).unwrap();
    let connection = &record.body.connection;
    assert_eq!(connection.refresh.unwrap().at, START + 90 * DAY);
    assert_eq!(connection.state, State::Connected);
    assert_eq!(connection.generation, 2);
    assert!(update.new_generation);
}

#[test]
fn pasting_the_same_tokens_keeps_known_expiries() {
    let mut record = connected_record(START - DAY);
    let pasted =
        TokenResponse::from_pasted(Secret::new(ACCESS_TOKEN), Some(Secret::new(REFRESH_TOKEN)));
    let update = paste(&mut record, &pasted, &stored()).unwrap();
    let connection = &record.body.connection;
    assert_eq!(connection.access.unwrap().at, START + 13 * DAY);
    assert_eq!(connection.refresh.unwrap().at, START + 89 * DAY);
    assert_eq!(connection.generation, 1);
    assert!(sealed(&update).is_empty());
    assert_eq!(update.next_check, None);
}

#[test]
fn tokens_without_refresh_token_are_invalid() {
    let mut record = new_record();
    let pasted = TokenResponse::from_pasted(Secret::new("A"), None);
    match paste(&mut record, &pasted, &StoredTokens::default()) {
        Err(Failure::Invalid(errors)) => assert_eq!(errors[0].field, "refresh_token"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens_within_a_threshold_are_checked_immediately() {
    let mut record = new_record();
    // 10 of 90 days remain: the complete lifetime is unknown, so 10 days are used.
    let json = r#"{"access_token":"A","refresh_token":"R","refresh_token_expires_in":864000}"#;
    let update = paste(&mut record, &response(json), &StoredTokens::default()).unwrap();
    assert_eq!(update.next_check, Some(START + 3 * DAY));

    let mut record = connected_record(START - 85 * DAY);
    let json = r#"{"access_token":"A","refresh_token":"rotated","expires_in":60}"#;
    let settings = Settings::default();
    let rotated = response(json);
    let update = apply(
        &mut record,
        Grant::Organization,
        ReceivedTokens {
            response: &rotated,
            stored: &stored(),
            source: TokenSource::Refreshed,
            issued: START,
        },
        START,
        &settings,
    )
    .unwrap();
    assert!(update.new_generation);
    assert_eq!(update.next_check, Some(START + MIN_DELAY));
}

#[test]
fn due_check_survives_refresh_with_same_expiry() {
    let mut record = connected_record(START - 60 * DAY);
    let json = r#"{"access_token":"A","refresh_token_expires_in":2592000,"expires_in":60}"#;
    let settings = Settings::default();
    let frozen = response(json);
    let update = apply(
        &mut record,
        Grant::Organization,
        ReceivedTokens {
            response: &frozen,
            stored: &stored(),
            source: TokenSource::Refreshed,
            issued: START,
        },
        START,
        &settings,
    )
    .unwrap();
    assert_eq!(due(&update, "expiry"), None);
    assert_eq!(record.body.connection.refresh.unwrap().at, START + 30 * DAY);
}

#[test]
fn fixtures_belong_to_one_organization() {
    assert!(ACCESS_TOKEN.ends_with(ORGANIZATION));
    assert_eq!(connected_record(START).pkid, PKID);
}

#[test]
fn zero_lifetime_of_the_same_token_keeps_its_expiry() {
    let over = response(r#"{"access_token":"A","expires_in":60,"refresh_token_expires_in":0}"#);
    let end = START + 90 * DAY;
    for now in [end - Millis(500), end, end + Millis(500)] {
        let mut record = connected_record(START);
        let received = ReceivedTokens {
            response: &over,
            stored: &stored(),
            source: TokenSource::Refreshed,
            issued: now,
        };
        let settings = Settings::default();
        apply(&mut record, Grant::Organization, received, now, &settings).unwrap();
        let connection = &record.body.connection;
        let refresh = connection.refresh.unwrap();
        assert_eq!((refresh.at, refresh.assumed), (end, false), "{now:?}");
        assert_eq!(connection.state, State::Expiring, "{now:?}");
        assert!(
            connection.next_refresh.unwrap() <= now + 60 * SECOND,
            "{now:?}"
        );
    }
}
