//! Nodes of the hierarchy: where they come from, and their pkids in place of paths.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Method, Request};
use relation_e2e::world::{World, WorldBuilder};
use serde_json::json;

use crate::support::{Client, Gate, post, principal};

const NODES: &str = "/api/data/HierarchyNode/";
const RECORDS: &str = "/api/relation/SparkCustomer/";

async fn world() -> (World, Client, Client) {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let other = anonymous.with(principal("provider-administrator", "sys.Other"));
    (world, root, other)
}

async fn list(client: &Client, path: &str) -> Vec<String> {
    let list = client.get(path).await.expect(200);
    let nodes = list["resources"].as_array().unwrap().iter();
    let mut nodes: Vec<String> = nodes
        .map(|node| node["hierarchy"].as_str().unwrap().to_owned())
        .collect();
    nodes.sort_unstable();
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn pkid_of_a_node_stands_for_its_path() {
    let (_world, root, other) = world().await;
    let (pkid, transaction) = root.add("sys.Provider.Customer", "Contoso").await;
    other.add("sys.Other.Customer", "Contoso").await;
    let all = [
        "sys",
        "sys.Other",
        "sys.Other.Customer",
        "sys.Provider",
        "sys.Provider.Customer",
    ];
    assert_eq!(list(&root, NODES).await, all);
    assert_eq!(
        list(&other, NODES).await,
        ["sys.Other", "sys.Other.Customer"]
    );
    let children = format!("{NODES}?hierarchy=sys&children=true");
    assert_eq!(list(&root, &children).await, ["sys.Other", "sys.Provider"]);
    let named = format!("{NODES}?name=Customer&hierarchy=sys.Provider");
    assert_eq!(list(&root, &named).await, ["sys.Provider.Customer"]);

    let record = format!("/api/relation/SparkCustomer/{pkid}/");
    let shown = root.get(&record).await.expect(200);
    let node = shown["meta"]["hierarchy_pkid"].as_str().unwrap();
    let shown = root.get(format!("{NODES}{node}/")).await.expect(200);
    assert_eq!(shown["hierarchy"], "sys.Provider.Customer");
    assert_eq!(shown["name"], "Customer");
    assert_eq!(shown["parent"], "sys.Provider");
    let transaction = format!("/api/tool/Transaction/{transaction}/");
    assert_eq!(
        root.get(transaction).await.expect(200)["hierarchy_pkid"],
        node
    );

    for path in [
        "/api/relation/SparkCustomer/",
        "/api/data/DataSync/",
        "/api/device/spark/User/",
        "/api/tool/Transaction/",
        "/api/data/User/",
        "/api/data/ApiKey/",
        "/api/data/AuditEvent/",
        NODES,
    ] {
        let by_path = root.get(format!("{path}?hierarchy=sys.Provider.Customer"));
        let by_path = by_path.await.expect(200)["resources"].clone();
        let by_pkid = root
            .get(format!("{path}?hierarchy={node}"))
            .await
            .expect(200);
        assert_eq!(by_pkid["resources"], by_path, "{path}");
        // The response for a node outside equals the response for a node that does not exist.
        for unknown in [node, "0123456789abcdef01234567"] {
            let response = other.get(format!("{path}?hierarchy={unknown}")).await;
            let problem = response.expect(404);
            assert_eq!(
                problem["detail"], "there is nothing at this address",
                "{path}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_take_the_pkid_of_a_node() {
    let (_world, root, other) = world().await;
    let input = json!({ "name": "Customer", "hierarchy": "sys.Provider" });
    let node = root.json(Method::POST, NODES, &input).await.expect(201);
    root.json(Method::POST, NODES, &input).await.expect(409);
    let node = node["pkid"].as_str().unwrap().to_owned();
    let records = format!("/api/relation/SparkCustomer/?hierarchy={node}");
    let name = json!({ "name": "Contoso" });
    other.json(Method::POST, &records, &name).await.expect(404);
    let added = root.json(Method::POST, &records, &name).await.expect(201);
    let user = json!({
        "name": "ada", "hierarchy": node, "grants": [{ "role": "operator", "node": node }],
    });
    other
        .json(Method::POST, "/api/data/User/", &user)
        .await
        .expect(404);
    let user = root
        .json(Method::POST, "/api/data/User/", &user)
        .await
        .expect(201);
    assert_eq!(user["hierarchy"], "sys.Provider.Customer");
    assert_eq!(user["hierarchy_pkid"], node.as_str());
    assert_eq!(user["grants"][0]["node"], "sys.Provider.Customer");

    // Neither a pkid outside nor an unknown one says where the node is.
    for pkid in [node.as_str(), "0123456789abcdef01234567"] {
        let key = json!({
            "name": "key", "hierarchy": "sys.Other", "grants": [{ "role": "machine", "node": pkid }],
        });
        let refused = other.json(Method::POST, "/api/data/ApiKey/", &key).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.error_fields(), ["grants[0]"]);
        let message = &refused.json()["errors"][0]["message"];
        assert_eq!(message, "there is no node with this pkid");
    }

    let path = format!("{NODES}{node}/");
    let delete = || Request::delete(&path).body(Body::empty()).unwrap();
    root.send(delete()).await.expect(409);
    let record = added["href"].as_str().unwrap();
    root.json(Method::DELETE, record, &json!({}))
        .await
        .expect(200);
    // The user is still there.
    root.send(delete()).await.expect(409);
    let empty = json!({ "name": "Empty", "hierarchy": "sys.Provider" });
    let empty = root.json(Method::POST, NODES, &empty).await.expect(201);
    let href = empty["href"].as_str().unwrap();
    let deleted = root.json(Method::DELETE, href, &json!({})).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    root.get(href).await.expect(404);
    let events = root.get("/api/data/AuditEvent/?limit=1").await.expect(200);
    assert_eq!(events["resources"][0]["operation"], "delete-node");
    for name in ["", "a.b", "\u{7}"] {
        let input = json!({ "name": name, "hierarchy": "sys.Provider" });
        let refused = root.json(Method::POST, NODES, &input).await;
        assert_eq!(refused.error_fields(), ["name"], "{name:?}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_deleted_during_an_add_of_a_record_exists() {
    let gate = Arc::new(Gate::default());
    let builder = WorldBuilder::default().interceptor(Arc::clone(&gate) as _);
    let world = builder.start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = Arc::new(anonymous.with(principal("provider-administrator", "sys")));
    let api = format!("{RECORDS}?hierarchy=sys.P.C");
    for path in [api.as_str(), "/organizations/new"] {
        gate.is_closed.store(true, Ordering::SeqCst);
        let (client, address) = (Arc::clone(&root), path.to_owned());
        let adding = tokio::spawn(async move {
            match address.starts_with(RECORDS) {
                true => {
                    let fields = json!({ "name": "Contoso" });
                    client.json(Method::POST, &address, &fields).await
                }
                false => {
                    let fields = [("name", "Fabrikam"), ("hierarchy", "sys.Q.C")];
                    post(&client, &address, &fields).await
                }
            }
        });
        gate.reached.notified().await;
        let nodes = root.get(format!("{NODES}?name=C")).await.expect(200);
        let nodes = nodes["resources"].as_array().unwrap();
        let node = nodes.last().unwrap()["href"].as_str().unwrap().to_owned();
        let deleted = root.json(Method::DELETE, &node, &json!({})).await;
        assert_eq!(deleted.status, 204, "{deleted:?}");
        root.get(&node).await.expect(404);
        gate.opened.notify_one();
        let added = adding.await.unwrap();
        assert!(!added.status.is_client_error(), "{added:?}");
        root.get(&node).await.expect(200);
        root.json(Method::DELETE, &node, &json!({}))
            .await
            .expect(409);
        let records = root.get(RECORDS).await.expect(200);
        for record in records["resources"].as_array().unwrap() {
            let href = record["href"].as_str().unwrap();
            root.json(Method::DELETE, href, &json!({}))
                .await
                .expect(200);
        }
        root.json(Method::DELETE, &node, &json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_of_credentials_exists_as_long_as_they_do() {
    let (_world, root, _) = world().await;
    let auths = "/api/data/ApiCallbackAuth/";
    let auth = json!({ "name": "crm", "hierarchy": "sys.P.C", "token": "canary" });
    let auth = root.json(Method::POST, auths, &auth).await.expect(201);
    assert_eq!(list(&root, NODES).await, ["sys", "sys.P", "sys.P.C"]);
    let nodes = root.get(format!("{NODES}?name=C")).await.expect(200);
    let node = nodes["resources"][0]["href"].as_str().unwrap();
    root.json(Method::DELETE, node, &json!({}))
        .await
        .expect(409);
    let auth = format!("{auths}{}/", auth["pkid"].as_str().unwrap());
    root.json(Method::DELETE, &auth, &json!({})).await;
    let deleted = root.json(Method::DELETE, node, &json!({})).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_spellings_of_a_node_are_one_node() {
    let (_world, root, _) = world().await;
    // `Zürich` with one character, and with a combining mark.
    let (composed, decomposed) = ("sys.Z%C3%BCrich", "sys.Zu%CC%88rich");
    root.add(decomposed, "Contoso").await;
    let taken = format!("{RECORDS}?hierarchy={composed}");
    let contoso = json!({ "name": "Contoso" });
    let taken = root.json(Method::POST, &taken, &contoso).await;
    assert_eq!(taken.error_fields(), ["name"]);
    let fields = [("name", "Fabrikam"), ("hierarchy", "sys.Zu\u{308}rich")];
    let added = post(&root, "/organizations/new", &fields).await;
    assert_eq!(added.status, 303, "{added:?}");
    let user = json!({
        "name": "ada", "hierarchy": "sys.Zu\u{308}rich",
        "grants": [{ "role": "operator", "node": "sys.Zu\u{308}rich" }],
    });
    let user = root
        .json(Method::POST, "/api/data/User/", &user)
        .await
        .expect(201);
    assert_eq!(user["grants"][0]["node"], "sys.Zürich");
    assert_eq!(list(&root, NODES).await, ["sys", "sys.Zürich"]);
    for node in [composed, decomposed] {
        let records = root.get(format!("{RECORDS}?hierarchy={node}")).await;
        assert_eq!(records.expect(200)["pagination"]["total"], 2, "{node}");
        let page = root.get(format!("/organizations?hierarchy={node}")).await;
        assert!(page.text.contains("Fabrikam"), "{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn record_needs_a_node_with_single_spaces() {
    let (_world, root, _) = world().await;
    for space in ["%20%20", "%C2%A0", "%E3%80%80", "%EF%BF%BC"] {
        let path = format!("{RECORDS}?hierarchy=sys.x{space}y");
        let fields = json!({ "name": 7 });
        let refused = root.json(Method::POST, &path, &fields).await;
        assert_eq!(refused.error_fields(), ["hierarchy", "name"], "{refused:?}");
    }
    let fields = [("name", "Contoso"), ("hierarchy", "sys.x\u{a0}y")];
    let refused = post(&root, "/organizations/new", &fields).await;
    assert!(refused.text.contains("U+00A0"), "{refused:?}");
    root.add("sys.x%20y", "Contoso").await;
    assert_eq!(list(&root, NODES).await, ["sys", "sys.x y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn name_of_a_node_has_no_hidden_character() {
    let (_world, root, _) = world().await;
    for name in ["Con\u{202e}toso", "Contoso\u{200b}", "\u{3164}"] {
        let node = json!({ "name": name, "hierarchy": "sys" });
        let refused = root.json(Method::POST, NODES, &node).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.error_fields(), ["name"]);
        assert!(refused.text.contains("the character U+"), "{refused:?}");
    }
    let node = json!({ "name": "می\u{200c}خواهم", "hierarchy": "sys" });
    root.json(Method::POST, NODES, &node).await.expect(201);
}
