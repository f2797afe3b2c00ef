//! Plain settings that differ from node to node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_e2e::faulty_store::Moment;
use relation_e2e::world::{DAY, START_TIME};
use relation_e2e::{Customer, World};
use relation_host::reports::RefreshOutcome;
use relation_host::store::{Change, Commit, Store, StoreError};
use relation_host::types::{Hierarchy, Pkid, Reference, Timestamp};
use relation_host::{AddRequest, NodeSettings};
use secrecy::SecretString;

/// The node of [`World::add_customer`].
const NODE: &str = "sys.Provider.Reseller.Customer";
const OTHER_NODE: &str = "sys.Provider.Reseller.Other";

/// The behavior of a source that is asked.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Behavior {
    #[default]
    Respond,
    Read,
    Fail,
    Hang,
}

/// A source with the thresholds of nodes.
#[derive(Default)]
struct Thresholds {
    nodes: BTreeMap<String, String>,
    behavior: Mutex<Behavior>,
    asked: Mutex<Vec<String>>,
}

impl Thresholds {
    fn new(nodes: &[(&str, &str)]) -> Arc<Self> {
        let nodes = nodes.iter();
        Arc::new(Self {
            nodes: nodes
                .map(|(node, value)| ((*node).into(), (*value).into()))
                .collect(),
            ..Self::default()
        })
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }
}

#[async_trait]
impl NodeSettings for Thresholds {
    async fn find(
        &self,
        store: &dyn Store,
        node: &Hierarchy,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        self.asked.lock().push(node.to_string());
        let behavior = *self.behavior.lock();
        match behavior {
            Behavior::Respond => {}
            Behavior::Read => {
                store
                    .get(&[Reference::new("host/Test", Pkid::random())])
                    .await?;
            }
            Behavior::Fail => return Err(StoreError::Unavailable("a fault of this test".into())),
            Behavior::Hang => std::future::pending().await,
        }
        let value = self.nodes.get(node.as_str()).cloned();
        let value = value.map(|value| ("expiry.thresholds".to_owned(), value));
        Ok(value.into_iter().collect())
    }
}

async fn world_with(source: &Arc<Thresholds>) -> World {
    World::builder().node_settings(source.clone()).start().await
}

/// Adds a customer with pasted tokens at another node.
async fn add_other(world: &World) -> Pkid {
    let organization = world.emulator.create_organization("Fabrikam");
    let scopes = relation_e2e::world::SCOPES.iter().copied();
    let grant = world.emulator.grant(&organization, scopes);
    let mut fields = serde_json::Map::new();
    fields.insert("name".into(), "Fabrikam".into());
    fields.insert("account_number".into(), organization.uuid.as_str().into());
    let request = AddRequest {
        hierarchy: OTHER_NODE.parse().unwrap(),
        fields,
        token_response: Some(SecretString::from(grant.json().to_string())),
        idempotency_key: None,
    };
    let added = world
        .host()
        .add(request)
        .await
        .expect("the customer is added");
    added.value.connection.pkid
}

/// Checks the expiry now, and returns the threshold of the alert in days.
async fn check(world: &World, pkid: &Pkid) -> Option<u64> {
    let checked = world.host().check_expiry(pkid).await;
    let alert = checked.expect("the check succeeds").value.alert;
    alert.map(|alert| alert.threshold_ms / 86_400_000)
}

/// Returns when the expiry of a record is checked next.
async fn next_check(world: &World, pkid: &Pkid) -> Timestamp {
    let record = Reference::record(pkid.clone());
    let wakeups = world.host().store().wakeups(&record).await.unwrap();
    let mut wakeups = wakeups.into_iter().map(|due| due.wakeup);
    wakeups
        .find(|wakeup| wakeup.id == "expiry")
        .expect("a check")
        .due
}

#[tokio::test]
async fn two_nodes_have_their_own_thresholds() {
    let source = Thresholds::new(&[(NODE, "60d"), (OTHER_NODE, "10d")]);
    let world = world_with(&source).await;
    let one = world.add_customer("Contoso").await.pkid;
    let other = add_other(&world).await;
    // A record that is being added has the settings of its node already.
    assert_eq!(source.take_asked(), [NODE, OTHER_NODE]);
    assert_eq!(next_check(&world, &one).await, START_TIME.after(30 * DAY));
    assert_eq!(next_check(&world, &other).await, START_TIME.after(80 * DAY));

    world.clock.advance(31 * DAY);
    assert_eq!(check(&world, &one).await, Some(60));
    assert_eq!(check(&world, &other).await, None);
    world.clock.advance(50 * DAY);
    assert_eq!(check(&world, &other).await, Some(10));
    assert_eq!(source.take_asked(), [NODE, OTHER_NODE, OTHER_NODE]);
    // The settings of the installation are not about a record.
    world.host().check_settings().await.unwrap();
    assert_eq!(source.take_asked(), [""; 0]);
}

#[tokio::test]
async fn moved_record_has_the_thresholds_of_its_new_node() {
    let source = Thresholds::new(&[(NODE, "10d"), (OTHER_NODE, "60d")]);
    let world = world_with(&source).await;
    let pkid = world.add_customer("Contoso").await.pkid;
    world.clock.advance(31 * DAY);
    assert_eq!(check(&world, &pkid).await, None);

    let record = Reference::record(pkid.clone());
    let mut document = world.document(&record).await.unwrap();
    document.hierarchy = OTHER_NODE.parse().unwrap();
    let moved = Commit {
        changes: vec![Change::Put(document)],
        now: START_TIME,
        ..Commit::default()
    };
    world.host().store().commit(moved).await.unwrap();
    assert_eq!(check(&world, &pkid).await, Some(60));
}

#[tokio::test]
async fn node_without_settings_has_the_installations() {
    let world = world_with(&Thresholds::new(&[])).await;
    let pkid = world.add_customer("Contoso").await.pkid;
    assert_eq!(next_check(&world, &pkid).await, START_TIME.after(60 * DAY));
}

#[tokio::test]
async fn failing_source_leaves_the_installations_settings() {
    let source = Thresholds::new(&[(NODE, "60d")]);
    let world = world_with(&source).await;
    let Customer { pkid, .. } = world.add_customer("Contoso").await;
    world.clock.advance(DAY);
    for behavior in [Behavior::Fail, Behavior::Hang] {
        *source.behavior.lock() = behavior;
        let refreshed = world.host().refresh(&pkid).await.unwrap().value;
        assert_eq!(refreshed.outcome, RefreshOutcome::Connected);
        let _ = source.take_asked();
        assert_eq!(check(&world, &pkid).await, None);
        assert_eq!(source.take_asked(), [NODE], "asked once in a call");
        assert_eq!(next_check(&world, &pkid).await, START_TIME.after(61 * DAY));
    }
    *source.behavior.lock() = Behavior::Respond;
    assert_eq!(check(&world, &pkid).await, None);
    assert_eq!(next_check(&world, &pkid).await, START_TIME.after(31 * DAY));
}

/// Counts the operations of the store in one refresh.
async fn count_operations(source: Option<Behavior>) -> usize {
    let mut builder = World::builder();
    if let Some(behavior) = source {
        let source = Thresholds::new(&[(NODE, "60d")]);
        *source.behavior.lock() = behavior;
        builder = builder.node_settings(source);
    }
    let world = builder.start().await;
    let Customer { pkid, .. } = world.add_customer("Contoso").await;
    world.clock.advance(DAY);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    world.store_faults.watch(move |_, moment| {
        if moment == Moment::Before {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let refreshed = world.host().refresh(&pkid).await.unwrap().value;
    assert_eq!(refreshed.outcome, RefreshOutcome::Connected);
    count.load(Ordering::SeqCst)
}

#[tokio::test]
async fn refresh_visits_the_store_once_more_at_most() {
    let without = count_operations(None).await;
    assert!(without > 0);
    // The record's node is known from the document that the plugin reads.
    assert_eq!(count_operations(Some(Behavior::Respond)).await, without);
    assert_eq!(count_operations(Some(Behavior::Read)).await, without + 1);
}
