//! How records and what belongs to them are shown to people.

use std::time::Duration;

use relation_host::reports::{Connection, Grant, GrantStatus, State};
use relation_host::types::Timestamp;

use crate::failure::{CONNECT_AGAIN, Failed, Kind};
use crate::table::{Column, Rows, pairs};
use crate::time;

/// One record, a line for each of its properties, with those of its further grants below.
pub fn connection(connection: &Connection, now: Timestamp) -> String {
    let own = lines(connection, Grant::Organization, now);
    let further = connection.grants.iter();
    let mut further = further
        .filter(|granted| granted.grant != Grant::Organization)
        .peekable();
    if further.peek().is_none() {
        return own;
    }
    let mut rows = Rows::under(&[
        Column::new("grant"),
        Column::new("state"),
        Column::new("access token").dropped(1),
        Column::new("refresh token"),
        Column::new("next refresh").dropped(2),
        Column::new("missing scopes").wrapped(16).dropped(3),
    ]);
    for granted in further {
        rows.add([
            granted.grant.to_string(),
            granted.state.to_string(),
            time::expiry(granted.access_token_expires.as_ref(), now),
            time::expiry(granted.refresh_token_expires.as_ref(), now),
            next(granted.next_refresh, now),
            granted.missing_scopes.join(" "),
        ]);
    }
    format!("{own}\n\n{rows}")
}

/// One record as one of its grants stands.
pub fn grant_of(connection: &Connection, grant: Grant, now: Timestamp) -> String {
    lines(connection, grant, now)
}

fn lines(connection: &Connection, grant: Grant, now: Timestamp) -> String {
    let mut lines = vec![
        ("name", connection.name.clone()),
        ("pkid", connection.pkid.to_string()),
        ("hierarchy", connection.hierarchy.to_string()),
    ];
    if grant != Grant::Organization {
        lines.push(("grant", grant.to_string()));
    }
    let granted = granted(connection, grant);
    let state = granted.map_or(connection.state, |granted| granted.state);
    let (access, refresh, refreshed_next) = match granted {
        Some(granted) => (
            granted.access_token_expires,
            granted.refresh_token_expires,
            granted.next_refresh,
        ),
        None => (
            connection.access_token_expires,
            connection.refresh_token_expires,
            connection.next_refresh,
        ),
    };
    lines.extend([
        ("state", state.to_string()),
        ("access token", time::expiry(access.as_ref(), now)),
        ("refresh token", time::expiry(refresh.as_ref(), now)),
        ("next refresh", next(refreshed_next, now)),
    ]);
    if let Some(granted) = granted
        && !granted.missing_scopes.is_empty()
    {
        lines.push(("missing scopes", granted.missing_scopes.join(" ")));
    }
    if !connection.notes.is_empty() {
        lines.push(("please note", connection.notes.clone()));
    }
    pairs(lines).to_string()
}

fn granted(connection: &Connection, grant: Grant) -> Option<&GrantStatus> {
    let mut grants = connection.grants.iter();
    grants.find(|granted| granted.grant == grant)
}

fn next(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        Some(at) => format!("{} ({})", time::moment(at), time::due(at, now)),
        None => "-".to_owned(),
    }
}

/// The state of the organisation's grant, and of further ones that stand otherwise.
fn states(connection: &Connection) -> String {
    let others = connection.grants.iter().filter(|granted| {
        granted.grant != Grant::Organization && granted.state != connection.state
    });
    let others = others.map(|granted| format!(", {} {}", granted.grant, granted.state));
    std::iter::once(connection.state.to_string())
        .chain(others)
        .collect()
}

/// Records, a row each.
pub fn connections(connections: &[Connection], now: Timestamp) -> String {
    let mut rows = Rows::under(&[
        Column::new("name").shortened(16),
        Column::new("hierarchy").tail(12).dropped(4),
        Column::new("state").shortened(13),
        Column::new("access token").dropped(2),
        Column::new("refresh token"),
        Column::new("next refresh").dropped(3),
        Column::new("pkid").dropped(1),
    ]);
    for connection in connections {
        let next = connection
            .next_refresh
            .map_or_else(|| "-".to_owned(), |at| time::due(at, now));
        rows.add([
            connection.name.clone(),
            connection.hierarchy.to_string(),
            states(connection),
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

/// The failure that the state of a grant means, when a person has to act.
pub fn needs_a_person(connection: &Connection, grant: Grant) -> Option<Failed> {
    let state = granted(connection, grant).map_or(connection.state, |granted| granted.state);
    match state {
        State::Expired | State::Reauthorize => {
            let message = match connection.notes.as_str() {
                "" => format!("{} is {state} ({grant})", connection.name),
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
