//! Lists whose entries move to other pages while they are read.

use super::data_syncs::{store_sync, sync_all, world_with_contact_center};
use super::*;
use crate::platform::Level;
use crate::testing::CommitFault;
use crate::webex::directories::{CONTACT_CENTER_SITES, GROUPS};

const SITE: &str = CONTACT_CENTER_SITES.model;
const GROUP: &str = GROUPS.model;

/// Numbers of the entries that Webex has.
type Numbers = Rc<RefCell<Vec<usize>>>;

/// Serves Contact Center sites, two on a page. After each page, `change` gets the number of pages that were requested so
/// far, and may change the list.
fn serve_sites(
    world: &World,
    numbers: &[usize],
    change: impl Fn(usize, &mut Vec<usize>) + 'static,
) -> Numbers {
    let numbers = Rc::new(RefCell::new(numbers.to_vec()));
    let served = numbers.clone();
    world.platform.serve(move |platform, request| {
        let mut numbers = served.borrow_mut();
        let items = numbers.chunks(2).nth(read_parameter(request, "page"));
        let items: Vec<Value> = items.unwrap_or_default().iter().map(|n| site(*n)).collect();
        let meta = json!({"totalPages": numbers.len().div_ceil(2)});
        change(platform.sent().len(), &mut numbers);
        json_response(200, json!({"meta": meta, "data": items}))
    });
    numbers
}

fn site(n: usize) -> Value {
    json!({"id": format!("S{n}"), "name": format!("Site {n}")})
}

fn read_parameter(request: &HttpRequest, name: &str) -> usize {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut values = query.split('&').filter_map(|each| each.split_once('='));
    let found = values.find(|(each, _)| *each == name);
    found.and_then(|(_, value)| value.parse().ok()).unwrap()
}

/// Returns the names of the stored sites, in order.
fn site_names(world: &World) -> Vec<String> {
    let sites = world.platform.documents_of(SITE);
    let mut names: Vec<String> = sites
        .iter()
        .map(|site| body(site)["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Creates a world in which the sites 1 to 6 were imported.
fn world_with_sites() -> World {
    let world = world_with_contact_center("EU");
    serve_sites(&world, &[1, 2, 3, 4, 5, 6], |_, _| ());
    sync_all(&world).unwrap();
    assert_eq!(site_names(&world).len(), 6);
    world
}

#[test]
fn site_that_moves_to_a_read_page_is_not_removed() {
    // With the addition, neither the totals nor the number of sites that were read show the removal.
    for is_added in [false, true] {
        let world = world_with_sites();
        let before = world.platform.sent().len();
        let numbers = serve_sites(&world, &[1, 2, 3, 4, 5, 6], move |request, numbers| {
            if request == before + 1 {
                numbers.remove(0);
                numbers.extend(is_added.then_some(7));
            }
        });
        let report = sync_all(&world).unwrap();
        assert_eq!(report.models[0].removed, 0);
        let message = &report.message;
        assert!(message.contains("changed at Webex while"), "{message}");
        assert!(site_names(&world).contains(&"Site 3".to_owned()));
        assert_eq!(report.continues, None);
        assert_eq!(numbers.borrow().len(), 5 + usize::from(is_added));
        let report = sync_all(&world).unwrap();
        assert_eq!(report.models[0].removed, 1);
        assert!(!site_names(&world).contains(&"Site 1".to_owned()));
    }
}

#[test]
fn vanished_site_is_removed_after_two_equal_readings() {
    let world = world_with_sites();
    serve_sites(&world, &[1, 3, 4, 5, 6], |_, _| ());
    let before = world.platform.sent().len();
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models, [import_count(SITE, 5, 0, 0, 1)]);
    assert_eq!(world.platform.sent().len() - before, 6);
    let again = "1 stored Contact Center sites are not on the pages";
    assert!(world.platform.logged(Level::Info, again));
}

#[test]
fn list_of_sites_without_a_removal_is_read_once() {
    let world = world_with_sites();
    for (numbers, pages) in [(vec![1, 2, 3, 4, 5, 6, 7], 4), (vec![1, 2], 1)] {
        serve_sites(&world, &numbers, |_, _| ());
        let before = world.platform.sent().len();
        let report = sync_all(&world).unwrap();
        assert_eq!(world.platform.sent().len() - before, pages);
        // One page cannot shift.
        assert_eq!(report.models[0].removed, if pages == 1 { 5 } else { 0 });
    }
}

#[test]
fn implausible_removal_is_held_after_one_reading() {
    let world = world_with_contact_center("EU");
    let many: Vec<usize> = (1..=30).collect();
    serve_sites(&world, &many, |_, _| ());
    sync_all(&world).unwrap();
    serve_sites(&world, &[1, 2, 3], |_, _| ());
    let before = world.platform.sent().len();
    assert_eq!(sync_all(&world).unwrap().models[0].removed, 0);
    assert_eq!(world.platform.sent().len() - before, 2);
    let accepted = sync(&world.platform, PKID, "all", true).unwrap();
    assert_eq!(accepted.models[0].removed, 27);
}

#[test]
fn interrupted_second_reading_ends_like_an_uninterrupted_one() {
    let with_changes = || {
        let world = world_with_sites();
        serve_sites(&world, &[1, 3, 5, 6, 8], |_, _| ());
        world
    };
    let whole = with_changes();
    let before = whole.platform.commits();
    sync_all(&whole).unwrap();
    for nth in 1..=whole.platform.commits() - before {
        for is_reply_lost in [false, true] {
            let world = with_changes();
            let gone = Failure::Unavailable("the store is gone".to_owned());
            let fault = match is_reply_lost {
                true => CommitFault::LoseResult(gone),
                false => CommitFault::Fail(gone),
            };
            let nth = usize::try_from(nth).unwrap();
            world.platform.inject_commit_fault(nth, fault);
            sync_all(&world).unwrap_err();
            assert_eq!(sync_all(&world).unwrap().continues, None);
            assert_eq!(site_names(&world), site_names(&whole), "commit {nth}");
            assert!(world.platform.documents_of(SEEN_MODEL).is_empty());
        }
    }
}

#[test]
fn link_to_the_next_position_overlaps_its_page() {
    let world = World::new();
    store_sync(&world, &json!({"model_type_list": [GROUP]}));
    let shifts = Rc::new(RefCell::new(false));
    let shift = shifts.clone();
    let groups = RefCell::new(vec![1, 2, 3, 4, 5]);
    world.platform.serve(move |_, request| {
        let start = read_parameter(request, "startIndex");
        let mut groups = groups.borrow_mut();
        let from = start - 1;
        let to = groups.len().min(from + 2);
        let found: Vec<Value> = groups[from..to]
            .iter()
            .map(|n| json!({"id": format!("G{n}")}))
            .collect();
        let body = json!({"totalResults": groups.len(), "groups": found});
        let has_more = to < groups.len();
        if shift.replace(false) {
            // The total stays the same.
            groups.remove(0);
            groups.push(6);
        }
        let next = start + 2;
        let url = request.uri().path();
        let link =
            format!("<https://webexapis.com{url}?x&startIndex={next}&count=2>; rel=\"next\"");
        let headers = has_more.then_some(("Link", link.as_str()));
        raw_response(200, headers.as_slice(), body.to_string())
    });
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models, [import_count(GROUP, 5, 5, 0, 0)]);
    let starts = |world: &World| -> Vec<String> {
        let requests = world.requests().into_iter();
        requests
            .map(|uri| uri.split("startIndex=").last().unwrap().to_owned())
            .collect()
    };
    assert_eq!(starts(&world)[1..], ["2", "3", "4"]);
    shifts.replace(true);
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models[0].removed, 0);
    let message = &report.message;
    assert!(message.contains("changed at Webex while"), "{message}");
    assert_eq!(sync_all(&world).unwrap().models[0].removed, 1);
}
