//! Records that tests start from.

use http::Method;
use serde_json::{Map, Value, json};

use super::{DAY, MemoryPlatform, reply};
use crate::platform::{Change, Environment, Failure, Secret, Storage, Timestamp, Wakeup};
use crate::record::{Body, Connection, Expiry, Record, State, secret};
use crate::webex::ids::OrgId;

/// The pkid of the record that [`connected_record`] makes.
pub const PKID: &str = "0123456789abcdef01234567";
/// Its node.
pub const HIERARCHY: &str = "sys.Provider.Reseller.Acme";
/// Its organisation.
pub const ORGANIZATION: &str = "8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
/// Its access token: opaque, and as at Webex its last part names the organisation.
pub const ACCESS_TOKEN: &str = "QWNjZXNz_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
/// Its refresh token.
pub const REFRESH_TOKEN: &str = "UmVmcmVzaA_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";

/// A record of the customer Acme whose tokens were received at `now`: 14 days for the access
/// token, 90 for the refresh token, the next refresh in 7. It is not stored yet.
pub fn connected_record(now: Timestamp) -> Record {
    let mut fields = Map::new();
    for (name, value) in [("name", "Acme"), ("account_number_external", ORGANIZATION)] {
        fields.insert(name.to_owned(), Value::from(value));
    }
    let expiry = |life: u64| Expiry {
        at: now + life,
        life,
        assumed: false,
    };
    Record {
        pkid: PKID.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        version: 0,
        body: Body {
            fields,
            connection: Connection {
                state: State::Connected,
                access: Some(expiry(14 * DAY)),
                refresh: Some(expiry(90 * DAY)),
                generation: 1,
                refreshed: Some(now),
                next_refresh: Some(now + 7 * DAY),
                ..Connection::default()
            },
            ..Body::default()
        },
    }
}

impl MemoryPlatform {
    /// Stores `record` with [`ACCESS_TOKEN`], [`REFRESH_TOKEN`] and its `refresh` wakeup, and
    /// answers with it as it is stored. The commit is one of those that are counted.
    pub fn store_connected(&self, record: Record) -> Result<Record, Failure> {
        let owner = record.reference();
        let mut changes = vec![Change::Put(record.to_document()?)];
        for (name, value) in [
            (secret::ACCESS_TOKEN, ACCESS_TOKEN),
            (secret::REFRESH_TOKEN, REFRESH_TOKEN),
        ] {
            changes.push(Change::PutSecret {
                owner: owner.clone(),
                name: name.to_owned(),
                value: Secret::new(value),
            });
        }
        if let Some(due) = record.body.connection.next_refresh {
            changes.push(Change::Schedule(Wakeup {
                id: "refresh".to_owned(),
                subject: owner,
                due,
                deadline: None,
                payload: String::new(),
            }));
        }
        self.commit(Vec::new(), changes)?;
        Record::load(self, &record.pkid)
    }

    /// Serves Webex's REST API as every token of the organisation `uuid` sees it: this one
    /// organisation, somebody of it, and revocation.
    pub fn serve_organization(&self, uuid: &str) {
        let Ok(organization) = OrgId::parse(uuid) else {
            return self.serve(|_, _| reply(500, json!({"message": "no such organisation"})));
        };
        let id = organization.internal();
        self.serve(move |_, request| {
            let path = request.uri().path();
            let path = path.strip_prefix("/v1").unwrap_or(path);
            match (request.method(), path) {
                (&Method::GET, "/organizations") => {
                    reply(200, json!({"items": [{"id": id, "displayName": "Acme"}]}))
                }
                (&Method::GET, "/people/me") => reply(200, json!({"orgId": id})),
                (&Method::GET, path) if path.strip_prefix("/organizations/") == Some(&*id) => {
                    reply(200, json!({"id": id, "displayName": "Acme"}))
                }
                (&Method::DELETE, "/authorizations") => reply(204, Value::Null),
                _ => reply(
                    404,
                    json!({"message": "The requested resource could not be found."}),
                ),
            }
        });
    }

    /// A platform on which [`connected_record`] is stored since now.
    pub fn connected() -> Result<Self, Failure> {
        let platform = Self::new();
        let record = connected_record(platform.now());
        platform.store_connected(record)?;
        Ok(platform)
    }
}
