//! The configuration: a TOML file, and the defaults.
//!
//! Settings for the plugin are passed on only if the file gives them, so that each default is defined in one
//! place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use relation_host::Retention;
use relation_host::limits::{Limit, LimitUnit, LimitValue, Limits};
use relation_host::text::{self, TextError};
use relation_toml::{DeValue, ParseError, ParseErrors, Source, Table, ValueError};
use sha2::{Digest as _, Sha256};

use crate::StoreUrl;

mod component;
mod dispatch;
mod key;
mod metrics;
mod notices;
mod oidc;
mod redirect;
mod setting_sources;
mod stash;
mod template;
mod temporal;
mod traces;
mod values;
mod web;

pub use self::component::CacheLocation;
pub use self::dispatch::{Dispatch, DispatchEngine};
pub use self::key::KeySource;
pub use self::metrics::MetricsConfig;
pub use self::notices::{MailConfig, NoticesConfig, SnmpConfig};
pub use self::oidc::{OidcConfig, OidcGrant, OidcSecret};
pub use self::redirect::RedirectAddress;
pub use self::setting_sources::SettingSources;
pub use self::template::{DEFAULT_BASE_URL, DEFAULT_REDIRECT, NewConfig};
pub use self::temporal::TemporalConfig;
pub use self::traces::{DEFAULT_SAMPLE, TracesConfig};
pub use self::values::{LogFormat, check_base_url, check_client_id};
use self::values::{
    format_duration, parse_base_url, parse_client_id, parse_duration, parse_flag, parse_fraction,
    parse_list, parse_path, parse_positive, parse_proxies, parse_size, parse_targets, parse_text,
    parse_texts,
};
pub use self::web::{TlsFiles, WebConfig};

/// The configuration file that is read if it exists and no other file is named.
pub const DEFAULT_FILE: &str = "relation.toml";

/// Everything that an operator can configure.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file that was read; `None` for the defaults.
    pub file: Option<PathBuf>,
    /// The first digits of the SHA-256 of the file, by which hosts that should have equal files are compared.
    pub hash: Option<String>,
    /// The store.
    pub store: StoreUrl,
    /// The source of the key-encryption key.
    pub key: KeySource,
    /// The directory of the stash; by default, beside the store.
    pub stash: Option<PathBuf>,
    /// The disk space that the stash reserves, in bytes.
    pub stash_reserve: u64,
    /// How long transactions are kept.
    pub retention: Retention,
    /// The cache of compiled components.
    pub component_cache: CacheLocation,
    /// The plugin's settings, by the plugin's names for them.
    pub settings: BTreeMap<String, String>,
    /// The keys and lines that gave the plugin's settings.
    pub setting_sources: SettingSources,
    /// The file that holds the client secret of the Webex integration, and nothing else.
    pub client_secret_file: Option<PathBuf>,
    /// The redirect address, as registered for the integration at Webex.
    pub redirect: Option<RedirectAddress>,
    /// The servers that may be reached.
    pub egress: Egress,
    /// The limits of one call.
    pub limits: Limits,
    /// How due wakeups are run.
    pub dispatch: Dispatch,
    /// The Temporal server, if it runs the plugin's wakeups.
    pub temporal: TemporalConfig,
    /// How the API and the page are served.
    pub web: WebConfig,
    /// The ways by which notices may be sent.
    pub notices: NoticesConfig,
    /// Where metrics and health are shown.
    pub metrics: MetricsConfig,
    /// Where traces are sent.
    pub traces: TracesConfig,
    /// The log format.
    pub log_format: LogFormat,
}

/// The servers that may be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Allowed origins (`https://webexapis.com`). If empty, no server may be reached.
    pub allow: Vec<String>,
    /// Origins of the proxies that customers may name (`http://proxy.example.com:3128`). If empty, every
    /// proxy with a public address is allowed.
    pub proxies: Vec<String>,
    /// A PEM file of certificate authorities to trust in addition to the system's.
    pub extra_ca: Option<PathBuf>,
}

/// An error of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not UTF-8.
    #[error("cannot read the configuration: the file {} {found}", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The detected encoding.
        found: TextError,
    },
    /// The file has invalid settings.
    #[error("the configuration {} is wrong:{}", path.display(), ErrorList(errors))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All errors, in the order of their lines.
        errors: Vec<SettingError>,
    },
}

/// An error in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The line, counted from 1. `None` if the file does not give the key.
    pub line: Option<usize>,
    /// The key with its section, such as `limits.memory`. Empty if the text is not TOML.
    pub key: String,
    /// The error and the expected value.
    pub message: String,
}

/// The text of the line is left out, because it may contain a secret.
impl From<ParseError> for SettingError {
    fn from(error: ParseError) -> Self {
        Self {
            line: Some(error.position.line),
            key: error.key,
            message: match error.hint {
                Some(hint) => format!("{}; {hint}", error.message),
                None => error.message,
            },
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match self.key.as_str() {
            "" => f.write_str(&self.message),
            key => write!(f, "{key}: {}", self.message),
        }
    }
}

struct ErrorList<'a>(&'a [SettingError]);

impl fmt::Display for ErrorList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

/// Returns the nearest directory above the working directory that has a [`DEFAULT_FILE`].
pub fn find_installation_above() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let mut above = here.ancestors().skip(1);
    let found = above.find(|directory| directory.join(DEFAULT_FILE).is_file())?;
    Some(found.to_owned())
}

/// Returns the first digits of the SHA-256 of a text.
fn hash(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text));
    digits.truncate(16);
    digits
}

impl Config {
    /// Loads `file`. Without it, loads `relation.toml` of the working directory, or the defaults if that file
    /// does not exist.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = match file {
            Some(file) => file,
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => return Ok(Self::without_file(Path::new(""))),
        };
        let bytes = std::fs::read(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let text = text::decode(&bytes).map_err(|found| ConfigError::Encoding {
            path: path.to_owned(),
            found,
        })?;
        Self::parse_file(path, text)
    }

    fn parse_file(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let parsed = Self::parse(&Source::new(path, text));
        let mut config = parsed.map_err(|errors| ConfigError::Invalid {
            path: path.to_owned(),
            errors,
        })?;
        config.file = Some(path.to_owned());
        config.hash = Some(hash(text));
        config.setting_sources.set_file(path);
        Ok(config)
    }

    /// Returns the defaults, with files in `directory`. The defaults allow no egress.
    pub fn without_file(directory: &Path) -> Self {
        Self {
            file: None,
            hash: None,
            store: StoreUrl::sqlite(directory.join("relation.db")),
            key: KeySource::File(directory.join("relation.key")),
            stash: None,
            stash_reserve: stash::DEFAULT_RESERVE,
            retention: Retention::default(),
            component_cache: CacheLocation::default(),
            settings: BTreeMap::new(),
            setting_sources: SettingSources::default(),
            client_secret_file: None,
            redirect: None,
            egress: Egress::default(),
            limits: Limits::default(),
            dispatch: Dispatch::default(),
            temporal: TemporalConfig::default(),
            web: WebConfig::default(),
            notices: NoticesConfig::default(),
            metrics: MetricsConfig::default(),
            traces: TracesConfig::default(),
            log_format: LogFormat::default(),
        }
    }

    /// Returns the directory of the stash; by default, beside the store, or beside the configuration if the store is a
    /// database.
    pub fn stash_directory(&self) -> PathBuf {
        if let Some(directory) = &self.stash {
            return directory.clone();
        }
        // A store in a database has no file: beside the configuration.
        let configured = self.file.as_deref().and_then(Path::parent);
        let beside = match self.store.file() {
            Some(file) => file.to_owned(),
            None => configured.unwrap_or(Path::new("")).join("relation"),
        };
        let mut directory = beside.into_os_string();
        directory.push("-stash");
        directory.into()
    }

    /// Parses the text of a file. Paths in it are relative to the file's directory.
    fn parse(source: &Source) -> Result<Self, Vec<SettingError>> {
        let directory = source.path().parent().unwrap_or(Path::new(""));
        let parsed = source.read(|reader, top| {
            let mut config = Self::without_file(directory);
            config.read(
                reader.undeclared_table(top, "the configuration")?,
                directory,
            );
            Some(config)
        });
        parsed.map_err(|ParseErrors(errors)| errors.into_iter().map(Into::into).collect())
    }

    fn read(&mut self, mut top: Table<'_, '_>, directory: &Path) {
        if let Some(store) = top.get("store", |value| {
            Ok(StoreUrl::parse(&parse_text(value)?, directory)?)
        }) {
            self.store = store;
        }
        if let Some(key) = KeySource::read(&mut top, directory) {
            self.key = key;
        }
        self.stash = top.get("stash", |value| parse_path(value, directory));
        if let Some(reserve) = top.get("stash-reserve", stash::parse_reserve) {
            self.stash_reserve = reserve;
        }
        if let Some(mut table) = top.undeclared_table("component") {
            if let Some(cache) = table.get("cache", |value| CacheLocation::parse(value, directory))
            {
                self.component_cache = cache;
            }
            table.close();
        }
        if let Some(table) = top.undeclared_table("webex") {
            self.read_webex(table, directory);
        }
        if let Some(mut table) = top.undeclared_table("connect") {
            self.redirect = table.get("redirect", |value| {
                let text = parse_text(value)?;
                Ok(RedirectAddress::parse(&text).map_err(|error| format!("{text:?} {error}"))?)
            });
            self.set_duration(&mut table, "lifetime", "connect.lifetime");
            table.close();
        }
        if let Some(mut table) = top.undeclared_table("egress") {
            self.egress = Egress {
                allow: table.get("allow", parse_targets).unwrap_or_default(),
                proxies: table.get("proxies", parse_proxies).unwrap_or_default(),
                extra_ca: table.get("extra-ca", |value| parse_path(value, directory)),
            };
            table.close();
        }
        if let Some(table) = top.undeclared_table("limits") {
            self.read_limits(table);
        }
        if let Some(mut table) = top.undeclared_table("transactions") {
            if let Some(keep) = table.get("keep", parse_duration) {
                self.retention.succeeded = keep;
            }
            if let Some(keep) = table.get("keep-failures", parse_duration) {
                self.retention.failed = keep;
            }
            table.close();
        }
        if let Some(mut table) = top.undeclared_table("expiry") {
            self.set(&mut table, "thresholds", "expiry.thresholds", |value| {
                let durations = parse_list(value, "a list of durations", parse_duration)?;
                let durations: Vec<_> = durations.into_iter().map(format_duration).collect();
                Ok(durations.join(","))
            });
            self.set(&mut table, "notify", "expiry.notify", |value| {
                Ok(parse_flag(value)?.to_string())
            });
            table.close();
        }
        if let Some(mut table) = top.undeclared_table("refresh") {
            self.set_duration(&mut table, "period", "refresh.period");
            self.set_duration(&mut table, "failing-after", "refresh.failing-after");
            for (key, setting) in [
                ("fraction", "refresh.fraction"),
                ("jitter", "refresh.jitter"),
            ] {
                self.set(&mut table, key, setting, |value| {
                    Ok(parse_fraction(value)?.to_string())
                });
            }
            table.close();
        }
        if let Some(mut table) = top.undeclared_table("tokens") {
            for (key, setting) in [
                ("assumed-access-lifetime", "tokens.assumed-access-lifetime"),
                (
                    "assumed-refresh-lifetime",
                    "tokens.assumed-refresh-lifetime",
                ),
            ] {
                self.set_duration(&mut table, key, setting);
            }
            table.close();
        }
        if let Some(table) = top.undeclared_table("dispatch") {
            self.dispatch.read(table);
        }
        if let Some(table) = top.undeclared_table("temporal") {
            self.temporal.read(table, directory);
        }
        if let Some(table) = top.undeclared_table("web") {
            self.web.read(table, directory);
        }
        if let Some(table) = top.undeclared_table("notices") {
            self.notices.read(table, directory);
        }
        if let Some(table) = top.undeclared_table("metrics") {
            self.metrics.read(table, directory);
        }
        if let Some(table) = top.undeclared_table("traces") {
            self.traces.read(table, directory);
        }
        if let Some(mut table) = top.undeclared_table("log") {
            if let Some(format) = table.get("format", LogFormat::parse) {
                self.log_format = format;
            }
            table.close();
        }
        top.close();
    }

    fn read_webex(&mut self, mut table: Table<'_, '_>, directory: &Path) {
        self.set(&mut table, "base-url", "webex.base-url", parse_base_url);
        self.set(&mut table, "client-id", "webex.client-id", parse_client_id);
        for (key, setting) in [
            ("scopes", "webex.scopes"),
            ("contact-center-scopes", "webex.contact-center-scopes"),
            ("contact-center-urls", "webex.contact-center-urls"),
            (
                "wholesale-customers-scopes",
                "webex.wholesale-customers-scopes",
            ),
            ("wholesale-users-scopes", "webex.wholesale-users-scopes"),
        ] {
            self.set(&mut table, key, setting, |value| {
                Ok(parse_texts(value)?.join(" "))
            });
        }
        self.client_secret_file =
            table.get("client-secret-file", |value| parse_path(value, directory));
        table.close();
    }

    fn read_limits(&mut self, mut table: Table<'_, '_>) {
        let limits = &mut self.limits;
        let times = table.span_of("time").or(table.span_of("request-time"));
        for limit in Limit::ALL {
            table.get(limit.name(), |value| {
                let value = match limit.unit() {
                    LimitUnit::Bytes => LimitValue::Bytes(parse_size(value)?),
                    LimitUnit::Count => LimitValue::Count(parse_positive(value)?),
                    LimitUnit::Time => LimitValue::Time(parse_duration(value)?),
                };
                match limits.set(*limit, value) {
                    true => Ok(()),
                    false => Err("is too large".into()),
                }
            });
        }
        if let Some(span) = times
            && limits.time < limits.request_time
        {
            let message = format!(
                "a call of {} is shorter than a request of {} (limits.request-time), so a late \
                 response would be lost; raise limits.time or lower limits.request-time",
                humantime::format_duration(limits.time),
                humantime::format_duration(limits.request_time)
            );
            table.reader().report(&span, "limits.time", message);
        }
        table.close();
    }

    fn set_duration(&mut self, table: &mut Table<'_, '_>, key: &'static str, setting: &str) {
        self.set(table, key, setting, |value| {
            parse_duration(value).map(format_duration)
        });
    }

    /// Takes `key` for the plugin's `setting`, if present.
    fn set<'s>(
        &mut self,
        table: &mut Table<'s, '_>,
        key: &'static str,
        setting: &str,
        parse: impl FnOnce(DeValue<'s>) -> Result<String, ValueError>,
    ) {
        let Some(item) = table.take(key) else {
            return;
        };
        let key = item.key.clone();
        let line = table.reader().position(item.span.start).line;
        if let Some(value) = table.reader().parse_item(item, parse) {
            self.settings.insert(setting.to_owned(), value);
            self.setting_sources.record(setting, key, line);
        }
    }
}

#[cfg(test)]
mod tests;
