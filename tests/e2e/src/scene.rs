//! A directory for `relation-host` beside an emulated Webex. Both go by a time that tests let pass.

use webex_emulator::{Builder, Emulator, Grant, Organization, RecordedRequest};

use crate::database::Database;
use crate::process::{CLIENT_ID, Place, Program};
use crate::time::Time;
use crate::world::{CLIENT_SECRET, SCOPES};

/// The node of every customer.
pub const NODE: &str = "sys.Provider.Reseller";

/// A directory beside an emulated Webex.
pub struct Scene {
    /// Webex.
    pub emulator: Emulator,
    /// The directory.
    pub place: Place,
    /// The time there and at Webex.
    pub time: Time,
}

/// A customer that was added by the command.
pub struct Customer {
    /// The record's key.
    pub pkid: String,
    /// The organisation.
    pub organization: Organization,
    /// The first grant.
    pub grant: Grant,
}

impl Scene {
    /// Webex with lives as the documentation has them.
    pub fn new() -> Self {
        Self::with(Emulator::builder())
    }

    /// A Webex of this kind.
    pub fn with(webex: Builder) -> Self {
        let time = Time::default();
        let emulator = webex
            .clock(time.clock())
            .client(CLIENT_ID, CLIENT_SECRET)
            .start_blocking()
            .expect("the emulator starts");
        let place = Place::of(&emulator.base_url(), CLIENT_SECRET).at(time.clone());
        Self {
            emulator,
            place,
            time,
        }
    }

    /// The same with one more line of configuration.
    pub fn configured(mut self, line: &str) -> Self {
        self.place = self.place.configured(line);
        self
    }

    /// An organisation that has granted its tokens.
    pub fn granted(&self, name: &str) -> (Organization, Grant) {
        let organization = self.emulator.create_organization(name);
        let grant = self.emulator.grant(&organization, SCOPES.iter().copied());
        (organization, grant)
    }

    /// What adds a customer of this name, to be told more.
    pub fn add(&self, name: &str) -> Program {
        let add = ["add", "--hierarchy", NODE, "--name", name];
        self.place.relation(add)
    }

    /// Adds a customer with pasted tokens.
    #[track_caller]
    pub fn customer(&self, name: &str) -> Customer {
        let (organization, grant) = self.granted(name);
        let added = self
            .add(name)
            .arg("--account-number")
            .arg(&organization.uuid)
            .args(["--tokens", "-", "--json"])
            .stdin(grant.json().to_string())
            .run()
            .done()
            .json();
        let pkid = added["connection"]["pkid"].as_str();
        Customer {
            pkid: pkid.expect("an added record has a pkid").to_owned(),
            organization,
            grant,
        }
    }

    /// The state of a customer, as `show` has it.
    #[track_caller]
    pub fn state(&self, customer: &Customer) -> String {
        let shown = self.place.json(["show", &customer.pkid]);
        let state = shown["connection"]["state"].as_str();
        state.expect("a record has a state").to_owned()
    }

    /// The database, which a command must have made.
    pub fn database(&self) -> Database {
        Database::open(&self.place.path("relation.db"))
    }

    /// The requests for new tokens that Webex has seen.
    pub fn token_requests(&self) -> Vec<RecordedRequest> {
        let mut requests = self.emulator.requests();
        requests.retain(|request| request.path == "/v1/access_token");
        requests
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}
