//! Renders connections for people.

use std::time::Duration;

use relation_app::listing::ListRow;
use relation_app::{AppError, CONNECT_AGAIN, ErrorKind};
use relation_host::reports::{ConnectionReport, Grant, GrantStatus, State};
use relation_host::types::Timestamp;

use crate::table::{Column, Table, pair_table};
use crate::time;

/// Renders one connection: a line for each property, and a table of its other grants.
pub fn render_connection(connection: &ConnectionReport, now: Timestamp) -> String {
    let own = render_grant_lines(connection, Grant::Organization, now);
    let further = connection.grants.iter();
    let mut further = further
        .filter(|status| status.grant != Grant::Organization)
        .peekable();
    if further.peek().is_none() {
        return own;
    }
    let mut rows = Table::with_columns(&[
        Column::new("grant"),
        Column::new("state"),
        Column::new("access token").droppable(1),
        Column::new("refresh token"),
        Column::new("next refresh").droppable(2),
        Column::new("missing scopes").wrapped(16).droppable(3),
    ]);
    for status in further {
        rows.add([
            status.grant.to_string(),
            status.state.to_string(),
            time::format_expiry(status.access_token_expires.as_ref(), now),
            time::format_expiry(status.refresh_token_expires.as_ref(), now),
            render_next_refresh(status.next_refresh, now),
            status.missing_scopes.join(" "),
        ]);
    }
    format!("{own}\n\n{rows}")
}

/// Renders one grant of a connection.
pub fn render_grant(connection: &ConnectionReport, grant: Grant, now: Timestamp) -> String {
    render_grant_lines(connection, grant, now)
}

fn render_grant_lines(connection: &ConnectionReport, grant: Grant, now: Timestamp) -> String {
    let mut lines = vec![
        ("name", connection.name.clone()),
        ("pkid", connection.pkid.to_string()),
        ("hierarchy", connection.hierarchy.to_string()),
    ];
    if grant != Grant::Organization {
        lines.push(("grant", grant.to_string()));
    }
    let status = find_grant_status(connection, grant);
    let state = status.map_or(connection.state, |status| status.state);
    let (access, refresh, next_refresh) = match status {
        Some(status) => (
            status.access_token_expires,
            status.refresh_token_expires,
            status.next_refresh,
        ),
        None => (
            connection.access_token_expires,
            connection.refresh_token_expires,
            connection.next_refresh,
        ),
    };
    lines.extend([
        ("state", state.to_string()),
        ("access token", time::format_expiry(access.as_ref(), now)),
        ("refresh token", time::format_expiry(refresh.as_ref(), now)),
        ("next refresh", render_next_refresh(next_refresh, now)),
    ]);
    if let Some(status) = status
        && !status.missing_scopes.is_empty()
    {
        lines.push(("missing scopes", status.missing_scopes.join(" ")));
    }
    if !connection.notes.is_empty() {
        lines.push(("please note", connection.notes.clone()));
    }
    pair_table(lines).to_string()
}

fn find_grant_status(connection: &ConnectionReport, grant: Grant) -> Option<&GrantStatus> {
    let mut grants = connection.grants.iter();
    grants.find(|status| status.grant == grant)
}

fn render_next_refresh(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        Some(at) => format!("{} ({})", time::format_utc(at), time::format_due(at, now)),
        None => "-".to_owned(),
    }
}

/// Renders the state of the organisation's grant, and the states of other grants that differ.
fn render_states(connection: &ConnectionReport) -> String {
    let others = connection
        .grants
        .iter()
        .filter(|status| status.grant != Grant::Organization && status.state != connection.state);
    let others = others.map(|status| format!(", {} {}", status.grant, status.state));
    std::iter::once(connection.state.to_string())
        .chain(others)
        .collect()
}

/// Renders a list of customers.
pub fn render_rows(customers: &[ListRow], now: Timestamp) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("name").shortened(16),
        Column::new("hierarchy").tail(12).droppable(5),
        Column::new("state").shortened(13),
        Column::new("alert").droppable(4),
        Column::new("access token").droppable(3),
        Column::new("refresh token"),
        Column::new("next refresh").droppable(6),
        Column::new("kind").droppable(7),
        Column::new("account number").droppable(2),
        Column::new("pkid").droppable(1),
    ]);
    for customer in customers {
        let connection = &customer.connection;
        let kinds = [
            (customer.wholesale, "wholesale"),
            (customer.contact_center, "contact center"),
        ];
        let kinds = kinds.iter().filter(|(is, _)| *is).map(|(_, kind)| *kind);
        let alert = customer.alert.as_ref();
        let next = connection
            .next_refresh
            .map_or_else(|| "-".to_owned(), |at| time::format_due(at, now));
        rows.add([
            connection.name.clone(),
            connection.hierarchy.to_string(),
            render_states(connection),
            alert.map_or_else(
                || "-".to_owned(),
                |alert| alert.body.severity.as_str().to_owned(),
            ),
            time::format_token_remaining(connection.access_token_expires.as_ref(), now),
            time::format_token_remaining(connection.refresh_token_expires.as_ref(), now),
            next,
            kinds.collect::<Vec<_>>().join(", "),
            customer.account_number.clone().unwrap_or_default(),
            connection.pkid.to_string(),
        ]);
    }
    rows.to_string()
}

/// Returns whether an expiry is marked as assumed.
pub fn has_assumed_expiry(customers: &[ListRow]) -> bool {
    customers.iter().any(|ListRow { connection, .. }| {
        let expiries = [
            connection.access_token_expires,
            connection.refresh_token_expires,
        ];
        expiries.iter().flatten().any(|expiry| expiry.assumed)
    })
}

/// Returns the error for a grant that a person must reauthorize.
pub fn reauthorize_error(connection: &ConnectionReport, grant: Grant) -> Option<AppError> {
    let state =
        find_grant_status(connection, grant).map_or(connection.state, |status| status.state);
    match state {
        State::Expired | State::Reauthorize => {
            let message = match connection.notes.as_str() {
                "" => format!("{} is {state} ({grant})", connection.name),
                notes => format!("{}: {notes}", connection.name),
            };
            Some(AppError::new(ErrorKind::Reauthorize, message).hint(CONNECT_AGAIN))
        }
        _ => None,
    }
}

/// Formats a duration in milliseconds.
pub fn format_millis(millis: u64) -> String {
    time::format_span(Duration::from_millis(millis))
}
