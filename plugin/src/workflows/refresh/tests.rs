//! Every outcome of a refresh, and the data that must survive it.

mod errors;
mod failing;
mod lost_responses;
mod races;
mod refusals;
mod responses;

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::alerts::code;
use crate::owned_documents::{EXPIRY_SCHEDULE, REFRESH_SCHEDULE, RunTimes};
use crate::platform::{
    Environment, HttpError, HttpResponse, Millis, Reference, Secrets, Storage, Wakeup,
};
use crate::record::{Expiry, secret};
use crate::testing::*;

const TOKENS: &str = "/v1/access_token";

/// Creates a stored, connected record with all its owned documents.
fn platform() -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(platform.now());
    owned_documents::plan(&mut record, &platform);
    let record = platform.store_connected(record).unwrap();
    let refresh = RunTimes {
        last: None,
        next: record.body.connection.next_refresh,
    };
    let changes = owned_documents::creation_changes(&record, refresh, RunTimes::default());
    platform.commit(Vec::new(), changes).unwrap();
    platform.advance(7 * DAY);
    platform
}

fn run(platform: &MemoryPlatform) -> Result<RefreshReport, Failure> {
    refresh(platform, PKID, Grant::Organization, platform.now())
}

fn record(platform: &MemoryPlatform) -> Record {
    Record::load(platform, PKID).unwrap()
}

fn edit(platform: &MemoryPlatform, change: impl FnOnce(&mut Record)) {
    let mut record = record(platform);
    change(&mut record);
    let document = record.to_document().unwrap();
    platform
        .commit(vec![record.version_check()], vec![Change::Put(document)])
        .unwrap();
}

fn token(platform: &MemoryPlatform, name: &str) -> Option<String> {
    let owner = Reference::record(PKID);
    let token = platform.reveal(&owner, name).unwrap();
    token.map(|token| token.expose().to_owned())
}

fn tokens(platform: &MemoryPlatform) -> (Option<String>, Option<String>) {
    (
        token(platform, secret::ACCESS_TOKEN),
        token(platform, secret::REFRESH_TOKEN),
    )
}

fn wakeup(platform: &MemoryPlatform, id: &str) -> Option<Wakeup> {
    platform
        .all_wakeups()
        .into_iter()
        .find(|each| each.id == id)
}

fn load_schedule(platform: &MemoryPlatform, role: &str) -> Value {
    let owned = record(platform).owned_document(role).cloned().unwrap();
    let document = platform.get(&owned.reference()).unwrap().unwrap();
    serde_json::from_str(&document.body).unwrap()
}

fn token_response() -> Value {
    json!({
        "access_token": "new-access-token", "expires_in": 1_209_600, "token_type": "Bearer",
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000,
        "scope": "spark-admin:people_read",
    })
}

fn platform_with_response(status: u16, body: Value) -> MemoryPlatform {
    let platform = platform();
    platform.expect(Method::POST, TOKENS, json_response(status, body));
    platform
}

fn assert_nothing_lost(platform: &MemoryPlatform) {
    let held = (
        Some(ACCESS_TOKEN.to_owned()),
        Some(REFRESH_TOKEN.to_owned()),
    );
    assert_eq!(tokens(platform), held);
    let connection = record(platform).body.connection;
    let expiry = |lifetime: Millis| {
        Some(Expiry {
            at: START + lifetime,
            lifetime,
            assumed: false,
        })
    };
    assert_eq!(connection.access, expiry(14 * DAY));
    assert_eq!(connection.refresh, expiry(90 * DAY));
    assert_eq!(connection.generation, 1);
}

fn refused() -> Result<HttpResponse, HttpError> {
    json_response(
        400,
        json!({"error": "invalid_grant", "error_description": "revoked", "trackingId": "T2"}),
    )
}
