//! Renders connections for people.

use std::time::Duration;

use relation_app::listing::ListRow;
use relation_app::records::{self, StoredRecord};
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{ConnectionReport, Expiry, Grant, GrantStatus, State};
use relation_host::text::format_span;
use relation_host::types::Timestamp;

use crate::table::{Column, MAX_NAME_WIDTH, Table, pair_table};
use crate::time;

/// Renders one connection: a line for each property, and a table of its other grants.
pub fn render_connection(connection: &ConnectionReport, now: Timestamp) -> String {
    let own = render_grant(connection, Grant::Organization, now, Notes::Shown);
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
            render_access_expiry(status.state, status.access_token_expires.as_ref(), now),
            render_refresh_expiry(status.state, status.refresh_token_expires.as_ref(), now),
            render_next_refresh(status.next_refresh, now),
            status.missing_scopes.join(" "),
        ]);
    }
    format!("{own}\n\n{rows}")
}

/// The display of a connection's notes. They are hidden if an error that follows says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notes {
    Shown,
    Hidden,
}

/// Renders one grant of a connection.
pub fn render_grant(
    connection: &ConnectionReport,
    grant: Grant,
    now: Timestamp,
    notes: Notes,
) -> String {
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
        (
            "access token",
            render_access_expiry(state, access.as_ref(), now),
        ),
        (
            "refresh token",
            render_refresh_expiry(state, refresh.as_ref(), now),
        ),
        ("next refresh", render_next_refresh(next_refresh, now)),
    ]);
    if let Some(status) = status
        && !status.missing_scopes.is_empty()
    {
        lines.push(("missing scopes", status.missing_scopes.join(" ")));
    }
    if notes == Notes::Shown && !connection.notes.is_empty() {
        lines.push(("please note", connection.notes.clone()));
    }
    pair_table(lines).to_string()
}

fn find_grant_status(connection: &ConnectionReport, grant: Grant) -> Option<&GrantStatus> {
    let mut grants = connection.grants.iter();
    grants.find(|status| status.grant == grant)
}

/// Renders the expiry of an access token. Webex may have revoked it together with a refresh token that it refuses.
fn render_access_expiry(state: State, expiry: Option<&Expiry>, now: Timestamp) -> String {
    match expiry {
        Some(expiry) if state == State::Reauthorize && expiry.at > now => {
            let at = time::format_utc(expiry.at);
            format!("{at} (unless Webex has revoked it)")
        }
        _ => time::format_expiry(expiry, now),
    }
}

/// Renders the expiry of a refresh token, or that Webex has refused the token.
fn render_refresh_expiry(state: State, expiry: Option<&Expiry>, now: Timestamp) -> String {
    match state {
        State::Reauthorize => REFUSED.to_owned(),
        _ => time::format_expiry(expiry, now),
    }
}

/// The text in place of the expiry of a refresh token that Webex has refused.
const REFUSED: &str = "refused by Webex";

fn render_next_refresh(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        Some(at) => format!("{} ({})", time::format_utc(at), time::format_due(at, now)),
        None => "-".to_owned(),
    }
}

/// Renders the state of the organization's grant, and the states of other grants that differ.
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
        Column::new("name").shortened(16).at_most(MAX_NAME_WIDTH),
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
        let remaining =
            |expiry: &Option<Expiry>| time::format_token_remaining(expiry.as_ref(), now);
        let access = &connection.access_token_expires;
        let (access, refresh) = match connection.state {
            State::Reauthorize if access.is_some_and(|access| access.at > now) => {
                ("unknown".to_owned(), "refused".to_owned())
            }
            State::Reauthorize => (remaining(access), "refused".to_owned()),
            _ => (
                remaining(access),
                remaining(&connection.refresh_token_expires),
            ),
        };
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
            access,
            refresh,
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

/// Returns the error for a grant of `record` that a person must reauthorize.
pub fn reauthorize_error(
    record: &StoredRecord,
    connection: &ConnectionReport,
    grant: Grant,
) -> Option<AppError> {
    let state =
        find_grant_status(connection, grant).map_or(connection.state, |status| status.state);
    match state {
        State::Expired | State::Reauthorize => {
            let message = match connection.notes.as_str() {
                "" => format!("{} is {state} ({grant})", connection.name),
                notes => format!("{}: {notes}", connection.name),
            };
            let hint = records::connect_hint(&record.selector(), true);
            Some(AppError::new(ErrorKind::Reauthorize, message).hint(hint))
        }
        _ => None,
    }
}

/// Formats a duration in milliseconds.
pub fn format_millis(millis: u64) -> String {
    format_span(Duration::from_millis(millis))
}
