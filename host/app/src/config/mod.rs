//! The configuration: a TOML file, and the defaults.
//!
//! Settings for the plugin are passed on only if the file gives them, so that each default is defined in one
//! place.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use relation_host::Retention;
use relation_host::limits::{Limit, Limits};
use relation_host::text::{self, NotUtf8};

use crate::StoreUrl;

mod component;
mod key;
mod reader;
mod redirect;
mod setting_sources;
mod stash;
mod values;

pub use self::component::CacheLocation;
pub use self::key::KeySource;
pub use self::reader::SettingError;
use self::reader::{Reader, Section};
pub use self::redirect::RedirectAddress;
pub use self::setting_sources::SettingSources;
pub use self::values::LogFormat;

/// The configuration file that is read if it exists and no other file is named.
pub const DEFAULT_FILE: &str = "relation.toml";

/// Everything that an operator can configure.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
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

/// How due wakeups are run. Fields that are `None` take the library's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// The maximum number of concurrent workflows.
    pub concurrency: Option<usize>,
    /// The maximum time between two reads of the store.
    pub poll: Option<Duration>,
    /// The maximum number of scheduled refreshes that begin per second.
    pub refresh_rate: Option<NonZeroU32>,
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
        found: NotUtf8,
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

struct ErrorList<'a>(&'a [SettingError]);

impl fmt::Display for ErrorList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
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
        let directory = path.parent().unwrap_or(Path::new(""));
        let parsed = Self::parse(text, directory);
        let mut config = parsed.map_err(|errors| ConfigError::Invalid {
            path: path.to_owned(),
            errors,
        })?;
        config.setting_sources.set_file(path);
        Ok(config)
    }

    /// Returns the defaults, with files in `directory`. The defaults allow no egress.
    pub fn without_file(directory: &Path) -> Self {
        Self {
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
            log_format: LogFormat::default(),
        }
    }

    /// Returns the directory of the stash; by default, beside the store.
    pub fn stash_directory(&self) -> PathBuf {
        if let Some(directory) = &self.stash {
            return directory.clone();
        }
        let beside = self.store.file().unwrap_or(Path::new("relation"));
        let mut directory = beside.as_os_str().to_owned();
        directory.push("-stash");
        directory.into()
    }

    /// Parses `text`. Paths in it are relative to `directory`.
    fn parse(text: &str, directory: &Path) -> Result<Self, Vec<SettingError>> {
        let mut config = Self::without_file(directory);
        let (mut top, mut reader) = Reader::open(text)?;
        if let Some(store) = top.url(&mut reader, "store", directory) {
            config.store = store;
        }
        if let Some(key) = KeySource::read(&mut top, &mut reader, directory) {
            config.key = key;
        }
        config.stash = top.path(&mut reader, "stash", directory);
        if let Some(reserve) = top.reserve(&mut reader, "stash-reserve") {
            config.stash_reserve = reserve;
        }
        if let Some(mut section) = top.section(&mut reader, "component") {
            if let Some(cache) = section.cache_location(&mut reader, "cache", directory) {
                config.component_cache = cache;
            }
            section.close(&mut reader);
        }
        if let Some(section) = top.section(&mut reader, "webex") {
            config.read_webex(section, &mut reader, directory);
        }
        if let Some(mut section) = top.section(&mut reader, "connect") {
            config.redirect = section.redirect(&mut reader, "redirect");
            section.close(&mut reader);
        }
        if let Some(section) = top.section(&mut reader, "egress") {
            config.read_egress(section, &mut reader, directory);
        }
        if let Some(section) = top.section(&mut reader, "limits") {
            config.read_limits(section, &mut reader);
        }
        if let Some(mut section) = top.section(&mut reader, "transactions") {
            if let Some(keep) = section.duration(&mut reader, "keep") {
                config.retention.succeeded = keep;
            }
            if let Some(keep) = section.duration(&mut reader, "keep-failures") {
                config.retention.failed = keep;
            }
            section.close(&mut reader);
        }
        if let Some(section) = top.section(&mut reader, "expiry") {
            config.read_expiry(section, &mut reader);
        }
        if let Some(section) = top.section(&mut reader, "refresh") {
            config.read_refresh(section, &mut reader);
        }
        if let Some(section) = top.section(&mut reader, "tokens") {
            config.read_tokens(section, &mut reader);
        }
        if let Some(mut section) = top.section(&mut reader, "dispatch") {
            config.dispatch.concurrency = section.count(&mut reader, "concurrency");
            config.dispatch.poll = section.duration(&mut reader, "poll");
            config.dispatch.refresh_rate = section.count(&mut reader, "refresh-rate");
            section.close(&mut reader);
        }
        if let Some(mut section) = top.section(&mut reader, "log") {
            if let Some(format) = section.log_format(&mut reader, "format") {
                config.log_format = format;
            }
            section.close(&mut reader);
        }
        top.close(&mut reader);
        reader.finish()?;
        Ok(config)
    }

    fn read_webex(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>, directory: &Path) {
        let base_url = section.base_url(reader, "base-url");
        self.set(reader, "webex.base-url", "webex.base-url", base_url);
        let client_id = section.text(reader, "client-id");
        self.set(reader, "webex.client-id", "webex.client-id", client_id);
        for (key, setting) in [
            ("scopes", "webex.scopes"),
            ("contact-center-scopes", "webex.scopes.contact-center"),
            (
                "wholesale-customers-scopes",
                "webex.scopes.wholesale-customers",
            ),
            ("wholesale-users-scopes", "webex.scopes.wholesale-users"),
        ] {
            let scopes = section.texts(reader, key);
            let scopes = scopes.map(|scopes| scopes.join(" "));
            self.set(reader, &format!("webex.{key}"), setting, scopes);
        }
        self.client_secret_file = section.path(reader, "client-secret-file", directory);
        section.close(reader);
    }

    fn read_egress(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>, directory: &Path) {
        self.egress = Egress {
            allow: section.targets(reader, "allow").unwrap_or_default(),
            proxies: section.proxies(reader, "proxies").unwrap_or_default(),
            extra_ca: section.path(reader, "extra-ca", directory),
        };
        section.close(reader);
    }

    fn read_limits(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>) {
        let limits = &mut self.limits;
        let times = section.span_of("time").or(section.span_of("request-time"));
        for limit in Limit::ALL {
            section.limit(reader, *limit, limits);
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
            reader.add_error(span, "limits.time".to_owned(), message);
        }
        section.close(reader);
    }

    fn read_expiry(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>) {
        let thresholds = section.durations(reader, "thresholds");
        let thresholds = thresholds.map(|list| {
            let each: Vec<String> = list.into_iter().map(values::format_duration).collect();
            each.join(",")
        });
        self.set(reader, "expiry.thresholds", "expiry.thresholds", thresholds);
        let notify = section.flag(reader, "notify");
        let notify = notify.map(|notify| notify.to_string());
        self.set(reader, "expiry.notify", "expiry.notify", notify);
        section.close(reader);
    }

    fn read_refresh(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>) {
        let period = section.duration(reader, "period");
        let period = period.map(values::format_duration);
        self.set(reader, "refresh.period", "refresh.period", period);
        for (key, setting) in [
            ("fraction", "refresh.fraction"),
            ("jitter", "refresh.jitter"),
        ] {
            let fraction = section.fraction(reader, key);
            let fraction = fraction.map(|fraction| fraction.to_string());
            self.set(reader, setting, setting, fraction);
        }
        section.close(reader);
    }

    fn read_tokens(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>) {
        for (key, setting) in [
            ("assumed-access-lifetime", "tokens.assumed-access-lifetime"),
            (
                "assumed-refresh-lifetime",
                "tokens.assumed-refresh-lifetime",
            ),
        ] {
            let lifetime = section.duration(reader, key);
            self.set(
                reader,
                setting,
                setting,
                lifetime.map(values::format_duration),
            );
        }
        section.close(reader);
    }

    /// Stores the plugin's `setting` that the file gave by `key`.
    fn set(&mut self, reader: &Reader<'_>, key: &str, setting: &str, value: Option<String>) {
        let Some(value) = value else {
            return;
        };
        self.settings.insert(setting.to_owned(), value);
        if let Some(line) = reader.line_of(key) {
            self.setting_sources.record(setting, key.to_owned(), line);
        }
    }
}

#[cfg(test)]
mod tests;
