//! The builder of a world.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use relation_app::config::NoticesConfig;
use relation_host::clock::{Clock, ManualClock};
use relation_host::egress::Client;
use relation_host::imports::Interceptor;
use relation_host::{HandlerOptions, Limits, NodeSettings, Observer, Outbox, WakeupHandler};
use relation_metrics::Metrics;
use tempfile::TempDir;
use webex_emulator::{Emulator, Mode};

use super::{CLIENT_SECRET, DAY, START_TIME, World};
use crate::faulty_store::StoreFaults;
use crate::network::{Network, Route};
use crate::world_store::WorldStore;

/// Builder of a world.
pub struct WorldBuilder {
    settings: BTreeMap<String, String>,
    limits: Limits,
    mode: Mode,
    reuse_detection: bool,
    access_ttl: Duration,
    refresh_ttl: Duration,
    component: Option<PathBuf>,
    allow: Option<Vec<String>>,
    route: Route,
    interceptor: Option<Arc<dyn Interceptor>>,
    observer: Option<Arc<dyn Observer>>,
    callbacks: Option<Client>,
    outbox: Option<Outbox>,
    node_settings: Option<Arc<dyn NodeSettings>>,
    handler: Option<(Arc<dyn WakeupHandler>, HandlerOptions)>,
    notices: Option<NoticesConfig>,
    metrics: bool,
}

impl Default for WorldBuilder {
    fn default() -> Self {
        Self {
            settings: BTreeMap::new(),
            limits: Limits::default(),
            mode: Mode::default(),
            reuse_detection: false,
            access_ttl: 14 * DAY,
            refresh_ttl: 90 * DAY,
            component: None,
            allow: None,
            route: Route::default(),
            interceptor: None,
            observer: None,
            callbacks: None,
            outbox: None,
            node_settings: None,
            handler: None,
            notices: None,
            metrics: false,
        }
    }
}

impl WorldBuilder {
    /// Sets a plain setting of the plugin.
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.into(), value.into());
        self
    }

    /// Sets the limits of a call.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how the emulator handles a refresh.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Makes the emulator revoke a whole grant when a rotated-out token is used.
    pub fn reuse_detection(mut self, on: bool) -> Self {
        self.reuse_detection = on;
        self
    }

    /// Sets the lifetimes of the tokens that the emulator issues.
    pub fn token_lifetimes(mut self, access: Duration, refresh: Duration) -> Self {
        self.access_ttl = access;
        self.refresh_ttl = refresh;
        self
    }

    /// Replaces the egress allow list; by default it allows the emulator.
    pub fn allow(mut self, entries: &[&str]) -> Self {
        self.allow = Some(entries.iter().map(|&entry| entry.to_owned()).collect());
        self
    }

    /// Sets the hosts' route to the emulator.
    pub fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// Sets an interceptor for the imports of every host.
    pub fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.interceptor = Some(interceptor);
        self
    }

    /// Sets an observer of every host.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets the client of the hosts' callbacks; by default, callbacks are refused.
    pub fn callbacks(mut self, client: Client) -> Self {
        self.callbacks = Some(client);
        self
    }

    /// Turns on the outbox of every host.
    pub fn outbox(mut self, outbox: Outbox) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// Sets the source of settings that differ from node to node, for every host.
    pub fn node_settings(mut self, source: Arc<dyn NodeSettings>) -> Self {
        self.node_settings = Some(source);
        self
    }

    /// Sets the handler of notices of every host.
    pub fn notice_handler(
        mut self,
        handler: Arc<dyn WakeupHandler>,
        options: HandlerOptions,
    ) -> Self {
        self.handler = Some((handler, options));
        self
    }

    /// Has every host send notices by these channels.
    pub fn notices(mut self, notices: NoticesConfig) -> Self {
        self.notices = Some(notices);
        self
    }

    /// Has every host report to the world's metrics.
    pub fn metrics(mut self) -> Self {
        self.metrics = true;
        self
    }

    /// Sets the component; by default, it is ours.
    pub fn component(mut self, file: PathBuf) -> Self {
        self.component = Some(file);
        self
    }

    /// Starts the emulator, the network and the first host.
    pub async fn start(self) -> World {
        let clock = Arc::new(ManualClock::new(START_TIME));
        let true_time = Arc::clone(&clock);
        let emulator = Emulator::builder()
            // Webex has the true time, even when a test sets the hosts' wall clock to another time.
            .clock(Arc::new(move || START_TIME.after(true_time.monotonic()).0))
            .client("C0ffee", CLIENT_SECRET)
            .mode(self.mode)
            .reuse_detection(self.reuse_detection)
            .access_ttl(self.access_ttl)
            .refresh_ttl(self.refresh_ttl)
            .start()
            .await
            .expect("the emulator starts");
        let directory = TempDir::new().expect("a temporary directory");
        let network = Network::start(self.route, emulator.address()).await;
        let mut settings = self.settings;
        settings
            .entry("webex.base-url".into())
            .or_insert_with(|| format!("{}/v1", network.origin()));
        settings
            .entry("webex.client-id".into())
            .or_insert_with(|| "C0ffee".into());
        let allow = self.allow.unwrap_or_else(|| network.allowed());
        let metrics = self.metrics.then(|| {
            let routes = relation_web::route_patterns();
            Metrics::new(clock.clone(), "0.0.0", &routes)
        });
        let mut world = World {
            metrics,
            emulator,
            network,
            store_faults: StoreFaults::new(Arc::clone(&clock)),
            clock,
            hosts: Vec::new(),
            store: WorldStore::new(directory.path()).await,
            directory,
            settings,
            limits: self.limits,
            component: self.component.unwrap_or_else(crate::artifacts::component),
            allow,
            interceptor: self.interceptor,
            observer: self.observer,
            callbacks: self.callbacks,
            outbox: self.outbox,
            node_settings: self.node_settings,
            handler: self.handler,
            notices: self.notices,
        };
        let host = world.new_host().await;
        world.hosts.push(host);
        world
    }
}
