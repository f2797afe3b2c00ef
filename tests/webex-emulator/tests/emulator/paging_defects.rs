//! Defects of pages in the lists of people, workspaces and groups, and errors of single lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::json;
use webex_emulator::{Fault, Listing, Paging, PagingDefect};

use crate::lists::{entries, follow, get, ids, items, next, world};
use crate::support::World;

async fn people_with(defect: PagingDefect) -> World {
    let world = world(|builder| builder.generate(Listing::People, 25)).await;
    let paging = Paging::with_size(10).with_defect(defect);
    world.webex.set_paging(Listing::People, paging);
    world
}

#[tokio::test]
async fn next_url_may_have_a_null_max() {
    let world = people_with(PagingDefect::NullMax).await;
    let first = get(&world, "/v1/people?max=4&excludeStatus=true").await;
    let url = next(&world, &first).unwrap();
    assert!(
        url.starts_with("/v1/people?excludeStatus=true&max=null&cursor="),
        "{url}"
    );
    assert_eq!(items(&get(&world, &url).await).len(), 4);
}

#[tokio::test]
async fn next_url_may_lack_the_filters() {
    let world = people_with(PagingDefect::LostFilters).await;
    let first = get(&world, "/v1/people?max=4&excludeStatus=true").await;
    assert!(
        items(&first)
            .iter()
            .all(|person| person.get("status").is_none())
    );
    let url = next(&world, &first).unwrap();
    assert!(url.starts_with("/v1/people?cursor="), "{url}");
    let second = items(&get(&world, &url).await);
    assert!(second.iter().all(|person| person.get("status").is_some()));
}

#[tokio::test]
async fn a_list_may_be_cut_off() {
    let world = people_with(PagingDefect::CutOff { page: 2 }).await;
    let (sizes, _) = follow(&world, "/v1/people", "items").await;
    assert_eq!(sizes, [10, 10]);
}

#[tokio::test]
async fn next_url_may_lead_to_an_empty_page() {
    let world = people_with(PagingDefect::EmptyLastPage).await;
    let (sizes, _) = follow(&world, "/v1/people", "items").await;
    assert_eq!(sizes, [10, 10, 5, 0]);
}

#[tokio::test]
async fn lists_without_links_may_repeat_or_end_early() {
    let world = world(|builder| builder.generate(Listing::Workspaces, 25)).await;
    let page = async |start: usize| {
        items(&get(&world, &format!("/v1/workspaces?start={start}&max=10")).await)
    };
    let second = page(10).await;
    let repeated = PagingDefect::RepeatedPage { page: 2 };
    world.webex.set_paging(
        Listing::Workspaces,
        Paging::with_size(10).with_defect(repeated),
    );
    assert_eq!(page(10).await, second);
    assert_eq!(page(20).await, second);
    let cut_off = PagingDefect::CutOff { page: 1 };
    world.webex.set_paging(
        Listing::Workspaces,
        Paging::with_size(10).with_defect(cut_off),
    );
    assert_eq!(page(0).await.len(), 10);
    assert!(page(10).await.is_empty());
}

#[tokio::test]
async fn groups_have_the_defects_of_links() {
    let world = world(|builder| builder.generate(Listing::Groups, 5)).await;
    let set = |defect| {
        world
            .webex
            .set_paging(Listing::Groups, Paging::with_size(2).with_defect(defect));
    };
    set(PagingDefect::CutOff { page: 1 });
    let page = get(&world, "/v1/groups").await;
    assert_eq!(next(&world, &page), None);
    assert_eq!(page.json()["totalResults"], 5);
    set(PagingDefect::EmptyLastPage);
    let (sizes, _) = follow(&world, "/v1/groups", "groups").await;
    assert_eq!(sizes, [2, 2, 1, 0]);
    set(PagingDefect::RepeatedPage { page: 2 });
    let mut path = "/v1/groups".to_owned();
    let mut pages = Vec::new();
    for _ in 0..4 {
        let page = get(&world, &path).await;
        pages.push(entries(&page, "groups"));
        path = next(&world, &page).unwrap();
    }
    assert_ne!(ids(&pages[0]), ids(&pages[1]));
    assert_eq!(pages[1], pages[2]);
    assert_eq!(pages[1], pages[3]);
}

#[tokio::test]
async fn one_list_may_fail_while_others_work() {
    let world = world(|builder| builder).await;
    let token = world.grant.access_token();
    world
        .webex
        .inject(Fault::status("/v1/workspaces", 403).always());
    world
        .webex
        .inject(Fault::rate_limited("/v1/locations", "rand(30),add(30)"));
    let refused = world.get("/v1/workspaces", token).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.json()["trackingId"].is_string());
    let limited = world.get("/v1/locations", token).await;
    assert_eq!(limited.header("retry-after"), "rand(30),add(30)");
    for path in ["/v1/people", "/v1/locations", "/v1/groups"] {
        get(&world, path).await;
    }
}

#[tokio::test]
async fn extreme_numbers_are_harmless() {
    let world = world(|builder| builder).await;
    for page in 0..3 {
        for path in [
            "/v1/workspaces?start=18446744073709551615&max=1",
            "/v1/workspaces?start=18446744073709551615&max=18446744073709551615",
            "/v1/workspaces?start=-1&max=0",
            "/v1/groups?startIndex=18446744073709551615&count=0",
            "/v1/groups?startIndex=0",
        ] {
            get(&world, path).await;
        }
        let repeated = PagingDefect::RepeatedPage { page };
        let paging = Paging::with_size(0).with_defect(repeated);
        world.webex.set_paging(Listing::Workspaces, paging.clone());
        world.webex.set_paging(Listing::Groups, paging);
    }
    let cursor = json!({
        "organization": world.organization.uuid,
        "page": usize::MAX, "offset": usize::MAX, "size": usize::MAX, "salt": "",
    });
    let cursor = URL_SAFE_NO_PAD.encode(cursor.to_string());
    let page = get(&world, &format!("/v1/people?cursor={cursor}")).await;
    assert!(items(&page).is_empty());
}
