//! Roles and licenses: their visibility, their changes, and defects of their pages.

use std::collections::HashSet;

use http::header::LINK;
use http::{Request, StatusCode};
use serde_json::Value;
use webex_emulator::{DEFAULT_SCOPES, Fault, License, Listing, Paging, PagingDefect, Role};

use crate::support::{TestResponse, World, send, text};

const ROLES: &str = "/v1/roles";
const LICENSES: &str = "/v1/licenses";

async fn get(world: &World, path: &str) -> TestResponse {
    world.get(path, world.grant.access_token()).await
}

fn items(response: &TestResponse) -> Vec<Value> {
    assert_eq!(response.status, StatusCode::OK);
    response.json()["items"].as_array().unwrap().clone()
}

fn names(response: &TestResponse) -> Vec<String> {
    let items = items(response);
    items
        .iter()
        .map(|item| text(item, "name").to_owned())
        .collect()
}

#[tokio::test]
async fn a_role_or_license_is_found_by_its_id() {
    let world = World::new().await;
    for path in [ROLES, LICENSES] {
        for item in items(&get(&world, path).await) {
            let one = get(&world, &format!("{path}/{}", text(&item, "id"))).await;
            assert_eq!(one.json(), item);
        }
        let unknown = get(&world, &format!("{path}/nonsense")).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    }
    let other = world.webex.create_organization("Another");
    let foreign = &world.webex.licenses(&other)[0].id;
    let foreign = get(&world, &format!("{LICENSES}/{foreign}")).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
}

/// Returns the URL of the next page, if the response has one.
fn next(response: &TestResponse) -> Option<String> {
    let link = response.headers.get(LINK)?.to_str().unwrap();
    let url = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(url.to_owned())
}

async fn follow(world: &World, url: &str) -> TestResponse {
    let request = Request::get(url)
        .header(
            "authorization",
            format!("Bearer {}", world.grant.access_token()),
        )
        .body(String::new())
        .unwrap();
    send(request).await.unwrap()
}

async fn five_roles(defect: Option<PagingDefect>) -> World {
    let world = World::with(|builder| builder.roles(["A", "B", "C", "D", "E"].map(Role::new)));
    let world = world.await;
    let paging = Paging {
        page_size: 2,
        defect,
    };
    world.webex.set_paging(Listing::Roles, paging);
    world
}

#[tokio::test]
async fn organizations_start_with_their_own_directory() {
    let world = World::new().await;
    let roles = get(&world, ROLES).await;
    assert!(names(&roles).contains(&"Full Administrator".to_owned()));
    assert_eq!(items(&roles)[0].as_object().unwrap().len(), 2);

    let licenses = items(&get(&world, LICENSES).await);
    let find = |name: &str| licenses.iter().find(|l| l["name"] == name).unwrap();
    let messaging = find("Messaging");
    for absent in [
        "consumedByWorkspaces",
        "subscriptionId",
        "siteUrl",
        "siteType",
    ] {
        assert!(messaging.get(absent).is_none(), "{absent}");
    }
    let meetings = find("Webex Meetings Suite");
    assert_eq!(meetings["totalUnits"], 100);
    assert_eq!(meetings["consumedUnits"], 7);
    assert_eq!(meetings["siteUrl"], "emulated.webex.com");

    let other = world.webex.create_organization("Other");
    let ids = |licenses: Vec<License>| -> HashSet<String> {
        licenses.into_iter().map(|license| license.id).collect()
    };
    let (own, others) = (
        world.webex.licenses(&world.organization),
        world.webex.licenses(&other),
    );
    assert!(ids(own).is_disjoint(&ids(others)));
    assert_eq!(
        world.webex.roles(&world.organization),
        world.webex.roles(&other)
    );
}

#[tokio::test]
async fn listings_need_their_scope_and_organization() {
    let world = World::new().await;
    for (path, needed) in [
        (ROLES, "spark-admin:roles_read"),
        (LICENSES, "spark-admin:licenses_read"),
    ] {
        let without = DEFAULT_SCOPES.into_iter().filter(|scope| *scope != needed);
        let poor = world.webex.grant(&world.organization, without);
        let response = world.get(path, poor.access_token()).await;
        assert_eq!(response.status, StatusCode::FORBIDDEN);
        assert!(text(&response.json(), "message").contains("missing required scopes"));
        assert_eq!(
            world.get(path, "nobody").await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let own = format!("{LICENSES}?orgId={}", world.organization.id);
    assert_eq!(get(&world, &own).await.status, StatusCode::OK);
    let other = world.webex.create_organization("Other");
    for id in [other.id.as_str(), "nonsense"] {
        let response = get(&world, &format!("{LICENSES}?orgId={id}")).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn directory_can_change_at_run_time() {
    let world = World::new().await;
    let (webex, organization) = (&world.webex, &world.organization);
    webex.set_roles(organization, [Role::new("First"), Role::new("Second")]);
    let first = webex.roles(organization).remove(0);
    let renamed = Role {
        name: "Renamed".to_owned(),
        ..first.clone()
    };
    assert_eq!(webex.put_role(organization, renamed).id, first.id);
    webex.put_role(organization, Role::new("Third"));
    assert_eq!(
        names(&get(&world, ROLES).await),
        ["Renamed", "Second", "Third"]
    );
    assert!(webex.remove_role(organization, &first.id));
    assert!(!webex.remove_role(organization, &first.id));
    assert_eq!(names(&get(&world, ROLES).await), ["Second", "Third"]);

    webex.set_licenses(organization, [License::new("Calling", 5)]);
    let calling = webex.licenses(organization).remove(0);
    webex.put_license(
        organization,
        License {
            consumed_units: 3,
            ..calling.clone()
        },
    );
    let listed = items(&get(&world, LICENSES).await);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["consumedUnits"], 3);
    assert!(webex.remove_license(organization, &calling.id));
    assert!(items(&get(&world, LICENSES).await).is_empty());
    // Other organizations have lost nothing.
    let other = webex.create_organization("Other");
    assert!(!webex.licenses(&other).is_empty());
}

#[tokio::test]
async fn pages_are_linked_by_opaque_urls() {
    let world = five_roles(None).await;
    let first = get(&world, ROLES).await;
    assert_eq!(names(&first), ["A", "B"]);
    let url = next(&first).unwrap();
    assert!(url.starts_with(&world.url("/v1/roles?")), "{url}");
    assert!(
        url.contains("max=null") && url.ends_with("&opaque"),
        "{url}"
    );
    let second = follow(&world, &url).await;
    assert_eq!(names(&second), ["C", "D"]);
    let third = follow(&world, &next(&second).unwrap()).await;
    assert_eq!(names(&third), ["E"]);
    assert_eq!(next(&third), None);
    world.webex.set_paging(Listing::Roles, None);
    assert_eq!(names(&get(&world, ROLES).await).len(), 5);
}

#[tokio::test]
async fn max_is_capped_at_the_page_size() {
    let world = five_roles(None).await;
    assert_eq!(names(&get(&world, "/v1/roles?max=1").await), ["A"]);
    assert_eq!(names(&get(&world, "/v1/roles?max=1000").await), ["A", "B"]);
}

#[tokio::test]
async fn foreign_or_invalid_cursor_is_rejected() {
    let world = five_roles(None).await;
    let url = next(&get(&world, ROLES).await).unwrap();
    let other = world.webex.create_organization("Other");
    let stranger = world.webex.grant(&other, DEFAULT_SCOPES);
    let path = url.strip_prefix(&world.url("")).unwrap();
    for path in [path, "/v1/roles?cursor=nonsense"] {
        let response = world.get(path, stranger.access_token()).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn page_may_repeat_under_new_urls() {
    let world = five_roles(Some(PagingDefect::RepeatedPage { page: 2 })).await;
    let mut url = next(&get(&world, ROLES).await).unwrap();
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let page = follow(&world, &url).await;
        assert_eq!(names(&page), ["C", "D"]);
        url = next(&page).unwrap();
        assert!(seen.insert(url.clone()));
    }
}

#[tokio::test]
async fn a_page_may_link_to_itself() {
    let world = five_roles(Some(PagingDefect::LinkToItself { page: 2 })).await;
    let url = next(&get(&world, ROLES).await).unwrap();
    assert_eq!(next(&follow(&world, &url).await), Some(url));
}

#[tokio::test]
async fn the_last_page_may_link_to_an_empty_one() {
    let world = five_roles(Some(PagingDefect::EmptyLastPage)).await;
    let mut page = get(&world, ROLES).await;
    let mut sizes = vec![names(&page).len()];
    while let Some(url) = next(&page) {
        page = follow(&world, &url).await;
        sizes.push(names(&page).len());
    }
    assert_eq!(sizes, [2, 2, 1, 0]);
}

#[tokio::test]
async fn a_next_url_may_lead_elsewhere() {
    let origin = "http://127.0.0.1:9".to_owned();
    let world = five_roles(Some(PagingDefect::ForeignNext { page: 1, origin })).await;
    let url = next(&get(&world, ROLES).await).unwrap();
    assert!(url.starts_with("http://127.0.0.1:9/v1/roles?"), "{url}");
}

#[tokio::test]
async fn faults_apply_to_later_pages() {
    let world = five_roles(None).await;
    for fault in [
        Fault::rate_limited(ROLES, "7"),
        Fault::status(ROLES, 503),
        Fault::malformed_json(ROLES),
    ] {
        world.webex.inject(fault.skipping(1));
        let first = get(&world, ROLES).await;
        assert_eq!(names(&first), ["A", "B"]);
        let url = next(&first).unwrap();
        let met = follow(&world, &url).await;
        let is_json = serde_json::from_slice::<Value>(&met.body).is_ok();
        assert!(met.status != StatusCode::OK || !is_json);
        assert_eq!(names(&follow(&world, &url).await), ["C", "D"]);
    }
}
