//! The plain settings of the installation, parsed once per call.
//!
//! An absent setting takes its default. The operator must correct an invalid one; the error names
//! its key. [`SETTINGS`] lists every setting with its format and default:
//! parsing reads both from this table, and `describe` exports it.

mod fraction;

use std::collections::BTreeMap;
use url::Url;

pub use fraction::Fraction;

use crate::model::REGIONS;
use crate::platform::{Environment, Failure, FieldError, Millis, Secret, Secrets};

/// The root of Webex's REST API; the token endpoint is below it.
pub const BASE_URL: &str = "webex.base-url";
/// The client id of the integration at Webex; required only when tokens are requested.
pub const CLIENT_ID: &str = "webex.client-id";
/// The scopes that every connection requests, separated by spaces.
pub const SCOPES: &str = "webex.scopes";
/// The additional scopes that a Contact Center customer's connection requests.
pub const CONTACT_CENTER_SCOPES: &str = "webex.contact-center-scopes";
/// The roots of Contact Center's API by region.
pub const CONTACT_CENTER_URLS: &str = "webex.contact-center-urls";
/// The scopes of the grant for a wholesale partner's customers.
pub const WHOLESALE_CUSTOMERS_SCOPES: &str = "webex.wholesale-customers-scopes";
/// The scopes of the grant for the users of a wholesale partner's customers.
pub const WHOLESALE_USERS_SCOPES: &str = "webex.wholesale-users-scopes";
/// The secret setting with the integration's client secret.
pub const CLIENT_SECRET: &str = "webex.client-secret";
/// The time from the link of a consent to its callback, a duration from a minute to seven days.
pub const CONNECT_LIFETIME: &str = "connect.lifetime";
/// The maximum time between two refreshes, a duration such as `7d`.
pub const REFRESH_PERIOD: &str = "refresh.period";
/// The fraction of the access token's lifetime after which it is refreshed, above 0 and at most 1.
pub const REFRESH_FRACTION: &str = "refresh.fraction";
/// The maximum fraction by which that time is shortened, so that customers do not refresh together;
/// 0 to 0.9.
pub const REFRESH_JITTER: &str = "refresh.jitter";
/// The time for which refreshes fail until an alert is raised, a duration.
pub const REFRESH_FAILING_AFTER: &str = "refresh.failing-after";
/// Whether alerts are raised before an expiry.
pub const EXPIRY_NOTIFY: &str = "expiry.notify";
/// The times before the refresh token's expiry at which alerts are raised, durations separated by
/// commas. Empty: only the expiry itself raises an alert.
pub const EXPIRY_THRESHOLDS: &str = "expiry.thresholds";
/// The lifetime, a duration, of an access token whose lifetime was not reported.
pub const ASSUMED_ACCESS_LIFETIME: &str = "tokens.assumed-access-lifetime";
/// The lifetime, a duration, of a refresh token whose lifetime was not reported.
pub const ASSUMED_REFRESH_LIFETIME: &str = "tokens.assumed-refresh-lifetime";

/// One setting, as parsing and `describe` have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Whether the host keeps its value as a secret.
    pub secret: bool,
    /// The form of its value, as words that follow "must be".
    pub format: &'static str,
    /// The value in effect without one, in the same form; none: there is no value then.
    pub default: Option<&'static str>,
    /// Its purpose, as one sentence for an operator.
    pub help: &'static str,
}

const DURATION: &str = "a duration of a second or more, such as 7d or 12h";
const SOME_SCOPES: &str =
    "one or more names of scopes separated by spaces, such as spark-admin:people_read";

/// Every setting of the plugin, in the order of `docs/contract.md`.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: BASE_URL,
        secret: false,
        format: "an http or https URL",
        default: Some("https://webexapis.com/v1"),
        help: "The root of Webex's REST API; the token endpoint is below it.",
    },
    Setting {
        key: CLIENT_ID,
        secret: false,
        format: "visible ASCII characters without a space, as the integration's page at Webex \
                 shows it",
        default: None,
        help: "The client id of the integration at Webex; needed to request tokens.",
    },
    Setting {
        key: CLIENT_SECRET,
        secret: true,
        format: "one line, as the integration's page at Webex shows it",
        default: None,
        help: "The client secret of the integration at Webex; needed to request tokens.",
    },
    Setting {
        key: SCOPES,
        secret: false,
        format: SOME_SCOPES,
        // The scopes that the imports need, and the two by which tokens are inspected and revoked
        // (developer.webex.com, "Integrations", scopes).
        default: Some(
            "spark-admin:organizations_read spark-admin:licenses_read spark-admin:roles_read \
             spark-admin:people_read spark-admin:locations_read spark-admin:workspaces_read \
             spark-admin:workspace_locations_read identity:groups_read identity:tokens_read \
             identity:tokens_write",
        ),
        help: "The scopes that every connection asks for.",
    },
    Setting {
        key: CONTACT_CENTER_SCOPES,
        secret: false,
        format: "names of scopes separated by spaces, such as cjp:config_read, or empty",
        default: Some("cjp:config_read cjp:config_write"),
        help: "The further scopes that a Contact Center customer's connection asks for.",
    },
    Setting {
        key: CONTACT_CENTER_URLS,
        secret: false,
        format: "regions with their http or https URLs separated by spaces, such as \
                 EU=https://api.wxcc-eu2.cisco.com",
        // developer.webex.com, "Webex Contact Center", data centers.
        default: Some(
            "US=https://api.wxcc-us1.cisco.com ANZ=https://api.wxcc-anz1.cisco.com \
             UK=https://api.wxcc-eu1.cisco.com EU=https://api.wxcc-eu2.cisco.com \
             Japan=https://api.wxcc-jp1.cisco.com Canada=https://api.wxcc-ca1.cisco.com \
             Singapore=https://api.wxcc-sg1.cisco.com",
        ),
        help: "The roots of Contact Center's API; a region that is not named keeps its default.",
    },
    Setting {
        key: WHOLESALE_CUSTOMERS_SCOPES,
        secret: false,
        format: SOME_SCOPES,
        // With the scope by which a partner gets access to a customer's new organization.
        default: Some(
            "spark-admin:wholesale_customers_read spark-admin:wholesale_customers_write \
             identity:organizations_read",
        ),
        help: "The scopes of the grant `wholesale-customers`.",
    },
    Setting {
        key: WHOLESALE_USERS_SCOPES,
        secret: false,
        format: SOME_SCOPES,
        default: Some(
            "spark-admin:wholesale_subscribers_read spark-admin:wholesale_subscribers_write",
        ),
        help: "The scopes of the grant `wholesale-users`.",
    },
    Setting {
        key: CONNECT_LIFETIME,
        secret: false,
        format: "a duration from 1m to 7d, such as 10m",
        default: Some("10m"),
        help: "The time in which a person must consent after `connect`.",
    },
    Setting {
        key: REFRESH_PERIOD,
        secret: false,
        format: DURATION,
        default: Some("7d"),
        help: "The longest time between two refreshes.",
    },
    Setting {
        key: REFRESH_FRACTION,
        secret: false,
        format: "a number above 0 and at most 1, such as 0.5",
        default: Some("0.5"),
        help: "The part of the shorter token lifetime after which a refresh is due, if that is \
               earlier than the period.",
    },
    Setting {
        key: REFRESH_JITTER,
        secret: false,
        format: "a number from 0 to 0.9",
        default: Some("0.1"),
        help: "The part of that time by which customers differ, so that they do not refresh \
               together.",
    },
    Setting {
        key: REFRESH_FAILING_AFTER,
        secret: false,
        format: DURATION,
        default: Some("6h"),
        help: "The time for which the refreshes of a grant fail until an alert is raised.",
    },
    Setting {
        key: EXPIRY_NOTIFY,
        secret: false,
        format: "true or false",
        default: Some("true"),
        help: "Whether alerts are raised before and at the expiry of refresh tokens.",
    },
    Setting {
        key: EXPIRY_THRESHOLDS,
        secret: false,
        format: "durations of a second or more separated by commas, such as 30d,14d,7d,2d, or \
                 empty",
        default: Some("30d,14d,7d,2d"),
        help: "The times before the refresh token's expiry at which an alert is raised; empty: \
               only at the expiry.",
    },
    Setting {
        key: ASSUMED_ACCESS_LIFETIME,
        secret: false,
        format: DURATION,
        default: Some("14d"),
        help: "The lifetime of an access token whose lifetime is unknown.",
    },
    Setting {
        key: ASSUMED_REFRESH_LIFETIME,
        secret: false,
        format: DURATION,
        default: Some("90d"),
        help: "The lifetime of a refresh token whose lifetime is unknown.",
    },
];

/// The settings for refreshing access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// [`REFRESH_PERIOD`].
    pub period: Millis,
    /// [`REFRESH_FRACTION`].
    pub fraction: Fraction,
    /// [`REFRESH_JITTER`].
    pub jitter: Fraction,
    /// [`REFRESH_FAILING_AFTER`].
    pub failing_after: Millis,
}

/// The names of the scopes that connections request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeSettings {
    /// [`SCOPES`].
    pub base: Vec<String>,
    /// [`CONTACT_CENTER_SCOPES`].
    pub contact_center: Vec<String>,
    /// [`WHOLESALE_CUSTOMERS_SCOPES`].
    pub wholesale_customers: Vec<String>,
    /// [`WHOLESALE_USERS_SCOPES`].
    pub wholesale_users: Vec<String>,
}

/// The installation's plain settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// [`BASE_URL`], without a trailing slash.
    pub base_url: String,
    /// [`CLIENT_ID`].
    pub client_id: Option<String>,
    /// The scopes that connections request.
    pub scopes: ScopeSettings,
    /// [`CONTACT_CENTER_URLS`]: the given ones, by region, without a trailing slash.
    pub contact_center_urls: BTreeMap<&'static str, String>,
    /// [`CONNECT_LIFETIME`].
    pub connect_lifetime: Millis,
    /// When access tokens are refreshed.
    pub refresh: RefreshPolicy,
    /// [`EXPIRY_NOTIFY`].
    pub notify: bool,
    /// [`EXPIRY_THRESHOLDS`], the longest first, without duplicates; empty if no alerts are wanted
    /// before the expiry.
    pub thresholds: Vec<Millis>,
    /// [`ASSUMED_ACCESS_LIFETIME`].
    pub assumed_access_lifetime: Millis,
    /// [`ASSUMED_REFRESH_LIFETIME`].
    pub assumed_refresh_lifetime: Millis,
}

impl Default for Settings {
    /// Returns the defaults, which apply without any setting.
    fn default() -> Self {
        Self::parse([]).0
    }
}

impl Settings {
    /// Reads the settings of the call.
    ///
    /// # Errors
    /// `internal` with each invalid key and the values it allows.
    pub fn load(environment: &dyn Environment) -> Result<Self, Failure> {
        Self::from_pairs(environment.settings()?).map_err(|errors| {
            let texts = errors.into_iter().map(|FieldError { field, message }| {
                format!("the setting `{field}` cannot be used: {message}")
            });
            let texts: Vec<String> = texts.collect();
            Failure::Internal(format!("{}; correct the configuration", texts.join("; ")))
        })
    }

    /// Checks the settings of the call as [`Settings::load`] does.
    ///
    /// # Errors
    /// `invalid` with an error for each invalid key.
    pub fn check(environment: &dyn Environment) -> Result<(), Failure> {
        match Self::from_pairs(environment.settings()?) {
            Ok(_) => Ok(()),
            Err(errors) => Err(Failure::Invalid(errors)),
        }
    }

    /// Parses settings from keys and values; ignores unknown keys.
    ///
    /// # Errors
    /// An error for each invalid key, with the values it allows.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<FieldError>> {
        let (settings, errors) = Self::parse(pairs);
        if errors.is_empty() {
            Ok(settings)
        } else {
            Err(errors)
        }
    }

    /// Parses the settings, and finds the values that cannot be used. Their place is taken by the
    /// defaults.
    fn parse(pairs: impl IntoIterator<Item = (String, String)>) -> (Self, Vec<FieldError>) {
        let mut reader = SettingReader::new(pairs);
        let settings = Self {
            base_url: reader.read(BASE_URL, base_url),
            client_id: reader.read(CLIENT_ID, client_id),
            scopes: ScopeSettings {
                base: reader.read(SCOPES, some_scopes),
                contact_center: reader.read(CONTACT_CENTER_SCOPES, scopes),
                wholesale_customers: reader.read(WHOLESALE_CUSTOMERS_SCOPES, some_scopes),
                wholesale_users: reader.read(WHOLESALE_USERS_SCOPES, some_scopes),
            },
            contact_center_urls: reader.read(CONTACT_CENTER_URLS, contact_center_urls),
            connect_lifetime: reader.read(CONNECT_LIFETIME, connect_lifetime),
            refresh: RefreshPolicy {
                period: reader.read(REFRESH_PERIOD, duration),
                fraction: reader.read(REFRESH_FRACTION, |text| {
                    Fraction::parse(text).filter(|fraction| !fraction.is_zero())
                }),
                jitter: reader.read(REFRESH_JITTER, |text| {
                    Fraction::parse(text)
                        .filter(|fraction| *fraction <= Fraction::from_millionths(900_000))
                }),
                failing_after: reader.read(REFRESH_FAILING_AFTER, duration),
            },
            notify: reader.read(EXPIRY_NOTIFY, |text| text.parse().ok()),
            thresholds: reader.read(EXPIRY_THRESHOLDS, thresholds),
            assumed_access_lifetime: reader.read(ASSUMED_ACCESS_LIFETIME, duration),
            assumed_refresh_lifetime: reader.read(ASSUMED_REFRESH_LIFETIME, duration),
        };
        (settings, reader.errors)
    }
}

/// The values of the settings, and the errors found in them so far.
struct SettingReader {
    values: BTreeMap<String, String>,
    errors: Vec<FieldError>,
}

impl SettingReader {
    fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let trimmed = pairs
            .into_iter()
            .map(|(key, value)| (key, value.trim().to_owned()));
        Self {
            values: trimmed.collect(),
            errors: Vec::new(),
        }
    }

    /// Reads the value of `key`, else its default in the table. A value that cannot be parsed is
    /// an error.
    fn read<T: Default>(&mut self, key: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        if let Some(value) = self.values.get(key) {
            if let Some(parsed) = parse(value) {
                return parsed;
            }
            let format = setting.map_or("another value", |setting| setting.format);
            let error = FieldError::new(key, format!("must be {format}"));
            self.errors.push(error);
        }
        setting
            .and_then(|setting| parse(setting.default?))
            .unwrap_or_default()
    }
}

/// The credentials of the integration at Webex.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: Secret,
}

impl ClientCredentials {
    /// Reads the client id from `settings` and reveals the client secret; `Ok(Err(reason))` says what
    /// is missing.
    ///
    /// # Errors
    /// Errors of the store when the secret is revealed.
    pub fn reveal(
        settings: &Settings,
        secrets: &dyn Secrets,
    ) -> Result<Result<Self, &'static str>, Failure> {
        let secret = secrets.reveal_setting(CLIENT_SECRET)?;
        let secret = secret.filter(|secret| !secret.expose().is_empty());
        Ok(match (settings.client_id.clone(), secret) {
            (Some(id), Some(secret)) => Ok(Self { id, secret }),
            (None, Some(_)) => Err("the client id is not configured"),
            (Some(_), None) => Err("the client secret is not configured"),
            (None, None) => Err("client id and client secret are not configured"),
        })
    }
}

/// Parses a duration of at least a second.
fn duration(text: &str) -> Option<Millis> {
    let duration = humantime::parse_duration(text).ok()?;
    let duration = Millis(u64::try_from(duration.as_millis()).ok()?);
    (duration >= Millis::from_seconds(1)).then_some(duration)
}

/// Parses the lifetime of a consent: long enough for a person to log in, and no longer than a week.
fn connect_lifetime(text: &str) -> Option<Millis> {
    let allowed = Millis::from_seconds(60)..=Millis::from_hours(7 * 24);
    duration(text).filter(|lifetime| allowed.contains(lifetime))
}

/// Parses a client id; an empty one is none.
fn client_id(text: &str) -> Option<Option<String>> {
    let sound = text.bytes().all(|byte| byte.is_ascii_graphic());
    sound.then(|| Some(text.to_owned()).filter(|id| !id.is_empty()))
}

fn scopes(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    // RFC 6749, section 3.3.
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let sound = names.iter().all(|name| name.bytes().all(allowed));
    sound.then_some(names)
}

/// Parses scopes. Webex refuses a consent without any scope, except where scopes come in addition.
fn some_scopes(text: &str) -> Option<Vec<String>> {
    scopes(text).filter(|names| !names.is_empty())
}

/// Parses base URLs by region, in addition to the defaults.
fn contact_center_urls(text: &str) -> Option<BTreeMap<&'static str, String>> {
    let default = SETTINGS.iter().find(|each| each.key == CONTACT_CENTER_URLS);
    let default = default.and_then(|setting| setting.default);
    let pairs = default.into_iter().chain([text]);
    pairs
        .flat_map(str::split_whitespace)
        .map(|pair| {
            let (region, url) = pair.split_once('=')?;
            let region = REGIONS.iter().find(|each| each.value == region)?;
            Some((region.value, base_url(url)?))
        })
        .collect()
}

fn thresholds(text: &str) -> Option<Vec<Millis>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut thresholds = text
        .split(',')
        .map(|each| duration(each.trim()))
        .collect::<Option<Vec<Millis>>>()?;
    thresholds.sort_unstable_by(|a, b| b.cmp(a));
    thresholds.dedup();
    Some(thresholds)
}

fn base_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    is_plain.then(|| url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
