//! The plain settings of the installation, parsed once per call.
//!
//! A setting that is absent takes its default; one that cannot be understood is the operator's to
//! correct, and the failure names its key. Secrets are not settings: see [`CLIENT_SECRET`].

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use crate::platform::{Environment, Failure, FieldError, Secret, Secrets};

/// The root of Webex's REST API; the token endpoint is below it.
pub const BASE_URL: &str = "webex.base-url";
/// The client id of the integration at Webex; needed only when tokens are requested.
pub const CLIENT_ID: &str = "webex.client-id";
/// The scopes that every connection asks for, separated by spaces.
pub const SCOPES: &str = "webex.scopes";
/// The scopes that a Contact Center customer's connection asks for besides.
pub const CONTACT_CENTER_SCOPES: &str = "webex.scopes.contact-center";
/// The scopes of the grant for a wholesale partner's customers.
pub const WHOLESALE_CUSTOMERS_SCOPES: &str = "webex.scopes.wholesale-customers";
/// The scopes of the grant for the users of a wholesale partner's customers.
pub const WHOLESALE_USERS_SCOPES: &str = "webex.scopes.wholesale-users";
/// The secret setting with the integration's client secret.
pub const CLIENT_SECRET: &str = "webex.client-secret";
/// The longest time between two refreshes, a duration such as `7d`.
pub const REFRESH_PERIOD: &str = "refresh.period";
/// The part of the access token's life after which it is refreshed, above 0 and at most 1.
pub const REFRESH_FRACTION: &str = "refresh.fraction";
/// How much of that time may be taken off, so that customers do not refresh together; 0 to 0.9.
pub const REFRESH_JITTER: &str = "refresh.jitter";
/// Whether alerts tell of an expiry that comes near.
pub const EXPIRY_NOTIFY: &str = "expiry.notify";
/// How long before the refresh token's expiry to tell, durations separated by commas; empty: only
/// the expiry itself is told.
pub const EXPIRY_THRESHOLDS: &str = "expiry.thresholds";
/// The life of an access token of which nobody said it, a duration.
pub const ASSUMED_ACCESS_LIFE: &str = "tokens.assumed-access-life";
/// The life of a refresh token of which nobody said it, a duration.
pub const ASSUMED_REFRESH_LIFE: &str = "tokens.assumed-refresh-life";

const SECOND: u64 = 1_000;
const DAY: u64 = 86_400 * SECOND;

/// A part of a whole, in millionths; never more than the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction(u32);

impl Fraction {
    /// The whole.
    pub const ONE: Self = Self(Self::WHOLE);
    const WHOLE: u32 = 1_000_000;

    /// `millionths` of the whole; more than the whole is the whole.
    pub const fn millionths(millionths: u32) -> Self {
        if millionths > Self::WHOLE {
            Self::ONE
        } else {
            Self(millionths)
        }
    }

    /// Understands a decimal number from 0 to 1, such as `0.5`.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && decimals.is_empty() {
            return None;
        }
        let mut millionths: u64 = 0;
        for digit in whole.chars() {
            millionths = millionths.checked_mul(10)?;
            millionths = millionths.checked_add(u64::from(digit.to_digit(10)?))?;
        }
        millionths = millionths.checked_mul(u64::from(Self::WHOLE))?;
        let mut place = u64::from(Self::WHOLE);
        for digit in decimals.chars() {
            place /= 10;
            millionths = millionths.checked_add(place * u64::from(digit.to_digit(10)?))?;
        }
        let millionths = u32::try_from(millionths).ok()?;
        (millionths <= Self::WHOLE).then_some(Self(millionths))
    }

    /// That part of `span`.
    pub fn of(self, span: u64) -> u64 {
        let part = u128::from(span) * u128::from(self.0) / u128::from(Self::WHOLE);
        u64::try_from(part).unwrap_or(span)
    }

    /// Whether it is nothing at all.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// When access tokens are refreshed. Durations are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// [`REFRESH_PERIOD`].
    pub period: u64,
    /// [`REFRESH_FRACTION`].
    pub fraction: Fraction,
    /// [`REFRESH_JITTER`].
    pub jitter: Fraction,
}

/// The names of the scopes that connections ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes {
    /// [`SCOPES`].
    pub base: Vec<String>,
    /// [`CONTACT_CENTER_SCOPES`].
    pub contact_center: Vec<String>,
    /// [`WHOLESALE_CUSTOMERS_SCOPES`].
    pub wholesale_customers: Vec<String>,
    /// [`WHOLESALE_USERS_SCOPES`].
    pub wholesale_users: Vec<String>,
}

impl Default for Scopes {
    /// What the imports, the Contact Center and the wholesale interfaces need, and the two by
    /// which tokens are looked at and revoked (developer.webex.com, "Integrations", scopes).
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            base: names(&[
                "spark-admin:organizations_read",
                "spark-admin:licenses_read",
                "spark-admin:roles_read",
                "spark-admin:people_read",
                "spark-admin:locations_read",
                "spark-admin:workspaces_read",
                "spark-admin:workspace_locations_read",
                "identity:tokens_read",
                "identity:tokens_write",
            ]),
            contact_center: names(&["cjp:config_read", "cjp:config_write"]),
            wholesale_customers: names(&[
                "spark-admin:wholesale_customers_read",
                "spark-admin:wholesale_customers_write",
            ]),
            wholesale_users: names(&[
                "spark-admin:wholesale_subscribers_read",
                "spark-admin:wholesale_subscribers_write",
            ]),
        }
    }
}

/// The installation's plain settings. Durations are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// [`BASE_URL`], without a slash at its end.
    pub base_url: String,
    /// [`CLIENT_ID`].
    pub client_id: Option<String>,
    /// What connections ask for.
    pub scopes: Scopes,
    /// When access tokens are refreshed.
    pub refresh: RefreshPolicy,
    /// [`EXPIRY_NOTIFY`].
    pub notify: bool,
    /// [`EXPIRY_THRESHOLDS`], the longest first, none twice; empty: none are wanted.
    pub thresholds: Vec<u64>,
    /// [`ASSUMED_ACCESS_LIFE`].
    pub assumed_access_life: u64,
    /// [`ASSUMED_REFRESH_LIFE`].
    pub assumed_refresh_life: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://webexapis.com/v1".to_owned(),
            client_id: None,
            scopes: Scopes::default(),
            refresh: RefreshPolicy {
                period: 7 * DAY,
                fraction: Fraction::millionths(500_000),
                jitter: Fraction::millionths(100_000),
            },
            notify: true,
            thresholds: vec![30 * DAY, 14 * DAY, 7 * DAY, 2 * DAY],
            assumed_access_life: 14 * DAY,
            assumed_refresh_life: 90 * DAY,
        }
    }
}

impl Settings {
    /// Reads the settings of the call.
    ///
    /// # Errors
    /// `internal`, naming each key and what it may hold, when values cannot be understood.
    pub fn load(environment: &(impl Environment + ?Sized)) -> Result<Self, Failure> {
        Self::from_pairs(environment.settings()?).map_err(|faults| {
            let told = faults.into_iter().map(|FieldError { field, message }| {
                format!("the setting `{field}` cannot be used: {message}")
            });
            let told: Vec<String> = told.collect();
            Failure::Internal(format!("{}; correct the configuration", told.join("; ")))
        })
    }

    /// Checks the settings of the call as [`Settings::load`] does.
    ///
    /// # Errors
    /// `invalid` with every value that cannot be understood, by its key.
    pub fn check(environment: &(impl Environment + ?Sized)) -> Result<(), Failure> {
        match Self::from_pairs(environment.settings()?) {
            Ok(_) => Ok(()),
            Err(faults) => Err(Failure::Invalid(faults)),
        }
    }

    /// Understands settings given as keys and values; unknown keys are somebody else's.
    ///
    /// # Errors
    /// Every value that cannot be understood, by its key, with what the setting may hold.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut given = Given::new(pairs);
        let default = Self::default();
        let above_zero = "a number above 0 and at most 1, such as 0.5";
        let settings = Self {
            base_url: given
                .read(BASE_URL, "an http or https URL", base_url)
                .unwrap_or(default.base_url),
            client_id: given
                .read(
                    CLIENT_ID,
                    "visible ASCII characters without a space, as the integration's page at Webex \
                     shows it",
                    |id| {
                        let is_sound = id.bytes().all(|byte| byte.is_ascii_graphic());
                        is_sound.then(|| id.to_owned())
                    },
                )
                .filter(|id| !id.is_empty()),
            scopes: Scopes {
                base: given.scopes(SCOPES).unwrap_or(default.scopes.base),
                contact_center: given
                    .scopes(CONTACT_CENTER_SCOPES)
                    .unwrap_or(default.scopes.contact_center),
                wholesale_customers: given
                    .scopes(WHOLESALE_CUSTOMERS_SCOPES)
                    .unwrap_or(default.scopes.wholesale_customers),
                wholesale_users: given
                    .scopes(WHOLESALE_USERS_SCOPES)
                    .unwrap_or(default.scopes.wholesale_users),
            },
            refresh: RefreshPolicy {
                period: given
                    .duration(REFRESH_PERIOD)
                    .unwrap_or(default.refresh.period),
                fraction: given
                    .read(REFRESH_FRACTION, above_zero, |text| {
                        Fraction::parse(text).filter(|fraction| !fraction.is_zero())
                    })
                    .unwrap_or(default.refresh.fraction),
                jitter: given
                    .read(REFRESH_JITTER, "a number from 0 to 0.9", |text| {
                        Fraction::parse(text).filter(|fraction| fraction.0 <= 900_000)
                    })
                    .unwrap_or(default.refresh.jitter),
            },
            notify: given
                .read(EXPIRY_NOTIFY, "true or false", |text| text.parse().ok())
                .unwrap_or(default.notify),
            thresholds: given
                .read(
                    EXPIRY_THRESHOLDS,
                    "durations of a second or more separated by commas, such as 30d,14d,7d,2d, \
                     or empty",
                    thresholds,
                )
                .unwrap_or(default.thresholds),
            assumed_access_life: given
                .duration(ASSUMED_ACCESS_LIFE)
                .unwrap_or(default.assumed_access_life),
            assumed_refresh_life: given
                .duration(ASSUMED_REFRESH_LIFE)
                .unwrap_or(default.assumed_refresh_life),
        };
        if given.faults.is_empty() {
            Ok(settings)
        } else {
            Err(given.faults)
        }
    }
}

/// The values given for settings, and the faults found in them so far.
struct Given {
    values: BTreeMap<String, String>,
    faults: Vec<FieldError>,
}

impl Given {
    fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let trimmed = pairs
            .into_iter()
            .map(|(key, value)| (key, value.trim().to_owned()));
        Self {
            values: trimmed.collect(),
            faults: Vec::new(),
        }
    }

    /// Reads the value of `key`, if there is one; one that cannot be understood is a fault.
    fn read<T>(
        &mut self,
        key: &str,
        expected: &str,
        understand: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let understood = understand(self.values.get(key)?);
        if understood.is_none() {
            let fault = FieldError::new(key, format!("must be {expected}"));
            self.faults.push(fault);
        }
        understood
    }

    // No scope at all is possible only where they come in addition: without any, Webex refuses.
    fn scopes(&mut self, key: &str) -> Option<Vec<String>> {
        let expected = if key == CONTACT_CENTER_SCOPES {
            "names of scopes separated by spaces, such as cjp:config_read, or empty"
        } else {
            "one or more names of scopes separated by spaces, such as spark-admin:people_read"
        };
        self.read(key, expected, |text| {
            let names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            // RFC 6749, section 3.3.
            let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            let sound = names.iter().all(|name| name.bytes().all(allowed));
            let enough = key == CONTACT_CENTER_SCOPES || !names.is_empty();
            (sound && enough).then_some(names)
        })
    }

    fn duration(&mut self, key: &str) -> Option<u64> {
        let expected = "a duration of a second or more, such as 7d or 12h";
        self.read(key, expected, |text| {
            humantime::parse_duration(text).ok().and_then(milliseconds)
        })
    }
}

/// What the integration is known by at Webex.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: Secret,
}

impl ClientCredentials {
    /// Reads the client's id from `settings` and its secret from the platform; `Ok(Err(key))`
    /// names the setting that is missing.
    ///
    /// # Errors
    /// Those of revealing the secret.
    pub fn reveal(
        settings: &Settings,
        secrets: &(impl Secrets + ?Sized),
    ) -> Result<Result<Self, &'static str>, Failure> {
        let Some(id) = settings.client_id.clone() else {
            return Ok(Err(CLIENT_ID));
        };
        Ok(match secrets.reveal_setting(CLIENT_SECRET)? {
            Some(secret) if !secret.expose().is_empty() => Ok(Self { id, secret }),
            _ => Err(CLIENT_SECRET),
        })
    }
}

fn milliseconds(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_millis())
        .ok()
        .filter(|milliseconds| *milliseconds >= SECOND)
}

fn thresholds(text: &str) -> Option<Vec<u64>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut thresholds = text
        .split(',')
        .map(|each| {
            humantime::parse_duration(each.trim())
                .ok()
                .and_then(milliseconds)
        })
        .collect::<Option<Vec<u64>>>()?;
    thresholds.sort_unstable_by(|a, b| b.cmp(a));
    thresholds.dedup();
    Some(thresholds)
}

fn base_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then(|| url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
