//! The configuration: a TOML file, what each of its keys means, and what holds without it.
//!
//! Settings that only the plugin understands are passed on when they are given and left out when
//! they are not, so that each default has one home.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use relation_host::Retention;
use relation_host::limits::Limits;
use relation_host::text::{self, NotUtf8};

mod component;
mod key;
mod origin;
mod reader;
mod redirect;
mod stash;
mod values;

pub use self::component::CacheLocation;
pub use self::key::KeySource;
pub use self::origin::Origins;
pub use self::reader::Fault;
use self::reader::{Reader, Section};
pub use self::redirect::RedirectAddress;
pub use self::values::{LogFormat, StoreUrl};

/// The file that is read when none is named and it is there.
pub const DEFAULT_FILE: &str = "relation.toml";

/// Everything that an operator can configure.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where everything durable lives.
    pub store: StoreUrl,
    /// Where the key is that the secrets in the store are sealed with.
    pub key: KeySource,
    /// Where answers are kept that the store cannot take; none: beside the store.
    pub stash: Option<PathBuf>,
    /// The room that the stash keeps in reserve, in bytes.
    pub stash_reserve: u64,
    /// How long transactions are kept.
    pub retention: Retention,
    /// Where compiled components are kept.
    pub component_cache: CacheLocation,
    /// Plain settings for the plugin, by the names that it knows them by.
    pub settings: BTreeMap<String, String>,
    /// Where those settings were given.
    pub origins: Origins,
    /// The file that holds the client secret of the Webex integration, and nothing else.
    pub client_secret_file: Option<PathBuf>,
    /// Where Webex sends the browser after a consent, as the integration there has it.
    pub redirect: Option<RedirectAddress>,
    /// Who may be reached.
    pub egress: Egress,
    /// What one call may use.
    pub limits: Limits,
    /// How due wakeups are run.
    pub dispatch: Dispatch,
    /// How logs are written.
    pub log_format: LogFormat,
}

/// Who may be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Origins (`https://webexapis.com`); empty: nothing may be reached.
    pub allow: Vec<String>,
    /// The proxies that customers may name, by origin (`http://proxy.example.com:3128`); without an
    /// entry that may be public: any at a public address.
    pub proxies: Vec<String>,
    /// A PEM file of certificate authorities to trust besides those of the system.
    pub extra_ca: Option<PathBuf>,
}

/// How due wakeups are run; what is none is left to the library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// Workflows at once.
    pub concurrency: Option<usize>,
    /// The longest wait before the store is looked at again.
    pub poll: Option<Duration>,
    /// Scheduled refreshes that begin in a second at most.
    pub refresh_rate: Option<NonZeroU32>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is in another encoding.
    #[error("cannot read the configuration: the file {} {found}", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The encoding that was found.
        found: NotUtf8,
    },
    /// The file says something that cannot be.
    #[error("the configuration {} is wrong:{}", path.display(), Listed(faults))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, in the order of its lines.
        faults: Vec<Fault>,
    },
}

struct Listed<'a>(&'a [Fault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl Config {
    /// The configuration of `file`; without one, of `relation.toml` here if there is one; without
    /// that, what holds when nothing is said.
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
        let mut config = parsed.map_err(|faults| ConfigError::Wrong {
            path: path.to_owned(),
            faults,
        })?;
        config.origins.set_file(path);
        Ok(config)
    }

    /// What holds when nothing is said, with files in `directory`. Nothing may be reached.
    pub fn without_file(directory: &Path) -> Self {
        Self {
            store: StoreUrl::Sqlite(directory.join("relation.db")),
            key: KeySource::File(directory.join("relation.key")),
            stash: None,
            stash_reserve: stash::DEFAULT_RESERVE,
            retention: Retention::default(),
            component_cache: CacheLocation::default(),
            settings: BTreeMap::new(),
            origins: Origins::default(),
            client_secret_file: None,
            redirect: None,
            egress: Egress::default(),
            limits: Limits::default(),
            dispatch: Dispatch::default(),
            log_format: LogFormat::default(),
        }
    }

    /// Where answers are kept that the store cannot take.
    pub fn stash_directory(&self) -> PathBuf {
        match (&self.stash, &self.store) {
            (Some(directory), _) => directory.clone(),
            (None, StoreUrl::Sqlite(database)) => {
                let mut directory = database.as_os_str().to_owned();
                directory.push("-stash");
                directory.into()
            }
        }
    }

    /// Understands `text`; relative paths in it are relative to `directory`.
    fn parse(text: &str, directory: &Path) -> Result<Self, Vec<Fault>> {
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
            config.webex(section, &mut reader, directory);
        }
        if let Some(mut section) = top.section(&mut reader, "connect") {
            config.redirect = section.redirect(&mut reader, "redirect");
            section.close(&mut reader);
        }
        if let Some(section) = top.section(&mut reader, "egress") {
            config.egress(section, &mut reader, directory);
        }
        if let Some(section) = top.section(&mut reader, "limits") {
            config.limits(section, &mut reader);
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
            config.expiry(section, &mut reader);
        }
        if let Some(section) = top.section(&mut reader, "refresh") {
            config.refresh(section, &mut reader);
        }
        if let Some(section) = top.section(&mut reader, "tokens") {
            config.tokens(section, &mut reader);
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

    fn webex(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>, directory: &Path) {
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

    fn egress(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>, directory: &Path) {
        self.egress = Egress {
            allow: section.targets(reader, "allow").unwrap_or_default(),
            proxies: section.proxies(reader, "proxies").unwrap_or_default(),
            extra_ca: section.path(reader, "extra-ca", directory),
        };
        section.close(reader);
    }

    fn limits(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>) {
        fn set<T>(limit: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *limit = value;
            }
        }
        let limits = &mut self.limits;
        let times = section.place("time").or(section.place("request-time"));
        set(&mut limits.memory, section.size(reader, "memory"));
        set(&mut limits.time, section.duration(reader, "time"));
        set(
            &mut limits.request_time,
            section.duration(reader, "request-time"),
        );
        if let Some(place) = times
            && limits.time < limits.request_time
        {
            let message = format!(
                "a call of {} cannot wait for a request of {} (limits.request-time): a response that \
                 comes later would be lost; make it as long, or the request shorter",
                humantime::format_duration(limits.time),
                humantime::format_duration(limits.request_time)
            );
            reader.fault(place, "limits.time".to_owned(), message);
        }
        set(&mut limits.response, section.size(reader, "response"));
        set(&mut limits.headers, section.size(reader, "headers"));
        set(&mut limits.requests, section.count(reader, "requests"));
        set(&mut limits.commit, section.size(reader, "commit"));
        set(&mut limits.changes, section.count(reader, "changes"));
        set(&mut limits.host_calls, section.count(reader, "host-calls"));
        set(&mut limits.transfer, section.size(reader, "transfer"));
        set(&mut limits.handles, section.count(reader, "handles"));
        set(&mut limits.table, section.count(reader, "table"));
        set(&mut limits.secrets, section.count(reader, "secrets"));
        set(&mut limits.log, section.size(reader, "log"));
        set(&mut limits.calls, section.count(reader, "calls"));
        section.close(reader);
    }

    fn expiry(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>) {
        let thresholds = section.durations(reader, "thresholds");
        let thresholds = thresholds.map(|list| {
            let each: Vec<String> = list.into_iter().map(values::duration_text).collect();
            each.join(",")
        });
        self.set(reader, "expiry.thresholds", "expiry.thresholds", thresholds);
        let notify = section.flag(reader, "notify");
        let notify = notify.map(|notify| notify.to_string());
        self.set(reader, "expiry.notify", "expiry.notify", notify);
        section.close(reader);
    }

    fn refresh(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>) {
        let period = section.duration(reader, "period");
        let period = period.map(values::duration_text);
        self.set(reader, "refresh.period", "refresh.period", period);
        for (key, setting) in [
            ("fraction", "refresh.fraction"),
            ("jitter", "refresh.jitter"),
        ] {
            let share = section.share(reader, key);
            let share = share.map(|share| share.to_string());
            self.set(reader, setting, setting, share);
        }
        section.close(reader);
    }

    fn tokens(&mut self, mut section: Section<'_>, reader: &mut Reader<'_>) {
        for (key, setting) in [
            ("assumed-access-life", "tokens.assumed-access-life"),
            ("assumed-refresh-life", "tokens.assumed-refresh-life"),
        ] {
            let life = section.duration(reader, key);
            self.set(reader, setting, setting, life.map(values::duration_text));
        }
        section.close(reader);
    }

    /// Passes on to the plugin, as `setting`, what the file says by `key`.
    fn set(&mut self, reader: &Reader<'_>, key: &str, setting: &str, value: Option<String>) {
        let Some(value) = value else {
            return;
        };
        self.settings.insert(setting.to_owned(), value);
        if let Some(line) = reader.line_of(key) {
            self.origins.note(setting, key.to_owned(), line);
        }
    }
}

#[cfg(test)]
mod tests;
