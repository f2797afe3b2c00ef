//! The sites of imported locations.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::data_syncs::store_sync;
use super::*;
use crate::platform::{Level, Storage};
use crate::sites::mappings::{LOCATION_MAPPING, Mapping};
use crate::sites::nodes::{find_node_error, fold};
use crate::sites::{NETWORK_DEVICE_LIST, SITE};
use crate::testing::{CommitFault, HIERARCHY};
use crate::workflows::delete::delete;

const LOCATION: &str = "device/spark/Location";

fn location(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "timeZone": "Europe/Berlin"})
}

/// Creates a world with these locations, as ids and names, and a data sync of locations.
fn with_locations(locations: &[(&str, &str)]) -> World {
    let world = World::new();
    set_locations(&world, locations);
    permit(&world, &[]);
    world
}

fn set_locations(world: &World, locations: &[(&str, &str)]) {
    let locations = locations.iter().map(|(id, name)| location(id, name));
    world.webex.borrow_mut().locations = locations.collect();
}

/// Disables these operations of the data sync.
fn permit(world: &World, disabled: &[&str]) {
    let members = json!({"model_type_list": [LOCATION], "disabled_operations": disabled});
    store_sync(world, &members);
}

fn import(world: &World) -> SyncReport {
    let mut report = try_import(world).unwrap();
    while report.continues.is_some() {
        report = try_import(world).unwrap();
    }
    report
}

fn try_import(world: &World) -> Result<SyncReport, Failure> {
    sync(&world.platform, PKID, "all", false)
}

fn put(world: &World, model: &str, pkid: &str, node: &str, body: &Value) -> Reference {
    let reference = Reference::new(model, pkid);
    let document = Document {
        reference: reference.clone(),
        hierarchy: node.to_owned(),
        version: 0,
        body: body.to_string(),
        keys: Vec::new(),
    };
    let put = vec![Change::Put(document)];
    world.platform.commit(Vec::new(), put).unwrap();
    reference
}

/// Returns the names of the sites with their nodes below the customer, in the order of nodes.
fn site_nodes(world: &World) -> Vec<(String, String)> {
    let prefix = format!("{HIERARCHY}.");
    let sites = world.platform.documents_of(SITE);
    let mut nodes: Vec<(String, String)> = sites
        .iter()
        .map(|site| {
            let name = body(site)["name"].as_str().unwrap_or_default().to_owned();
            let node = site.hierarchy.strip_prefix(&prefix);
            (name, node.unwrap_or(&site.hierarchy).to_owned())
        })
        .collect();
    nodes.sort_by(|one, other| one.1.cmp(&other.1));
    nodes
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, node): &(&str, &str)| ((*name).to_owned(), (*node).to_owned());
    expected.iter().map(owned).collect()
}

/// Returns sites and network device lists, without their versions.
fn outcome(world: &World) -> Vec<(Reference, String, String)> {
    let documents = world.platform.documents().into_iter();
    documents
        .filter(|each| [SITE, NETWORK_DEVICE_LIST, LOCATION].contains(&&*each.reference.model))
        .map(|each| (each.reference, each.hierarchy, each.body))
        .collect()
}

#[test]
fn first_import_adds_a_list_and_a_site_for_each_location() {
    let world = with_locations(&[("L1", "Berlin"), ("L2", "St. Gallen")]);
    let report = import(&world);
    assert_eq!(
        report.message,
        "imported 2 locations (2 added, 2 sites added)"
    );
    let [list] = world
        .platform
        .documents_of(NETWORK_DEVICE_LIST)
        .try_into()
        .unwrap();
    assert_eq!(list.hierarchy, HIERARCHY);
    assert_eq!(body(&list)["name"], "Acme NDL");
    let expected = [("Berlin", "Berlin"), ("St. Gallen", "St_ Gallen")];
    assert_eq!(site_nodes(&world), pairs(&expected));
    for site in world.platform.documents_of(SITE) {
        assert_eq!(body(&site)["network_device_list"], list.reference.pkid);
    }
}

#[test]
fn unchanged_locations_write_no_site() {
    let world = with_locations(&[("L1", "Berlin")]);
    import(&world);
    let before = outcome(&world);
    let report = import(&world);
    assert_eq!(report.message, "imported 1 location (nothing changed)");
    assert_eq!(outcome(&world), before);
    for model in [SITE, NETWORK_DEVICE_LIST] {
        for document in world.platform.documents_of(model) {
            assert_eq!(document.version, 1, "{model}");
        }
    }
}

#[test]
fn network_device_list_of_the_customer_is_used() {
    let world = with_locations(&[("L1", "Berlin")]);
    let pkid = "a".repeat(24);
    put(&world, NETWORK_DEVICE_LIST, &pkid, HIERARCHY, &json!({}));
    put(
        &world,
        NETWORK_DEVICE_LIST,
        &"0".repeat(24),
        "sys.Provider.Reseller",
        &json!({}),
    );
    import(&world);
    assert_eq!(world.platform.documents_of(NETWORK_DEVICE_LIST).len(), 2);
    let site = world.platform.documents_of(SITE).remove(0);
    assert_eq!(body(&site)["network_device_list"], pkid);
}

#[test]
fn mapping_places_new_sites_below_its_node() {
    let world = with_locations(&[("L1", "Berlin Mitte")]);
    import(&world);
    let mapping = json!({"IntermediateNode": "Germany", "searchString": "BERLIN"});
    let pkid = "b".repeat(24);
    put(&world, LOCATION_MAPPING, &pkid, HIERARCHY, &mapping);
    set_locations(
        &world,
        &[
            ("L1", "Berlin Mitte"),
            ("L2", "Office Berlin"),
            ("L3", "Rome"),
            ("L4", "germany"),
        ],
    );
    import(&world);
    let nodes = site_nodes(&world);
    let node = |name: &str| nodes.iter().find(|each| each.0 == name).unwrap().1.as_str();
    assert_eq!(node("Berlin Mitte"), "Berlin Mitte");
    assert_eq!(node("Office Berlin"), "Germany.Office Berlin");
    assert_eq!(node("Rome"), "Rome");
    assert!(node("germany").starts_with("germany_"), "{nodes:?}");
}

#[test]
fn unusable_mapping_is_reported_and_places_nothing() {
    let world = with_locations(&[("L1", "Berlin")]);
    let mapping = json!({"IntermediateNode": "a.b", "searchString": "berlin"});
    let pkid = "b".repeat(24);
    put(&world, LOCATION_MAPPING, &pkid, HIERARCHY, &mapping);
    import(&world);
    assert_eq!(site_nodes(&world), pairs(&[("Berlin", "Berlin")]));
    assert!(
        world
            .platform
            .logged(Level::Warning, "location mappings that cannot be used: ")
    );
}

#[test]
fn site_that_names_a_location_is_taken() {
    let world = with_locations(&[("L1", "Berlin"), ("L2", "Rome")]);
    let site = json!({"name": "Headquarters", "default_location": "L1"});
    let node = format!("{HIERARCHY}.HQ");
    let taken = put(&world, SITE, &"c".repeat(24), &node, &site);
    for _ in 0..2 {
        import(&world);
        let expected = [("Headquarters", "HQ"), ("Rome", "Rome")];
        assert_eq!(site_nodes(&world), pairs(&expected));
    }
    set_locations(&world, &[("L1", "Berlin Mitte"), ("L2", "Rome")]);
    import(&world);
    let stored = world.platform.get(&taken).unwrap().unwrap();
    assert_eq!((stored.version, body(&stored)), (1, site));
}

#[test]
fn renamed_location_renames_its_site_unless_a_person_did() {
    let world = with_locations(&[("L1", "Berlin"), ("L2", "Rome")]);
    import(&world);
    let mut site = world
        .platform
        .documents_of(SITE)
        .into_iter()
        .find(|site| body(site)["name"] == "Rome")
        .unwrap();
    site.body = site.body.replace("\"name\":\"Rome\"", "\"name\":\"Roma\"");
    let edit = vec![Change::Put(site)];
    world.platform.commit(Vec::new(), edit).unwrap();
    set_locations(&world, &[("L1", "Berlin Mitte"), ("L2", "Rome Center")]);
    let report = import(&world);
    assert!(
        report.message.contains("2 updated, 1 site renamed"),
        "{}",
        report.message
    );
    let expected = [("Berlin Mitte", "Berlin"), ("Roma", "Rome")];
    assert_eq!(site_nodes(&world), pairs(&expected));
    permit(&world, &["update"]);
    set_locations(&world, &[("L1", "Berlin"), ("L2", "Rome")]);
    import(&world);
    assert_eq!(site_nodes(&world), pairs(&expected));
}

#[test]
fn site_of_a_vanished_location_stays_and_is_reported_once() {
    let world = with_locations(&[("L1", "Berlin"), ("L2", "Rome")]);
    import(&world);
    let sites = site_nodes(&world);
    set_locations(&world, &[("L2", "Rome")]);
    let report = import(&world);
    let expected = "imported 1 location (1 removed); 1 site stays although its location has vanished at \
                    Webex: Berlin";
    assert_eq!(report.message, expected);
    assert!(
        world
            .platform
            .logged(Level::Warning, "vanished at Webex: Berlin")
    );
    assert_eq!(site_nodes(&world), sites);
    assert!(!import(&world).message.contains("vanished"));
    // The location is back: its site is still there.
    set_locations(&world, &[("L1", "Berlin"), ("L2", "Rome")]);
    import(&world);
    assert_eq!(site_nodes(&world), sites);
}

#[test]
fn first_of_many_sites_that_stay_are_named() {
    let names: Vec<String> = (1..=8).map(|n| format!("Office {n}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &**name)).collect();
    let world = with_locations(&all);
    import(&world);
    set_locations(&world, &all[..1]);
    let message = import(&world).message;
    assert!(message.contains("7 sites stay"), "{message}");
    assert!(message.ends_with(", and 2 more"), "{message}");
}

#[test]
fn purge_leaves_sites_and_says_nothing_of_them() {
    let world = with_locations(&[("L1", "Berlin")]);
    import(&world);
    let purge = json!({"model_type_list": [LOCATION], "sync_type": "purge_local"});
    store_sync(&world, &purge);
    let report = import(&world);
    assert_eq!(report.models[0].removed, 1);
    assert!(!report.message.contains("site"), "{}", report.message);
    assert_eq!(site_nodes(&world).len(), 1);
}

#[test]
fn disabled_add_adds_neither_list_nor_site() {
    let world = with_locations(&[("L1", "Berlin")]);
    permit(&world, &["add"]);
    import(&world);
    assert!(outcome(&world).is_empty());
}

#[test]
fn node_of_another_customer_is_not_used() {
    let world = with_locations(&[("L1", "Berlin")]);
    let node = format!("{HIERARCHY}.Berlin.Below");
    put(
        &world,
        "data/SparkCustomer",
        &"d".repeat(24),
        &node,
        &json!({}),
    );
    import(&world);
    let nodes = site_nodes(&world);
    assert!(nodes[0].1.starts_with("Berlin_"), "{nodes:?}");
}

#[test]
fn node_that_another_client_takes_meanwhile_is_not_shared() {
    let world = with_locations(&[("L1", "Berlin")]);
    let take = |platform: &MemoryPlatform| {
        let document = Document {
            reference: Reference::new(SITE, "e".repeat(24)),
            hierarchy: format!("{HIERARCHY}.Berlin"),
            version: 0,
            body: json!({"name": "Other"}).to_string(),
            keys: Vec::new(),
        };
        let put = vec![Change::Put(document)];
        platform.commit(Vec::new(), put).unwrap();
    };
    world
        .platform
        .inject_commit_fault(2, CommitFault::RunFirst(Box::new(take)));
    let failure = try_import(&world).unwrap_err();
    assert!(matches!(failure, Failure::Conflict(_)), "{failure:?}");
    import(&world);
    let nodes = site_nodes(&world);
    assert_eq!(nodes[0], pairs(&[("Other", "Berlin")])[0]);
    assert!(nodes[1].1.starts_with("Berlin_"), "{nodes:?}");
}

#[test]
fn interrupted_import_ends_with_the_same_sites() {
    let locations: Vec<(String, String)> = (0..240)
        .map(|n| (format!("L{n}"), format!("Office {}", n % 80)))
        .collect();
    let locations: Vec<(&str, &str)> = locations
        .iter()
        .map(|(id, name)| (&**id, &**name))
        .collect();
    let world = || {
        let world = with_locations(&locations);
        world.webex.borrow_mut().page = 100;
        world
    };
    let whole = world();
    let before = whole.platform.commits();
    import(&whole);
    assert_eq!(site_nodes(&whole).len(), 240);
    let commits = usize::try_from(whole.platform.commits() - before).unwrap();
    assert!(commits >= 6, "{commits}");
    for nth in 1..=commits {
        for reply_lost in [false, true] {
            let lost = Failure::Unavailable("the store is gone".to_owned());
            let world = world();
            let fault = match reply_lost {
                true => CommitFault::LoseResult(lost),
                false => CommitFault::Fail(lost),
            };
            world.platform.inject_commit_fault(nth, fault);
            try_import(&world).unwrap_err();
            import(&world);
            assert_eq!(outcome(&world), outcome(&whole), "commit {nth}");
        }
    }
}

#[test]
fn record_that_is_added_again_finds_its_sites() {
    let world = with_locations(&[("L1", "Berlin")]);
    import(&world);
    let sites = world.platform.documents_of(SITE);
    let lists = world.platform.documents_of(NETWORK_DEVICE_LIST);
    delete(&world.platform, PKID, true).unwrap();
    let kept = "leaves 1 network device list and 1 site,";
    assert!(world.platform.logged(Level::Info, kept));
    delete(&world.platform, PKID, false).unwrap();
    assert!(world.platform.documents_of(LOCATION).is_empty());
    let mut record = crate::testing::connected_record(world.platform.now());
    record.pkid = "9".repeat(24);
    let record = world.platform.store_connected(record).unwrap();
    sync(&world.platform, &record.pkid, "all", false).unwrap();
    assert_eq!(world.platform.documents_of(LOCATION).len(), 1);
    assert_eq!(world.platform.documents_of(SITE), sites);
    assert_eq!(world.platform.documents_of(NETWORK_DEVICE_LIST), lists);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_location_keeps_a_valid_node_of_its_own(
        names in proptest::collection::vec(
            prop_oneof!["[aAbB ./_]{0,3}", ".{0,12}", "[germanyGERMANY]{7}"],
            1..12,
        ),
        search in "[ab]",
    ) {
        let ids: Vec<String> = (0..names.len()).map(|n| format!("L{n}")).collect();
        let all: Vec<(&str, &str)> =
            ids.iter().zip(&names).map(|(id, name)| (&**id, &**name)).collect();
        let world = with_locations(&all);
        let mapping = Mapping::new(HIERARCHY, "Germany", &search);
        let mapping = serde_json::to_value(&mapping).unwrap();
        put(&world, LOCATION_MAPPING, &"b".repeat(24), HIERARCHY, &mapping);
        import(&world);
        let sites = outcome(&world);
        let mut nodes = BTreeSet::from([fold("Germany")]);
        for (_, node) in site_nodes(&world) {
            for part in node.split('.') {
                prop_assert_eq!(find_node_error(part), None, "{:?}", node);
            }
            prop_assert!(nodes.insert(fold(&node)), "{:?} is used twice", node);
        }
        prop_assert_eq!(nodes.len(), names.len() + 1);
        let reversed: Vec<(&str, &str)> = all.into_iter().rev().collect();
        set_locations(&world, &reversed);
        import(&world);
        prop_assert_eq!(outcome(&world), sites);
    }
}
