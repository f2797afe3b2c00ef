//! Gives the access token of a grant to another workflow of the platform.

use crate::grant::Grant;
use crate::model::derived;
use crate::platform::{Failure, FieldError, Level, Millis, Platform};
use crate::record::{Record, State};
use crate::reports::{AccessTokenReport, ConnectionReport};
use crate::workflows::refresh::refresh;

/// Returns the access token of `grant` of `pkid`, which is valid for at least `min_valid`. A token that is not is
/// refreshed first.
///
/// # Errors
/// - `invalid` (`min-valid-ms`) when a fresh token is not valid for that long; or a grant that the record does not have
/// - `reauthorize` when there are no tokens, or Webex refuses them
/// - errors of the refresh; `not-found`, `conflict`, `unavailable`
pub fn access_token(
    platform: &dyn Platform,
    pkid: &str,
    grant: Grant,
    min_valid: Millis,
) -> Result<AccessTokenReport, Failure> {
    let mut record = Record::load(platform, pkid)?;
    record.require_grant(grant)?;
    require_usable(&record, grant)?;
    if remaining(platform, &record, grant) < min_valid {
        refresh(platform, pkid, grant, platform.now())?.require_tokens()?;
        record = Record::load(platform, pkid)?;
        let left = remaining(platform, &record, grant);
        if left < min_valid {
            let hours = left.0 / Millis::from_hours(1).0;
            let message = format!(
                "Webex's tokens for {} are not valid for that long: a fresh one has {} d {} h left",
                record.display_name(grant),
                hours / 24,
                hours % 24
            );
            return Err(Failure::Invalid(vec![FieldError::new(
                "min-valid-ms",
                message,
            )]));
        }
    }
    let token = platform.reveal(&record.reference(), grant.access_token())?;
    let Some(token) = token else {
        return Err(Failure::Reauthorize(format!(
            "{} has no access token: connect this customer to Webex",
            record.display_name(grant)
        )));
    };
    let text = format!(
        "gave the access token of {} to the caller",
        record.display_name(grant)
    );
    platform.log(Level::Info, &text);
    let state = record.grant_state(grant);
    Ok(AccessTokenReport {
        token: token.expose().to_owned(),
        expires: state.access.map(Into::into),
        connection: ConnectionReport::from_record(&record),
    })
}

/// Requires that the tokens of `grant` are neither refused nor expired, so that a refresh can help.
///
/// # Errors
/// `reauthorize`, with the reason.
pub(super) fn require_usable(record: &Record, grant: Grant) -> Result<(), Failure> {
    let state = record.grant_state(grant);
    match state.state {
        State::Reauthorize | State::Expired => Err(Failure::Reauthorize(format!(
            "{} has no valid access token: {}",
            record.display_name(grant),
            derived::note(state)
        ))),
        _ => Ok(()),
    }
}

/// Returns for how long the access token is still valid.
fn remaining(platform: &dyn Platform, record: &Record, grant: Grant) -> Millis {
    let access = record.grant_state(grant).access;
    access.map_or(Millis::ZERO, |access| access.at - platform.now())
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::platform::Environment;
    use crate::testing::{
        ACCESS_TOKEN, DAY, HOUR, MemoryPlatform, PKID, REFRESH_TOKEN, json_response,
    };

    const NEW_TOKEN: &str = "bmV3X3Rva2Vu_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";

    fn expect_refresh(platform: &MemoryPlatform, lifetime: Millis) {
        let response = json!({
            "access_token": NEW_TOKEN, "expires_in": lifetime.0 / 1_000,
            "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000,
        });
        platform.expect(Method::POST, "/access_token", json_response(200, response));
    }

    fn token(platform: &MemoryPlatform, min_valid: Millis) -> Result<String, Failure> {
        let report = access_token(platform, PKID, Grant::Organization, min_valid)?;
        assert!(report.expires.unwrap().at >= (platform.now() + min_valid).0);
        Ok(report.token)
    }

    #[test]
    fn long_lived_token_is_returned_without_a_request() {
        let platform = MemoryPlatform::connected().unwrap();
        assert_eq!(token(&platform, 13 * DAY).unwrap(), ACCESS_TOKEN);
        assert!(platform.sent().is_empty());
        assert!(!platform.visible_output().contains(ACCESS_TOKEN));
    }

    #[test]
    fn token_near_its_end_is_refreshed_first() {
        let platform = MemoryPlatform::connected().unwrap();
        platform.advance(14 * DAY - HOUR);
        expect_refresh(&platform, 14 * DAY);
        assert_eq!(token(&platform, 2 * HOUR).unwrap(), NEW_TOKEN);
        assert_eq!(token(&platform, 2 * HOUR).unwrap(), NEW_TOKEN);
        assert_eq!(platform.sent().len(), 1);
    }

    #[test]
    fn longer_than_any_token_lives_is_invalid() {
        let platform = MemoryPlatform::connected().unwrap();
        expect_refresh(&platform, 12 * HOUR);
        match token(&platform, 20 * DAY).unwrap_err() {
            Failure::Invalid(errors) => {
                assert_eq!(errors[0].field, "min-valid-ms");
                assert!(
                    errors[0].message.contains("0 d 12 h"),
                    "{}",
                    errors[0].message
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn failed_refresh_gives_no_token() {
        let platform = MemoryPlatform::connected().unwrap();
        platform.advance(14 * DAY);
        let refused = json_response(400, json!({"error": "invalid_grant"}));
        platform.expect(Method::POST, "/access_token", refused);
        for _ in 0..2 {
            let refused = token(&platform, HOUR);
            assert!(matches!(refused, Err(Failure::Reauthorize(_))));
        }
        assert_eq!(platform.sent().len(), 1);
    }
}
