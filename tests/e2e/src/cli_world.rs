//! A directory for `relation-host` beside an emulated Webex. Both use a time that tests advance.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use url::Url;
use webex_emulator::{Builder, Emulator, Grant, Organization, RecordedRequest};

use crate::database::Database;
use crate::process::{CLIENT_ID, Program, RunningProgram, Workspace, free_address};
use crate::time::Time;
use crate::world::{CLIENT_SECRET, SCOPES};

/// The node of every customer.
pub const NODE: &str = "sys.Provider.Reseller";

/// A directory beside an emulated Webex.
pub struct CliWorld {
    /// Webex.
    pub emulator: Emulator,
    /// The directory of the commands.
    pub workspace: Workspace,
    /// The time of the commands and of Webex.
    pub time: Time,
}

/// A customer added by the command.
pub struct Customer {
    /// The record's key.
    pub pkid: String,
    /// The organization.
    pub organization: Organization,
    /// The first grant.
    pub grant: Grant,
}

impl CliWorld {
    /// Creates a world with Webex's documented lifetimes.
    pub fn new() -> Self {
        Self::with(Emulator::builder())
    }

    /// Creates a world with this Webex.
    pub fn with(webex: Builder) -> Self {
        let time = Time::default();
        let emulator = webex
            .clock(time.clock())
            .client(CLIENT_ID, CLIENT_SECRET)
            .start_blocking()
            .expect("the emulator starts");
        let workspace = Workspace::new(&emulator.base_url(), CLIENT_SECRET).with_time(time.clone());
        Self {
            emulator,
            workspace,
            time,
        }
    }

    /// Adds a line to the configuration.
    pub fn with_config_line(mut self, line: &str) -> Self {
        self.workspace = self.workspace.with_config_line(line);
        self
    }

    /// Leaves the store to the test, see [`Workspace::without_store`].
    #[must_use]
    pub fn without_store(mut self) -> Self {
        self.workspace = self.workspace.without_store();
        self
    }

    /// Sets a redirect address with a free port, also at Webex; returns it too.
    pub fn with_redirect(self) -> (Self, String) {
        let redirect = format!("http://{}/callback", free_address("127.0.0.1"));
        self.emulator.add_redirect_uri(&redirect);
        let line = format!("connect.redirect = \"{redirect}\"");
        (self.with_config_line(&line), redirect)
    }

    /// Creates an organization with a grant.
    pub fn organization_with_grant(&self, name: &str) -> (Organization, Grant) {
        let organization = self.emulator.create_organization(name);
        let grant = self.emulator.grant(&organization, SCOPES.iter().copied());
        (organization, grant)
    }

    /// Returns the command that adds a customer of this name; the test adds more arguments.
    pub fn add(&self, name: &str) -> Program {
        let add = ["add", "--hierarchy", NODE, "--name", name];
        self.workspace.relation(add)
    }

    /// Adds a customer with pasted tokens.
    #[track_caller]
    pub fn add_customer(&self, name: &str) -> Customer {
        let (organization, grant) = self.organization_with_grant(name);
        let added = self
            .add(name)
            .arg("--account-number")
            .arg(&organization.uuid)
            .args(["--tokens", "-", "--json"])
            .stdin(grant.json().to_string())
            .run()
            .succeeds()
            .json();
        let pkid = added["connection"]["pkid"].as_str();
        Customer {
            pkid: pkid.expect("an added record has a pkid").to_owned(),
            organization,
            grant,
        }
    }

    /// Starts the server on a free port; returns its address too.
    pub fn serve(&self, arguments: &[&str]) -> (RunningProgram, String) {
        let address = free_address("127.0.0.1").to_string();
        (self.serve_at(&address, arguments), address)
    }

    /// Starts the server at an address.
    pub fn serve_at(&self, address: &str, arguments: &[&str]) -> RunningProgram {
        let serve = self.workspace.relation(["serve", "--listen", address]);
        let mut running = serve.args(arguments).start();
        running.wait_until_serving();
        running
    }

    /// Adds an API key with a role at a node; returns its text.
    #[track_caller]
    pub fn add_key(&self, name: &str, role: &str, node: &str) -> String {
        let add = ["key", "add", name, "--role", role, "--hierarchy", node];
        let added = self.workspace.json(add);
        added["key"].as_str().expect("a key has a text").to_owned()
    }

    /// Returns the state of a customer, as `show` prints it.
    #[track_caller]
    pub fn state(&self, customer: &Customer) -> String {
        let shown = self.workspace.json(["show", &customer.pkid]);
        let state = shown["connection"]["state"].as_str();
        state.expect("a record has a state").to_owned()
    }

    /// Opens the database, which a command must have created.
    pub fn database(&self) -> Database {
        Database::open(&self.workspace.path("relation.db"))
    }

    /// Returns the number of token requests that Webex has received.
    pub fn token_requests(&self) -> Vec<RecordedRequest> {
        let mut requests = self.emulator.requests();
        requests.retain(|request| request.path == "/v1/access_token");
        requests
    }
}

impl Default for CliWorld {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns what a browser receives at `address`: status and page.
pub fn browse(address: &str) -> (u16, String) {
    let url = Url::parse(address).expect("an address");
    let authority = url.authority();
    let mut stream = TcpStream::connect(authority).expect("a server listens");
    let target = &url[url::Position::BeforePath..];
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    )
    .expect("the request is sent");
    let mut response = String::new();
    let read = stream.read_to_string(&mut response);
    read.expect("a response is received");
    let status = response.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), response)
}
