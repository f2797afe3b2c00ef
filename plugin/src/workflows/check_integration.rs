//! Checks the installation's integration at Webex: base address, client id and secret, scopes, and the clock.

use crate::platform::{Failure, Millis, Platform, Secret};
use crate::reports::{Finding, FindingLevel};
use crate::settings::{BASE_URL, ClientCredentials, SCOPES, Settings};
use crate::webex::client::{Proxies, Webex};
use crate::webex::directories::{LICENSES, ROLES};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::oauth;

/// The last part of the base address of Webex's API.
const API_VERSION: &str = "/v1";
/// A refresh token that no client has. Webex refuses it only after it has accepted the client.
const UNKNOWN_TOKEN: &str = "relation-check-of-the-client";
/// The maximum difference of the clocks: expiries are measured in days, a consent in minutes.
const MAX_CLOCK_DIFFERENCE: Millis = Millis::from_seconds(5 * 60);
/// Scopes that this release uses, with their use.
const USED_SCOPES: [(&str, &str); 5] = [
    (
        "spark-admin:organizations_read",
        "to check the organization of tokens",
    ),
    (ROLES.scope, "to import roles"),
    (LICENSES.scope, "to import licenses"),
    (
        "identity:tokens_read",
        "to find a connection's authorization when it is deleted",
    ),
    (
        "identity:tokens_write",
        "to revoke tokens when a connection is deleted",
    ),
];

/// Asks Webex about the integration and returns what was found. Sends two requests, which change nothing.
///
/// # Errors
/// `invalid` for unusable settings; `unavailable` when the storage of secrets is.
pub fn check_integration(platform: &dyn Platform) -> Result<Vec<Finding>, Failure> {
    let settings = Settings::load(platform)?;
    let mut findings = vec![check_base_url(&settings), check_scopes(&settings)];
    let client = match ClientCredentials::reveal(&settings, platform)? {
        Ok(client) => client,
        Err(missing) => {
            let message = format!("no tokens can be requested: {missing}");
            let hint = "Webex shows id and secret on the integration's page";
            findings.push(Finding::error("client", message, hint));
            return Ok(findings);
        }
    };
    let webex = Webex::new(platform, &settings, &Proxies::default())?;
    let asked = oauth::refresh(&webex, &client, &Secret::new(UNKNOWN_TOKEN), || None);
    // Only a server that is not Webex has tokens for it.
    let error = asked.err();
    findings.push(check_response(error.as_ref()));
    let has_response = error.is_none_or(|error| error.status.is_some());
    if has_response && let Some(server_time) = webex.fetch_server_time() {
        let now = platform.now();
        let difference = (now - server_time).max(server_time - now);
        findings.push(check_clock(difference, now > server_time));
    }
    Ok(findings)
}

fn check_base_url(settings: &Settings) -> Finding {
    let base_url = settings.base_url.trim_end_matches('/');
    if base_url.ends_with(API_VERSION) {
        return Finding::ok(
            "base-url",
            format!("{base_url} ends with {API_VERSION}, as the address of Webex's API does"),
        );
    }
    Finding::warning(
        "base-url",
        format!("{base_url} does not end with {API_VERSION}, as the address of Webex's API does"),
        format!("check {BASE_URL}; Webex's own is https://webexapis.com/v1"),
    )
}

fn check_scopes(settings: &Settings) -> Finding {
    let scopes = &settings.scopes.base;
    let missing: Vec<String> = USED_SCOPES
        .iter()
        .filter(|(scope, _)| !scopes.iter().any(|each| each == scope))
        .map(|(scope, use_)| format!("{scope} ({use_})"))
        .collect();
    if missing.is_empty() {
        let message = format!("connections ask for {}", scopes.join(" "));
        return Finding::ok("scopes", message);
    }
    Finding::warning(
        "scopes",
        format!("connections do not ask for {}", missing.join(", ")),
        format!("add them to {SCOPES} and to the integration at Webex, then connect again"),
    )
}

fn check_response(error: Option<&WebexError>) -> Finding {
    let Some(error) = error else {
        return Finding::error(
            "client",
            "the server has tokens for a refresh token that nobody has: it is not Webex".to_owned(),
            format!("check {BASE_URL}"),
        );
    };
    match error.kind {
        ErrorKind::Refused => {
            Finding::ok("client", "Webex accepts client id and secret".to_owned())
        }
        ErrorKind::Client => Finding::error(
            "client",
            error.reason(),
            "check webex.client-id and the client secret, and that the integration is enabled at Webex",
        ),
        ErrorKind::Denied | ErrorKind::Limit => Finding::error(
            "egress",
            error.reason(),
            "correct the setting that the finding names",
        ),
        ErrorKind::RateLimited => Finding::error(
            "webex",
            error.reason(),
            "Webex limits the rate, so client id and secret were not checked: check again later",
        ),
        _ if error.status.is_none() => Finding::error(
            "webex",
            error.reason(),
            format!("check {BASE_URL}, the network and the firewall: no response arrived"),
        ),
        ErrorKind::Unavailable | ErrorKind::Malformed if error.is_webex => Finding::error(
            "webex",
            error.reason(),
            "client id and secret were not checked: check again later; if it stays so, ask Webex's support",
        ),
        _ => Finding::error(
            "webex",
            error.reason(),
            format!("check {BASE_URL}: this is not the response of Webex's token endpoint"),
        ),
    }
}

fn check_clock(difference: Millis, ahead: bool) -> Finding {
    let seconds = difference.0 / 1000;
    let direction = if ahead { "ahead of" } else { "behind" };
    if difference <= MAX_CLOCK_DIFFERENCE {
        let message = format!("the clock is {seconds} s {direction} Webex's");
        return Finding::ok("clock", message);
    }
    Finding::error(
        "clock",
        format!(
            "the clock is {} min {direction} Webex's, so expiries and consents are wrong",
            seconds / 60
        ),
        "synchronize the clock, for example by NTP",
    )
}

impl Finding {
    fn ok(check: &str, message: String) -> Self {
        Self::new(check, FindingLevel::Ok, message, String::new())
    }

    fn warning(check: &str, message: String, hint: impl Into<String>) -> Self {
        Self::new(check, FindingLevel::Warning, message, hint.into())
    }

    fn error(check: &str, message: String, hint: impl Into<String>) -> Self {
        Self::new(check, FindingLevel::Error, message, hint.into())
    }

    fn new(check: &str, level: FindingLevel, message: String, hint: String) -> Self {
        Self {
            check: check.to_owned(),
            level,
            message,
            hint,
        }
    }
}

#[cfg(test)]
#[path = "check_integration_tests.rs"]
mod tests;
