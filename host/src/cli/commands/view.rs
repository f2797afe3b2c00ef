//! How records and what belongs to them are shown to people.

use std::time::Duration;

use relation_host::reports::{Connection, State};
use relation_host::types::Timestamp;

use crate::cli::failure::{CONNECT_AGAIN, Failed, Kind};
use crate::cli::output::{Rows, pairs};
use crate::cli::time;

/// One record, a line for each of its properties.
pub fn connection(connection: &Connection, now: Timestamp) -> String {
    let next = match connection.next_refresh {
        Some(at) => format!("{} ({})", time::moment(at), time::due(at, now)),
        None => "-".to_owned(),
    };
    let access = time::expiry(connection.access_token_expires.as_ref(), now);
    let refresh = time::expiry(connection.refresh_token_expires.as_ref(), now);
    let mut lines = vec![
        ("name", connection.name.clone()),
        ("pkid", connection.pkid.to_string()),
        ("hierarchy", connection.hierarchy.to_string()),
        ("state", connection.state.to_string()),
        ("access token", access),
        ("refresh token", refresh),
        ("next refresh", next),
    ];
    if !connection.notes.is_empty() {
        lines.push(("please note", connection.notes.clone()));
    }
    pairs(lines).to_string()
}

/// Records, a row each.
pub fn connections(connections: &[Connection], now: Timestamp) -> String {
    let mut rows = Rows::under(&[
        "name",
        "hierarchy",
        "state",
        "access token",
        "refresh token",
        "next refresh",
        "pkid",
    ]);
    for connection in connections {
        let next = connection
            .next_refresh
            .map_or_else(|| "-".to_owned(), |at| time::due(at, now));
        rows.add([
            connection.name.clone(),
            connection.hierarchy.to_string(),
            connection.state.to_string(),
            time::expiry_left(connection.access_token_expires.as_ref(), now),
            time::expiry_left(connection.refresh_token_expires.as_ref(), now),
            next,
            connection.pkid.to_string(),
        ]);
    }
    rows.to_string()
}

/// Whether some expiry of these is marked as assumed.
pub fn any_assumed(connections: &[Connection]) -> bool {
    connections.iter().any(|connection| {
        let expiries = [
            connection.access_token_expires,
            connection.refresh_token_expires,
        ];
        expiries.iter().flatten().any(|expiry| expiry.assumed)
    })
}

/// The failure that a state means, when a person has to act.
pub fn needs_a_person(connection: &Connection) -> Option<Failed> {
    match connection.state {
        State::Expired | State::Reauthorize => {
            let message = match connection.notes.as_str() {
                "" => format!("{} is {}", connection.name, connection.state),
                notes => format!("{}: {notes}", connection.name),
            };
            Some(Failed::new(Kind::Reauthorize, message).hint(CONNECT_AGAIN))
        }
        _ => None,
    }
}

/// A span of milliseconds, as reports have it.
pub fn millis(millis: u64) -> String {
    time::span(Duration::from_millis(millis))
}
