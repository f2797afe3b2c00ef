//! The places of the isolation matrices, and the objects at each place.

use axum::http::Method;
use relation_web::access::nodes::node_pkid;
use serde_json::json;

use crate::support::Client;

/// The node of the principal.
pub const OWN: &str = "sys.Provider.Reseller";

/// The places of an object, seen from [`OWN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Own,
    Below,
    Sibling,
    /// A node whose path begins with the text of the principal's node.
    Namesake,
    Parent,
    Unknown,
}

pub const PLACES: [Place; 6] = [
    Place::Own,
    Place::Below,
    Place::Sibling,
    Place::Namesake,
    Place::Parent,
    Place::Unknown,
];

impl Place {
    pub fn node(self) -> &'static str {
        match self {
            Self::Own => OWN,
            Self::Below => "sys.Provider.Reseller.Customer",
            Self::Sibling => "sys.Provider.Other",
            Self::Namesake => "sys.Provider.Reseller2",
            Self::Parent => "sys.Provider",
            Self::Unknown => "sys.Elsewhere",
        }
    }

    pub fn is_visible(self) -> bool {
        matches!(self, Self::Own | Self::Below)
    }
}

/// The objects at a place.
pub struct Objects {
    pub place: Place,
    pub pkid: String,
    pub transaction: String,
    pub data_sync: String,
}

/// Adds the objects of a place.
pub async fn objects(root: &Client, place: Place) -> Objects {
    if place == Place::Unknown {
        return Objects {
            place,
            pkid: "0123456789abcdef01234567".to_owned(),
            transaction: "0199a3c5-0000-7000-8000-000000000000".to_owned(),
            data_sync: "0123456789abcdef01234567".to_owned(),
        };
    }
    // All tenants have the same name.
    let (pkid, transaction) = root.add(place.node(), "Contoso").await;
    let path = format!("/api/data/DataSync/?owner={pkid}");
    let syncs = root.get(&path).await.expect(200);
    Objects {
        place,
        pkid,
        transaction,
        data_sync: syncs["resources"][0]["pkid"].as_str().unwrap().to_owned(),
    }
}

/// A place, and the pkids of its members: a user, an API key, callback credentials, the place's node and a role.
pub struct Members {
    pub place: Place,
    pub user: String,
    pub key: String,
    pub auth: String,
    pub node_pkid: String,
    pub role: String,
}

/// Adds a user, an API key, callback credentials and a role at a place. At [`Place::Unknown`], none of them exists.
pub async fn members(root: &Client, place: Place) -> Members {
    let mut pkids = Vec::new();
    for path in [
        "/api/data/User/",
        "/api/data/ApiKey/",
        "/api/data/ApiCallbackAuth/",
        "/api/data/Role/",
    ] {
        if place == Place::Unknown {
            pkids.push("0123456789abcdef01234567".to_owned());
            continue;
        }
        let node = place.node();
        let input = match path {
            "/api/data/ApiCallbackAuth/" => json!({
                "name": format!("member-of-{place:?}"), "hierarchy": node, "token": "canary-token",
            }),
            "/api/data/Role/" => {
                json!({ "name": "desk", "hierarchy": node, "operations": ["read"] })
            }
            _ => json!({
                "name": format!("member-of-{place:?}"), "hierarchy": node,
                "grants": [{ "role": "operator", "node": node }],
            }),
        };
        let added = root.json(Method::POST, path, &input).await.expect(201);
        pkids.push(added["pkid"].as_str().unwrap().to_owned());
    }
    let [user, key, auth, role] = pkids.try_into().unwrap();
    let node_pkid = match place {
        Place::Unknown => key.clone(),
        place => node_pkid(&place.node().parse().unwrap()).to_string(),
    };
    Members {
        place,
        user,
        key,
        auth,
        node_pkid,
        role,
    }
}
