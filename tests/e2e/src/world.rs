//! A world in one process: a host on a store, an emulated Webex, and one clock for all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relation_app::config::{Config, NoticesConfig};
use relation_app::notices::{Notices, change_snmp_secrets, change_webhook_keys, to_time};
use relation_host::clock::{Clock, ManualClock};
use relation_host::component::Plugin;
use relation_host::egress::Client;
use relation_host::imports::Interceptor;
use relation_host::reports::AddReport;
use relation_host::schedule::{DispatchSummary, Dispatcher, DispatcherOptions};
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::{Change, Commit, Store};
use relation_host::types::{Document, Filter, Hierarchy, Pkid, Reference, Timestamp};
use relation_host::{
    AddRequest, CallError, CallOutput, ComponentSource, HandlerOptions, Host, Limits, NodeSettings,
    Observer, Outbox, WakeupHandler, wakeup_kinds,
};
use relation_metrics::Metrics;
use relation_notify::runner::SnmpSecrets;
use relation_notify::settings::{self, Recipient, Rules};
use relation_notify::webhook::{SigningKeys, SigningSecret};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tempfile::TempDir;
use webex_emulator::{Emulator, Grant, Organization};

use crate::faulty_store::{FaultyStore, StoreFaults};
use crate::network::Network;
use crate::world_store::WorldStore;

mod builder;

pub use builder::WorldBuilder;

/// The start time of every world: 2026-01-01T00:00:00Z.
pub const START_TIME: Timestamp = Timestamp(1_767_225_600_000);

/// The community of each SNMP target; tests look for leaks of it.
pub const COMMUNITY: &str = "canary-community-7d20";

/// One day.
pub const DAY: Duration = Duration::from_secs(86_400);

/// The scopes of an ordinary grant.
pub const SCOPES: &[&str] = &webex_emulator::DEFAULT_SCOPES;

/// The client secret of every world; tests look for leaks of it.
pub const CLIENT_SECRET: &str = "canary-client-secret-4f1d";

/// A world in one process.
pub struct World {
    /// The emulated Webex.
    pub emulator: Emulator,
    /// The network between the hosts and Webex.
    pub network: Network,
    /// The one clock of the world.
    pub clock: Arc<ManualClock>,
    /// Faults of the store, for all hosts; none at first.
    pub store_faults: StoreFaults,
    /// The metrics of the hosts, if they report to any.
    pub metrics: Option<Metrics>,
    hosts: Vec<Host>,
    store: WorldStore,
    directory: TempDir,
    settings: BTreeMap<String, String>,
    limits: Limits,
    component: PathBuf,
    allow: Vec<String>,
    interceptor: Option<Arc<dyn Interceptor>>,
    observer: Option<Arc<dyn Observer>>,
    callbacks: Option<Client>,
    outbox: Option<Outbox>,
    node_settings: Option<Arc<dyn NodeSettings>>,
    handler: Option<(Arc<dyn WakeupHandler>, HandlerOptions)>,
    notices: Option<NoticesConfig>,
}

/// A customer of a world: its record, and its organization and grant at Webex.
pub struct Customer {
    /// The record's key.
    pub pkid: Pkid,
    /// The organization.
    pub organization: Organization,
    /// The first grant.
    pub grant: Grant,
    /// The result of `add`.
    pub added: CallOutput<AddReport>,
}

impl World {
    /// Starts a world with the defaults.
    pub async fn start() -> Self {
        WorldBuilder::default().start().await
    }

    /// Starts building a world.
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// Sets the limits of hosts that are opened later.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Returns the first host.
    pub fn host(&self) -> &Host {
        &self.hosts[0]
    }

    /// Opens another host on the same store, as another process would.
    pub async fn new_host(&self) -> Host {
        let store = FaultyStore::new(self.store.open().await, self.store_faults.clone());
        let store: Arc<dyn Store> = Arc::new(store);
        let store = match &self.metrics {
            Some(metrics) => metrics.observe_store(store),
            None => store,
        };
        let sealer = Sealer::open(&*store, KeyFile::new(self.key_file()), self.clock.now())
            .await
            .expect("the key fits");
        let sealer = Arc::new(sealer);
        let client = self.network.client(&self.allow, &self.limits);
        let mut host = Host::builder();
        if self.notices.is_some() {
            let notices = self.new_notices(Arc::clone(&store), Arc::clone(&sealer));
            host = notices.configure(host);
        }
        if let Some(interceptor) = &self.interceptor {
            host = host.interceptor(Arc::clone(interceptor));
        }
        if let Some(observer) = &self.observer {
            host = host.observer(Arc::clone(observer));
        }
        if let Some(metrics) = &self.metrics {
            host = host.observer(Arc::new(metrics.clone()));
        }
        if let Some(client) = &self.callbacks {
            host = host.callbacks(client.clone());
        }
        if let Some(outbox) = &self.outbox {
            host = host.outbox(outbox.clone());
        }
        if let Some(source) = &self.node_settings {
            host = host.node_settings(Arc::clone(source));
        }
        if let Some((handler, options)) = &self.handler {
            let kind = wakeup_kinds::NOTICE;
            host = host.wakeup_handler(kind, Arc::clone(handler), options.clone());
        }
        host.component(ComponentSource::Loaded(Box::new(load_plugin(
            &self.component,
            &self.limits,
        ))))
        .store(store)
        .sealer(sealer)
        .clock(self.clock.clone())
        .settings(self.settings.clone())
        .secret_setting("webex.client-secret", SecretString::from(CLIENT_SECRET))
        .egress(client)
        .stash(self.stash())
        .build()
        .await
        .expect("the host starts")
    }

    /// Returns the notices of a host.
    fn new_notices(&self, store: Arc<dyn Store>, sealer: Arc<Sealer>) -> Notices {
        let mut config = Config::without_file(self.directory.path());
        config.settings = self.settings.clone();
        config.notices = self.notices.clone().unwrap_or_default();
        let notices = Notices::new(&config, store, sealer);
        match &self.metrics {
            Some(metrics) => notices.with_observer(Arc::new(metrics.clone())),
            None => notices,
        }
    }

    /// Replaces the notice settings of a node. Each webhook gets a signing key, and each SNMP target the community.
    pub async fn set_notice_settings(&self, node: &str, settings: &Value) {
        let node: Hierarchy = node.parse().expect("a node");
        let store = &**self.host().store();
        let sealer = Sealer::open(store, KeyFile::new(self.key_file()), self.clock.now());
        let sealer = sealer.await.expect("the key fits");
        let rules = Rules { allow_http: true };
        let parsed = settings::parse(settings, rules).expect("valid settings");
        let document = Document {
            reference: settings::reference(&node),
            hierarchy: node.clone(),
            version: 0,
            body: serde_json::to_string(&parsed).expect("settings are JSON"),
            keys: Vec::new(),
        };
        let mut changes = vec![Change::Put(document)];
        let recipients = parsed.recipients.value().map(|list| &list.values[..]);
        for recipient in recipients.unwrap_or_default() {
            let change = match recipient {
                Recipient::Mail(_) => continue,
                Recipient::Webhook(endpoint) => {
                    let keys = SigningKeys::new(SigningSecret::from_entropy(&[7; 32]));
                    change_webhook_keys(&sealer, &node, &endpoint.id, &keys)
                }
                Recipient::Snmp(target) => {
                    let secrets = SnmpSecrets::Community(SecretString::from(COMMUNITY));
                    change_snmp_secrets(&sealer, &node, &target.id, &secrets)
                }
            };
            changes.push(change.expect("the key seals"));
        }
        changes.extend(settings::recheck_changes(&node, to_time(self.clock.now())));
        let commit = Commit {
            changes,
            now: self.clock.now(),
            ..Commit::default()
        };
        store.commit(commit).await.expect("the store responds");
    }

    /// Returns the database file of a world whose store is a file.
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("relation.db")
    }

    /// Returns the address of a store that is no file, for another process.
    pub fn store_address(&self) -> Option<String> {
        self.store.address()
    }

    /// Makes killed processes count as ended, where only time shows that.
    pub fn end_children(&self) {
        self.store.end_children();
    }

    /// Returns the key file.
    pub fn key_file(&self) -> PathBuf {
        self.directory.path().join("relation.key")
    }

    /// Returns the directory of the stash.
    pub fn stash(&self) -> PathBuf {
        self.directory.path().join("relation.db-stash")
    }

    /// Returns the directory with the database, the key file and the stash.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Creates a dispatcher for the first host.
    pub fn dispatcher(&self) -> Dispatcher {
        self.host().dispatcher(DispatcherOptions::default())
    }

    /// Advances the clock by `time`, and runs the wakeups that become due until then.
    pub async fn run_for(&self, time: Duration) -> DispatchSummary {
        let until = self.clock.now().after(time);
        self.dispatcher()
            .run_through(&self.clock, until)
            .await
            .expect("the store responds")
    }

    /// Ends every fault of the store, the network and the wall clock.
    pub async fn repair(&self) {
        self.store_faults.clear();
        // Tests make the stash unusable with a file in place of its directory.
        let _ = std::fs::remove_file(self.stash());
        self.network.repair().await;
        let now = START_TIME.after(self.clock.monotonic());
        if self.clock.now() != now {
            self.clock.set_wall(now);
        }
    }

    /// Adds a customer with pasted tokens.
    pub async fn add_customer(&self, name: &str) -> Customer {
        let organization = self.emulator.create_organization(name);
        let grant = self.emulator.grant(&organization, SCOPES.iter().copied());
        let added = self.add(name, &organization, &grant).await;
        let added = added.expect("the customer is added");
        Customer {
            pkid: added.value.connection.pkid.clone(),
            organization,
            grant,
            added,
        }
    }

    /// Adds a customer of an organization with the tokens of a grant, and returns the result.
    pub async fn add(
        &self,
        name: &str,
        organization: &Organization,
        grant: &Grant,
    ) -> Result<CallOutput<AddReport>, CallError> {
        let mut fields = self.network.fields();
        fields.insert("name".into(), name.into());
        fields.insert("account_number".into(), organization.uuid.as_str().into());
        self.host()
            .add(AddRequest {
                hierarchy: "sys.Provider.Reseller.Customer"
                    .parse()
                    .expect("a hierarchy"),
                fields,
                token_response: Some(SecretString::from(grant.json().to_string())),
                idempotency_key: None,
            })
            .await
    }

    /// Returns the record's body.
    pub async fn record(&self, pkid: &Pkid) -> Value {
        let document = self.document(&Reference::record(pkid.clone())).await;
        serde_json::from_str(&document.expect("the record exists").body).expect("a JSON body")
    }

    /// Returns a document; `None` if it does not exist.
    pub async fn document(&self, reference: &Reference) -> Option<Document> {
        let mut found = self
            .host()
            .store()
            .get(std::slice::from_ref(reference))
            .await
            .expect("the store responds");
        found.pop().flatten()
    }

    /// Returns a secret of a record, decrypted.
    pub async fn secret(&self, pkid: &Pkid, name: &str) -> Option<SecretString> {
        let store = &**self.host().store();
        let sealer = Sealer::open(store, KeyFile::new(self.key_file()), self.clock.now());
        let sealer = sealer.await.expect("the key fits");
        let owner = Reference::record(pkid.clone());
        let opened = sealer.reveal(store, &owner, name).await;
        opened.expect("the secret opens")
    }

    /// Returns the bodies of the documents of a model, at most 1000.
    pub async fn bodies(&self, model: &str) -> Vec<Value> {
        let filter = Filter {
            model: model.into(),
            hierarchy: None,
            equals: Vec::new(),
        };
        let page = self.host().store().find(&filter, None, 1000).await;
        let documents = page.expect("the store responds").items;
        let bodies = documents.iter().map(|document| &document.body);
        bodies
            .map(|body| serde_json::from_str(body).expect("a JSON body"))
            .collect()
    }

    /// Returns the number of token requests that Webex has received.
    pub fn token_requests(&self) -> usize {
        let requests = self.emulator.requests();
        requests
            .iter()
            .filter(|request| request.path == "/v1/access_token")
            .count()
    }
}

/// Returns the value as an object.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}

/// Loads the component, once for all worlds of this process with these limits; it is compiled once
/// for all processes.
fn load_plugin(file: &Path, limits: &Limits) -> Plugin {
    static LOADED: Mutex<Vec<(PathBuf, Plugin)>> = Mutex::new(Vec::new());
    // This lock is not poisoned: if a test fails while it holds the lock, the others continue.
    let mut plugins = LOADED.lock();
    let known = plugins
        .iter()
        .find(|(path, plugin)| path == file && plugin.limits() == limits);
    if let Some((_, plugin)) = known {
        return plugin.clone();
    }
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let cache = crate::artifacts::component_cache();
    let plugin = Plugin::load_with(&bytes, [], limits.clone(), Some(&cache));
    let plugin = plugin.expect("the component fits");
    plugins.push((file.to_owned(), plugin.clone()));
    plugin
}
