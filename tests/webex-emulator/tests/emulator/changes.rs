//! Changes of lists between two requests, by the library and by the control plane.

use http::StatusCode;
use serde_json::{Value, json};
use webex_emulator::{CONTACT_CENTER_SCOPES, DEFAULT_SCOPES, IDENTITY_SCOPES, Listing};

use crate::lists::{get, ids, items, next, world};
use crate::program::Program;
use crate::support::text;

#[tokio::test]
async fn people_are_added_changed_and_removed() {
    let world = world(|builder| builder.generate(Listing::People, 6)).await;
    let (webex, organization) = (&world.webex, &world.organization);
    let before = webex.entries(organization, Listing::People);
    let added = webex
        .put_entry(organization, Listing::People, json!({"displayName": "New"}))
        .unwrap();
    let second = text(&before[1], "id");
    let patch = json!({"displayName": "Renamed", "title": null});
    let changed = webex
        .patch_entry(organization, Listing::People, second, &patch)
        .unwrap()
        .unwrap();
    assert_eq!(changed["displayName"], "Renamed");
    assert!(webex.remove_entry(organization, Listing::People, text(&before[3], "id")));
    assert!(!webex.remove_entry(organization, Listing::People, text(&before[3], "id")));

    let after = items(&get(&world, "/v1/people").await);
    assert_eq!(after.len(), 6);
    assert_eq!(after[1]["displayName"], "Renamed");
    assert!(after[1].get("title").is_none());
    assert_eq!(text(&after[5], "id"), text(&added, "id"));
    assert!(!ids(&after).contains(text(&before[3], "id")));
    let one = get(&world, &format!("/v1/people/{}", text(&added, "id"))).await;
    assert_eq!(one.json()["displayName"], "New");

    // The changes of remaining entries stay.
    webex.generate(organization, Listing::People, 3).unwrap();
    let fewer = items(&get(&world, "/v1/people").await);
    let names: Vec<_> = fewer
        .iter()
        .map(|person| text(person, "displayName"))
        .collect();
    assert_eq!(
        names,
        [
            text(&before[0], "displayName"),
            "Renamed",
            text(&before[2], "displayName"),
            "New"
        ]
    );
}

#[tokio::test]
async fn replaced_entries_are_gone() {
    let world = world(|builder| builder.generate(Listing::People, 6)).await;
    let (webex, organization) = (&world.webex, &world.organization);
    let before = webex.entries(organization, Listing::People);
    let kept = before[4..].to_vec();
    webex
        .set_entries(organization, Listing::People, kept.clone())
        .unwrap();
    assert_eq!(webex.entries(organization, Listing::People), kept);
    for (at, person) in before.iter().enumerate() {
        let path = format!("/v1/people/{}", text(person, "id"));
        let response = world.get(&path, world.grant.access_token()).await;
        let status = if at < 4 {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        assert_eq!(response.status, status, "person {at}");
    }
}

#[tokio::test]
async fn a_removal_between_pages_moves_no_entry() {
    let world = world(|builder| builder.generate(Listing::People, 30)).await;
    let before = world.webex.entries(&world.organization, Listing::People);
    let first = get(&world, "/v1/people?max=10").await;
    for person in &before[..5] {
        assert!(
            world
                .webex
                .remove_entry(&world.organization, Listing::People, text(person, "id"))
        );
    }
    let second = items(&get(&world, &next(&world, &first).unwrap()).await);
    assert_eq!(text(&second[0], "id"), text(&before[10], "id"));
}

#[tokio::test]
async fn a_list_rejects_what_it_cannot_have() {
    let world = world(|builder| builder).await;
    let (webex, organization) = (&world.webex, &world.organization);
    for (listing, entry, part) in [
        (Listing::People, json!("Ada"), "object"),
        (Listing::Roles, json!({"title": "x"}), "unknown field"),
        (Listing::WorkspaceLocations, json!({}), "locations"),
    ] {
        let error = webex
            .put_entry(organization, listing, entry)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
    let error = webex.generate(organization, Listing::Roles, 5).unwrap_err();
    assert!(error.to_string().contains("generated"), "{error}");
}

#[tokio::test]
async fn control_plane_changes_every_list() {
    let program =
        Program::start(&["--seed", "7", "--people", "4", "--organization", "First"]).await;
    let created = program
        .post("organizations", json!({"displayName": "Second"}))
        .await;
    let uuid = text(&created, "uuid");
    let scopes = [
        &DEFAULT_SCOPES[..],
        &IDENTITY_SCOPES,
        &CONTACT_CENTER_SCOPES,
    ]
    .concat();
    let grant = program
        .post("grants", json!({"organization": uuid, "scopes": scopes}))
        .await;
    let token = text(&grant, "access_token");
    let site = format!("/contact-center/eu1/organization/{uuid}/v2/site");
    for (name, path, field) in [
        ("people", "/v1/people", "items"),
        ("locations", "/v1/locations", "items"),
        ("workspaces", "/v1/workspaces", "items"),
        ("groups", "/v1/groups", "groups"),
        ("licenses", "/v1/licenses", "items"),
        ("sites", &site, "data"),
    ] {
        let list = format!("organizations/{uuid}/{name}");
        let shown = async || {
            program.api(path, token).await.json()[field]
                .as_array()
                .unwrap()
                .clone()
        };
        let before = shown().await;
        assert_eq!(
            before.len(),
            program.get(&list).await.as_array().unwrap().len(),
            "{name}"
        );
        let entry = match name {
            "licenses" => json!({"name": "New", "totalUnits": 3}),
            _ => json!({"name": "New", "displayName": "New"}),
        };
        let added = program.post(&list, entry).await;
        let first = format!("{list}/{}", text(&before[0], "id"));
        let patch = json!({"name": "Changed"});
        let changed = program.control("PATCH", &first, patch).await;
        assert_eq!(changed.json()["name"], "Changed", "{name}");
        let after = shown().await;
        assert_eq!(after.len(), before.len() + 1, "{name}");
        assert_eq!(after[0]["name"], "Changed", "{name}");
        let removed = program
            .control(
                "DELETE",
                &format!("{list}/{}", text(&added, "id")),
                Value::Null,
            )
            .await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT, "{name}");
        assert_eq!(shown().await.len(), before.len(), "{name}");
        let replaced = program.control("PUT", &list, json!([])).await;
        assert_eq!(replaced.json(), json!([]), "{name}");
        assert!(shown().await.is_empty(), "{name}");
    }
    program
        .post(
            &format!("organizations/{uuid}/generated"),
            json!({"people": 12, "groups": 3}),
        )
        .await;
    let people = program.api("/v1/people", token).await.json();
    assert_eq!(people["items"].as_array().unwrap().len(), 12);
    let unknown = program
        .control(
            "GET",
            &format!("organizations/{uuid}/unicorns"),
            Value::Null,
        )
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(text(&unknown.json(), "error").contains("`people`"));
}
