//! Opens the configuration, the store, and the host with its plugin for a command.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use relation_host::clock::Clock;
use relation_host::component::ComponentCache;
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::store::Store;
use relation_host::store::seal::{KeyEncryptionKey, KeyError, KeyProvider, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::types::{Failure, Timestamp};
use relation_host::{CallError, CallErrorKind, CallOutput, ComponentSource, Host};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::error::{CliError, ErrorKind};
use super::secrets::SecretSource;
use super::{Context, GlobalArgs, embedded};
use crate::clock::clock;
use crate::config::{Config, StoreUrl};
#[cfg(feature = "scenarios")]
use crate::recording::Recording;

/// The plugin's name of the setting for the client secret.
pub const CLIENT_SECRET: &str = "webex.client-secret";

/// Loads the configuration, and applies the options of the command line.
pub fn load_config(global: &GlobalArgs) -> Result<Config, CliError> {
    let mut config = Config::load(global.config.as_deref())?;
    if let Some(store) = &global.store {
        config.store = StoreUrl::parse(store, Path::new(""))
            .map_err(|message| CliError::usage(format!("--store {store:?}: {message}")))?;
    }
    Ok(config)
}

/// Reads the component in `file`, or the embedded one. Returns its name and its bytes.
pub fn read_component(file: Option<&Path>) -> Result<(String, Cow<'static, [u8]>), CliError> {
    match file {
        Some(file) => {
            let name = file.display().to_string();
            let bytes = std::fs::read(file).map_err(|error| {
                CliError::usage(format!("cannot read the component {name}: {error}"))
            })?;
            Ok((name, Cow::Owned(bytes)))
        }
        None => match embedded::COMPONENT {
            Some(bytes) => Ok(("the embedded component".to_owned(), Cow::Borrowed(bytes))),
            None => Err(CliError::new(
                ErrorKind::Failed,
                "no component is embedded in this binary",
            )
            .hint("build with `cargo xtask build`, or name one with --plugin FILE")),
        },
    }
}

/// Opens the cache of compiled components, for a command that must also work with an invalid configuration.
/// Returns `None` if the configuration is invalid.
pub fn open_component_cache(global: &GlobalArgs) -> Option<ComponentCache> {
    let config = Config::load(global.config.as_deref()).ok()?;
    config.component_cache.open_cache()
}

/// The behaviour if the store does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingStore {
    /// Create the store.
    Create,
    /// Fail: the name may be mistyped, or no customer was added yet.
    Fail,
}

/// Opens a store, and creates it if it does not exist.
pub fn open_store(url: &StoreUrl) -> Result<Arc<dyn Store>, CliError> {
    match url {
        StoreUrl::Sqlite(path) => {
            let store = SqliteStore::open(path, &SqliteOptions::default())?;
            Ok(Arc::new(store))
        }
    }
}

impl Context {
    /// Opens the existing configured store for reading, also on a read-only file system.
    pub fn store(&self) -> Result<Arc<dyn Store>, CliError> {
        let StoreUrl::Sqlite(path) = &self.config.store;
        let store = SqliteStore::open_to_read(path, &SqliteOptions::default())?;
        Ok(Arc::new(store))
    }

    /// Opens the existing configured store.
    pub fn store_to_write(&self) -> Result<Arc<dyn Store>, CliError> {
        let StoreUrl::Sqlite(path) = &self.config.store;
        let store = SqliteStore::open_existing(path, &SqliteOptions::default())?;
        Ok(Arc::new(store))
    }

    /// Opens the configured host: an existing store, keys, egress, and the compiled plugin, which has
    /// accepted its settings.
    pub async fn host(&self) -> Result<Host, CliError> {
        self.check_settings(self.unchecked_host().await?).await
    }

    /// Opens the host like [`Context::host`], for a command that runs no workflow and needs no valid plugin
    /// settings.
    pub async fn unchecked_host(&self) -> Result<Host, CliError> {
        self.build_host(self.open_parts(MissingStore::Fail).await?)
            .await
    }

    /// Opens the host like [`Context::host`], and creates the store if it does not exist.
    pub async fn host_creating_store(&self) -> Result<Host, CliError> {
        let host = self
            .build_host(self.open_parts(MissingStore::Create).await?)
            .await?;
        self.check_settings(host).await
    }

    /// Loads the plugin on an empty in-memory store, for commands that only query the plugin.
    pub async fn plugin_host(&self) -> Result<Host, CliError> {
        let store = SqliteStore::in_memory()?;
        let clock = clock();
        let sealer = Sealer::open(&store, OneTimeKey, clock.now()).await?;
        let (_, component) = read_component(self.global.plugin.as_deref())?;
        let mut builder = Host::builder()
            .component(ComponentSource::Bytes(component.into_owned()))
            .store(Arc::new(store))
            .sealer(Arc::new(sealer))
            .clock(clock)
            .settings(self.config.settings.clone())
            .limits(self.config.limits.clone())
            .egress(egress_client(&self.config)?);
        if let Some(cache) = self.config.component_cache.open_cache() {
            builder = builder.component_cache(cache);
        }
        Ok(builder.build().await?)
    }

    /// Refuses settings that the plugin would refuse in every call.
    async fn check_settings(&self, host: Host) -> Result<Host, CliError> {
        match host.check_settings().await {
            Ok(()) => Ok(host),
            Err(CallError {
                kind: CallErrorKind::Refused(Failure::Invalid(field_errors)),
                ..
            }) => Err(self
                .config
                .setting_sources
                .to_config_error(field_errors)
                .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the host like [`Context::host_creating_store`], with a recorder on its store and its egress.
    #[cfg(feature = "scenarios")]
    pub async fn recorded_host(&self, file: &Path) -> Result<(Host, Recording), CliError> {
        let mut parts = self.open_parts(MissingStore::Create).await?;
        let recording = Recording::begin(file, &self.config, &mut parts)?;
        let host = self.check_settings(self.build_host(parts).await?).await?;
        Ok((host, recording))
    }

    async fn open_parts(&self, missing_store: MissingStore) -> Result<HostParts, CliError> {
        let config = &self.config;
        let store = match missing_store {
            MissingStore::Create => open_store(&config.store)?,
            MissingStore::Fail => self.store_to_write()?,
        };
        let clock = clock();
        let sealer = Sealer::open(store.as_ref(), config.key.clone(), clock.now()).await?;
        let client_secret = config.client_secret_file.as_deref();
        Ok(HostParts {
            store,
            clock,
            sealer: Arc::new(sealer),
            egress: egress_client(config)?,
            client_secret: client_secret.map(read_client_secret).transpose()?,
        })
    }

    async fn build_host(&self, parts: HostParts) -> Result<Host, CliError> {
        let config = &self.config;
        let (_, component) = read_component(self.global.plugin.as_deref())?;
        let mut builder = Host::builder()
            .component(ComponentSource::Bytes(component.into_owned()))
            .store(parts.store)
            .sealer(parts.sealer)
            .clock(parts.clock)
            .settings(config.settings.clone())
            .limits(config.limits.clone())
            .egress(parts.egress)
            .stash(config.stash_directory())
            .stash_reserve(config.stash_reserve)
            .retention(config.retention);
        let StoreUrl::Sqlite(database) = &config.store;
        builder = builder.stash_like(database);
        if let Some(cache) = config.component_cache.open_cache() {
            builder = builder.component_cache(cache);
        }
        if let Some(secret) = parts.client_secret {
            builder = builder.secret_setting(CLIENT_SECRET, secret);
        }
        Ok(builder.build().await?)
    }

    /// Prints the result of a call. In JSON, the id of its transaction is added.
    pub fn print_call<T: Serialize>(
        &self,
        call_output: &CallOutput<T>,
        render_text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        self.output
            .print(&CallDocument::new(call_output), |document| {
                render_text(document.value)
            })
    }

    /// Prints like [`Context::print_call`], for one of several calls: in JSON on a line of its own.
    pub fn print_call_line<T: Serialize>(
        &self,
        call_output: &CallOutput<T>,
        render_text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        self.output
            .line(&CallDocument::new(call_output), |document| {
                render_text(document.value)
            })
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        clock().now()
    }
}

/// A key for an in-memory store. Neither is persisted.
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

/// The parts of a host that is not built yet.
pub struct HostParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The sealer of the secrets in the store.
    pub sealer: Arc<Sealer>,
    /// The HTTP client.
    pub egress: Client,
    /// The client secret of the Webex integration.
    pub client_secret: Option<SecretString>,
}

/// The result of a call, with the id of its transaction.
#[derive(Serialize)]
struct CallDocument<'a, T> {
    transaction: &'a str,
    #[serde(flatten)]
    value: &'a T,
}

impl<'a, T> CallDocument<'a, T> {
    fn new(call_output: &'a CallOutput<T>) -> Self {
        Self {
            transaction: &call_output.transaction,
            value: &call_output.value,
        }
    }
}

/// Builds the HTTP client with the configured policy.
fn egress_client(config: &Config) -> Result<Client, CliError> {
    let wrong = |error: &dyn std::fmt::Display| CliError::usage(error.to_string());
    let policy = Policy::parse(&config.egress.allow)
        .and_then(|policy| policy.with_proxies(&config.egress.proxies))
        .map_err(|error| wrong(&error))?;
    Client::new(policy, client_options(config)).map_err(|error| wrong(&error))
}

/// Returns the limits of the HTTP client.
pub fn client_options(config: &Config) -> ClientOptions {
    ClientOptions {
        extra_ca_file: config.egress.extra_ca.clone(),
        max_response_bytes: config.limits.response as u64,
        max_header_bytes: config.limits.headers,
        ..ClientOptions::default()
    }
}

fn read_client_secret(file: &Path) -> Result<SecretString, CliError> {
    warn_if_open_to_others(file);
    const WHAT: &str = "the client secret (webex.client-secret-file)";
    let secret = SecretSource::File(file.to_owned()).read_line(WHAT)?;
    // RFC 6749, appendix A.2. Secrets of Webex contain no space either.
    if secret
        .expose_secret()
        .bytes()
        .all(|byte| byte.is_ascii_graphic())
    {
        return Ok(secret);
    }
    Err(CliError::usage(format!(
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
