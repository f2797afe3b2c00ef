//! A tenant at a place: what another one must not see.

use axum::http::Method;
use relation_e2e::world::World;
use relation_host::clock::Clock as _;
use relation_host::store::{Change, Commit};
use relation_host::types::{Document, Key, RECORD_KEY, Reference};
use serde_json::json;

use crate::places::{Members, Objects, PLACES, Place, members, objects};
use crate::support::{Client, Response, post};

/// The objects and people at a place, with links that were handed on.
pub struct Tenant {
    pub place: Place,
    pub objects: Objects,
    pub members: Members,
    /// The path of a link to a consent.
    pub consent: String,
    /// The path of a link to set a password.
    pub set_up: String,
    /// A recipient of the node.
    mailbox: String,
    /// The pkid of a delivery to a recipient of the node.
    pub delivery: String,
}

impl Tenant {
    pub async fn create(world: &World, root: &Client, place: Place) -> Self {
        let objects = objects(root, place).await;
        let mailbox = format!("it@{place:?}.example").to_lowercase();
        let mut delivery = "0123456789abcdef01234567".to_owned();
        if place != Place::Unknown {
            add_recipients(root, place.node(), &mailbox).await;
            delivery = put_delivery(world, place, &objects.pkid, &mailbox).await;
        }
        let mut members = members(root, place).await;
        // The custom roles of nodes above are offered to administrators.
        if place == Place::Parent {
            let path = format!("/api/data/Role/{}/", members.role);
            let deleted = root.json(Method::DELETE, &path, &json!({})).await;
            assert_eq!(deleted.status, 204, "{deleted:?}");
            members.role = "0123456789abcdef01234567".to_owned();
        }
        let (mut consent, mut set_up) = ("/consent/ended".to_owned(), "/set-up/ended".to_owned());
        if place != Place::Unknown {
            let path = format!("/organizations/{}/connect-link", objects.pkid);
            consent = find_link(&post(root, &path, &[]).await, "/consent/");
            let path = format!("/users/{}/link", members.user);
            set_up = find_link(&post(root, &path, &[]).await, "/set-up/");
        }
        Self {
            place,
            objects,
            members,
            consent,
            set_up,
            mailbox,
            delivery,
        }
    }

    /// Lists the ids that another tenant must not see, besides the node.
    fn ids(&self) -> Vec<&str> {
        let Members {
            user,
            key,
            auth,
            node_pkid,
            role,
            ..
        } = &self.members;
        let mut ids = vec![user.as_str(), key, auth, node_pkid, role];
        let Objects {
            pkid,
            transaction,
            data_sync,
            ..
        } = &self.objects;
        ids.extend([
            pkid.as_str(),
            transaction,
            data_sync,
            &self.consent,
            &self.set_up,
            &self.mailbox,
            &self.delivery,
        ]);
        ids
    }

    /// Replaces what the request itself has named by the same text for all tenants.
    pub fn mask(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for id in self.ids() {
            text = text.replace(id, "ID");
        }
        text = text.replace(&format!("{:?}", self.place), "PLACE");
        let mut parts = text.split(self.place.node());
        let mut masked = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            // Otherwise it is a longer node.
            let is_end = !part.starts_with(|c: char| c == '.' || c.is_ascii_alphanumeric());
            masked += if is_end { "NODE" } else { self.place.node() };
            masked += part;
        }
        // Each form of a new organization has a key of its own.
        match masked.split_once("name=\"idempotency_key\" value=\"") {
            Some((before, after)) => format!("{before}{}", &after[24..]),
            None => masked,
        }
    }

    /// Returns what of this tenant a text shows.
    pub fn find_leak(&self, text: &str) -> Option<&str> {
        let node = self.place.node();
        let mut rest = text.split(node).skip(1);
        let has_node =
            rest.any(|part| !part.starts_with(|c: char| c == '.' || c.is_ascii_alphanumeric()));
        let mut ids = self.ids().into_iter();
        has_node
            .then_some(node)
            .or_else(|| ids.find(|id| text.contains(id)))
    }
}

/// The ids of the webhook and of the SNMP target, which every node has. The host derives them from names and servers.
pub const WEBHOOK: &str = "webhook-168ce64888402c37";
pub const SNMP: &str = "snmp-f0847e94983c4650";

/// Adds an e-mail address, a webhook and an SNMP target to a node.
async fn add_recipients(root: &Client, node: &str, mailbox: &str) {
    let webhook = [("name", "tickets"), ("url", "https://tickets.example.com/")];
    let snmp = [
        ("name", "noc"),
        ("address", "noc.example.com"),
        ("version", "v2c"),
    ];
    let snmp = [snmp.as_slice(), &[("kind", "trap")]].concat();
    for (channel, form, status) in [
        ("mail", [("address", mailbox)].as_slice(), 303),
        ("webhook", &webhook, 200),
        ("snmp", &snmp, 303),
    ] {
        let path = format!("/notices/recipient?hierarchy={node}&type={channel}");
        let added = post(root, &path, form).await;
        assert_eq!(added.status, status, "{added:?}");
    }
}

/// Stores a delivery that has failed, and returns its pkid.
pub async fn put_delivery(world: &World, place: Place, record: &str, mailbox: &str) -> String {
    let number = PLACES.iter().position(|each| *each == place).unwrap();
    let id = format!("{number:08}-0000-4000-8000-000000000000");
    let pkid = id.replace('-', "")[..24].to_owned();
    let (node, time) = (place.node(), "2026-01-01T00:00:00Z");
    let body = json!({
        "delivery": {
            "id": id, "notice": "one", "channel": "mail", "recipient_key": node, "origin": node,
            "recipient": { "type": "mail", "address": mailbox }, "language": "en", "budget": 10,
            "earliest": time, "holds": [], "deadline": time,
        },
        "notice": {
            "id": "one", "kind": "expired", "severity": "critical", "record": record, "customer": "Contoso",
            "node": node, "grant": "organization", "code": "", "text": "", "expires": null, "occurred": time,
            "count": 1, "link": null,
        },
        "generation": 1, "threshold_ms": 0, "account_email": false, "state": "dead", "created": time,
        "attempts": { "count": 1, "unknown": 0, "log": [] }, "reason": "no such mailbox", "ended": time,
        "digest": null, "resent": 0,
    });
    let keys = [
        ("state", "dead"),
        ("day", "2026-01-01"),
        ("created", "2026-01-01T00:00:00.000Z"),
        (RECORD_KEY, record),
    ];
    let document = Document {
        reference: Reference::new("host/NoticeDelivery", pkid.parse().unwrap()),
        hierarchy: node.parse().unwrap(),
        version: 0,
        body: body.to_string(),
        keys: keys
            .map(|(name, value)| Key {
                name: name.to_owned(),
                value: value.to_owned(),
            })
            .into(),
    };
    let commit = Commit {
        changes: vec![Change::Put(document)],
        now: world.clock.now(),
        ..Commit::default()
    };
    world.host().store().commit(commit).await.unwrap();
    pkid
}

#[track_caller]
fn find_link(response: &Response, path: &str) -> String {
    let (_, rest) = response.text.split_once(path).expect("a link");
    let end = rest.find(['<', '"', ' ']).expect("an end");
    format!("{path}{}", &rest[..end])
}
