//! Opens what a command works with: the configuration, the store, and the host with its plugin.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use relation_host::component::ComponentCache;
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::schedule::clock::Clock;
use relation_host::store::Store;
use relation_host::store::seal::{KeyEncryptionKey, KeyError, KeyProvider, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::types::{Failure, Timestamp};
use relation_host::{CallError, CallErrorKind, Called, ComponentSource, Host};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::failure::{Failed, Kind};
use super::secrets::Source;
use super::{Context, Global, carried};
use crate::clock::clock;
use crate::config::{Config, StoreUrl};
#[cfg(feature = "scenarios")]
use crate::recording::Recording;

/// The setting under which the plugin asks for the client secret.
pub const CLIENT_SECRET: &str = "webex.client-secret";

/// The configuration, with what the command line says in its place.
pub fn configuration(global: &Global) -> Result<Config, Failed> {
    let mut config = Config::load(global.config.as_deref())?;
    if let Some(store) = &global.store {
        config.store = StoreUrl::parse(store, Path::new(""))
            .map_err(|message| Failed::usage(format!("--store {store:?}: {message}")))?;
    }
    Ok(config)
}

/// The component in `file`, or else the one carried in this binary; with what to call it.
pub fn component_bytes(file: Option<&Path>) -> Result<(String, Cow<'static, [u8]>), Failed> {
    match file {
        Some(file) => {
            let name = file.display().to_string();
            let bytes = std::fs::read(file).map_err(|error| {
                Failed::usage(format!("cannot read the component {name}: {error}"))
            })?;
            Ok((name, Cow::Owned(bytes)))
        }
        None => match carried::COMPONENT {
            Some(bytes) => Ok(("the carried component".to_owned(), Cow::Borrowed(bytes))),
            None => Err(
                Failed::new(Kind::Failed, "no component is carried in this binary")
                    .hint("build with `cargo xtask build`, or name one with --plugin FILE"),
            ),
        },
    }
}

/// Where compiled components are kept, for a command that works beside a broken configuration as well:
/// then nowhere, for it may say so.
pub fn component_cache(global: &Global) -> Option<ComponentCache> {
    let config = Config::load(global.config.as_deref()).ok()?;
    config.component_cache.cache()
}

/// The handling of a store that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStore {
    /// Make it.
    Make,
    /// Fail: a name was mistyped, or no customer was added yet.
    Fail,
}

/// Opens a store, and makes it if it is not there.
pub fn open_store(url: &StoreUrl) -> Result<Arc<dyn Store>, Failed> {
    match url {
        StoreUrl::Sqlite(path) => {
            let store = SqliteStore::open(path, &SqliteOptions::default())?;
            Ok(Arc::new(store))
        }
    }
}

impl Context {
    /// The configured store, which exists, for reading: also where nothing can be written.
    pub fn store(&self) -> Result<Arc<dyn Store>, Failed> {
        let StoreUrl::Sqlite(path) = &self.config.store;
        let store = SqliteStore::open_to_read(path, &SqliteOptions::default())?;
        Ok(Arc::new(store))
    }

    /// The configured store, which exists.
    pub fn store_to_write(&self) -> Result<Arc<dyn Store>, Failed> {
        let StoreUrl::Sqlite(path) = &self.config.store;
        let store = SqliteStore::open_existing(path, &SqliteOptions::default())?;
        Ok(Arc::new(store))
    }

    /// Opens the configured host: an existing store, keys, egress, and the compiled plugin, which has
    /// accepted its settings.
    pub async fn host(&self) -> Result<Host, Failed> {
        self.check_settings(self.unchecked_host().await?).await
    }

    /// As [`Context::host`], for a command that runs no workflow: whether the plugin takes its settings
    /// does not matter.
    pub async fn unchecked_host(&self) -> Result<Host, Failed> {
        self.built(self.parts(NoStore::Fail).await?).await
    }

    /// As [`Context::host`], and a store is made if there is none.
    pub async fn host_with_store(&self) -> Result<Host, Failed> {
        let host = self.built(self.parts(NoStore::Make).await?).await?;
        self.check_settings(host).await
    }

    /// Loads the plugin on an empty store of its own, for commands that only ask the plugin.
    pub async fn plugin_alone(&self) -> Result<Host, Failed> {
        let store = SqliteStore::in_memory()?;
        let clock = clock();
        let sealer = Sealer::open(&store, OneTimeKey, clock.now()).await?;
        let (_, component) = component_bytes(self.global.plugin.as_deref())?;
        let mut builder = Host::builder()
            .component(ComponentSource::Bytes(component.into_owned()))
            .store(Arc::new(store))
            .sealer(Arc::new(sealer))
            .clock(clock)
            .settings(self.config.settings.clone())
            .limits(self.config.limits.clone())
            .egress(egress(&self.config)?);
        if let Some(cache) = self.config.component_cache.cache() {
            builder = builder.component_cache(cache);
        }
        Ok(builder.build().await?)
    }

    /// Refuses a configuration that the plugin would refuse in every call.
    async fn check_settings(&self, host: Host) -> Result<Host, Failed> {
        match host.check_settings().await {
            Ok(()) => Ok(host),
            Err(CallError {
                kind: CallErrorKind::Refused(Failure::Invalid(faults)),
                ..
            }) => Err(self.config.origins.refused(faults).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Context::host`], with a recorder on its store and its way out.
    #[cfg(feature = "scenarios")]
    pub async fn recorded_host(&self, file: &Path) -> Result<(Host, Recording), Failed> {
        let mut parts = self.parts(NoStore::Make).await?;
        let recording = Recording::begin(file, &self.config, &mut parts)?;
        let host = self.check_settings(self.built(parts).await?).await?;
        Ok((host, recording))
    }

    async fn parts(&self, no_store: NoStore) -> Result<Parts, Failed> {
        let config = &self.config;
        let store = match no_store {
            NoStore::Make => open_store(&config.store)?,
            NoStore::Fail => self.store_to_write()?,
        };
        let clock = clock();
        let sealer = Sealer::open(store.as_ref(), config.key.clone(), clock.now()).await?;
        let client_secret = config.client_secret_file.as_deref();
        Ok(Parts {
            store,
            clock,
            sealer: Arc::new(sealer),
            way_out: egress(config)?,
            client_secret: client_secret.map(self::client_secret).transpose()?,
        })
    }

    async fn built(&self, parts: Parts) -> Result<Host, Failed> {
        let config = &self.config;
        let (_, component) = component_bytes(self.global.plugin.as_deref())?;
        let mut builder = Host::builder()
            .component(ComponentSource::Bytes(component.into_owned()))
            .store(parts.store)
            .sealer(parts.sealer)
            .clock(parts.clock)
            .settings(config.settings.clone())
            .limits(config.limits.clone())
            .egress(parts.way_out)
            .stash(config.stash_directory())
            .stash_reserve(config.stash_reserve)
            .retention(config.retention);
        let StoreUrl::Sqlite(database) = &config.store;
        builder = builder.stash_like(database);
        if let Some(cache) = config.component_cache.cache() {
            builder = builder.component_cache(cache);
        }
        if let Some(secret) = parts.client_secret {
            builder = builder.secret_setting(CLIENT_SECRET, secret);
        }
        Ok(builder.build().await?)
    }

    /// Prints what a call answered; in JSON beside the id of its transaction.
    pub fn called<T: Serialize>(
        &self,
        called: &Called<T>,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failed> {
        self.output
            .print(&Answer::of(called), |answer| human(answer.value))
    }

    /// As [`Context::called`], of one call of several: in JSON on a line of its own.
    pub fn called_line<T: Serialize>(
        &self,
        called: &Called<T>,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failed> {
        self.output
            .line(&Answer::of(called), |answer| human(answer.value))
    }

    /// The time by which spans are shown.
    pub fn now(&self) -> Timestamp {
        clock().now()
    }
}

/// A key for a temporary store; neither is persisted.
struct OneTimeKey;

impl KeyProvider for OneTimeKey {
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError> {
        KeyEncryptionKey::random().map(Some)
    }

    fn create(&self) -> Result<KeyEncryptionKey, KeyError> {
        KeyEncryptionKey::random()
    }

    fn describe(&self) -> String {
        "a key for this command alone".to_owned()
    }
}

/// What a host is made of, before it is one.
pub struct Parts {
    /// Where everything durable lives.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What opens the secrets in the store.
    pub sealer: Arc<Sealer>,
    /// Who carries requests.
    pub way_out: Client,
    /// The client secret of the Webex integration.
    pub client_secret: Option<SecretString>,
}

/// What a call answered, beside the id of its transaction.
#[derive(Serialize)]
struct Answer<'a, T> {
    transaction: &'a str,
    #[serde(flatten)]
    value: &'a T,
}

impl<'a, T> Answer<'a, T> {
    fn of(called: &'a Called<T>) -> Self {
        Self {
            transaction: &called.transaction,
            value: &called.value,
        }
    }
}

/// The way out, as far as the configuration opens it.
fn egress(config: &Config) -> Result<Client, Failed> {
    let wrong = |error: &dyn std::fmt::Display| Failed::usage(error.to_string());
    let policy = Policy::parse(&config.egress.allow)
        .and_then(|policy| policy.with_proxies(&config.egress.proxies))
        .map_err(|error| wrong(&error))?;
    Client::new(policy, client_options(config)).map_err(|error| wrong(&error))
}

/// What the way out may use.
pub fn client_options(config: &Config) -> ClientOptions {
    ClientOptions {
        extra_ca_file: config.egress.extra_ca.clone(),
        max_response_bytes: config.limits.response as u64,
        max_header_bytes: config.limits.headers,
        ..ClientOptions::default()
    }
}

fn client_secret(file: &Path) -> Result<SecretString, Failed> {
    warn_if_open_to_others(file);
    const WHAT: &str = "the client secret (webex.client-secret-file)";
    let secret = Source::File(file.to_owned()).read_line(WHAT)?;
    // RFC 6749, appendix A.2; and Webex's have no space.
    if secret
        .expose_secret()
        .bytes()
        .all(|byte| byte.is_ascii_graphic())
    {
        return Ok(secret);
    }
    Err(Failed::usage(format!(
        "cannot use {WHAT}: {} holds white space or a character that is not ASCII; write the secret \
         there and nothing else",
        file.display()
    )))
}

#[cfg(unix)]
fn warn_if_open_to_others(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).map_or(0, |file| file.permissions().mode());
    if mode & 0o077 != 0 {
        let file = file.display();
        tracing::warn!("others on this machine can read the client secret: chmod 600 {file}");
    }
}

#[cfg(not(unix))]
fn warn_if_open_to_others(_file: &Path) {}
