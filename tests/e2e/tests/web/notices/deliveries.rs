//! Deliveries: lists, and sending them again.

use axum::http::Method;
use relation_e2e::world::{START_TIME, World, WorldBuilder};
use relation_host::types::{Key, Reference};
use serde_json::{Value, json};

use super::{DELIVERIES, events, put};
use crate::support::{Client, principal};

/// A delivery in the store, as the runner of notices writes it.
pub struct Stored<'d> {
    pub pkid: &'d str,
    pub node: &'d str,
    pub state: &'d str,
    /// The day of January 2026 on which it was made and has ended.
    pub day: u8,
}

impl Stored<'_> {
    pub async fn put(&self, world: &World) {
        let at = format!("2026-01-{:02}T10:00:00Z", self.day);
        let later = "2026-02-01T10:00:00Z";
        let ended = (self.state != "pending").then_some(&at);
        // A document's pkid is the beginning of its delivery's id.
        let id = format!("{}00000000", self.pkid);
        let body = json!({
            "delivery": {
                "id": id, "notice": "ntc_1", "channel": "mail",
                "recipient": { "type": "mail", "address": "it@example.com" },
                "recipient_key": format!("{} mail it@example.com", self.node), "origin": self.node,
                "language": "en", "budget": 10, "earliest": at, "holds": [], "deadline": later,
            },
            "notice": {
                "id": "ntc_1", "kind": "expired", "severity": "critical",
                "record": "65f0c1d2e3a4b5c6d7e8f901", "customer": "Contoso",
                "node": format!("{}.Customer", self.node), "grant": "organization",
                "code": "WEBEX_REFRESH_TOKEN_EXPIRED", "text": "expired", "expires": null,
                "occurred": at, "count": 1, "link": null,
            },
            "generation": 1, "threshold_ms": 0, "reminder": 0, "account_email": false,
            "state": self.state, "created": at,
            "attempts": {
                "count": 1, "unknown": 0,
                "log": [{ "at": at, "sent": false, "reply": "550 no such mailbox" }],
            },
            "reason": null, "ended": ended, "digest": null, "resent": 0,
        });
        let key = |name: &str, value: &str| Key {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let keys = vec![
            key("state", self.state),
            key("day", &at[..10]),
            key("created", &at),
            key("record", "65f0c1d2e3a4b5c6d7e8f901"),
        ];
        let reference = Reference::new("host/NoticeDelivery", self.pkid.parse().unwrap());
        put(world, reference, self.node, &body, keys).await;
    }
}

fn pkids(list: &Value) -> Vec<&str> {
    let resources = list["resources"].as_array().unwrap().iter();
    resources
        .map(|each| each["pkid"].as_str().unwrap())
        .collect()
}

const FIRST: &str = "0123456789ab8def80000001";
const SECOND: &str = "0123456789ab8def80000002";
const THIRD: &str = "0123456789ab8def80000003";
const ABOVE: &str = "0123456789ab8def80000004";

async fn world() -> (World, Client) {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    for (pkid, node, state, day) in [
        (FIRST, "sys.A.B", "dead", 2),
        (SECOND, "sys.A.B", "confirmed", 4),
        (THIRD, "sys.A", "dead", 3),
        (ABOVE, "sys", "dead", 5),
    ] {
        let stored = Stored {
            pkid,
            node,
            state,
            day,
        };
        stored.put(&world).await;
    }
    (world, anonymous)
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_newest_first() {
    let (_world, anonymous) = world().await;
    let client = anonymous.with(principal("auditor", "sys.A"));
    for (query, expected) in [
        ("", vec![SECOND, THIRD, FIRST]),
        ("?state=dead", vec![THIRD, FIRST]),
        ("?state=dead&hierarchy=sys.A.B", vec![FIRST]),
        ("?day=2026-01-04", vec![SECOND]),
        ("?record=65f0c1d2e3a4b5c6d7e8f902", vec![]),
    ] {
        let list = client.get(format!("{DELIVERIES}{query}")).await.expect(200);
        assert_eq!(pkids(&list), expected, "{query}");
        assert_eq!(list["pagination"]["total"], Value::Null);
    }
    let page = client
        .get(format!("{DELIVERIES}?limit=2"))
        .await
        .expect(200);
    let next = page["pagination"]["next"].as_str().unwrap();
    assert_eq!(pkids(&client.get(next).await.expect(200)), [FIRST]);
    let wrong = client.get(format!("{DELIVERIES}?cursor=x")).await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
    let lines = client.get(format!("{DELIVERIES}?format=ndjson")).await;
    assert_eq!(lines.text.lines().count(), 3);

    let shown = client
        .get(format!("{DELIVERIES}{FIRST}/"))
        .await
        .expect(200);
    assert_eq!(shown["hierarchy"], "sys.A.B");
    assert_eq!(shown["attempts"][0]["reply"], "550 no such mailbox");
    assert_eq!(shown["notice"]["customer"], "Contoso");
    assert_eq!(shown["created"], START_TIME.0 + 34 * 3_600_000);
    let above = client.get(format!("{DELIVERIES}{ABOVE}/")).await;
    assert_eq!(above.status, 404, "{above:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_sent_again() {
    let (_world, anonymous) = world().await;
    let auditor = anonymous.with(principal("auditor", "sys.A"));
    let client = anonymous.with(principal("provider-administrator", "sys.A"));
    let path = format!("{DELIVERIES}{FIRST}/");
    let resend = format!("{path}+Resend/");
    let post = async |client: &Client, path: &str, body: Value| {
        client.json(Method::POST, path, &body).await
    };
    let forbidden = post(&auditor, &resend, json!({})).await;
    assert_eq!(forbidden.status, 403, "{forbidden:?}");
    let resent = post(&client, &resend, json!({})).await;
    assert_eq!(resent.status, 204, "{resent:?}");
    let shown = client.get(&path).await.expect(200);
    assert_eq!(
        (&shown["state"], &shown["resent"]),
        (&"pending".into(), &1.into())
    );
    let again = post(&client, &resend, json!({})).await;
    assert_eq!(again.status, 409, "{again:?}");
    let above = format!("{DELIVERIES}{ABOVE}/+Resend/");
    assert_eq!(post(&client, &above, json!({})).await.status, 404);

    let all = format!("{DELIVERIES}+Resend/");
    let missing = post(&client, &all, json!({ "record": "x" })).await;
    missing.expect(422);
    assert_eq!(missing.error_fields(), ["since", "record"]);
    let since = START_TIME.0;
    let wrong = post(&client, &all, json!({ "since": since, "cursor": "x" })).await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
    for (since, expected) in [(since + 10 * 86_400_000, 0), (since, 1), (since, 0)] {
        let resent = post(&client, &all, json!({ "since": since })).await;
        assert_eq!(resent.expect(200)["resent"], expected);
    }
    let third = client
        .get(format!("{DELIVERIES}{THIRD}/"))
        .await
        .expect(200);
    assert_eq!(third["state"], "pending");
    assert_eq!(events(&client, "resend-notice").await.len(), 1);
    assert_eq!(events(&client, "resend-notices").await.len(), 3);
}
