//! A host of a harness, with its own view of the store.

use std::path::Path;
use std::sync::Arc;

use relation_host::clock::Clock as _;
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::store::Store;
use relation_host::store::layer::Layered;
use relation_host::store::seal::Sealer;
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::{ComponentSource, Host};

use super::key::TestKey;
use super::{Harness, StartError};
use crate::memory::MemoryStore;

/// The directory of commits that the host's store could not take.
const STASH: &str = "relation.db-stash";

/// A host and its own parts.
pub(super) struct TestHost {
    pub(super) host: Host,
    pub(super) sealer: Arc<Sealer>,
    /// The host's view of the store in memory; `None` for another store.
    pub(super) memory: Option<MemoryStore>,
}

impl TestHost {
    /// Ends the host as a crash would.
    pub(super) fn kill(&self) {
        if let Some(memory) = &self.memory {
            memory.kill();
        }
    }
}

impl Harness {
    /// Starts a host on `memory`, or on the other store.
    pub(super) async fn start_host(
        &self,
        memory: Option<MemoryStore>,
    ) -> Result<TestHost, StartError> {
        let store: Arc<dyn Store> = match (&memory, &self.config.scratch) {
            (Some(memory), _) => Arc::new(memory.clone()),
            (None, Some(scratch)) => scratch.open().await?,
            (None, None) => Arc::new(SqliteStore::open(
                self.directory.path().join("relation.db"),
                &SqliteOptions::default(),
            )?),
        };
        let store: Arc<dyn Store> = Arc::new(Layered::new(store, self.store_layer.clone()));
        let sealer = Arc::new(Sealer::open(&*store, TestKey, self.clock.now()).await?);
        let limits = self.config.plugin.limits();
        let options = ClientOptions {
            max_header_bytes: limits.headers,
            max_response_bytes: u64::try_from(limits.response).unwrap_or(u64::MAX),
            ..ClientOptions::default()
        };
        let policy = Policy::parse(&self.config.allow)?;
        let plugin = Box::new(self.config.plugin.clone());
        let mut host = Host::builder()
            .component(ComponentSource::Loaded(plugin))
            .store(store)
            .sealer(Arc::clone(&sealer))
            .clock(self.clock.clone())
            .settings(self.config.settings.clone())
            .egress(Client::with_transport(
                policy,
                options,
                self.transport.clone(),
            ))
            .entropy(self.entropy.clone())
            .stash(self.directory.path().join(STASH));
        for (name, value) in &self.config.secrets {
            host = host.secret_setting(name, value.clone());
        }
        if let Some(source) = &self.config.node_settings {
            host = host.node_settings(Arc::clone(source));
        }
        if let Some(interceptor) = &self.config.interceptor {
            host = host.interceptor(Arc::clone(interceptor));
        }
        Ok(TestHost {
            host: host.build().await?,
            sealer,
            memory,
        })
    }
}

/// Copies the files of the stash in one directory to another.
pub(super) fn copy_stash(from: &Path, to: &Path) -> std::io::Result<()> {
    let (from, to) = (from.join(STASH), to.join(STASH));
    if !from.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(&to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
