//! The lists of people, locations, workspaces and groups: pages, filters, scopes and fields.

use std::collections::HashSet;

use http::StatusCode;
use http::header::LINK;
use serde_json::{Value, json};
use webex_emulator::{
    Builder, DEFAULT_SCOPES, IDENTITY_SCOPES, Listing, PersonFlags, WorkspaceLocations,
};

use crate::support::{TestResponse, World, text};

/// Creates an organization with many entries, and a grant for all of them.
pub async fn world(configure: impl FnOnce(Builder) -> Builder) -> World {
    // With a seed, since some tests need entries of some kind among the generated ones.
    let mut world = World::with(|builder| configure(builder.seed(7))).await;
    let scopes = [&DEFAULT_SCOPES[..], &IDENTITY_SCOPES].concat();
    world.grant = world.webex.grant(&world.organization, scopes);
    world
}

pub async fn get(world: &World, path: &str) -> TestResponse {
    let response = world.get(path, world.grant.access_token()).await;
    assert_eq!(response.status, StatusCode::OK, "{path}");
    response
}

pub fn entries(response: &TestResponse, field: &str) -> Vec<Value> {
    response.json()[field].as_array().unwrap().clone()
}

pub fn items(response: &TestResponse) -> Vec<Value> {
    entries(response, "items")
}

/// Returns the path of the next page, if the response has one.
pub fn next(world: &World, response: &TestResponse) -> Option<String> {
    let link = response.headers.get(LINK)?.to_str().unwrap();
    let url = link
        .split(", ")
        .find_map(|one| one.strip_suffix(">; rel=\"next\""))?;
    let path = url.trim_start_matches('<').strip_prefix(&world.url(""));
    Some(path.unwrap().to_owned())
}

/// Returns the sizes of all pages, and every entry.
pub async fn follow(world: &World, path: &str, field: &str) -> (Vec<usize>, Vec<Value>) {
    let (mut sizes, mut all) = (Vec::new(), Vec::new());
    let mut path = Some(path.to_owned());
    while let Some(this) = path {
        let page = get(world, &this).await;
        let found = entries(&page, field);
        sizes.push(found.len());
        all.extend(found);
        path = next(world, &page);
    }
    (sizes, all)
}

pub fn ids(entries: &[Value]) -> HashSet<&str> {
    entries.iter().map(|entry| text(entry, "id")).collect()
}

#[tokio::test]
async fn people_come_in_pages_with_a_cursor() {
    let world = world(|builder| builder.generate(Listing::People, 250)).await;
    let (sizes, people) = follow(&world, "/v1/people", "items").await;
    assert_eq!(sizes, [100, 100, 50]);
    assert_eq!(ids(&people).len(), 250);
    let first = get(&world, "/v1/people?max=60&excludeStatus=true").await;
    let url = next(&world, &first).unwrap();
    assert!(
        url.starts_with("/v1/people?max=60&excludeStatus=true&cursor="),
        "{url}"
    );
    // The start is ignored.
    let started = get(&world, "/v1/people?max=60&start=100").await;
    assert_eq!(ids(&items(&started)), ids(&items(&first)));
    assert_eq!(first.json()["notFoundIds"], Value::Null);
}

#[tokio::test]
async fn size_of_pages_is_capped_silently() {
    let configure = |builder: Builder| {
        builder
            .generate(Listing::People, 1200)
            .generate(Listing::Locations, 1)
    };
    let world = world(configure).await;
    let size = async |query: &str| items(&get(&world, &format!("/v1/people?{query}")).await).len();
    assert_eq!(size("max=7").await, 7);
    assert_eq!(size("max=null").await, 100);
    assert_eq!(size("max=5000").await, 1000);
    assert_eq!(size("max=5000&callingData=true").await, 100);
    assert_eq!(size("max=5000&callingData=false").await, 1000);
    let location = text(&items(&get(&world, "/v1/locations").await)[0], "id").to_owned();
    assert_eq!(size(&format!("max=5000&locationId={location}")).await, 50);
}

#[tokio::test]
async fn people_are_found_by_email_name_and_location() {
    let world = world(|builder| builder.generate(Listing::People, 300)).await;
    let (_, people) = follow(&world, "/v1/people?callingData=true", "items").await;
    let person = &people[123];
    let email = person["emails"][0].as_str().unwrap().to_owned();
    let by_email = items(
        &get(
            &world,
            &format!("/v1/people?email={}", email.to_uppercase()),
        )
        .await,
    );
    assert_eq!(ids(&by_email), HashSet::from([text(person, "id")]));
    let (_, by_name) = follow(&world, "/v1/people?displayName=ada%20&max=3", "items").await;
    assert!(by_name.len() > 3);
    for person in &by_name {
        assert!(text(person, "displayName").starts_with("Ada "));
    }
    let located = people
        .iter()
        .find(|person| person.get("locationId").is_some());
    let location = text(located.unwrap(), "locationId");
    let path = format!("/v1/people?locationId={location}&callingData=true");
    let (_, there) = follow(&world, &path, "items").await;
    let expected = people
        .iter()
        .filter(|person| person["locationId"] == location);
    assert_eq!(there.len(), expected.count());
}

#[tokio::test]
async fn people_are_found_by_ids() {
    let world = world(|builder| builder.generate(Listing::People, 100)).await;
    let all = items(&get(&world, "/v1/people?max=100").await);
    let id = text(&all[7], "id");
    let response = get(
        &world,
        &format!("/v1/people?id={id},nobody&callingData=true"),
    )
    .await;
    assert_eq!(response.json()["notFoundIds"], json!(["nobody"]));
    let found = items(&response);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["displayName"], all[7]["displayName"]);
    for field in ["status", "lastActivity", "roles", "licenses", "locationId"] {
        assert!(found[0].get(field).is_none(), "{field}");
    }
    let many: Vec<_> = all
        .iter()
        .take(86)
        .map(|person| text(person, "id"))
        .collect();
    let path = format!("/v1/people?id={}", many.join(","));
    let response = world.get(&path, world.grant.access_token()).await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    let fewer = format!("/v1/people?id={}", many[..85].join(","));
    assert_eq!(items(&get(&world, &fewer).await).len(), 85);
}

#[tokio::test]
async fn data_of_calling_needs_an_option_in_lists() {
    let world = world(|builder| builder.generate(Listing::People, 100)).await;
    let plain = items(&get(&world, "/v1/people").await);
    assert!(plain.iter().all(|person| person.get("extension").is_none()));
    let with_calling = items(&get(&world, "/v1/people?callingData=true").await);
    let caller = with_calling
        .iter()
        .find(|person| person.get("extension").is_some());
    let caller = caller.unwrap();
    assert!(caller.get("locationId").is_some() && caller.get("phoneNumbers").is_some());
    let one = get(&world, &format!("/v1/people/{}", text(caller, "id"))).await;
    assert_eq!(&one.json(), caller);
}

#[tokio::test]
async fn list_contains_the_administrator() {
    let world = world(|builder| builder.person_flags(PersonFlags::Strings)).await;
    let me = get(&world, "/v1/people/me").await.json();
    let people = items(&get(&world, "/v1/people").await);
    assert_eq!(people.len(), 5);
    assert_eq!(people[0], me);
    assert!(
        people
            .iter()
            .all(|person| person["loginEnabled"].is_string())
    );
    let one = get(&world, &format!("/v1/people/{}", text(&me, "id"))).await;
    assert_eq!(one.json(), me);
}

#[tokio::test]
async fn personal_scope_permits_only_specific_requests() {
    let world = World::new().await;
    let own = world
        .webex
        .grant(&world.organization, ["spark:people_read"]);
    let status = async |path: &str| world.get(path, own.access_token()).await.status;
    assert_eq!(status("/v1/people").await, StatusCode::BAD_REQUEST);
    assert_eq!(status("/v1/people?displayName=E").await, StatusCode::OK);
    let people = world.webex.entries(&world.organization, Listing::People);
    let path = |at: usize| format!("/v1/people/{}", text(&people[at], "id"));
    assert_eq!(status(&path(0)).await, StatusCode::OK);
    assert_eq!(status(&path(1)).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn each_list_needs_one_of_its_scopes() {
    let world = World::new().await;
    let cases: [(&str, &[&str]); 8] = [
        ("/v1/people", &["spark-admin:people_read"]),
        (
            "/v1/locations",
            &[
                "spark-admin:locations_read",
                "spark-admin:people_read",
                "spark-admin:device_read",
            ],
        ),
        ("/v1/workspaces", &["spark-admin:workspaces_read"]),
        (
            "/v1/workspaceLocations",
            &["spark-admin:workspace_locations_read"],
        ),
        (
            "/v1/groups",
            &["identity:groups_read", "identity:groups_rw"],
        ),
        (
            "/v1/wholesale/customers",
            &["spark-admin:wholesale_customers_read"],
        ),
        (
            "/v1/wholesale/subscribers",
            &["spark-admin:wholesale_subscribers_read"],
        ),
        (
            "/v1/wholesale/subPartners",
            &["spark-admin:wholesale_customers_read"],
        ),
    ];
    let without = world
        .webex
        .grant(&world.organization, ["spark-admin:roles_read"]);
    for (path, scopes) in cases {
        let refused = world.get(path, without.access_token()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        let unauthorized = world.get(path, "nobody").await;
        assert_eq!(unauthorized.status, StatusCode::UNAUTHORIZED, "{path}");
        for scope in scopes {
            let grant = world.webex.grant(&world.organization, [*scope]);
            let response = world.get(path, grant.access_token()).await;
            assert_eq!(response.status, StatusCode::OK, "{path} with {scope}");
        }
    }
}

#[tokio::test]
async fn entries_are_found_by_id_in_their_organization_only() {
    let world = world(|builder| builder.generate(Listing::Locations, 20)).await;
    let other = world.webex.create_organization("Another");
    let stranger = world
        .webex
        .grant(&other, [&DEFAULT_SCOPES[..], &IDENTITY_SCOPES].concat());
    for (path, field) in [
        ("/v1/people", "items"),
        ("/v1/locations", "items"),
        ("/v1/workspaces", "items"),
        ("/v1/workspaceLocations", "items"),
        ("/v1/groups", "groups"),
    ] {
        for entry in entries(&get(&world, path).await, field) {
            let one = format!("{path}/{}", text(&entry, "id").replace('#', "%23"));
            assert_eq!(get(&world, &one).await.json()["id"], entry["id"]);
            let foreign = world.get(&one, stranger.access_token()).await;
            assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{one}");
        }
        let unknown = world
            .get(&format!("{path}/nonsense"), world.grant.access_token())
            .await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{path}");
        let foreign = format!("{path}?orgId={}", other.id);
        let foreign = world.get(&foreign, world.grant.access_token()).await;
        assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn coordinates_of_locations_are_texts() {
    let world = world(|builder| builder.generate(Listing::Locations, 600)).await;
    let (sizes, locations) = follow(&world, "/v1/locations", "items").await;
    assert_eq!(sizes, [500, 100]);
    let placed = locations
        .iter()
        .filter(|location| location["latitude"].is_string())
        .count();
    assert!((1..600).contains(&placed));
    assert!(
        locations
            .iter()
            .all(|location| location["address"]["country"].is_string())
    );
    let wanted = &locations[41];
    let name = text(wanted, "name").to_uppercase().replace(' ', "%20");
    let (_, found) = follow(&world, &format!("/v1/locations?name={name}"), "items").await;
    assert!(found.contains(wanted));
    let by_id = format!("/v1/locations?id={}", text(wanted, "id"));
    assert_eq!(
        items(&get(&world, &by_id).await),
        std::slice::from_ref(wanted)
    );
}

#[tokio::test]
async fn workspaces_have_a_start_and_no_link() {
    let world = world(|builder| builder.generate(Listing::Workspaces, 25)).await;
    let page = async |start: usize| {
        let page = get(&world, &format!("/v1/workspaces?start={start}&max=10")).await;
        assert!(page.headers.get(LINK).is_none());
        items(&page)
    };
    let pages = [page(0).await, page(10).await, page(20).await];
    assert_eq!(pages.each_ref().map(Vec::len), [10, 10, 5]);
    assert_eq!(ids(&pages.concat()).len(), 25);
    assert!(page(30).await.is_empty());
    let desks = items(&get(&world, "/v1/workspaces?type=desk").await);
    let expected = pages
        .concat()
        .into_iter()
        .filter(|one| one["type"] == "desk");
    assert_eq!(desks, expected.collect::<Vec<_>>());
    let unset = items(&get(&world, "/v1/workspaces?capacity=-1").await);
    assert!(!unset.is_empty() && unset.iter().all(|one| one.get("capacity").is_none()));
    let with_devices = items(&get(&world, "/v1/workspaces?includeDevices=true").await);
    assert!(with_devices.iter().all(|one| one["devices"].is_array()));
}

#[tokio::test]
async fn workspace_locations_are_the_locations() {
    let world = world(|builder| builder.generate(Listing::Locations, 30)).await;
    let locations = items(&get(&world, "/v1/locations").await);
    let old = items(&get(&world, "/v1/workspaceLocations").await);
    assert_eq!(old.len(), 30);
    for (location, old) in locations.iter().zip(&old) {
        assert_eq!(old["locationId"], location["id"]);
        assert_eq!(old["displayName"], location["name"]);
        assert!(old["latitude"].is_number() && old["address"].is_string());
    }
    let country = &old[0]["countryCode"];
    let path = format!(
        "/v1/workspaceLocations?countryCode={}",
        country.as_str().unwrap()
    );
    let there = items(&get(&world, &path).await);
    assert!(there.len() < 30 && there.iter().all(|one| one["countryCode"] == *country));
}

#[tokio::test]
async fn workspace_locations_may_be_gone() {
    for (response, status) in [
        (WorkspaceLocations::NotFound, 404),
        (WorkspaceLocations::Gone, 410),
    ] {
        let world = world(|builder| builder.workspace_locations(response)).await;
        let response = world
            .get("/v1/workspaceLocations", world.grant.access_token())
            .await;
        assert_eq!(response.status.as_u16(), status);
        assert!(response.json()["errors"][0]["description"].is_string());
    }
}

#[tokio::test]
async fn groups_have_counters_and_a_link() {
    let world = world(|builder| builder.generate(Listing::Groups, 7)).await;
    let page = get(&world, "/v1/groups?count=3").await;
    let body = page.json();
    assert_eq!(body["totalResults"], 7);
    assert_eq!(body["startIndex"], 1);
    assert_eq!(body["itemsPerPage"], 3);
    assert!(body.get("items").is_none());
    let (sizes, groups) = follow(&world, "/v1/groups?count=3", "groups").await;
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(ids(&groups).len(), 7);
    assert!(groups.iter().all(|group| group.get("members").is_none()));
    let from = get(&world, "/v1/groups?startIndex=6&count=3").await;
    assert_eq!(entries(&from, "groups"), groups[5..]);

    let wanted = text(&groups[2], "displayName");
    let filter = format!("displayName+eq+%22{}%22", wanted.replace(' ', "+"));
    let found = get(&world, &format!("/v1/groups?filter={filter}")).await;
    assert_eq!(found.json()["totalResults"], 1);
    assert_eq!(entries(&found, "groups"), groups[2..3]);
    let path = "/v1/groups?includeMembers=true&sortBy=displayName&sortOrder=desc";
    let sorted = entries(&get(&world, path).await, "groups");
    let names: Vec<_> = sorted
        .iter()
        .map(|group| text(group, "displayName"))
        .collect();
    assert!(names.is_sorted_by(|a, b| a >= b), "{names:?}");
    for group in sorted {
        let members = group["members"].as_array().unwrap().len();
        assert_eq!(group["memberSize"], members);
    }
}

#[tokio::test]
async fn a_seed_determines_all_entries() {
    let listings = [
        Listing::People,
        Listing::Locations,
        Listing::Workspaces,
        Listing::Groups,
        Listing::Sites,
        Listing::Customers,
        Listing::Subscribers,
        Listing::SubPartners,
    ];
    let world = async |seed| World::with(|builder| builder.seed(seed)).await;
    let worlds = [world(7).await, world(7).await, world(8).await];
    for listing in listings {
        let [first, same, other] = worlds
            .each_ref()
            .map(|world| world.webex.entries(&world.organization, listing));
        assert!(!first.is_empty(), "{listing:?}");
        assert_eq!(first, same, "{listing:?}");
        assert_ne!(first, other, "{listing:?}");
    }
}

#[tokio::test]
async fn a_large_list_is_served_from_any_position() {
    let count = 100_000;
    let configure = |builder: Builder| {
        builder
            .generate(Listing::Workspaces, count)
            .generate(Listing::People, count)
    };
    let world = world(configure).await;
    let last = items(&get(&world, "/v1/workspaces?start=99990&max=100").await);
    assert_eq!(last.len(), 10);
    let one = get(&world, &format!("/v1/workspaces/{}", text(&last[9], "id"))).await;
    assert_eq!(one.json(), last[9]);
    assert_eq!(items(&get(&world, "/v1/people?max=10").await).len(), 10);
}
