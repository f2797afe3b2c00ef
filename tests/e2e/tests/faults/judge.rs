//! Runs one row in one world: the fault, what the record says then, and what comes afterwards.

use std::time::Duration;

use relation_e2e::{Customer, World};
use relation_host::reports::RefreshReport;
use relation_host::schedule::clock::Clock;
use relation_host::transactions::Level;
use relation_host::types::{Reference, Timestamp};
use relation_host::{CallError, CallOutput};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use webex_emulator::{Digest, Grant, Stage};

use crate::bodies;
use crate::row::{Class, Disturbance, Happening, Held, Row, TOKEN, Way};
use crate::sweep::shown;

/// From a grant to the refresh that is disturbed: less than the day in which a refresh may change
/// nothing.
const AGE: Duration = Duration::from_secs(6 * 3600);

/// The first pause after Webex did not accept the integration.
const HOUR: Duration = Duration::from_secs(3600);

/// How long a request may take to Webex on a busy machine.
const ARRIVAL: Duration = Duration::from_secs(10);

/// What the page shows of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The record's state.
    pub state: String,
    /// What became of the tokens.
    pub tokens: String,
    /// How long the access token and the refresh token live by the record.
    pub lives: String,
    /// When the next attempt is due.
    pub next: String,
    /// The alerts that stand.
    pub alert: String,
    /// What the administrator reads.
    pub reads: String,
    /// What comes of it by itself, and what a person has to do.
    pub afterwards: String,
}

/// What came of a row.
pub struct Verdict {
    /// For the page.
    pub seen: Seen,
    /// What is not as the row's class wants it.
    pub complaints: Vec<String>,
    /// Whether new tokens reached the host whole while the store could be reached.
    pub answered: bool,
    /// Whether they were not stored then.
    pub lost: bool,
}

/// A verdict, and the secrets that must not be found in clear.
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The secrets.
    pub secrets: Vec<Held>,
}

/// Runs the row.
pub async fn judge(world: &World, way: Way, row: &Row) -> Judged {
    let customer = world.customer("Contoso").await;
    world.clock.advance(AGE);
    let mut case = Case {
        world,
        way,
        class: row.class,
        before: held(world, &customer).await,
        expiries: expiries(&world.record(&customer.pkid).await),
        grant: customer.grant.clone(),
        customer,
        complaints: Vec::new(),
        secrets: Vec::new(),
    };
    case.secrets.push(case.before.clone());
    let earlier = world.emulator.requests().len();
    let blamed = world.emulator.violations().len();

    let result = case.refresh(&row.disturbance).await;
    let requests = world.emulator.requests().into_iter().skip(earlier);
    let tracking_id = requests
        .filter(|request| request.path == TOKEN)
        .find_map(|request| request.tracking_id)
        .filter(|_| row.tracked);
    world.store_faults.clear();
    let (mut seen, lost) = case.look(&result, tracking_id.as_deref()).await;
    world.mend().await;
    seen.afterwards = case.go_on().await;
    // Webex cannot know that an answer it gave was lost behind it.
    let unseen = matches!(row.class, Class::Lost | Class::Dropped)
        && !matches!(row.disturbance, Disturbance::Webex(_));
    for violation in world.emulator.violations().into_iter().skip(blamed) {
        case.expect(unseen, violation);
    }
    world
        .host()
        .delete(&case.customer.pkid, false)
        .await
        .expect("the customer can be deleted");

    let name = format!("{} [{}]", row.name, way.name);
    let complaints = case.complaints.iter();
    Judged {
        verdict: Verdict {
            seen,
            complaints: complaints.map(|text| format!("{name}: {text}")).collect(),
            answered: matches!(row.class, Class::Answered | Class::Ahead | Class::Stashed),
            lost,
        },
        secrets: case.secrets,
    }
}

/// A row while it runs.
pub struct Case<'a> {
    pub world: &'a World,
    pub way: Way,
    pub class: Class,
    pub customer: Customer,
    /// The grant that the customer's tokens are of.
    pub grant: Grant,
    pub before: Held,
    /// Both expiries as the record had them.
    pub expiries: [Value; 2],
    pub complaints: Vec<String>,
    pub secrets: Vec<Held>,
}

impl Case<'_> {
    pub fn expect(&mut self, holds: bool, wanted: impl Into<String>) {
        if !holds {
            self.complaints.push(wanted.into());
        }
    }

    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, is: T, wanted: T) {
        if is != wanted {
            let complaint = format!("{what} is {is:?} and should be {wanted:?}");
            self.complaints.push(complaint);
        }
    }

    pub fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    async fn refresh(
        &self,
        disturbance: &Disturbance,
    ) -> Result<CallOutput<RefreshReport>, CallError> {
        let world = self.world;
        let mut held_back = None;
        match disturbance {
            Disturbance::Nothing => {}
            Disturbance::Webex(fault) => world.emulator.inject(fault(&self.before)),
            Disturbance::Before(happens) => happens(world, &self.before),
            Disturbance::Slow(Stage::Before) => held_back = Some(world.emulator.gate(TOKEN)),
            Disturbance::Slow(Stage::After) => held_back = Some(world.emulator.gate_after(TOKEN)),
            Disturbance::Front(weather) => world.network.front().set(*weather),
            Disturbance::Proxy(manner) => world.network.gateway().set(*manner).await,
            Disturbance::Meanwhile(happens) => return self.refresh_while(*happens).await,
        }
        let result = world.host().refresh(&self.customer.pkid).await;
        if let Some(gate) = &held_back {
            // What is let go before Webex has seen that nobody waits any more, it carries out. It may see
            // the request late as well, or never, if it was not sent in time.
            let _ = tokio::time::timeout(ARRIVAL, gate.reached()).await;
            world.emulator.idle().await;
        }
        drop(held_back);
        result
    }

    /// Refreshes, and lets something happen between Webex's work and its answer.
    async fn refresh_while(
        &self,
        happens: Happening,
    ) -> Result<CallOutput<RefreshReport>, CallError> {
        let gate = self.world.emulator.gate_after(TOKEN);
        let (host, pkid) = (self.world.host().clone(), self.customer.pkid.clone());
        let refreshing = tokio::spawn(async move { host.refresh(&pkid).await });
        gate.reached().await;
        happens(self.world, &self.customer).await;
        gate.release();
        refreshing.await.expect("a refresh does not panic")
    }

    /// Looks at the record after the attempt; true when tokens were lost that had arrived.
    async fn look(
        &mut self,
        result: &Result<CallOutput<RefreshReport>, CallError>,
        tracking_id: Option<&str>,
    ) -> (Seen, bool) {
        let record = self.world.record(&self.customer.pkid).await;
        let state = text(&record["connection"]["state"]);
        let held = held(self.world, &self.customer).await;
        self.secrets.push(held.clone());
        let accepted = self.world.emulator.accepts(&held.refresh_token);
        let next = record["connection"]["next_refresh"].as_u64().map(Timestamp);
        let due = self.wakeup().await;
        self.equal("the wakeup", due, next);
        let pause = next.map(|next| next.since(self.now()));
        let alerts = self.alerts().await;
        let reads = self.reads(&record, result).await;
        let after = expiries(&record);
        let kept = held == self.before && after == self.expiries;
        let taken = matches!(self.class, Class::Answered | Class::Ahead | Class::Unnamed);
        if !taken && let Some(tracking_id) = tracking_id {
            let told = alerts
                .iter()
                .map(|alert| text(&alert["message"]).to_owned());
            self.expect_tracked(tracking_id, told.chain([reads.clone()]).collect());
        }
        let mut lost = false;
        match self.class {
            Class::Answered | Class::Ahead | Class::Unnamed => {
                self.equal("the state", state, "connected");
                let newest = self.world.emulator.newest(&self.grant);
                let newest = newest.expect("the grant is known");
                lost = Digest::of(&held.access_token) != newest.access_token
                    || Digest::of(&held.refresh_token) != newest.refresh_token;
                if self.class != Class::Unnamed {
                    self.expect(!lost, "what Webex gave out last should be stored");
                    self.expect(accepted, "Webex should accept the refresh token");
                }
                self.expect(alerts.is_empty(), "there should be no alert");
            }
            Class::NotCarriedOut { pause: wanted } => {
                self.equal("the state", state, "retrying");
                self.equal("the pause", pause, Some(wanted));
                self.expect(kept, "the tokens and their expiries should be kept");
                self.expect(accepted, "Webex should accept the refresh token");
                self.expect(alerts.is_empty(), "there should be no alert");
            }
            Class::Lost => {
                self.equal("the state", state, "retrying");
                self.expect(kept, "the tokens and their expiries should be kept");
                self.equal("the refresh token's life", accepted, !self.way.rotates());
                self.expect(alerts.is_empty(), "there should be no alert");
            }
            Class::Stashed | Class::Dropped => {
                self.equal("the state", state, "connected");
                self.expect(held == self.before, "the tokens should be kept");
                self.expect(result.is_err(), "the call should fail");
                self.expect(alerts.is_empty(), "there should be no alert");
            }
            Class::Operator => {
                self.equal("the state", state, "retrying");
                self.equal("the pause", pause, Some(HOUR));
                self.expect(kept, "the tokens and their expiries should be kept");
                self.expect(accepted, "Webex should accept the refresh token");
                self.equal("the number of alerts", alerts.len(), 1);
            }
            Class::Refused => {
                self.equal("the state", state, "reauthorize");
                self.equal("the pause", pause, None);
                self.expect(kept, "the tokens and their expiries should be kept");
                self.expect(!alerts.is_empty(), "there should be an alert");
            }
        }
        let seen = Seen {
            state: state.to_owned(),
            tokens: tokens(&self.before, &held, accepted),
            lives: after.map(|expiry| self.life(&expiry)).join(" / "),
            next: pause.map_or("none".to_owned(), |pause| format!("in {}", shown(pause))),
            alert: names(&alerts),
            reads: self.without_particulars(&reads, tracking_id),
            afterwards: String::new(),
        };
        (seen, lost)
    }

    fn life(&self, expiry: &Value) -> String {
        let at = Timestamp(expiry["at"].as_u64().expect("an expiry"));
        let left = shown(at.since(self.now()));
        if expiry["assumed"] == true {
            format!("{left} (assumed)")
        } else {
            left
        }
    }

    /// When the refresh is due by the store.
    async fn wakeup(&self) -> Option<Timestamp> {
        let subject = Reference::record(self.customer.pkid.clone());
        let wakeups = self.world.host().store().wakeups(&subject).await;
        let wakeups = wakeups.expect("the store answers");
        let refresh = wakeups.iter().find(|due| due.wakeup.id == "refresh");
        refresh.map(|due| due.wakeup.due)
    }

    pub async fn alerts(&self) -> Vec<Value> {
        let subject = Reference::record(self.customer.pkid.clone()).to_string();
        let mut alerts = self.world.all("data/Alert").await;
        alerts.retain(|alert| {
            alert["subject"] == subject.as_str() || alert["subject"] == "installation"
        });
        alerts
    }

    /// The record's notes, else how the call failed, else the warnings of its transaction.
    async fn reads(
        &self,
        record: &Value,
        result: &Result<CallOutput<RefreshReport>, CallError>,
    ) -> String {
        if let Some(notes) = record["notes"].as_str() {
            return notes.to_owned();
        }
        let id = match result {
            Ok(called) => &called.transaction,
            Err(error) => return error.to_string(),
        };
        let transaction = self.world.host().store().transaction(id).await;
        let transaction = transaction.expect("the store answers");
        let log = transaction.expect("the call is recorded").log;
        let warnings = log.iter().filter(|line| line.level >= Level::Warning);
        let warnings: Vec<&str> = warnings.map(|line| line.message.as_str()).collect();
        warnings.join("; ")
    }

    /// The tracking id of a failed request is in whatever the administrator reads.
    fn expect_tracked(&mut self, tracking_id: &str, texts: Vec<String>) {
        for text in texts {
            let has_it = text.contains(tracking_id) || text.contains(bodies::TRACKING_ID);
            self.expect(has_it, format!("the tracking id should be in: {text}"));
        }
    }

    /// The text without what differs from run to run.
    fn without_particulars(&self, text: &str, tracking_id: Option<&str>) -> String {
        let network = &self.world.network;
        let origin = network.origin();
        let mut text = text.replace(&origin, "https://webexapis.com");
        // What the host advises to list has the same port at an address.
        if let Some((_, port)) = origin.rsplit_once(':') {
            text = text.replace(&format!("10.1.2.3:{port}"), "10.1.2.3");
        }
        if let Some(proxy) = network.proxy_address() {
            text = text.replace(&proxy.to_string(), "proxy.example:3128");
        }
        for id in [tracking_id, Some(bodies::TRACKING_ID)]
            .into_iter()
            .flatten()
        {
            text = text.replace(id, "ROUTER_…");
        }
        text = text.replace(self.customer.pkid.as_str(), "…");
        let directory = self.world.directory().display().to_string();
        let mut before = "";
        let words = text.split(' ').map(|word| {
            let differs = word.contains(&directory)
                || before == "epoch"
                || (word.ends_with('Z') && word.starts_with("20"));
            before = word;
            if differs { "…" } else { word }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

pub async fn held(world: &World, customer: &Customer) -> Held {
    let open = async |name| {
        let secret = world.secret(&customer.pkid, name).await;
        let secret = secret.expect("the record holds its tokens");
        secret.expose_secret().to_owned()
    };
    Held {
        access_token: open("token").await,
        refresh_token: open("refresh_token").await,
    }
}

fn expiries(record: &Value) -> [Value; 2] {
    ["access", "refresh"].map(|name| record["connection"][name].clone())
}

fn tokens(before: &Held, held: &Held, accepted: bool) -> String {
    let access = held.access_token != before.access_token;
    let refresh = held.refresh_token != before.refresh_token;
    let became = match (access, refresh) {
        (false, false) => "kept",
        (true, false) => "access token replaced",
        (false, true) => "refresh token replaced",
        (true, true) => "both replaced",
    };
    if accepted {
        became.to_owned()
    } else {
        format!("{became}; Webex accepts this refresh token no more")
    }
}

pub fn names(alerts: &[Value]) -> String {
    let names: Vec<String> = alerts
        .iter()
        .map(|alert| format!("`{}`, {}", text(&alert["code"]), text(&alert["severity"])))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join("; ")
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
