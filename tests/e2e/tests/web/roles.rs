//! Custom roles over HTTP: the API and the page, and what a user with one may do.

use axum::http::{Method, Request, StatusCode, header};
use relation_e2e::world::WorldBuilder;
use serde_json::{Value, json};

use crate::support::{Client, PUBLIC_URL, Response, location, post, principal};

const PASSWORD: &str = "correct horse battery";

/// Returns the text between two others.
#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let found = text.split_once(before);
    let (_, rest) = found.unwrap_or_else(|| panic!("{before:?} is not in {text}"));
    rest.split(after).next().unwrap()
}

/// Adds a user with a role on the page, sets the password, and logs in. Returns the address of the user, and the cookie.
async fn log_in_as(
    administrator: &Client,
    anonymous: &Client,
    name: &str,
    role: &str,
    node: &str,
) -> (String, String) {
    let user = [
        ("name", name),
        ("hierarchy", node),
        ("grants[0].role", role),
    ];
    let added = post(administrator, "/users/new", &user).await;
    let link = between(&added.text, "class=\"mono copy\">", "<");
    let link = format!("/{}", link.trim_start_matches(PUBLIC_URL));
    let user = between(&added.text, "href=\"/users/", "\"");
    let password = [("password", PASSWORD), ("repeat", PASSWORD)];
    assert_eq!(location(&post(anonymous, &link, &password).await), "/login");
    let log_in = [("name", name), ("password", PASSWORD)];
    let session = post(anonymous, "/login", &log_in).await;
    let cookie = session.headers[header::SET_COOKIE].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    (format!("/users/{user}"), cookie.to_owned())
}

async fn send_with(client: &Client, method: Method, path: &str, cookie: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::COOKIE, cookie)
        .header("sec-fetch-site", "same-origin");
    client.send(request.body(Default::default()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn role_of_the_page_decides_what_a_user_may() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("reseller-administrator", "sys.R"));
    let (record, _) = client.add("sys.R.C", "Contoso").await;
    for node in ["sys.R", "not..a.node"] {
        let wrong = [("name", "service desk"), ("hierarchy", node)];
        let refused = post(&client, "/roles/new", &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        for part in ["a name has 1 to 100", "name at least one operation"] {
            assert!(refused.text.contains(part), "{part}: {}", refused.text);
        }
    }
    let right = [
        ("name", "service-desk"),
        ("hierarchy", "sys.R"),
        ("operations", "read"),
        ("operations", "refresh"),
    ];
    let role = location(&post(&client, "/roles/new", &right).await);
    assert!(client.get("/roles").await.text.contains("service-desk"));
    let pkid = role.rsplit('/').next().unwrap();
    let form = client.get("/users/new").await.text;
    assert!(form.contains(&format!("value=\"{pkid}\"")), "{form}");

    let (user, cookie) = log_in_as(&client, &anonymous, "bob", pkid, "sys.R.C").await;
    let organization = format!("/organizations/{record}");
    let shown = send_with(&anonymous, Method::GET, &organization, &cookie).await;
    assert_eq!(shown.status, StatusCode::OK, "{shown:?}");
    assert!(!shown.text.contains("/edit\""), "{}", shown.text);
    for (method, path, status) in [
        (Method::GET, format!("{organization}/edit"), 403),
        (Method::POST, format!("{organization}/delete"), 403),
        (Method::GET, "/roles".to_owned(), 403),
        (Method::GET, role.clone(), 403),
        (Method::GET, "/api/data/Role/".to_owned(), 403),
        (
            Method::GET,
            "/api/relation/SparkCustomer/?hierarchy=sys.R".to_owned(),
            404,
        ),
    ] {
        let response = send_with(&anonymous, method, &path, &cookie).await;
        assert_eq!(response.status.as_u16(), status, "{path}: {response:?}");
    }

    // The role page shows who has it, and it is not deleted before.
    let shown = client.get(&role).await.text;
    // A form always has the operation that each role needs.
    let fixed = "checked disabled><input type=\"hidden\" name=\"operations\" value=\"read\">";
    for form in [&shown, &client.get("/roles/new").await.text] {
        assert!(form.contains(fixed), "{form}");
    }
    assert!(
        shown.contains("bob") && shown.contains("sys.R.C"),
        "{shown}"
    );
    let refused = post(&client, &format!("{role}/delete"), &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert!(refused.text.contains("The role is in use"), "{refused:?}");

    // A change ends the session.
    let operations = [("operations", "read"), ("operations", "modify")];
    let changed = post(&client, &format!("{role}/operations"), &operations).await;
    assert_eq!(location(&changed), role);
    let ended = send_with(&anonymous, Method::GET, &organization, &cookie).await;
    assert!(location(&ended).starts_with("/login"), "{ended:?}");
    let none = post(&client, &format!("{role}/operations"), &[]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY, "{none:?}");
    assert!(none.text.contains("#f-operations"), "{}", none.text);

    let roles = [("grants[0].role", "auditor"), ("grants[0].node", "sys.R.C")];
    let taken = post(&client, &format!("{user}/grants"), &roles).await;
    assert_eq!(location(&taken), user);
    let path = format!("{role}/delete");
    let asked = post(&client, &path, &[]).await;
    assert!(asked.text.contains("Delete service-desk?"), "{asked:?}");
    assert_eq!(client.get(&role).await.status, StatusCode::OK);
    let deleted = post(&client, &path, &[("confirmed", "yes")]).await;
    assert_eq!(location(&deleted), "/roles");
    assert_eq!(client.get(&role).await.status, StatusCode::NOT_FOUND);
    assert!(client.get("/roles").await.text.contains("No custom roles"));
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_roles_keeps_tenants_and_rights_apart() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let add = async |node: &str, operations: &[&str]| {
        let role = json!({ "name": "desk", "hierarchy": node, "operations": operations });
        let added = root.json(Method::POST, "/api/data/Role/", &role).await;
        let added = added.expect(201);
        format!("/roles/{}", added["pkid"].as_str().unwrap())
    };
    let own = add("sys.R.C", &["read", "delete"]).await;
    let sibling = add("sys.R.D", &["read"]).await;
    let wide = add("sys.R", &["read", "audit"]).await;
    let above = add("sys", &["read", "refresh"]).await;
    let client = anonymous.with(principal("customer-administrator", "sys.R.C"));
    let list = client.get("/roles").await.text;
    assert!(list.contains(&own) && !list.contains(&sibling) && !list.contains(&wide));
    // A role of a node above that can be granted is readable, and nothing more.
    assert!(list.contains(&above) && list.contains("Roles of nodes above"));
    let shown = client.get(&above).await;
    assert_eq!(shown.status, StatusCode::OK, "{shown:?}");
    assert!(shown.text.contains("belongs to a node above"), "{shown:?}");
    assert!(
        !shown.text.contains("Who has it")
            && !shown.text.contains("method=\"post\" action=\"/roles")
    );
    for change in ["operations", "delete"] {
        let path = format!("{above}/{change}");
        let refused = post(&client, &path, &[("operations", "read")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
    // Forms tell roles of one name apart by their nodes.
    let form = client.get("/users/new").await.text;
    assert!(
        form.contains("desk (sys)") && !form.contains("desk (sys.R)"),
        "{form}"
    );
    let outside = client.get("/roles?hierarchy=sys.R").await;
    assert_eq!(outside.status, StatusCode::NOT_FOUND, "{outside:?}");
    for role in [&sibling, &wide] {
        assert_eq!(client.get(role).await.status, StatusCode::NOT_FOUND);
        for change in ["operations", "delete"] {
            let path = format!("{role}/{change}");
            let refused = post(&client, &path, &[("operations", "read")]).await;
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    // A role with more rights is shown, but without its form and its button.
    let shown = client.get(&own).await.text;
    assert!(shown.contains("permits more than you may do"), "{shown}");
    assert!(!shown.contains("/operations\"") && !shown.contains("/delete\""));
    for change in ["operations", "delete"] {
        let path = format!("{own}/{change}");
        let refused = post(&client, &path, &[("operations", "read")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
    // Nor are more rights than one's own chosen, or granted by the role.
    let form = client.get("/roles/new").await.text;
    assert!(form.contains("value=\"modify\"") && !form.contains("value=\"delete\""));
    let fields = [
        ("name", "wide"),
        ("hierarchy", "sys.R.C"),
        ("operations", "audit"),
    ];
    let refused = post(&client, "/roles/new", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("do not have the operation audit"));
    let pkid = own.rsplit('/').next().unwrap();
    for path in ["/users/new", "/keys/new"] {
        let fields = [
            ("name", "eve"),
            ("hierarchy", "sys.R.C"),
            ("grants[0].role", pkid),
        ];
        let refused = post(&client, path, &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            refused.text.contains("everything that desk permits"),
            "{}",
            refused.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_refuses_to_delete_a_role_that_somebody_has() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("reseller-administrator", "sys.R"));
    let role = json!({ "name": "desk", "hierarchy": "sys.R", "operations": ["read"] });
    let role = client.json(Method::POST, "/api/data/Role/", &role).await;
    let role = role.expect(201)["pkid"].as_str().unwrap().to_owned();
    let path = format!("/api/data/Role/{role}/");
    let key = json!({
        "name": "billing", "hierarchy": "sys.R", "grants": [{ "role": "desk", "node": "sys.R.C" }],
    });
    let key = client.json(Method::POST, "/api/data/ApiKey/", &key).await;
    let key = key.expect(201);
    assert_eq!(key["grants"][0]["role"], Value::from(role));
    let refused = client.json(Method::DELETE, &path, &json!({})).await;
    let refused = refused.expect(409);
    assert_eq!(refused["hint"], "first revoke the key billing");
    let revoke = format!(
        "/api/data/ApiKey/{}/+Revoke/",
        key["pkid"].as_str().unwrap()
    );
    client
        .json(Method::POST, &revoke, &json!({}))
        .await
        .expect(200);
    let deleted = client.json(Method::DELETE, &path, &json!({})).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn api_lists_the_roles_that_can_be_granted() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    for (node, operations) in [
        ("sys", &["read"][..]),
        ("sys.R", &["read", "audit"]),
        ("sys.R.C", &["read"]),
        ("sys.R.C.D", &["read"]),
        ("sys.R.D", &["read"]),
    ] {
        let role = json!({ "name": "desk", "hierarchy": node, "operations": operations });
        root.json(Method::POST, "/api/data/Role/", &role)
            .await
            .expect(201);
    }
    let client = anonymous.with(principal("customer-administrator", "sys.R.C"));
    let list = async |query: &str| {
        let list = client.get(format!("/api/data/Role/{query}")).await;
        let list = list.expect(200);
        let roles = list["resources"].as_array().unwrap().iter();
        let nodes = roles.map(|role| role["hierarchy"].as_str().unwrap().to_owned());
        nodes.collect::<Vec<_>>()
    };
    let mut own = list("").await;
    own.sort_unstable();
    assert_eq!(own, ["sys.R.C", "sys.R.C.D"]);
    assert_eq!(list("?grantable=true").await, ["sys.R.C", "sys"]);
    let below = "?grantable=true&hierarchy=sys.R.C.D";
    assert_eq!(list(below).await, ["sys.R.C.D", "sys.R.C", "sys"]);
    let outside = client
        .get("/api/data/Role/?grantable=true&hierarchy=sys.R")
        .await;
    assert_eq!(outside.status, StatusCode::NOT_FOUND, "{outside:?}");
    let paged = client.get("/api/data/Role/?grantable=true&limit=1").await;
    assert_eq!(paged.error_fields(), ["limit"]);
}
