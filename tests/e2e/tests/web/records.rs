//! `relation/SparkCustomer` in the conventions of the platform, and the errors of bad requests.

use axum::body::Body;
use axum::http::{Method, Request, header};
use relation_e2e::world::{World, WorldBuilder};
use serde_json::{Value, json};

use crate::support::{Client, PUBLIC_URL, principal};

const NODE: &str = "sys.Provider.Customer";
const RECORDS: &str = "/api/relation/SparkCustomer/";

async fn world() -> (World, Client) {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    (world, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn record_is_added_shown_changed_and_deleted() {
    let (_world, client) = world().await;
    let path = format!("{RECORDS}?hierarchy={NODE}");
    let input = json!({ "name": "Contoso", "account_email": "admin@example.com" });
    let added = client.json(Method::POST, &path, &input).await;
    let location = added.headers[header::LOCATION].to_str().unwrap().to_owned();
    let added = added.expect(201);
    assert_eq!(added["href"], location.as_str());

    let shown = client.get(&location).await;
    let etag = shown.headers[header::ETAG].to_str().unwrap().to_owned();
    let shown = shown.expect(200);
    assert_eq!(shown["data"]["name"], "Contoso");
    assert_eq!(shown["connection"]["state"], "not-connected");
    assert_eq!(shown["meta"]["hierarchy"], NODE);
    let link = format!(
        "{PUBLIC_URL}organizations/{}/connect",
        shown["pkid"].as_str().unwrap()
    );
    assert_eq!(shown["data"]["token_link"], link.as_str());
    let actions = shown["meta"]["actions"].as_array().unwrap();
    assert!(
        actions
            .iter()
            .any(|action| action["name"] == "RefreshAccessToken")
    );

    let changed = json!({ "data": { "account_email": "it@example.com" } });
    client
        .json(Method::PATCH, &location, &changed)
        .await
        .expect(200);
    let stale = Request::delete(&location).header(header::IF_MATCH, &etag);
    let stale = client.send(stale.body(Body::empty()).unwrap()).await;
    stale.expect(412);
    let shown = client.get(&location).await.expect(200);
    assert_eq!(shown["data"]["account_email"], "it@example.com");

    // A body that was read can be sent back; fields that are left out are emptied.
    let mut whole = shown["data"].as_object().unwrap().clone();
    whole.remove("account_email");
    client
        .json(Method::PUT, &location, &Value::Object(whole))
        .await
        .expect(200);
    let shown = client.get(&location).await.expect(200);
    assert_eq!(shown["data"]["account_email"], Value::Null);
    assert_eq!(shown["data"]["name"], "Contoso");

    let would = Request::delete(format!("{location}?dry_run=true"));
    let would = client
        .send(would.body(Body::empty()).unwrap())
        .await
        .expect(200);
    assert!(would["documents"].as_array().unwrap().len() > 3, "{would}");
    client.get(&location).await.expect(200);
    let deleted = Request::delete(&location).body(Body::empty()).unwrap();
    client.send(deleted).await.expect(200);
    client.get(&location).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_add_with_one_key_adds_nothing() {
    let (_world, client) = world().await;
    let add = || {
        Request::post(format!("{RECORDS}?hierarchy={NODE}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", "order-17")
            .body(Body::from(
                r#"{"name": "Contoso", "request_meta": {"external_id": "17"}}"#,
            ))
            .unwrap()
    };
    let first = client.send(add()).await.expect(201);
    let second = client.send(add()).await.expect(200);
    assert_eq!(first["pkid"], second["pkid"]);
    assert_eq!(second["replayed"], true);
    let transaction = first["transaction_id"].as_str().unwrap();
    let shown = client
        .get(format!("/api/tool/Transaction/{transaction}/"))
        .await
        .expect(200);
    assert_eq!(shown["external_id"], "17");
    assert_eq!(shown["user"], "provider-administrator@sys");
}

#[tokio::test(flavor = "multi_thread")]
async fn list_has_pages_orders_and_a_schema() {
    let (_world, client) = world().await;
    for name in ["Fabrikam", "Contoso", "Adatum"] {
        client.add(NODE, name).await;
    }
    let names = |list: &Value| -> Vec<String> {
        let resources = list["resources"].as_array().unwrap().iter();
        let names = resources.map(|each| each["data"]["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    let first = client
        .get(format!("{RECORDS}?order_by=name&limit=2"))
        .await
        .expect(200);
    assert_eq!(names(&first), ["Adatum", "Contoso"]);
    let pagination = &first["pagination"];
    assert_eq!(pagination["total"], 3);
    assert_eq!(pagination["total_is_exact"], true);
    let second = client
        .get(pagination["next"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(names(&second), ["Fabrikam"]);
    assert_eq!(second["pagination"]["next"], Value::Null);
    let skipped = client.get(format!(
        "{RECORDS}?order_by=name&direction=desc&skip=1&count=false"
    ));
    let skipped = skipped.await.expect(200);
    assert_eq!(names(&skipped), ["Contoso", "Adatum"]);
    assert_eq!(skipped["pagination"]["total"], Value::Null);
    let with_schema = client
        .get(format!("{RECORDS}?schema=true&limit=1"))
        .await
        .expect(200);
    let properties = &with_schema["schema"]["properties"];
    assert_eq!(properties["token"]["is_password"], true);
    assert_eq!(properties["token_link"]["format"], "link");
    let regions = properties["base_url_setting"]["choices"]
        .as_array()
        .unwrap();
    assert_eq!(regions.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_all_errors_and_change_nothing() {
    let (world, client) = world().await;
    let path = format!("{RECORDS}?hierarchy={NODE}");
    let input = json!({ "name": "x".repeat(1025), "account_email": "nobody", "webex_contact_center": true, "color": 1 });
    let refused = client.json(Method::POST, &path, &input).await;
    refused.expect(422);
    let mut fields = refused.error_fields();
    fields.sort();
    assert_eq!(
        fields,
        ["account_email", "base_url_setting", "color", "name"]
    );

    let node = client
        .json(Method::POST, RECORDS, &json!({ "name": "A" }))
        .await;
    assert!(
        node.expect(400)["hint"]
            .as_str()
            .unwrap()
            .contains("hierarchy")
    );
    let bad_node = client
        .json(
            Method::POST,
            &format!("{RECORDS}?hierarchy=sys..A&x=1"),
            &json!({}),
        )
        .await;
    bad_node.expect(400);
    assert_eq!(bad_node.error_fields(), ["hierarchy", "x"]);
    // A wrong node hides no errors of the fields.
    let wrong = json!({
        "account_email": "nobody", "color": 1, "name": "x".repeat(1025), "request_meta": { "external_id": 1 },
    });
    let all = ["account_email", "color", "name", "request_meta.external_id"];
    let other = principal("provider-administrator", "sys.Other");
    let other = Client::anonymous(&world).await.with(other);
    for (client, query, status, node) in [
        (&client, "", 400, Some("hierarchy")),
        (&client, "?hierarchy=sys..A", 400, Some("hierarchy")),
        (&client, "?hierarchy=sys.A%E2%80%8B", 422, Some("hierarchy")),
        (&other, "?hierarchy=sys.A", 404, None),
    ] {
        let path = format!("{RECORDS}{query}");
        let refused = client.json(Method::POST, &path, &wrong).await;
        refused.expect(status);
        let expected: Vec<&str> = node.into_iter().chain(all).collect();
        assert_eq!(refused.error_fields(), expected, "{query}");
    }

    for (media_type, body, status) in [
        ("text/plain", "{}", 415),
        ("application/json", "{\"name\": \"canary-3f\"", 400),
        ("application/json", "[\"canary-3f\"]", 400),
        ("application/json", "{\"name\": 1e999}", 400),
    ] {
        let request = Request::post(&path)
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(body))
            .unwrap();
        let response = client.send(request).await;
        assert_eq!(response.status, status, "{body}: {response:?}");
        assert!(!response.text.contains("canary"), "{response:?}");
        let media_type = &response.headers[header::CONTENT_TYPE];
        assert_eq!(media_type, "application/problem+json");
    }
    let large = json!({ "name": "x".repeat(2 * 1024 * 1024) });
    client.json(Method::POST, &path, &large).await.expect(413);
    let list = client.get(RECORDS).await.expect(200);
    assert_eq!(list["pagination"]["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_run_by_name() {
    let (_world, client) = world().await;
    let (pkid, _) = client.add(NODE, "Contoso").await;
    let connect = format!("{RECORDS}{pkid}/+Connect/");
    let begun = client
        .json(Method::POST, &connect, &json!({}))
        .await
        .expect(200);
    let url = begun["result"]["url"].as_str().unwrap();
    assert!(
        url.contains("authorize") && url.contains("redirect_uri"),
        "{url}"
    );
    let unknown = client
        .json(
            Method::POST,
            &format!("{RECORDS}{pkid}/+Dance/"),
            &json!({}),
        )
        .await;
    assert!(
        unknown.expect(404)["hint"]
            .as_str()
            .unwrap()
            .contains("+Connect")
    );
    let refresh = format!("{RECORDS}{pkid}/+RefreshAccessToken/");
    let refused = client
        .json(Method::POST, &refresh, &json!({}))
        .await
        .expect(409);
    assert!(refused["transaction_id"].is_string(), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn password_never_comes_back() {
    let (world, client) = world().await;
    let organization = world.emulator.create_organization("Contoso");
    let grant = world
        .emulator
        .grant(&organization, relation_e2e::world::SCOPES.iter().copied());
    let tokens = grant.json();
    let (token, refresh) = (&tokens["access_token"], &tokens["refresh_token"]);
    let input = json!({
        "name": "Contoso", "account_number_external": organization.uuid,
        "token": token, "token_repeat": token,
        "refresh_token": refresh, "refresh_token_repeat": refresh,
        "http_proxy": "",
    });
    let path = format!("{RECORDS}?hierarchy={NODE}");
    let added = client.json(Method::POST, &path, &input).await.expect(201);
    let href = added["href"].as_str().unwrap();
    let transaction = added["transaction_id"].as_str().unwrap();
    for path in [
        href.to_owned(),
        RECORDS.to_owned(),
        format!("/api/tool/Transaction/{transaction}/"),
    ] {
        let response = client.get(&path).await;
        response.expect(200);
        for secret in [token, refresh] {
            assert!(!response.text.contains(secret.as_str().unwrap()), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_framework_have_the_common_form() {
    let (_world, root) = world().await;
    let refused = root.json(Method::PUT, RECORDS, &json!({})).await;
    assert_eq!(refused.expect(405)["title"], "Method Not Allowed");
    for response in [&refused, &root.get(format!("{RECORDS}%ff/")).await] {
        let media_type = &response.headers[header::CONTENT_TYPE];
        assert_eq!(media_type, "application/problem+json", "{response:?}");
    }
    let allowed = refused.headers[header::ALLOW].to_str().unwrap();
    assert_eq!(allowed, "GET,HEAD,POST,PATCH,DELETE");
    root.get(format!("{RECORDS}%ff/")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_is_visible_ascii() {
    let (_world, root) = world().await;
    for key in ["", "a b", "ä", &"k".repeat(256)] {
        let request = Request::post(format!("{RECORDS}?hierarchy={NODE}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key.as_bytes());
        let refused = root.send(request.body(Body::from("{}")).unwrap()).await;
        refused.expect(422);
        assert_eq!(refused.error_fields(), ["Idempotency-Key"], "{key:?}");
    }
}
