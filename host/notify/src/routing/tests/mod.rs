//! Tests of routing.

mod alerts;
mod folding;
mod ids;
mod planning;
mod routes;
mod storm;

use std::time::Duration;

use chrono::{DateTime, Utc};
use relation_types::reports::State;
use serde_json::Value;

use super::{ConnectionFacts, Event, History, RoutePlan, route};
use crate::settings::tests::{level, node};
use crate::settings::{Defaults, Resolved, resolve};

/// The node of the record in tests.
const NODE: &str = "sys.Provider.Reseller.Customer";

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// Returns a connected record that expires at noon of 1 January 2027.
fn facts() -> ConnectionFacts {
    ConnectionFacts {
        record: "0123456789abcdef01234567".to_owned(),
        customer: "Contoso".to_owned(),
        node: node(NODE),
        grant: "organization".to_owned(),
        generation: 3,
        state: State::Connected,
        expires: Some(utc("2027-01-01T12:00:00Z")),
        lifetime: Some(Duration::from_secs(90 * 86_400)),
        failing_since: None,
        account_email: None,
        link: None,
    }
}

/// Resolves the settings of the provider.
fn provider(json: Value) -> Resolved {
    resolve(&[level("sys.Provider", json)], &Defaults::default())
}

/// Routes without history.
fn route_first(event: &Event, resolved: &Resolved, now: &str) -> RoutePlan {
    route(event, resolved, utc(now), &History::default())
}
