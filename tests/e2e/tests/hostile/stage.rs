//! One fixture on a host, and two customers: one for whom it misbehaves, one whose calls must go on.

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

/// The customer whom every fixture serves well.
const NEIGHBOUR: &str = "ffffffffffffffffffffffff";

/// What every fixture is given as an access token.
pub const TOKEN: &str = "a-token-that-is-given";

/// Bounds that are soon hit.
pub fn tight() -> Limits {
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
pub struct Stage {
    pub world: World,
    fixture: String,
}

/// What became of the call for which the fixture misbehaves.
pub struct Seen {
    pub result: Result<CallOutput<AddReport>, CallError>,
    /// What the host has written down about it.
    pub transaction: Transaction,
    /// How many calls of the other customer were answered before it ended.
    pub meanwhile: u32,
    fixture: String,
}

impl Stage {
    /// A fixture within tight bounds, and with nothing else to say.
    pub async fn of(fixture: &str) -> Self {
        Self::with(fixture, World::builder()).await
    }

    /// A fixture in a world that is described further.
    pub async fn with(fixture: &str, world: WorldBuilder) -> Self {
        let (file, _folder) = component(fixture);
        let world = world.component(file).limits(tight()).start().await;
        Self {
            world,
            fixture: fixture.to_owned(),
        }
    }

    /// Why no call at all is answered by a fixture. The host says so each time, and goes on.
    pub async fn broken(fixture: &str) -> GuestErrorKind {
        let stage = Self::of(fixture).await;
        let host = stage.world.host();
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

    /// Lets it misbehave for one customer, while the other one's calls are made one after the other;
    /// each of them must be answered, which the host gives them no longer for than any call.
    pub async fn misbehave(&self) -> Seen {
        let host = self.world.host().clone();
        let hostile = tokio::spawn(async move { host.add(request()).await });
        let mut meanwhile = 0;
        while !hostile.is_finished() {
            serve_neighbour(self.world.host()).await;
            meanwhile += u32::from(!hostile.is_finished());
        }
        let result = hostile.await.expect("the host does not panic");
        serve_neighbour(self.world.host()).await;
        let id = match &result {
            Ok(called) => called.transaction.clone(),
            Err(error) => error.transaction.clone().expect("it was a transaction"),
        };
        let stored = self.world.host().store().transaction(&id).await;
        Seen {
            result,
            transaction: stored.unwrap().expect("it is written down"),
            meanwhile,
            fixture: self.fixture.clone(),
        }
    }
}

/// What the host says of a component that it does not take.
pub fn refused_to_load(fixture: &str) -> String {
    let bytes = std::fs::read(artifacts::fixture(fixture)).unwrap();
    let error = Plugin::load(&bytes, [], tight()).expect_err("it does not fit");
    assert!(
        matches!(error.kind, GuestErrorKind::Link { .. }),
        "{error:?}"
    );
    error.to_string()
}

/// Makes the call for which a fixture misbehaves.
pub fn request() -> AddRequest {
    AddRequest {
        hierarchy: "sys.Test".parse().unwrap(),
        fields: object(json!({ "name": "x" })),
        token_response: Some(format!(r#"{{"access_token":"{TOKEN}"}}"#).into()),
        idempotency_key: None,
    }
}

async fn serve_neighbour(host: &Host) {
    let pkid: Pkid = NEIGHBOUR.parse().unwrap();
    let answer = host.connect(&pkid, Grant::Organization, "http://127.0.0.1/");
    answer.await.expect("another customer's call is answered");
}

impl Seen {
    /// Why the host stopped it. The error names the plugin, and is what was written down.
    pub fn stopped(self) -> GuestErrorKind {
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

    /// The host let it misbehave to its end: what it refused with, because it was refused.
    pub fn refused(self) -> Failure {
        assert_eq!(self.transaction.status, Status::Fail);
        match self.result.expect_err("it is refused").kind {
            CallErrorKind::Refused(failure) => failure,
            other => panic!("it did not end by itself: {other}"),
        }
    }

    /// It was answered: the notes of its answer.
    pub fn notes(self) -> String {
        self.result.expect("it is answered").value.connection.notes
    }

    /// The transaction's log, a line each.
    pub fn log(&self) -> String {
        let lines = self.transaction.log.iter();
        let lines: Vec<&str> = lines.map(|line| line.message.as_str()).collect();
        lines.join("\n")
    }
}
