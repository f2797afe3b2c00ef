//! Initial records for tests.

use http::Method;
use serde_json::{Map, Value, json};

use super::{DAY, MemoryPlatform, json_response};
use crate::owned_documents::{DATA_SYNC, SYNC_ALL, SYNC_ROLES_LICENSES, SYNC_USERS};
use crate::platform::{Change, Environment, Failure, Millis, Secret, Storage, UnixMillis, Wakeup};
use crate::record::{Expiry, GrantState, OwnedDocument, Record, RecordBody, State, secret};
use crate::webex::ids::OrgId;

/// The pkid of [`connected_record`].
pub const PKID: &str = "0123456789abcdef01234567";
/// The record's node.
pub const HIERARCHY: &str = "sys.Provider.Reseller.Acme";
/// The record's organization.
pub const ORGANIZATION: &str = "8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
/// The record's data syncs of all data, of roles and licenses, and of users. Their documents are not stored.
pub const DATA_SYNCS: [&str; 3] = [
    "d00000000000000000000001",
    "d00000000000000000000002",
    "d00000000000000000000003",
];
/// The record's access token: opaque; as at Webex, its last part names the organization.
pub const ACCESS_TOKEN: &str = "QWNjZXNz_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
/// The record's refresh token.
pub const REFRESH_TOKEN: &str = "UmVmcmVzaA_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";

/// Creates a record of the customer Acme, not stored yet, whose tokens were received at `now`. The
/// access token is valid for 14 days, the refresh token for 90; the next refresh is due in 7.
pub fn connected_record(now: UnixMillis) -> Record {
    let mut fields = Map::new();
    for (name, value) in [("name", "Acme"), ("account_number_external", ORGANIZATION)] {
        fields.insert(name.to_owned(), Value::from(value));
    }
    let expiry = |lifetime: Millis| Expiry {
        at: now + lifetime,
        lifetime,
        assumed: false,
    };
    Record {
        pkid: PKID.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        version: 0,
        body: RecordBody {
            fields,
            connection: GrantState {
                state: State::Connected,
                access: Some(expiry(14 * DAY)),
                refresh: Some(expiry(90 * DAY)),
                generation: 1,
                refreshed: Some(now),
                next_refresh: Some(now + 7 * DAY),
                ..GrantState::default()
            },
            owned_documents: [SYNC_ALL, SYNC_ROLES_LICENSES, SYNC_USERS]
                .into_iter()
                .zip(DATA_SYNCS)
                .map(|(role, pkid)| OwnedDocument {
                    model: DATA_SYNC.to_owned(),
                    pkid: pkid.to_owned(),
                    name: format!("{role} of Acme"),
                    role: role.to_owned(),
                })
                .collect(),
            ..RecordBody::default()
        },
    }
}

impl MemoryPlatform {
    /// Stores `record` with [`ACCESS_TOKEN`], [`REFRESH_TOKEN`] and its `refresh` wakeup, and
    /// returns it as stored. The commit is counted.
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
                due: due.0,
                deadline: None,
                payload: String::new(),
            }));
        }
        self.commit(Vec::new(), changes)?;
        Record::load(self, &record.pkid)
    }

    /// Serves Webex's REST API to any token: the organization `uuid`, a person of that
    /// organization, and revocation.
    pub fn serve_organization(&self, uuid: &str) {
        let Ok(organization) = OrgId::parse(uuid) else {
            return self
                .serve(|_, _| json_response(500, json!({"message": "no such organization"})));
        };
        let id = organization.internal();
        self.serve(move |_, request| {
            let path = request.uri().path();
            let path = path.strip_prefix("/v1").unwrap_or(path);
            match (request.method(), path) {
                (&Method::GET, "/organizations") => {
                    json_response(200, json!({"items": [{"id": id, "displayName": "Acme"}]}))
                }
                (&Method::GET, "/people/me") => json_response(200, json!({"orgId": id})),
                (&Method::GET, path) if path.strip_prefix("/organizations/") == Some(&*id) => {
                    json_response(200, json!({"id": id, "displayName": "Acme"}))
                }
                (&Method::DELETE, "/authorizations") => json_response(204, Value::Null),
                _ => json_response(
                    404,
                    json!({"message": "The requested resource could not be found."}),
                ),
            }
        });
    }

    /// Creates a platform on which [`connected_record`] has just been stored.
    pub fn connected() -> Result<Self, Failure> {
        let platform = Self::new();
        let record = connected_record(platform.now());
        platform.store_connected(record)?;
        Ok(platform)
    }
}
