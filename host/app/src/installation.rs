//! An installation: its configuration, its clock and its plugin, from which stores and hosts are opened.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use relation_host::clock::Clock;
use relation_host::component::ComponentCache;
use relation_host::egress::{Client, ClientOptions, Policy, RequestBudget};
use relation_host::store::Store;
use relation_host::store::seal::{KeyEncryptionKey, KeyError, KeyProvider, Sealer};
use relation_host::store::sqlite::SqliteStore;
use relation_host::types::{Failure, Timestamp};
use relation_host::{CallError, CallErrorKind, ComponentSource, Host, Observer};

use crate::check::CONTACT_CENTER_URLS;
use crate::client_secret::ClientSecretFile;
use crate::config::{Config, DEFAULT_FILE, KeySource, find_installation_above};
use crate::error::MAKE_STORE;
use crate::notices::Notices;
use crate::{AppError, ErrorKind, OpenMode, check, quote_for_shell};

/// The plugin's name of the setting for the client secret.
pub const CLIENT_SECRET: &str = "webex.client-secret";
/// The number of requests that Contact Center's API accepts from a client in a minute.
const CONTACT_CENTER_RATE: NonZeroU32 = NonZeroU32::new(300).unwrap();

/// The location of the plugin's component.
#[derive(Clone, Debug)]
pub struct PluginFile {
    /// A file, in place of the embedded component.
    pub file: Option<PathBuf>,
    /// The component that is embedded in the program, if it was built with one.
    pub embedded: Option<&'static [u8]>,
}

impl PluginFile {
    /// Reads the component. Returns its name and its bytes.
    ///
    /// # Errors
    /// The file cannot be read, or no component is embedded.
    pub fn read(&self) -> Result<(String, Cow<'static, [u8]>), AppError> {
        match (&self.file, self.embedded) {
            (Some(file), _) => {
                let name = file.display().to_string();
                let bytes = std::fs::read(file).map_err(|error| {
                    AppError::usage(format!("cannot read the component {name}: {error}"))
                })?;
                Ok((name, Cow::Owned(bytes)))
            }
            (None, Some(bytes)) => Ok(("the embedded component".to_owned(), Cow::Borrowed(bytes))),
            (None, None) => Err(AppError::new(
                ErrorKind::Failed,
                "no component is embedded in this binary",
            )
            .hint("build with `cargo xtask build`, or name one with --plugin FILE")),
        }
    }
}

/// Opens the cache of compiled components, for work that must also be possible with an invalid configuration.
/// Returns `None` if the configuration is invalid.
pub fn open_component_cache(config_file: Option<&Path>) -> Option<ComponentCache> {
    let config = Config::load(config_file).ok()?;
    config.component_cache.open_cache()
}

/// A configuration, a clock and a plugin.
pub struct Installation {
    /// The configuration.
    pub config: Config,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The plugin.
    pub plugin: PluginFile,
}

/// The files that [`Installation::create_store`] has created. The others were there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The store.
    pub store: bool,
    /// The key file.
    pub key: bool,
}

/// The parts of a host that is not built yet.
pub struct HostParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The sealer of the secrets in the store.
    pub sealer: Arc<Sealer>,
    /// The HTTP client.
    pub egress: Client,
    /// The client secret of the Webex integration.
    pub client_secret: Option<ClientSecretFile>,
    /// The notices.
    pub notices: Notices,
    /// The observers of the host.
    pub observers: Vec<Arc<dyn Observer>>,
}

impl Installation {
    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Opens the existing store for reading, also on a read-only file system.
    ///
    /// # Errors
    /// The store does not exist or cannot be opened.
    pub async fn store_to_read(&self) -> Result<Arc<dyn Store>, AppError> {
        self.open_store(OpenMode::Read).await
    }

    async fn open_store(&self, mode: OpenMode) -> Result<Arc<dyn Store>, AppError> {
        let opened = self.config.store.open(mode).await;
        opened.map_err(|error| self.explain_missing(error))
    }

    /// Adds the next step to the error of a store that does not exist.
    pub fn explain_missing(&self, error: AppError) -> AppError {
        match error.kind {
            ErrorKind::NotFound => error.hint(self.missing_hint()),
            _ => error,
        }
    }

    /// Returns the next step if the configuration or the store does not exist.
    pub(crate) fn missing_hint(&self) -> String {
        if let Some(file) = &self.config.file {
            return format!(
                "correct the name of the store in {} or --store, or make it with `relation-host init`",
                file.display()
            );
        }
        let Some(directory) = find_installation_above() else {
            return MAKE_STORE.to_owned();
        };
        let file = directory.join(DEFAULT_FILE);
        format!(
            "there is an installation above this directory: use --config {}, or run the command in {}",
            quote_for_shell(&file.to_string_lossy()),
            directory.display()
        )
    }

    /// Creates the store, its first data key, and the key that wraps it, as far as they are missing. Every other
    /// function opens existing stores only: a name may be mistyped.
    ///
    /// # Errors
    /// The store or its key cannot be created or opened.
    pub async fn create_store(&self) -> Result<Creation, AppError> {
        let key_file = match &self.config.key {
            KeySource::File(file) => Some(file),
            KeySource::Env(_) | KeySource::Command { .. } => None,
        };
        let missing_key = key_file.is_some_and(|file| !file.exists());
        let missing_store = !self.config.store.exists().await;
        let store = self.open_store(OpenMode::Create).await?;
        Sealer::open(store.as_ref(), self.config.key.clone(), self.now()).await?;
        Ok(Creation {
            store: missing_store,
            key: missing_key,
        })
    }

    /// Opens the existing store, which has keys.
    ///
    /// # Errors
    /// The store does not exist, cannot be opened, or was not finished by [`Installation::create_store`].
    pub async fn store_with_keys(&self) -> Result<Arc<dyn Store>, AppError> {
        let store = self.store().await?;
        match store.data_keys().await?.is_empty() {
            true => Err(self.no_keys()),
            false => Ok(store),
        }
    }

    /// Returns the error of a store that was not finished by [`Installation::create_store`].
    pub(crate) fn no_keys(&self) -> AppError {
        let message = format!("the store {} has no keys yet", self.config.store);
        AppError::new(ErrorKind::NotFound, message).hint(self.missing_hint())
    }

    /// Opens the existing store.
    ///
    /// # Errors
    /// The store does not exist or cannot be opened.
    pub async fn store(&self) -> Result<Arc<dyn Store>, AppError> {
        self.open_store(OpenMode::Existing).await
    }

    /// Opens the host: an existing store, keys, egress, and the compiled plugin, which has accepted its
    /// settings.
    ///
    /// # Errors
    /// A part cannot be opened, the client secret cannot be read, or the plugin refuses a setting.
    pub async fn host(&self) -> Result<Host, AppError> {
        let parts = self.open_parts().await?;
        if let Some(file) = &parts.client_secret {
            if file.check().is_err() {
                // Names a missing client id too.
                check::check_client(self).to_result()?;
            }
            file.warn_if_exposed();
        }
        self.host_from(parts).await
    }

    /// Opens the host like [`Installation::host`], for work that runs no workflow, and needs neither a client
    /// secret nor valid plugin settings.
    ///
    /// # Errors
    /// A part cannot be opened.
    pub async fn unchecked_host(&self) -> Result<Host, AppError> {
        self.build_host(self.open_parts().await?).await
    }

    /// Builds a host from parts that the caller has opened and perhaps replaced. An unreadable client secret is
    /// no error: its file is read again when it changes.
    ///
    /// # Errors
    /// The plugin cannot be loaded or refuses a setting.
    pub async fn host_from(&self, parts: HostParts) -> Result<Host, AppError> {
        self.check_settings(self.build_host(parts).await?).await
    }

    /// Loads the plugin on an empty in-memory store, for work that only queries the plugin.
    ///
    /// # Errors
    /// The plugin cannot be loaded.
    pub async fn plugin_host(&self) -> Result<Host, AppError> {
        let store = SqliteStore::in_memory()?;
        let sealer = Sealer::open(&store, OneTimeKey, self.now()).await?;
        let (_, component) = self.plugin.read()?;
        let mut builder = Host::builder()
            .component(ComponentSource::Bytes(component.into_owned()))
            .store(Arc::new(store))
            .sealer(Arc::new(sealer))
            .clock(Arc::clone(&self.clock))
            .settings(self.config.settings.clone())
            .limits(self.config.limits.clone())
            .egress(egress_client(&self.config)?);
        if let Some(cache) = self.config.component_cache.open_cache() {
            builder = builder.component_cache(cache);
        }
        Ok(builder.build().await?)
    }

    /// Reads the file of the client secret, if one is configured.
    pub fn client_secret(&self) -> Option<ClientSecretFile> {
        let path = self.config.client_secret_file.as_ref();
        path.map(ClientSecretFile::new)
    }

    /// Refuses settings that the plugin would refuse in every call.
    pub(crate) async fn check_settings(&self, host: Host) -> Result<Host, AppError> {
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

    /// Opens the store, the keys, the HTTP client, and the client secret, which may be unreadable.
    ///
    /// # Errors
    /// The store, the keys or the HTTP client cannot be opened.
    pub async fn open_parts(&self) -> Result<HostParts, AppError> {
        let config = &self.config;
        let store = self.store_with_keys().await?;
        let sealer = Sealer::open(store.as_ref(), config.key.clone(), self.now()).await?;
        let sealer = Arc::new(sealer);
        let notices = Notices::new(config, Arc::clone(&store), Arc::clone(&sealer));
        Ok(HostParts {
            notices,
            store,
            sealer,
            egress: egress_client(config)?,
            client_secret: self.client_secret(),
            observers: Vec::new(),
        })
    }

    async fn build_host(&self, parts: HostParts) -> Result<Host, AppError> {
        let config = &self.config;
        let (_, component) = self.plugin.read()?;
        let builder = parts.notices.configure(Host::builder());
        let mut builder = builder
            .component(ComponentSource::Bytes(component.into_owned()))
            .store(parts.store)
            .sealer(parts.sealer)
            .clock(Arc::clone(&self.clock))
            .settings(config.settings.clone())
            .limits(config.limits.clone())
            .egress(parts.egress)
            .stash(config.stash_directory())
            .stash_reserve(config.stash_reserve)
            .retention(config.retention);
        for observer in parts.observers {
            builder = builder.observer(observer);
        }
        if !config.web.callback_origins.is_empty() {
            builder = builder.callbacks(callback_client(config)?);
        }
        if let Some(database) = config.store.file() {
            builder = builder.stash_like(database);
        }
        if let Some(cache) = config.component_cache.open_cache() {
            builder = builder.component_cache(cache);
        }
        if let Some(secret) = parts.client_secret {
            builder = builder.secret_setting(CLIENT_SECRET, secret);
        }
        Ok(builder.build().await?)
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
        "a key for this process alone".to_owned()
    }
}

/// Builds the HTTP client with the configured policy.
fn egress_client(config: &Config) -> Result<Client, AppError> {
    let wrong = |error: &dyn std::fmt::Display| AppError::usage(error.to_string());
    let policy = Policy::parse(&config.egress.allow)
        .and_then(|policy| policy.with_proxies(&config.egress.proxies))
        .map_err(|error| wrong(&error))?;
    Client::new(policy, client_options(config)).map_err(|error| wrong(&error))
}

/// Builds the HTTP client of callbacks: the policy is a list of its own, and there are neither proxies nor budgets.
fn callback_client(config: &Config) -> Result<Client, AppError> {
    let wrong = |error: &dyn std::fmt::Display| AppError::usage(error.to_string());
    let policy = Policy::parse_callbacks(&config.web.callback_origins);
    let options = ClientOptions {
        extra_ca_file: config.egress.extra_ca.clone(),
        ..ClientOptions::default()
    };
    Client::new(policy.map_err(|error| wrong(&error))?, options).map_err(|error| wrong(&error))
}

/// Returns the limits of the HTTP client.
pub fn client_options(config: &Config) -> ClientOptions {
    ClientOptions {
        extra_ca_file: config.egress.extra_ca.clone(),
        max_response_bytes: config.limits.response as u64,
        max_header_bytes: config.limits.headers,
        budgets: contact_center_budgets(config),
        ..ClientOptions::default()
    }
}

/// Returns the budgets of Contact Center's API at the configured addresses, and at Webex's own ones that `egress.allow`
/// has.
fn contact_center_budgets(config: &Config) -> Vec<RequestBudget> {
    let configured = config.settings.get(CONTACT_CENTER_URLS);
    let configured = configured.map(String::as_str).unwrap_or_default();
    let configured = configured.split_whitespace();
    let configured = configured.filter_map(|each| Some(each.split_once('=')?.1));
    let own = config.egress.allow.iter().map(String::as_str);
    let own = own.filter(|each| each.starts_with("https://api.wxcc-"));
    let roots = configured.chain(own).filter_map(|root| root.parse().ok());
    let budget = |root| RequestBudget {
        root,
        per_minute: CONTACT_CENTER_RATE,
    };
    roots.map(budget).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_center_has_a_budget_at_each_address() {
        let mut config = Config::without_file(Path::new("."));
        let urls = "EU=https://cc.example.com/eu".to_owned();
        config.settings.insert(CONTACT_CENTER_URLS.to_owned(), urls);
        config.egress.allow = ["https://webexapis.com", "https://api.wxcc-us1.cisco.com"]
            .map(str::to_owned)
            .to_vec();
        let budgets = client_options(&config).budgets;
        let roots: Vec<String> = budgets.iter().map(|each| each.root.to_string()).collect();
        assert_eq!(
            roots,
            [
                "https://cc.example.com/eu",
                "https://api.wxcc-us1.cisco.com/"
            ]
        );
        assert!(budgets.iter().all(|each| each.per_minute.get() == 300));
    }
}
