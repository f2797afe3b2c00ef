//! Configures an emulator and starts it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::contact_center::Region;
use crate::directory::{License, Role};
use crate::emulator::Emulator;
use crate::generator::Generator;
use crate::paging::Listing;
use crate::record::{DISCONNECT_GRACE, Recorder};
use crate::server;
use crate::settings::{
    Client, Clock, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, ErrorStyle, Mode, PersonFlags,
    Settings, WorkspaceLocations,
};
use crate::shared::Shared;
use crate::state::State;
use crate::webex::Webex;
use crate::wholesale::WholesaleSettings;

/// The reason why an emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The emulator could not listen at the address.
    #[error("cannot listen at {address}: {source}; choose a free port, or 0 for any")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The threads of an emulator with its own runtime could not be created.
    #[error("cannot start the emulator's threads: {0}")]
    Runtime(#[source] io::Error),
}

/// Builder of an emulator.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    settings: Settings,
    mode: Mode,
    reuse_detection: bool,
    generator: Generator,
    listen: SocketAddr,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            mode: Mode::default(),
            reuse_detection: false,
            generator: Generator::default(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }
}

impl Builder {
    /// Sets the seed of every id, token, code and tracking id. With the same seed, the same requests in
    /// the same order get the same responses, byte for byte. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.generator = Generator::seeded(seed);
        self
    }

    /// Sets the source of the time. Default: the system clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Sets the lifetime of access tokens; responses contain its whole seconds. Default: 1209599 s.
    pub fn access_ttl(mut self, ttl: Duration) -> Self {
        self.settings.access_ttl = ttl;
        self
    }

    /// Sets the lifetime of refresh tokens; responses contain its whole seconds. Default: 7775999 s.
    pub fn refresh_ttl(mut self, ttl: Duration) -> Self {
        self.settings.refresh_ttl = ttl;
        self
    }

    /// Sets the effect of a refresh. Default: [`Mode::ExtendSame`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets whether the use of a rotated-out refresh token revokes its whole grant. Default: no.
    pub fn reuse_detection(mut self, on: bool) -> Self {
        self.reuse_detection = on;
        self
    }

    /// Sets how long after a refresh another refresh changes nothing, in [`Mode::SameAccessToken`].
    /// Default: 24 hours.
    pub fn same_access_window(mut self, window: Duration) -> Self {
        self.settings.same_access_window = window;
        self
    }

    /// Sets how long a revoked access token still works, as with a cache. Default: not at all.
    pub fn revocation_lag(mut self, lag: Duration) -> Self {
        self.settings.revocation_lag = lag;
        self
    }

    /// Registers a client. Grants belong to the first client. Default: [`DEFAULT_CLIENT_ID`] with
    /// [`DEFAULT_CLIENT_SECRET`].
    pub fn client(mut self, id: &str, secret: &str) -> Self {
        self.settings.clients.push(Client::new(id, secret));
        self
    }

    /// Registers a redirect URI of the last registered client, or of the default client if none is
    /// registered yet. Requests have to match the URI byte for byte.
    pub fn redirect_uri(mut self, uri: &str) -> Self {
        let registration = &mut self.last_client().registration;
        registration.redirect_uris.push(uri.to_owned());
        self
    }

    /// Sets the permitted scopes of the last registered client, or of the default client if none is
    /// registered yet. Default: [`DEFAULT_SCOPES`](crate::DEFAULT_SCOPES),
    /// [`WHOLESALE_SCOPES`](crate::WHOLESALE_SCOPES),
    /// [`CONTACT_CENTER_SCOPES`](crate::CONTACT_CENTER_SCOPES),
    /// [`PERSONAL_SCOPES`](crate::PERSONAL_SCOPES) and [`IDENTITY_SCOPES`](crate::IDENTITY_SCOPES).
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.last_client().registration.scopes = scopes;
        self
    }

    fn last_client(&mut self) -> &mut Client {
        let clients = &mut self.settings.clients;
        let last = clients
            .pop()
            .unwrap_or_else(|| Client::new(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET));
        clients.push_mut(last)
    }

    /// Sets the lifetime of an authorization code. Default: 5 minutes.
    pub fn code_ttl(mut self, ttl: Duration) -> Self {
        self.settings.code_ttl = ttl;
        self
    }

    /// Sets whether an authorization request without a PKCE challenge is rejected. Default: no.
    pub fn require_pkce(mut self, on: bool) -> Self {
        self.settings.require_pkce = on;
        self
    }

    /// Sets whether the second use of an authorization code revokes the tokens of its first use, as RFC
    /// 6749, section 4.1.2, recommends. Default: no.
    pub fn code_reuse_revokes(mut self, on: bool) -> Self {
        self.settings.code_reuse_revokes = on;
        self
    }

    /// Sets the initial roles of every organization. Default: the usual administrators.
    pub fn roles(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.settings.directory.roles = roles.into_iter().collect();
        self
    }

    /// Sets the initial licenses of every organization. Default: three of different kinds.
    pub fn licenses(mut self, licenses: impl IntoIterator<Item = License>) -> Self {
        self.settings.directory.licenses = licenses.into_iter().collect();
        self
    }

    /// Sets how many entries of a list each organization has at the start. They are generated from the
    /// organization's UUID, and so from the [seed](Self::seed), and need no memory. Default: a few.
    /// Roles and licenses are not generated; workspace locations are as many as locations.
    pub fn generate(mut self, listing: Listing, count: usize) -> Self {
        self.settings.generated.insert(listing, count);
        self
    }

    /// Sets the response to requests for workspace locations. Default: [`WorkspaceLocations::Served`].
    pub fn workspace_locations(mut self, response: WorkspaceLocations) -> Self {
        self.settings.workspace_locations = response;
        self
    }

    /// Sets the only region of Contact Center that has the organizations' data; requests to others are
    /// 404. Default: all regions have them.
    pub fn contact_center_region(mut self, region: Region) -> Self {
        self.settings.contact_center.region = Some(region);
        self
    }

    /// Sets how many requests per minute a client may send to Contact Center; others are 429. The real
    /// limit is 300. Default: no limit.
    pub fn contact_center_limit(mut self, requests_per_minute: u64) -> Self {
        self.settings.contact_center.requests_per_minute = Some(requests_per_minute);
        self
    }

    /// Sets the behavior of operations on the customers of wholesale partners. Default:
    /// [`WholesaleSettings::default`].
    pub fn wholesale(mut self, settings: WholesaleSettings) -> Self {
        self.settings.wholesale = settings;
        self
    }

    /// Sets the format of errors at the token endpoint. Default: [`ErrorStyle::Oauth`].
    pub fn error_style(mut self, style: ErrorStyle) -> Self {
        self.settings.error_style = style;
        self
    }

    /// Sets whether token responses lack `scope` and `token_type`, as older responses of Webex do.
    /// Default: no.
    pub fn bare_responses(mut self, bare: bool) -> Self {
        self.settings.bare_responses = bare;
        self
    }

    /// Sets the JSON type of a person's `invitePending` and `loginEnabled`. Default:
    /// [`PersonFlags::Booleans`].
    pub fn person_flags(mut self, flags: PersonFlags) -> Self {
        self.settings.person_flags = flags;
        self
    }

    /// Sets whether `GET /v1/organizations/{id}` takes a bare UUID too. Default: no.
    pub fn organization_uuids(mut self, accepted: bool) -> Self {
        self.settings.organization_uuids = accepted;
        self
    }

    /// Sets the maximum number of recorded requests; older requests are dropped. Default: 100000.
    pub fn recorded_requests(mut self, count: usize) -> Self {
        self.settings.recorded_requests = count;
        self
    }

    /// Sets the address to listen at. Default: 127.0.0.1, any free port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Starts the emulator on the current tokio runtime.
    ///
    /// # Errors
    /// If it cannot listen at the address.
    pub async fn start(self) -> Result<Emulator, StartError> {
        let address = self.listen;
        let listen_error = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let webex = self.webex(DISCONNECT_GRACE);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(server::run(listener, webex.clone(), stopped));
        Ok(Emulator::new(webex, address, stop, task))
    }

    /// Creates an emulator without a listener or a task of its own. [`Webex::handle`] handles requests.
    #[must_use]
    pub fn in_process(self) -> Webex {
        // A dropped future is detected immediately, so no grace period is needed.
        self.webex(Duration::ZERO)
    }

    fn webex(mut self, disconnect_grace: Duration) -> Webex {
        if self.settings.clients.is_empty() {
            self = self.client(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
        }
        let recorder = Recorder::new(self.settings.recorded_requests, disconnect_grace);
        let state = State::new(
            self.settings,
            self.mode,
            self.reuse_detection,
            self.generator,
        );
        Webex::new(Shared::new(state, recorder))
    }

    /// Starts the emulator on its own thread, for a caller that is not asynchronous.
    ///
    /// # Errors
    /// If the thread cannot be created or it cannot listen at the address.
    pub fn start_blocking(self) -> Result<Emulator, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("webex-emulator")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let emulator = runtime.block_on(self.start())?;
        Ok(emulator.with_runtime(runtime))
    }
}

impl Emulator {
    pub(crate) fn with_runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = Some(runtime);
        self
    }
}
