//! This host as an engine of SNMP. Its number of starts is stored, since receivers reject traps of an engine whose starts
//! went back.
//!
//! Several processes may share an engine, such as a host and a command that sends a test. Each takes a new number when
//! another process has taken one since.

use std::sync::Arc;
use std::time::Instant;

use relation_host::store::{Change, Check, Commit, Store, StoreError};
use relation_host::types::{Document, Hierarchy, Pkid, Reference, Timestamp};
use relation_notify::snmp::{EngineId, LocalEngine, ResolveTarget, SnmpLimits, SnmpSender};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::config::SnmpConfig;
use crate::{AppError, ErrorKind};

/// The model of the engines.
const ENGINE_MODEL: &str = "host/SnmpEngine";
/// The node of the engines, which belong to the installation.
const NODE: &str = "sys";
/// The number of attempts when other processes take a number at the same time.
const MAX_ATTEMPTS: u32 = 10;

/// The body of an engine's document.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EngineBody {
    /// A random text, so that two installations have different engine ids.
    installation: String,
    /// The number of starts.
    boots: u32,
}

/// The engine of this process.
pub(super) struct Engine {
    config: SnmpConfig,
    store: Arc<dyn Store>,
    resolver: Arc<dyn ResolveTarget>,
    current: Mutex<Option<Current>>,
}

struct Current {
    boots: u32,
    sender: Arc<SnmpSender>,
}

impl Engine {
    pub fn new(
        config: SnmpConfig,
        store: Arc<dyn Store>,
        resolver: Arc<dyn ResolveTarget>,
    ) -> Self {
        Self {
            config,
            store,
            resolver,
            current: Mutex::new(None),
        }
    }

    pub fn config(&self) -> &SnmpConfig {
        &self.config
    }

    /// Returns the sender, with a number of starts that no other process has taken since.
    ///
    /// # Errors
    /// The store cannot be read or written, or the number of starts has reached its end.
    pub async fn sender(&self) -> Result<Arc<SnmpSender>, AppError> {
        let mut current = self.current.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            let stored = self.read().await?;
            if let (Some(current), Some((body, _))) = (&*current, &stored)
                && current.boots == body.boots
            {
                return Ok(Arc::clone(&current.sender));
            }
            let (mut body, version) = match stored {
                Some((body, version)) => (body, Some(version)),
                None => (new_body(), None),
            };
            body.boots = body.boots.saturating_add(1);
            match self.write(&body, version).await {
                Ok(()) => {}
                Err(StoreError::Conflict(_)) => continue,
                Err(error) => return Err(error.into()),
            }
            let started = Instant::now();
            let clock = Arc::new(move || started.elapsed());
            let engine = LocalEngine::new(self.id(&body), body.boots, clock)
                .map_err(|error| AppError::new(ErrorKind::Problem, error.to_string()))?;
            let resolver = Arc::clone(&self.resolver);
            let sender = Arc::new(SnmpSender::new(engine, resolver, SnmpLimits::default()));
            *current = Some(Current {
                boots: body.boots,
                sender: Arc::clone(&sender),
            });
            return Ok(sender);
        }
        let message = "other processes use the same SNMP engine at this moment";
        Err(AppError::new(ErrorKind::Unavailable, message))
    }

    /// Returns the engine's id.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn find_id(&self) -> Result<EngineId, AppError> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some((body, _)) = self.read().await? {
                return Ok(self.id(&body));
            }
            match self.write(&new_body(), None).await {
                Ok(()) | Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::new(
            ErrorKind::Unavailable,
            "the SNMP engine could not be stored",
        ))
    }

    fn id(&self, body: &EngineBody) -> EngineId {
        let SnmpConfig {
            enterprise,
            host_id,
            ..
        } = &self.config;
        EngineId::derive(*enterprise, &body.installation, host_id)
    }

    fn reference(&self) -> Reference {
        let pkid = Pkid::derive(&format!("snmp-engine\0{}", self.config.host_id));
        Reference::new(ENGINE_MODEL, pkid)
    }

    async fn read(&self) -> Result<Option<(EngineBody, u64)>, AppError> {
        let found = self.store.get(&[self.reference()]).await?;
        let Some(document) = found.into_iter().flatten().next() else {
            return Ok(None);
        };
        let body = serde_json::from_str(&document.body).map_err(|error| {
            let message = format!(
                "the document {} cannot be read: {error}",
                document.reference
            );
            AppError::new(ErrorKind::Problem, message)
        })?;
        Ok(Some((body, document.version)))
    }

    async fn write(&self, body: &EngineBody, version: Option<u64>) -> Result<(), StoreError> {
        let reference = self.reference();
        let check = match version {
            Some(version) => Check::Version(reference.clone(), version),
            None => Check::Absent(reference.clone()),
        };
        let node: Result<Hierarchy, _> = NODE.parse();
        let (Ok(hierarchy), Ok(body)) = (node, serde_json::to_string(body)) else {
            return Err(StoreError::Invalid(
                "the engine cannot be written".to_owned(),
            ));
        };
        let document = Document {
            reference,
            hierarchy,
            version: 0,
            body,
            keys: Vec::new(),
        };
        let commit = Commit {
            checks: vec![check],
            changes: vec![Change::Put(document)],
            now: Timestamp(0),
            ..Commit::default()
        };
        self.store.commit(commit).await
    }
}

fn new_body() -> EngineBody {
    EngineBody {
        installation: Pkid::random().to_string(),
        boots: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use async_trait::async_trait;
    use relation_host::store::sqlite::SqliteStore;
    use relation_notify::snmp::{MibRoot, ResolveError};
    use url::Host;

    use super::*;

    struct NoAddress;

    #[async_trait]
    impl ResolveTarget for NoAddress {
        async fn resolve(&self, _: &Host, _: u16) -> Result<Vec<IpAddr>, ResolveError> {
            Ok(Vec::new())
        }
    }

    fn engine(store: &Arc<dyn Store>, host_id: &str) -> Engine {
        let config = SnmpConfig {
            enterprise: 32_473,
            root: MibRoot::with_enterprise(32_473),
            host_id: host_id.to_owned(),
            addresses: Vec::new(),
            allow_sha1: false,
        };
        Engine::new(config, Arc::clone(store), Arc::new(NoAddress))
    }

    async fn boots(engine: &Engine) -> u32 {
        engine.sender().await.unwrap();
        engine.current.lock().await.as_ref().unwrap().boots
    }

    #[tokio::test]
    async fn starts_rise_with_each_process_and_the_id_stays() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
        let first = engine(&store, "1");
        let id = first.find_id().await.unwrap();
        assert_eq!([boots(&first).await, boots(&first).await], [1, 1]);
        let second = engine(&store, "1");
        assert_eq!(boots(&second).await, 2);
        assert_eq!(second.find_id().await.unwrap(), id);
        // The first process sends again: a receiver has seen 2 meanwhile.
        assert_eq!(boots(&first).await, 3);
        let other_host = engine(&store, "2");
        assert_eq!(boots(&other_host).await, 1);
        assert_ne!(other_host.find_id().await.unwrap(), id);
    }
}
