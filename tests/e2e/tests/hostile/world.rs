//! One fixture on a host, and two customers: it misbehaves for the first, and the second's calls must
//! succeed.

use std::time::Duration;

use relation_e2e::world::{WorldBuilder, object};
use relation_e2e::{World, artifacts};
use relation_host::component::{GuestErrorKind, Plugin};
use relation_host::reports::{AddReport, Grant};
use relation_host::transactions::{Status, Transaction};
use relation_host::types::{Failure, Pkid};
use relation_host::{AddRequest, CallError, CallErrorKind, CallOutput, Host, Limits};
use serde_json::json;

use crate::component::component;

/// The customer whose calls every fixture performs correctly.
const OTHER_CUSTOMER: &str = "ffffffffffffffffffffffff";

/// The access token of every fixture.
pub const TOKEN: &str = "the-access-token";

/// Returns small limits.
pub fn tight_limits() -> Limits {
    Limits {
        memory: 32 << 20,
        time: Duration::from_secs(1),
        request_time: Duration::from_millis(300),
        response: 64 << 10,
        requests: 4,
        commit: 256 << 10,
        host_calls: 1000,
        transfer: 4 << 20,
        handles: 100,
        table: 5000,
        secrets: 10,
        log: 4 << 10,
        ..Limits::default()
    }
}

/// A fixture on a host.
pub struct HostileWorld {
    pub world: World,
    fixture: String,
}

/// The call in which the fixture misbehaved.
pub struct HostileCall {
    pub result: Result<CallOutput<AddReport>, CallError>,
    /// The host's record of it.
    pub transaction: Transaction,
    /// Number of the other customer's calls that completed before it ended.
    pub meanwhile: u32,
    fixture: String,
}

impl HostileWorld {
    /// Runs a fixture with tight limits and no other setup.
    pub async fn new(fixture: &str) -> Self {
        Self::with(fixture, World::builder()).await
    }

    /// Runs a fixture in a customized world.
    pub async fn with(fixture: &str, world: WorldBuilder) -> Self {
        let (file, _folder) = component(fixture);
        let world = world.component(file).limits(tight_limits()).start().await;
        Self {
            world,
            fixture: fixture.to_owned(),
        }
    }

    /// Returns why the fixture's component does not load. The host reports the error for each call, and
    /// continues.
    pub async fn load_error(fixture: &str) -> GuestErrorKind {
        let hostile = Self::new(fixture).await;
        let host = hostile.world.host();
        let described = host.describe().await.expect_err("it is broken");
        let added = host.add(request()).await.expect_err("it is still broken");
        match (described.kind, added.kind) {
            (CallErrorKind::Guest(first), CallErrorKind::Guest(second)) => {
                assert_eq!(first.to_string(), second.to_string());
                assert_eq!(first.plugin, format!("{fixture} 0.0.1"));
                first.kind
            }
            other => panic!("it was not stopped: {other:?}"),
        }
    }

    /// Lets the fixture misbehave for one customer, while the other one's calls run one after the
    /// other. Each of them must complete within the usual time of a call.
    pub async fn misbehave(&self) -> HostileCall {
        let host = self.world.host().clone();
        let hostile = tokio::spawn(async move { host.add(request()).await });
        let mut meanwhile = 0;
        while !hostile.is_finished() {
            call_for_other_customer(self.world.host()).await;
            meanwhile += u32::from(!hostile.is_finished());
        }
        let result = hostile.await.expect("the host does not panic");
        call_for_other_customer(self.world.host()).await;
        let id = match &result {
            Ok(called) => called.transaction.clone(),
            Err(error) => error
                .transaction
                .clone()
                .expect("the call has a transaction"),
        };
        let stored = self.world.host().store().transaction(&id).await;
        HostileCall {
            result,
            transaction: stored.unwrap().expect("the transaction is stored"),
            meanwhile,
            fixture: self.fixture.clone(),
        }
    }
}

/// Returns the host's message about a component that it rejects.
pub fn refused_to_load(fixture: &str) -> String {
    let bytes = std::fs::read(artifacts::fixture(fixture)).unwrap();
    let error =
        Plugin::load(&bytes, [], tight_limits()).expect_err("the component is incompatible");
    assert!(
        matches!(error.kind, GuestErrorKind::Link { .. }),
        "{error:?}"
    );
    error.to_string()
}

/// Creates the request for which a fixture misbehaves.
pub fn request() -> AddRequest {
    AddRequest {
        hierarchy: "sys.Test".parse().unwrap(),
        fields: object(json!({ "name": "x" })),
        token_response: Some(format!(r#"{{"access_token":"{TOKEN}"}}"#).into()),
        idempotency_key: None,
    }
}

async fn call_for_other_customer(host: &Host) {
    let pkid: Pkid = OTHER_CUSTOMER.parse().unwrap();
    let call = host.connect(&pkid, Grant::Organization, "http://127.0.0.1/");
    let _ = call.await.expect("another customer's call succeeds");
}

impl HostileCall {
    /// Returns why the host stopped the call. The error names the plugin, and matches the stored
    /// record.
    pub fn expect_stopped(self) -> GuestErrorKind {
        let error = self.result.expect_err("it is stopped");
        let text = error.to_string();
        let plugin = format!("plugin {} 0.0.1: ", self.fixture);
        assert!(text.starts_with(&plugin), "the plugin is not named: {text}");
        assert_eq!(self.transaction.status, Status::Fail);
        assert_eq!(self.transaction.message, text);
        match error.kind {
            CallErrorKind::Guest(error) => error.kind,
            other => panic!("it was not stopped: {other}"),
        }
    }

    /// Returns the fixture's own failure after the host has rejected its attempt.
    pub fn expect_refused(self) -> Failure {
        assert_eq!(self.transaction.status, Status::Fail);
        match self.result.expect_err("it is refused").kind {
            CallErrorKind::Refused(failure) => failure,
            other => panic!("it did not end by itself: {other}"),
        }
    }

    /// Returns the notes of the fixture's result.
    pub fn expect_notes(self) -> String {
        self.result.expect("it succeeds").value.connection.notes
    }

    /// Returns the transaction's log, one entry per line.
    pub fn log(&self) -> String {
        let lines = self.transaction.log.iter();
        let lines: Vec<&str> = lines.map(|line| line.message.as_str()).collect();
        lines.join("\n")
    }
}
