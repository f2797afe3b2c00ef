//! `tool/Transaction`: what a caller polls.

use std::time::Duration;

use axum::http::Method;
use relation_e2e::world::WorldBuilder;
use relation_host::QueuedCall;
use serde_json::{Value, json};

use crate::support::{Client, principal};

const TRANSACTIONS: &str = "/api/tool/Transaction/";

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_listed_polled_and_shown() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    let (pkid, first) = client.add("sys.A", "Contoso").await;
    let (_, second) = client.add("sys.B", "Fabrikam").await;

    let polled = client
        .get(format!("{TRANSACTIONS}{first}/poll/"))
        .await
        .expect(200);
    assert_eq!(polled[&first]["status"], "Success");
    assert_eq!(
        polled[&first]["href"],
        format!("{TRANSACTIONS}{first}/").as_str()
    );
    let both = client.get(format!("{TRANSACTIONS}poll/?ids={first},{second},unknown"));
    let both = both.await.expect(200);
    assert_eq!(both.as_object().unwrap().len(), 2);

    let list = client
        .get(format!("{TRANSACTIONS}?record={pkid}&status=Success"))
        .await
        .expect(200);
    let ids: Vec<&Value> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["id"])
        .collect();
    assert_eq!(ids, [first.as_str()]);
    assert_eq!(list["pagination"]["total"], 1);
    assert_eq!(list["pagination"]["total_is_exact"], true);
    let newest = client
        .get(format!("{TRANSACTIONS}?limit=1"))
        .await
        .expect(200);
    assert_eq!(newest["resources"][0]["id"], second.as_str());
    assert_eq!(newest["pagination"]["total"], 2);
    let older = client
        .get(newest["pagination"]["next"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(older["resources"][0]["id"], first.as_str());

    let shown = client
        .get(format!("{TRANSACTIONS}{first}/"))
        .await
        .expect(200);
    assert_eq!(shown["action"], "add");
    assert_eq!(shown["subject_name"], "Contoso");
    assert_eq!(shown["hierarchy"], "sys.A");
    assert!(shown["log"].is_array() && shown["sub_transactions"].is_array());
    client
        .get(format!("{TRANSACTIONS}?status=Done&skip=3"))
        .await
        .expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_requests_run_cancel_and_replay() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    let path = "/api/relation/SparkCustomer/?hierarchy=sys.A&nowait=true";
    let input = json!({ "name": "Contoso", "request_meta": { "external_id": "17" } });
    let queued = client.json(Method::POST, path, &input).await.expect(202);
    let id = queued["transaction_id"].as_str().unwrap();
    let status = async |id: &str| {
        let polled = client
            .get(format!("{TRANSACTIONS}{id}/poll/"))
            .await
            .expect(200);
        polled[id]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(id).await, "Queued");
    let shown = client.get(format!("{TRANSACTIONS}{id}/")).await.expect(200);
    assert_eq!(
        (&shown["hierarchy"], &shown["external_id"]),
        (&json!("sys.A"), &json!("17"))
    );
    world.run_for(Duration::from_secs(1)).await;
    assert_eq!(status(id).await, "Success");
    let list = client
        .get("/api/relation/SparkCustomer/?name=Contoso")
        .await
        .expect(200);
    let href = list["resources"][0]["href"].as_str().unwrap().to_owned();

    // A canceled delete does not run; its replay does.
    let delete = client
        .json(Method::DELETE, &format!("{href}?nowait=true"), &json!({}))
        .await;
    let delete = delete.expect(202)["transaction_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let cancel = format!("{TRANSACTIONS}{delete}/cancel/");
    client
        .json(Method::POST, &cancel, &json!({}))
        .await
        .expect(200);
    client
        .json(Method::POST, &cancel, &json!({}))
        .await
        .expect(409);
    world.run_for(Duration::from_secs(1)).await;
    assert_eq!(status(&delete).await, "Fail");
    client.get(&href).await.expect(200);
    let replay = format!("{TRANSACTIONS}{delete}/replay/");
    let replayed = client
        .json(Method::POST, &replay, &json!({}))
        .await
        .expect(202);
    world.run_for(Duration::from_secs(1)).await;
    assert_eq!(
        status(replayed["transaction_id"].as_str().unwrap()).await,
        "Success"
    );
    client.get(&href).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_does_not_stop_a_bulk() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let (own, _) = root.add("sys.A", "Contoso").await;
    let (second, _) = root.add("sys.A.B", "Fabrikam").await;
    let (foreign, _) = root.add("sys.Other", "Adatum").await;
    let client = anonymous.with(principal("reseller-administrator", "sys.A"));
    let records = "/api/relation/SparkCustomer/";
    let hrefs: Vec<String> = [own.as_str(), &second, &foreign, "0123456789abcdef01234567"]
        .iter()
        .map(|pkid| format!("{records}{pkid}/"))
        .collect();
    let body = json!({ "hrefs": hrefs, "data": { "account_email": "it@example.com" } });
    let accepted = client.json(Method::PATCH, records, &body).await.expect(202);
    let statuses: Vec<i64> = accepted["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [202, 202, 404, 404]);
    assert_eq!(accepted["refused"], 2);
    world.run_for(Duration::from_secs(1)).await;
    let shown = client
        .get(accepted["href"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(shown["status"], "Success");
    assert_eq!(shown["sub_transactions"].as_array().unwrap().len(), 2);
    let changed = client.get(format!("{records}{second}/")).await.expect(200);
    assert_eq!(changed["data"]["account_email"], "it@example.com");
    let untouched = root.get(format!("{records}{foreign}/")).await.expect(200);
    assert_ne!(untouched["data"]["account_email"], "it@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_bulk_are_listed_by_record_and_node() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let (first, _) = root.add("sys.A", "Contoso").await;
    let (second, _) = root.add("sys.B", "Fabrikam").await;
    let records = "/api/relation/SparkCustomer/";
    let wrong = json!({ "hrefs": [first, second], "data": { "no_such_field": "x" } });
    let bulk = root.json(Method::PATCH, records, &wrong).await.expect(202);
    let bulk = bulk["transaction_id"].as_str().unwrap();
    world.run_for(Duration::from_secs(1)).await;
    let ids = async |client: &Client, query: &str| {
        let list = client.get(format!("{TRANSACTIONS}?{query}")).await;
        let list = list.expect(200);
        let items = list["resources"].as_array().unwrap().clone();
        assert_eq!(list["pagination"]["total"], items.len(), "{query}");
        let ids = items.iter().map(|item| item["id"].as_str().unwrap());
        ids.map(str::to_owned).collect::<Vec<String>>()
    };
    let [part, other] = [1, 2].map(|number| format!("{bulk}.{number:04}"));
    let reader = anonymous.with(principal("auditor", "sys.A"));
    let record = format!("record={first}&action=modify");
    for (client, query, expected) in [
        (&root, record.as_str(), vec![&part]),
        (&root, "hierarchy=sys.A&status=Fail", vec![&part]),
        (&root, "hierarchy=sys.A&action=modify", vec![&part]),
        (&root, "action=modify", vec![]),
        (&reader, record.as_str(), vec![&part]),
        (&reader, "status=Fail", vec![&part]),
        (&reader, &format!("record={second}"), vec![]),
        (&root, &format!("parent={bulk}"), vec![&other, &part]),
        (
            &root,
            &format!("parent={bulk}&hierarchy=sys.B"),
            vec![&other],
        ),
        (&reader, &format!("parent={bulk}"), vec![&part]),
    ] {
        let found = ids(client, query).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    // The list at the bulk's node has the bulk in their place.
    assert_eq!(ids(&root, "status=Fail").await, [bulk]);
    let page = reader.get(format!("/organizations/{first}")).await.text;
    assert!(page.contains(&format!("/transactions/{part}")), "{page}");
    // Its page does not lead to a bulk that the reader may not see.
    let page = reader.get(format!("/transactions/{part}")).await.text;
    assert!(!page.contains(&format!("/transactions/{bulk}\"")), "{page}");

    let shown = root.get(format!("{TRANSACTIONS}{bulk}/")).await.expect(200);
    assert_eq!(shown["sub_transactions_total"], 2);
    let page = root.get(format!("/transactions/{bulk}")).await.text;
    assert!(
        page.contains("No log lines.") && !page.contains("yet"),
        "{page}"
    );
    let replay = format!("{TRANSACTIONS}{bulk}/replay/");
    let refused = root.json(Method::POST, &replay, &json!({})).await;
    let detail = refused.expect(409)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("replay the parts"), "{detail}");
    let replay = format!("{TRANSACTIONS}{part}/replay/");
    root.json(Method::POST, &replay, &json!({}))
        .await
        .expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bulk_says_how_many_parts_it_has() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    let (pkid, _) = client.add("sys.A", "Contoso").await;
    let call = QueuedCall::Delete {
        pkid: pkid.parse().unwrap(),
    };
    let node = "sys.A".parse().unwrap();
    let calls = vec![call; 201];
    let bulk = world.host().submit_all("bulk delete", &node, calls);
    let bulk = bulk.await.unwrap();
    let shown = client.get(format!("{TRANSACTIONS}{bulk}/")).await;
    let shown = shown.expect(200);
    assert_eq!(shown["sub_transactions"].as_array().unwrap().len(), 100);
    assert_eq!(shown["sub_transactions_total"], 201);
    let mut seen = 0;
    let mut next = json!(format!("{TRANSACTIONS}?parent={bulk}&limit=150"));
    while let Some(page) = next.as_str() {
        let page = client.get(page).await.expect(200);
        seen += page["resources"].as_array().unwrap().len();
        next = page["pagination"]["next"].clone();
    }
    assert_eq!(seen, 201);
    let page = client.get(format!("/transactions/{bulk}")).await.text;
    assert!(page.contains("The last ones of 201"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_without_a_permitted_record_is_refused() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let (own, _) = root.add("sys.A", "Contoso").await;
    let (foreign, _) = root.add("sys.Other", "Adatum").await;
    let records = "/api/relation/SparkCustomer/";
    let hrefs = |pkids: &[&str]| json!({ "hrefs": pkids });
    let client = anonymous.with(principal("reseller-administrator", "sys.A"));
    let outside = [foreign.as_str(), "0123456789abcdef01234567"];
    let refused = client.json(Method::DELETE, records, &hrefs(&outside)).await;
    let problem = refused.expect(404);
    assert_eq!(refused.error_fields(), ["hrefs[0]", "hrefs[1]"]);
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors[0]["message"], errors[1]["message"]);

    let href = format!("{records}{own}/");
    let twice = [own.as_str(), foreign.as_str(), &href];
    let refused = root.json(Method::DELETE, records, &hrefs(&twice)).await;
    let problem = refused.expect(422);
    assert_eq!(refused.error_fields(), ["hrefs[2]"]);
    let message = &problem["errors"][0]["message"];
    assert_eq!(message, "is the same record as hrefs[0]");
    root.get(href).await.expect(200);
}
