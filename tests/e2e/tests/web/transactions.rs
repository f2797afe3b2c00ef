//! `tool/Transaction`: what a caller polls.

use relation_e2e::world::WorldBuilder;
use serde_json::Value;

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
    let newest = client
        .get(format!("{TRANSACTIONS}?limit=1"))
        .await
        .expect(200);
    assert_eq!(newest["resources"][0]["id"], second.as_str());
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
