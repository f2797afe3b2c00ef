//! The administrator of an organization: fields and roles.

use http::StatusCode;
use serde_json::{Value, json};
use webex_emulator::{DEFAULT_SCOPES, PersonFlags, Role};

use crate::program::Program;
use crate::support::World;

async fn me(world: &World) -> Value {
    let response = world.get("/v1/people/me", world.grant.access_token()).await;
    assert_eq!(response.status, StatusCode::OK);
    response.json()
}

#[tokio::test]
async fn a_persons_times_have_milliseconds() {
    let world = World::new().await;
    let me = me(&world).await;
    for field in ["created", "lastModified"] {
        assert_eq!(me[field], "2023-11-14T22:13:20.000Z", "{field}");
    }
}

#[tokio::test]
async fn flags_of_a_person_are_booleans_or_strings() {
    for (flags, pending, login) in [
        (PersonFlags::Booleans, json!(false), json!(true)),
        (PersonFlags::Strings, json!("false"), json!("true")),
    ] {
        let world = World::with(|builder| builder.person_flags(flags)).await;
        let me = me(&world).await;
        assert_eq!(me["invitePending"], pending);
        assert_eq!(me["loginEnabled"], login);
    }
}

#[tokio::test]
async fn an_administrator_is_a_full_one_by_default() {
    let world = World::new().await;
    let roles = world.webex.roles(&world.organization);
    let full = roles.iter().find(|role| role.name == "Full Administrator");
    assert_eq!(me(&world).await["roles"], json!([full.unwrap().id]));
    // Also where the organization lists other roles.
    world
        .webex
        .set_roles(&world.organization, [Role::new("Other")]);
    assert_eq!(me(&world).await["roles"], json!([full.unwrap().id]));
}

#[tokio::test]
async fn roles_decide_which_scopes_have_an_effect() {
    let world = World::new().await;
    let personal = world
        .webex
        .grant(&world.organization, ["spark:people_read"]);
    let statuses = async || {
        let mut statuses = Vec::new();
        for path in [
            "/v1/organizations",
            "/v1/roles",
            "/v1/people/me",
            "/v1/authorizations/tokenExpiry",
        ] {
            let response = world.get(path, world.grant.access_token()).await;
            statuses.push(response.status.as_u16());
        }
        let own = world.get("/v1/people/me", personal.access_token()).await;
        statuses.push(own.status.as_u16());
        statuses
    };
    assert_eq!(statuses().await, [200, 200, 200, 200, 200]);
    let read_only = Role::new("Read-only Administrator");
    let set = |roles: &[Role]| {
        let roles = roles.to_vec();
        world
            .webex
            .set_administrator_roles(&world.organization, roles);
    };
    set(std::slice::from_ref(&read_only));
    assert_eq!(statuses().await, [200, 200, 200, 403, 200]);
    set(&[read_only, Role::new("Device Administrator")]);
    assert_eq!(statuses().await, [200, 200, 200, 200, 200]);
    set(&[]);
    assert_eq!(statuses().await, [403, 403, 403, 403, 200]);
}

#[tokio::test]
async fn roles_of_another_administrator_stay() {
    let world = World::new().await;
    let other = world.webex.create_organization("Another");
    let grant = world.webex.grant(&other, DEFAULT_SCOPES);
    world.webex.set_administrator_roles(&world.organization, []);
    assert!(world.access_token_works(grant.access_token()).await);
    assert!(!world.access_token_works(world.grant.access_token()).await);
}

#[tokio::test]
async fn control_plane_and_options_reach_the_administrator() {
    let arguments = ["--person-flags", "strings", "--organization-uuids"];
    let program = Program::start(&arguments).await;
    let organization = program
        .post("organizations", json!({"displayName": "Example"}))
        .await;
    let uuid = organization["uuid"].as_str().unwrap();
    let grant = program.post("grants", json!({"organization": uuid})).await;
    let roles = format!("organizations/{uuid}/administrator/roles");
    assert_eq!(program.get(&roles).await[0]["name"], "Full Administrator");
    let support = json!([{"name": "Support Administrator"}]);
    let response = program.control("PUT", &roles, support).await;
    assert_eq!(response.status, StatusCode::OK);

    let token = grant["access_token"].as_str().unwrap();
    let me = program.api("/v1/people/me", token).await.json();
    assert_eq!(me["roles"], json!([response.json()[0]["id"]]));
    assert_eq!(me["loginEnabled"], "true");
    let path = format!("/v1/organizations/{uuid}");
    let found = program.api(&path, token).await;
    assert_eq!(found.json()["id"], organization["id"]);
}
