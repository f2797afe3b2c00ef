//! `?format=ndjson`: whole lists as lines of JSON.

use axum::http::{StatusCode, header};
use relation_e2e::world::WorldBuilder;
use serde_json::Value;

use crate::support::{Client, Response, principal};

#[track_caller]
fn lines(response: &Response) -> Vec<Value> {
    assert_eq!(response.status, StatusCode::OK, "{response:?}");
    assert_eq!(
        response.headers[header::CONTENT_TYPE],
        "application/x-ndjson"
    );
    let lines = response.text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn export_has_each_item_of_the_pages() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    for name in ["Contoso", "Fabrikam", "Northwind"] {
        root.add("sys.Provider.Reseller", name).await;
    }
    root.add("sys.Provider.Other", "Contoso").await;
    let reseller = anonymous.with(principal("auditor", "sys.Provider.Reseller"));
    for (path, expected) in [
        ("/api/relation/SparkCustomer/?order_by=name", 3),
        ("/api/relation/SparkCustomer/?name=Fabrikam", 1),
        ("/api/tool/Transaction/?action=add", 3),
        ("/api/data/DataSync/", 0),
        ("/api/data/Alert/", 0),
        ("/api/device/spark/User/", 0),
    ] {
        let exported = reseller.get(with(path, "format=ndjson")).await;
        let exported = lines(&exported);
        let page = reseller.get(path).await.expect(200);
        assert_eq!(page["resources"].as_array().unwrap(), &exported, "{path}");
        if expected > 0 {
            assert_eq!(exported.len(), expected, "{path}");
        }
    }
    for path in [
        "/api/data/User/",
        "/api/data/ApiKey/",
        "/api/data/AuditEvent/",
        "/api/data/Role/",
    ] {
        lines(&root.get(with(path, "format=ndjson")).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn export_goes_beyond_a_page() {
    let world = WorldBuilder::default().start().await;
    let root = Client::anonymous(&world).await;
    let root = root.with(principal("provider-administrator", "sys"));
    // Each record has three data syncs, so these are more than one read returns.
    for number in 0..170 {
        root.add("sys.Provider", &format!("Customer {number}"))
            .await;
    }
    let syncs = "/api/data/DataSync/";
    let total = root.get(with(syncs, "limit=1")).await.expect(200)["pagination"]["total"].clone();
    let exported = lines(&root.get(with(syncs, "format=ndjson")).await);
    assert!(exported.len() > 500, "{}", exported.len());
    assert_eq!(total, exported.len());
    let mut pkids: Vec<&str> = exported
        .iter()
        .map(|each| each["pkid"].as_str().unwrap())
        .collect();
    pkids.sort_unstable();
    pkids.dedup();
    assert_eq!(pkids.len(), exported.len(), "no item is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn export_refuses_pages_and_other_nodes() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let reseller = anonymous.with(principal("auditor", "sys.Provider.Reseller"));
    let lists = [
        "/api/relation/SparkCustomer/",
        "/api/tool/Transaction/",
        "/api/data/Alert/",
        "/api/data/AuditEvent/",
    ];
    for path in lists {
        let refused = reseller.get(with(path, "format=ndjson&limit=5")).await;
        refused.expect(400);
        assert_eq!(refused.error_fields(), ["limit"], "{path}");
        let outside = with(path, "format=ndjson&hierarchy=sys.Provider");
        reseller.get(outside).await.expect(404);
    }
}

fn with(path: &str, query: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{query}")
}
