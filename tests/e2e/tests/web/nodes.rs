//! Nodes of the hierarchy: where they come from, and their pkids in place of paths.

use axum::body::Body;
use axum::http::{Method, Request};
use relation_e2e::world::{World, WorldBuilder};
use serde_json::json;

use crate::support::{Client, principal};

const NODES: &str = "/api/data/HierarchyNode/";

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
        // The pkid of a node outside is the same as one that never was.
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
