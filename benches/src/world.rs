//! The benchmarks' world: a store on a real disk, a host with the real component, and the same
//! parts for the native baseline.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use relation_host::clock::{Clock, SystemClock};
use relation_host::component::ComponentCache;
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::store::Store;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::{ComponentSource, Host, Limits};
use relation_metrics::Metrics;
use secrecy::SecretString;
use spark_customer::settings;

use crate::native::Native;
use crate::phases::Phases;
use crate::suites::Plan;
use crate::timed_store::TimedStore;

/// The parts of a host, shared with the native baseline.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub sealer: Arc<Sealer>,
    pub clock: Arc<dyn Clock>,
    pub client: Client,
    pub settings: BTreeMap<String, String>,
    pub client_secret: SecretString,
    pub limits: Limits,
}

/// The observers of a world.
#[derive(Clone)]
pub struct Observation {
    /// Times the phases of operations.
    pub phases: Phases,
    /// The metrics of the host, if it has any.
    pub metrics: Option<Metrics>,
}

impl From<Phases> for Observation {
    fn from(phases: Phases) -> Self {
        Self {
            phases,
            metrics: None,
        }
    }
}

/// A host and a native baseline on one store.
pub struct BenchWorld {
    pub parts: Arc<Parts>,
    pub host: Host,
    pub native: Native,
}

impl BenchWorld {
    /// Builds both sides on a store, with the key in the file `key`. `webex` is the address of the token endpoint.
    pub async fn start(
        plan: &Plan,
        store: Arc<dyn Store>,
        key: &Path,
        webex: SocketAddr,
        observation: Observation,
    ) -> Result<Self> {
        let Observation { phases, metrics } = observation;
        let store: Arc<dyn Store> = Arc::new(TimedStore::new(store, phases.clone()));
        let store = match &metrics {
            Some(metrics) => metrics.observe_store(store),
            None => store,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sealer = Sealer::open(&*store, KeyFile::new(key), clock.now())
            .await
            .context("opening the sealer")?;
        let origin = format!("http://{webex}");
        let policy = Policy::parse(std::slice::from_ref(&origin)).context("the policy")?;
        let parts = Arc::new(Parts {
            store,
            sealer: Arc::new(sealer),
            clock,
            client: Client::new(policy, ClientOptions::default()).context("the client")?,
            settings: BTreeMap::from([
                (settings::BASE_URL.to_owned(), format!("{origin}/v1")),
                (settings::CLIENT_ID.to_owned(), "C0ffee".to_owned()),
            ]),
            client_secret: SecretString::from("bench-client-secret"),
            limits: plan.limits.clone(),
        });
        let builder = match metrics {
            Some(metrics) => Host::builder().observer(Arc::new(metrics)),
            None => Host::builder(),
        };
        let host = builder
            .component(ComponentSource::Bytes(plan.component.clone()))
            .component_cache(ComponentCache::new(&plan.cache))
            .store(Arc::clone(&parts.store))
            .sealer(Arc::clone(&parts.sealer))
            .clock(Arc::clone(&parts.clock))
            .settings(parts.settings.clone())
            .secret_setting(settings::CLIENT_SECRET, parts.client_secret.clone())
            .limits(parts.limits.clone())
            .egress(parts.client.clone())
            .build()
            .await
            .context("putting the host together")?;
        let native = Native::new(Arc::clone(&parts), phases);
        Ok(Self {
            parts,
            host,
            native,
        })
    }
}

/// Opens a store in the file `{name}.db`.
pub fn open_store(
    directory: &Path,
    name: &str,
    options: &SqliteOptions,
) -> Result<Arc<SqliteStore>> {
    let path = directory.join(format!("{name}.db"));
    let store = SqliteStore::open(&path, options)?;
    Ok(Arc::new(store))
}
