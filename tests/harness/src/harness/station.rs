//! A host of a harness, with its own view of the store.

use std::path::Path;
use std::sync::Arc;

use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::schedule::clock::Clock as _;
use relation_host::store::Store;
use relation_host::store::layer::Layered;
use relation_host::store::seal::Sealer;
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::{ComponentSource, Host};

use super::key::TestKey;
use super::{Harness, StartError};
use crate::memory::MemoryStore;

/// Where a host keeps answers that its store cannot take.
const STASH: &str = "relation.db-stash";

/// A host, and what only it has.
pub(super) struct Station {
    pub(super) host: Host,
    pub(super) sealer: Arc<Sealer>,
    /// The store as this host sees it; none: a database.
    pub(super) memory: Option<MemoryStore>,
}

impl Station {
    /// Ends it as the loss of its process would.
    pub(super) fn kill(&self) {
        if let Some(memory) = &self.memory {
            memory.kill();
        }
    }
}

impl Harness {
    /// A host on `memory`, or on the database.
    pub(super) async fn station(&self, memory: Option<MemoryStore>) -> Result<Station, StartError> {
        let store: Arc<dyn Store> = match &memory {
            Some(memory) => Arc::new(memory.clone()),
            None => Arc::new(SqliteStore::open(
                self.directory.path().join("relation.db"),
                &SqliteOptions::default(),
            )?),
        };
        let store: Arc<dyn Store> = Arc::new(Layered::new(store, self.seen.clone()));
        let sealer = Arc::new(Sealer::open(&*store, TestKey, self.clock.now()).await?);
        let limits = self.parts.plugin.limits();
        let options = ClientOptions {
            max_header_bytes: limits.headers,
            max_response_bytes: u64::try_from(limits.response).unwrap_or(u64::MAX),
            ..ClientOptions::default()
        };
        let policy = Policy::parse(&self.parts.allow)?;
        let plugin = Box::new(self.parts.plugin.clone());
        let mut host = Host::builder()
            .component(ComponentSource::Loaded(plugin))
            .store(store)
            .sealer(Arc::clone(&sealer))
            .clock(self.clock.clone())
            .settings(self.parts.settings.clone())
            .egress(Client::with_transport(policy, options, self.web.clone()))
            .entropy(self.entropy.clone())
            .stash(self.directory.path().join(STASH));
        for (name, value) in &self.parts.secrets {
            host = host.secret_setting(name, value.clone());
        }
        if let Some(interceptor) = &self.parts.interceptor {
            host = host.interceptor(Arc::clone(interceptor));
        }
        Ok(Station {
            host: host.build().await?,
            sealer,
            memory,
        })
    }
}

/// Copies what the stash in one directory keeps to another.
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
