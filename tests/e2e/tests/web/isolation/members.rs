//! The matrix for users, keys, credentials of callbacks, nodes, custom roles and the audit log.

use axum::http::Method;
use relation_e2e::world::{World, WorldBuilder};
use relation_web::access::{AccessRoute, ROLES, Role};
use serde_json::{Value, json};

use super::{Row, request};
use crate::notices::Stored;
use crate::places::{Members, OWN, PLACES, Place, members};
use crate::support::{Client, principal};

fn access_row(route: AccessRoute, members: &Members, role: &Role) -> Option<Row> {
    let Members {
        place,
        user,
        key,
        auth,
        node_pkid,
        role: custom_role,
    } = members;
    let node = place.node();
    let settings = format!("/api/data/NoticeSettings/{node}/");
    let delivery = format!("/api/data/NoticeDelivery/{}/", delivery_pkid(*place));
    let user = format!("/api/data/User/{user}/");
    let key = format!("/api/data/ApiKey/{key}/");
    let grants = json!([{ "role": "operator", "node": node }]);
    let input = json!({
        "name": format!("{}-of-{place:?}", role.name), "hierarchy": node, "grants": grants,
    });
    let grants = json!({ "grants": grants });
    Some(match route {
        AccessRoute::ListUsers => Row::get(format!("/api/data/User/?hierarchy={node}")),
        AccessRoute::AddUser => Row::write("POST", "/api/data/User/".to_owned(), input, 201),
        AccessRoute::GetUser => Row::get(user),
        AccessRoute::SetUserRoles => Row::write("PUT", format!("{user}grants/"), grants, 200),
        AccessRoute::DisableUser => Row::write("POST", format!("{user}+Disable/"), json!({}), 200),
        AccessRoute::EnableUser => Row::write("POST", format!("{user}+Enable/"), json!({}), 200),
        AccessRoute::CreateSetUpLink => {
            Row::write("POST", format!("{user}+SetUpLink/"), json!({}), 201)
        }
        AccessRoute::ListApiKeys => Row::get(format!("/api/data/ApiKey/?hierarchy={node}")),
        AccessRoute::AddApiKey => Row::write("POST", "/api/data/ApiKey/".to_owned(), input, 201),
        AccessRoute::GetApiKey => Row::get(key),
        AccessRoute::RotateApiKey => Row::write("POST", format!("{key}+Rotate/"), json!({}), 200),
        // Another table tests it: a revoked key cannot be rotated by the next role.
        AccessRoute::RevokeApiKey => return None,
        AccessRoute::ListCallbackAuths => {
            Row::get(format!("/api/data/ApiCallbackAuth/?hierarchy={node}"))
        }
        AccessRoute::AddCallbackAuth => {
            let path = "/api/data/ApiCallbackAuth/".to_owned();
            let name = format!("{}-of-{place:?}", role.name);
            let input = json!({ "name": name, "hierarchy": node, "token": "canary-token" });
            Row::write("POST", path, input, 201)
        }
        AccessRoute::GetCallbackAuth => Row::get(format!("/api/data/ApiCallbackAuth/{auth}/")),
        AccessRoute::ReplaceCallbackAuth => {
            let path = format!("/api/data/ApiCallbackAuth/{auth}/");
            let name = format!("member-of-{place:?}");
            Row::write(
                "PUT",
                path,
                json!({ "name": name, "token": "canary-token" }),
                200,
            )
        }
        // Deleted credentials are not there for the next role. Another table tests it.
        AccessRoute::DeleteCallbackAuth => return None,
        AccessRoute::ListAuditEvents => Row::get(format!("/api/data/AuditEvent/?hierarchy={node}")),
        AccessRoute::ListNodes => {
            Row::get(format!("/api/data/HierarchyNode/?hierarchy={node_pkid}"))
        }
        AccessRoute::AddNode => {
            let name = format!("Added by {}", role.name);
            let input = json!({ "name": name, "hierarchy": node_pkid });
            Row::write("POST", "/api/data/HierarchyNode/".to_owned(), input, 201)
        }
        AccessRoute::GetNode => Row::get(format!("/api/data/HierarchyNode/{node_pkid}/")),
        // The user and the key exist.
        AccessRoute::DeleteNode => {
            let path = format!("/api/data/HierarchyNode/{node_pkid}/");
            Row::write("DELETE", path, json!({}), 409)
        }
        AccessRoute::ListRoles => Row::get(format!("/api/data/Role/?hierarchy={node}")),
        AccessRoute::AddRole => {
            let name = format!("{}-of-{place:?}", role.name);
            let input = json!({ "name": name, "hierarchy": node, "operations": ["read"] });
            Row::write("POST", "/api/data/Role/".to_owned(), input, 201)
        }
        AccessRoute::GetRole => Row::get(format!("/api/data/Role/{custom_role}/")),
        AccessRoute::SetRoleOperations => {
            let input = json!({ "operations": ["read"] });
            Row::write("PUT", format!("/api/data/Role/{custom_role}/"), input, 200)
        }
        // Below, since the next role would not find it.
        AccessRoute::DeleteRole => return None,
        AccessRoute::ListNoticeSettings => {
            Row::get(format!("/api/data/NoticeSettings/?hierarchy={node}"))
        }
        AccessRoute::GetNoticeSettings => Row::get(settings),
        AccessRoute::SaveNoticeSettings => {
            Row::write("PUT", settings, notice_settings(*place), 200)
        }
        // Below, since the next role would not find it.
        AccessRoute::RemoveNoticeSettings => return None,
        AccessRoute::ResolveNoticeSettings => Row::get(format!("{settings}resolved/")),
        AccessRoute::RotateNoticeSecret => {
            let path = format!("{settings}recipients/hook/+RotateSecret/");
            Row::write("POST", path, json!({}), 200)
        }
        AccessRoute::SetNoticeSecrets => {
            let input = json!({ "community": "canary-community" });
            Row::write(
                "PUT",
                format!("{settings}recipients/noc/secrets/"),
                input,
                204,
            )
        }
        AccessRoute::TestNoticeRecipient => {
            let path = format!("{settings}recipients/hook/+Test/");
            Row::write("POST", path, json!({}), 200)
        }
        AccessRoute::EnableNoticeEndpoint => {
            let path = format!("{settings}recipients/hook/+Enable/");
            Row::write("POST", path, json!({}), 204)
        }
        AccessRoute::ListDeliveries => {
            Row::get(format!("/api/data/NoticeDelivery/?hierarchy={node}"))
        }
        AccessRoute::GetDelivery => Row::get(delivery),
        // It is pending.
        AccessRoute::ResendDelivery => {
            Row::write("POST", format!("{delivery}+Resend/"), json!({}), 409)
        }
        AccessRoute::ResendDeliveries => {
            let path = "/api/data/NoticeDelivery/+Resend/".to_owned();
            Row::write("POST", path, json!({ "since": 0, "hierarchy": node }), 200)
        }
        // They concern the caller alone.
        AccessRoute::GetSession | AccessRoute::LogIn | AccessRoute::LogOut => return None,
    })
}

/// Returns the settings of a place, with a recipient that must not be seen elsewhere.
fn notice_settings(place: Place) -> Value {
    json!({ "recipients": { "mode": "add-to-inherited", "values": [
        format!("noc@{place:?}.example.com"),
        { "type": "webhook", "id": "hook", "name": "Tickets", "url": "https://hooks.example.com/" },
        { "type": "snmp", "id": "noc", "name": "NOC", "address": "192.0.2.1", "version": "v2c" },
    ] } })
}

fn delivery_pkid(place: Place) -> String {
    format!("{:024x}", 1 + place as u8)
}

/// Adds the settings of a place, and a delivery that waits.
async fn add_notices(world: &World, root: &Client, place: Place) {
    if place == Place::Unknown {
        return;
    }
    let path = format!("/api/data/NoticeSettings/{}/", place.node());
    let saved = root.json(Method::PUT, &path, &notice_settings(place)).await;
    saved.expect(200);
    let pkid = delivery_pkid(place);
    let waiting = Stored {
        pkid: &pkid,
        node: place.node(),
        state: "pending",
        day: 1,
    };
    waiting.put(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_keys_and_audit_keep_tenants_apart() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let mut places = Vec::new();
    for place in PLACES {
        places.push(members(&root, place).await);
        add_notices(&world, &root, place).await;
    }
    for role in ROLES {
        let client = anonymous.with(principal(role.name, OWN));
        for route in AccessRoute::ALL {
            for members in &places {
                let Some(row) = access_row(*route, members, role) else {
                    continue;
                };
                let place = members.place;
                let response = client.send(request(&row)).await;
                let label = format!("{route:?} by {} at {place:?}: {response:?}", role.name);
                let permits = route
                    .operation()
                    .is_none_or(|operation| role.operations.contains(&operation));
                let is_grantable = place == Place::Parent;
                let expected = match (permits, place.is_visible(), route) {
                    (false, _, _) => 403,
                    // A role of a node above that can be granted is readable, with its own node.
                    (true, false, AccessRoute::GetRole) if is_grantable => 200,
                    (true, false, AccessRoute::SetRoleOperations) if is_grantable => 403,
                    (true, true, _) => row.success,
                    (true, false, _) => 404,
                };
                assert_eq!(response.status.as_u16(), expected, "{label}");
                let own = Some(place).filter(|_| expected == 200);
                let others = PLACES.iter().filter(|place| !place.is_visible());
                for place in others.filter(|place| Some(**place) != own) {
                    let node = format!("\"{}\"", place.node());
                    assert!(!response.text.contains(&node), "{label}");
                    let recipient = format!("noc@{place:?}.example.com");
                    assert!(!response.text.contains(&recipient), "{label}");
                }
                let nobody = anonymous.send(request(&row)).await;
                assert_eq!(nobody.status, 401, "{route:?} without a principal");
            }
        }
    }
    let client = anonymous.with(principal("customer-administrator", OWN));
    for members in &places {
        let path = format!("/api/data/ApiKey/{}/+Revoke/", members.key);
        let status = client.json(Method::POST, &path, &json!({})).await.status;
        let expected = if members.place.is_visible() { 200 } else { 404 };
        assert_eq!(status, expected, "{:?}", members.place);
        let path = format!("/api/data/Role/{}/", members.role);
        let status = client.json(Method::DELETE, &path, &json!({})).await.status;
        let expected = match members.place {
            Place::Parent => 403,
            place if place.is_visible() => 204,
            _ => 404,
        };
        assert_eq!(status, expected, "{:?}", members.place);
        let path = format!("/api/data/NoticeSettings/{}/", members.place.node());
        let status = client.json(Method::DELETE, &path, &json!({})).await.status;
        let expected = if members.place.is_visible() { 204 } else { 404 };
        assert_eq!(status, expected, "{:?}", members.place);
        let path = format!("/api/data/ApiCallbackAuth/{}/", members.auth);
        let status = client.json(Method::DELETE, &path, &json!({})).await.status;
        let expected = if members.place.is_visible() { 204 } else { 404 };
        assert_eq!(status, expected, "{:?}", members.place);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn error_does_not_say_which_roles_others_have() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    members(&root, Place::Sibling).await;
    let client = anonymous.with(principal("reseller-administrator", OWN));
    let mut errors = Vec::new();
    for node in [Place::Sibling.node(), Place::Unknown.node()] {
        let grants = json!([{ "role": "desk", "node": node }]);
        let input = json!({ "name": "ada", "hierarchy": OWN, "grants": grants });
        let refused = client.json(Method::POST, "/api/data/User/", &input).await;
        let refused = refused.expect(422)["errors"].to_string();
        errors.push(refused.replace(node, "NODE"));
    }
    assert_eq!(errors[0], errors[1]);
}
