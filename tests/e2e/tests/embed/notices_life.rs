//! Notices over the lifetime of a connection: the plugin raises alerts, the host routes them, and receivers get webhooks.

use std::collections::BTreeSet;
use std::time::Duration;

use relation_app::config::NoticesConfig;
use relation_e2e::webhook_receiver::{Received, WebhookReceiver};
use relation_e2e::world::{CLIENT_SECRET, DAY, SCOPES};
use relation_e2e::{Customer, World};
use relation_host::Host;
use relation_host::clock::Clock as _;
use relation_host::schedule::DispatcherOptions;
use secrecy::SecretString;
use serde_json::json;
use webex_emulator::Mode;

const HOUR: Duration = Duration::from_secs(3_600);

/// Starts a world whose refresh tokens end 90 days after the consent, however often they are used.
async fn world(receiver: &WebhookReceiver) -> World {
    let notices = NoticesConfig {
        webhook_origins: vec![receiver.origin()],
        ..NoticesConfig::default()
    };
    let world = World::builder().mode(Mode::FrozenClock);
    world.notices(notices).start().await
}

/// Two hosts on one store, which are restarted repeatedly.
struct Hosts<'w> {
    world: &'w World,
    hosts: [Host; 2],
    received: Vec<Received>,
}

impl<'w> Hosts<'w> {
    async fn start(world: &'w World) -> Self {
        Self {
            world,
            hosts: [world.new_host().await, world.new_host().await],
            received: Vec::new(),
        }
    }

    /// Advances the clock by six hours at a time. Both hosts run what is due, at the same time.
    async fn run_for(&mut self, time: Duration, receiver: &WebhookReceiver) {
        let steps = time.as_secs() / (6 * HOUR).as_secs();
        for step in 0..steps {
            self.world.clock.advance(6 * HOUR);
            self.run_due().await;
            if step % 20 == 19 {
                let restarted = usize::from(step % 40 == 39);
                self.hosts[restarted] = self.world.new_host().await;
            }
        }
        self.received.extend(receiver.take());
    }

    async fn run_due(&self) {
        let [first, second] = &self.hosts;
        let options = DispatcherOptions::default;
        let (first, second) = (first.dispatcher(options()), second.dispatcher(options()));
        let (first, second) = tokio::join!(first.run_until_idle(), second.run_until_idle());
        first.expect("the store responds");
        second.expect("the store responds");
    }

    /// Takes what was reported, as texts: the type, and the days before the expiry.
    fn take(&mut self) -> Vec<String> {
        let received = std::mem::take(&mut self.received);
        let ids: BTreeSet<&str> = received.iter().map(|each| each.id.as_str()).collect();
        assert_eq!(ids.len(), received.len(), "an id was told twice");
        received.iter().map(describe).collect()
    }
}

/// Returns the type of a message, with the days that are left if the message reports an expiry to come.
fn describe(received: &Received) -> String {
    let kind = received.kind();
    match (kind, received.body["data"]["expires"].as_str()) {
        ("connection.expiring", Some(expires)) => {
            let expires = humantime::parse_rfc3339(expires).expect("a time");
            let expires = expires.duration_since(std::time::UNIX_EPOCH).unwrap();
            let left = expires.as_secs() - received.timestamp;
            format!("{kind} {}", left.div_ceil(DAY.as_secs()))
        }
        _ => kind.to_owned(),
    }
}

pub(crate) async fn connect_again(world: &World, customer: &Customer) {
    let grant = world
        .emulator
        .grant(&customer.organization, SCOPES.iter().copied());
    let tokens = SecretString::from(grant.json().to_string());
    let fields = serde_json::Map::new();
    let modified = world.host().modify(&customer.pkid, fields, Some(tokens));
    let _ = modified.await.expect("the tokens are stored");
}

#[tokio::test]
async fn each_threshold_is_told_once_in_90_days() {
    let receiver = WebhookReceiver::start().await;
    let world = world(&receiver).await;
    let settings = json!({ "recipients": [receiver.recipient("noc")] });
    world.set_notice_settings("sys.Provider", &settings).await;
    let customer = world.add_customer("Contoso").await;
    let mut hosts = Hosts::start(&world).await;

    hosts.run_for(59 * DAY, &receiver).await;
    assert_eq!(hosts.take(), [""; 0]);
    hosts.run_for(11 * DAY, &receiver).await;
    assert_eq!(hosts.take(), ["connection.expiring 30"]);

    // The wall clock of the hosts is wrong for a day.
    let now = world.clock.now();
    world.clock.set_wall(relation_host::types::Timestamp(
        now.0 - 2 * u64::try_from(DAY.as_millis()).unwrap(),
    ));
    hosts.run_for(DAY, &receiver).await;
    world.repair().await;
    hosts.run_for(DAY, &receiver).await;
    assert_eq!(hosts.take(), [""; 0]);

    hosts.run_for(8 * DAY, &receiver).await;
    assert_eq!(hosts.take(), ["connection.expiring 14"]);

    // Two thresholds that are past are added: the tightest is reported.
    let changed = json!({
        "recipients": [receiver.recipient("noc")],
        "thresholds": ["30d", "14d", "12d", "11d", "7d", "2d"],
    });
    world.set_notice_settings("sys.Provider", &changed).await;
    hosts.run_for(DAY, &receiver).await;
    assert_eq!(hosts.take(), ["connection.expiring 10"]);

    hosts.run_for(8 * DAY, &receiver).await;
    let told = ["connection.expiring 7", "connection.expiring 2"];
    assert_eq!(hosts.take(), told);
    hosts.run_for(9 * DAY, &receiver).await;
    assert_eq!(hosts.take(), ["connection.expired"]);

    connect_again(&world, &customer).await;
    hosts.run_for(DAY, &receiver).await;
    assert_eq!(hosts.take(), ["connection.recovered"]);

    // The expiry of a deleted customer is not reported.
    hosts.run_for(55 * DAY, &receiver).await;
    let deleted = world.host().delete(&customer.pkid, false).await;
    let _ = deleted.expect("the record is deleted");
    hosts.run_for(40 * DAY, &receiver).await;
    assert_eq!(hosts.take(), [""; 0]);
}

#[tokio::test]
async fn clock_set_back_loses_nothing_that_was_told() {
    let receiver = WebhookReceiver::start().await;
    let world = world(&receiver).await;
    let settings = json!({ "recipients": [receiver.recipient("noc")] });
    world.set_notice_settings("sys.Provider", &settings).await;
    let customer = world.add_customer("Contoso").await;
    let mut hosts = Hosts::start(&world).await;
    hosts.run_for(3 * DAY, &receiver).await;
    world.emulator.revoke(&customer.organization);
    let _ = world.host().refresh(&customer.pkid).await.unwrap();
    hosts.run_for(DAY, &receiver).await;
    assert_eq!(hosts.take(), ["connection.reauthorize"]);

    let day = u64::try_from(DAY.as_millis()).unwrap();
    let earlier = world.clock.now().0 - 2 * day;
    world
        .clock
        .set_wall(relation_host::types::Timestamp(earlier));
    hosts.run_for(DAY, &receiver).await;
    assert_eq!(world.bodies("host/NoticeDelivery").await.len(), 1);
    connect_again(&world, &customer).await;
    hosts.run_for(DAY, &receiver).await;
    assert_eq!(hosts.take(), ["connection.recovered"]);
}

#[tokio::test]
async fn tenants_are_told_about_their_own_customers() {
    let (own, other) = (
        WebhookReceiver::start().await,
        WebhookReceiver::start().await,
    );
    let notices = NoticesConfig {
        webhook_origins: vec![own.origin(), other.origin()],
        ..NoticesConfig::default()
    };
    let world = World::builder().notices(notices).start().await;
    let node = "sys.Provider.Reseller.Customer";
    let settings =
        |receiver: &WebhookReceiver| json!({ "recipients": [receiver.recipient("hook")] });
    world.set_notice_settings(node, &settings(&own)).await;
    world
        .set_notice_settings("sys.Provider.Other", &settings(&other))
        .await;
    let customer = world.add_customer("Contoso").await;
    world.emulator.revoke(&customer.organization);
    let _ = world.host().refresh(&customer.pkid).await.unwrap();
    world.run_for(HOUR).await;
    let received = own.take();
    let kinds: Vec<&str> = received.iter().map(Received::kind).collect();
    assert_eq!(kinds, ["connection.reauthorize"]);
    assert_eq!(other.take().len(), 0);
    let text = received[0].body.to_string();
    assert!(!text.contains(CLIENT_SECRET), "{text}");
    for token in ["access_token", "refresh_token"] {
        let grant = customer.grant.json();
        let token = grant[token].as_str().expect("a token");
        assert!(!text.contains(token), "{text}");
    }
}

#[tokio::test]
async fn many_expiries_are_few_messages() {
    let receiver = WebhookReceiver::start().await;
    let world = world(&receiver).await;
    let settings = json!({ "recipients": [receiver.recipient("noc")], "budget": 5 });
    world.set_notice_settings("sys.Provider", &settings).await;
    for number in 0..100 {
        world.add_customer(&format!("Customer {number}")).await;
    }
    let mut hosts = Hosts::start(&world).await;
    hosts.run_for(62 * DAY, &receiver).await;
    // A message of one notice has a record, a digest has a list.
    let told: usize = hosts
        .received
        .iter()
        .map(|each| each.body["data"]["notices"].as_array().map_or(1, Vec::len))
        .sum();
    let left_off: u64 = hosts
        .received
        .iter()
        .filter_map(|each| each.body["data"]["left_off"].as_u64())
        .sum();
    assert_eq!(told as u64 + left_off, 100);
    assert!(hosts.received.len() <= 30, "{}", hosts.received.len());
}
