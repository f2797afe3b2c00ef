//! Hostile data for every page.

use relation_app::alerts::{Alert, AlertBody, Severity};
use relation_app::data_syncs::{DataSyncRow, ScheduleRow};
use relation_app::details::FullRecord;
use relation_app::listing::ListRow;
use relation_app::wholesale::WholesaleCustomer;
use relation_host::reports::{
    Action, ConnectionReport, Expiry, FailedRefresh, Grant, GrantStatus, RecordDetails, State,
};
use relation_host::transactions::{Level, LogLine, Progress, Status, Transaction};
use relation_host::types::{Pkid, Reference, Timestamp};
use serde_json::{Value, json};

use crate::access::Operation;
use crate::access::roles::CustomRole;
use crate::page::organizations::Row;
use crate::page::ui::Ui;

pub(super) const NOW: u64 = 1_795_975_200_000;
pub(super) const DAY: u64 = 86_400_000;
pub(super) const HOSTILE: &str = "<script>alert(1)</script>\" onload='x' \u{202e}gnirts\u{1b}[2J";

pub(super) fn pkid(number: u8) -> Pkid {
    Pkid::from_bytes([number; 12])
}

fn grant(grant: Grant, state: State) -> GrantStatus {
    let expires = |at: u64, assumed: bool| {
        Some(Expiry {
            at: Timestamp(at),
            assumed,
        })
    };
    let connected = state != State::NotConnected;
    GrantStatus {
        grant,
        state,
        access_token_expires: expires(NOW + 13 * DAY, false).filter(|_| connected),
        refresh_token_expires: match state {
            State::Expired => expires(NOW - 2 * DAY, false),
            State::Expiring => expires(NOW + DAY, true),
            State::NotConnected => None,
            _ => expires(NOW + 76 * DAY, false),
        },
        refresh_token_lifetime_ms: connected.then_some(90 * DAY),
        generation: 1,
        refreshed: connected.then_some(Timestamp(NOW - DAY)),
        failed_refresh: (state == State::Retrying).then(|| FailedRefresh {
            attempts: 3,
            since: Some(Timestamp(NOW - DAY / 12)),
            reason: HOSTILE.to_owned(),
            tracking_id: Some("ROUTER_1234-<b>".to_owned()),
            needs_change: false,
        }),
        next_refresh: connected.then_some(Timestamp(NOW + 6 * DAY)),
        scopes: vec![
            "spark-admin:people_read".to_owned(),
            "spark-admin:licenses_read".to_owned(),
        ],
        missing_scopes: match state {
            State::MissingScope => vec!["spark-admin:workspace_locations_read".to_owned()],
            _ => Vec::new(),
        },
    }
}

pub(super) fn connection(number: u8, name: &str, states: &[State]) -> ConnectionReport {
    let names = [
        Grant::Organization,
        Grant::WholesaleCustomers,
        Grant::WholesaleUsers,
    ];
    let grants: Vec<GrantStatus> = names
        .iter()
        .zip(states)
        .map(|(name, state)| grant(*name, *state))
        .collect();
    ConnectionReport {
        pkid: pkid(number),
        name: name.to_owned(),
        hierarchy: "sys.Provider.Reseller.Contoso".parse().unwrap(),
        state: states[0],
        access_token_expires: grants[0].access_token_expires,
        refresh_token_expires: grants[0].refresh_token_expires,
        next_refresh: grants[0].next_refresh,
        grants,
        notes: format!("note {HOSTILE}"),
    }
}

fn row(number: u8, name: &str, state: State, ui: &Ui) -> Row {
    let row = ListRow {
        connection: connection(number, name, &[state]),
        account_number: Some("0b9c6cf8-1c27-4c4f-9d3a-0a1b2c3d4e5f".to_owned()),
        wholesale: number.is_multiple_of(3),
        contact_center: number.is_multiple_of(4),
        alert: (state == State::Expired).then(|| alert(Severity::Critical)),
    };
    Row::new(row, ui)
}

pub(super) fn rows(ui: &Ui) -> Vec<Row> {
    let names = [
        "Contoso",
        HOSTILE,
        "Fabrikam Inc.",
        "株式会社サンプル",
        "Globex",
        "Initech Österreich",
        "Umbrella",
    ];
    let numbers = 1..;
    let all = numbers.zip(names).zip(State::ALL);
    all.map(|((number, name), state)| row(number, name, state, ui))
        .collect()
}

pub(super) fn alert(severity: Severity) -> Alert {
    Alert {
        pkid: pkid(9),
        hierarchy: "sys.Provider.Reseller.Contoso".parse().unwrap(),
        customer: HOSTILE.to_owned(),
        body: AlertBody {
            code: "WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(),
            severity,
            message: format!("the refresh token has expired {HOSTILE}"),
            count: 3,
            first: "2026-11-27T18:00:00Z".to_owned(),
            latest: "2026-11-29T17:00:00Z".to_owned(),
            subject: format!("data/SparkCustomer/{}", pkid(1)),
            threshold: 0,
            grant: Grant::Organization,
        },
    }
}

pub(super) fn transaction(status: Status) -> Transaction {
    let line = |seconds: u64, level: Level, message: &str| LogLine {
        at: Timestamp(NOW + seconds * 1000),
        level,
        message: message.to_owned(),
    };
    let running = status == Status::Processing;
    Transaction {
        id: "01990000-0000-7000-8000-000000000001".to_owned(),
        action: if running { "sync" } else { "complete-connect" }.to_owned(),
        subject: Some(Reference::record(pkid(1))),
        subject_name: HOSTILE.to_owned(),
        hierarchy: None,
        originator: None,
        request: None,
        status,
        progress: Some(Progress {
            done: 3,
            total: 9,
            message: "importing device/spark/User".to_owned(),
        }),
        message: if running {
            String::new()
        } else {
            format!("done {HOSTILE}")
        },
        submitted: Timestamp(NOW),
        started: Timestamp(NOW),
        completed: (!running).then_some(Timestamp(NOW + 63_000)),
        log: vec![
            line(0, Level::Info, "asking Webex for the tokens of the consent"),
            line(1, Level::Warning, HOSTILE),
            line(2, Level::Error, "Webex does not respond"),
        ],
        secret_accesses: Vec::new(),
        omitted_accesses: 0,
    }
}

pub(super) fn action(name: &str) -> Action {
    Action {
        name: name.to_owned(),
        title: "Add Wholesale Customer".to_owned(),
        help: "Requests a new customer of the wholesale partner from Webex.".to_owned(),
        arguments_schema: json!({
            "required": ["external_id", "packages"],
            "properties": {
                "external_id": {"type": "string", "description": "The partner's own id of the customer."},
                "packages": {"type": "array", "description": "All packages.",
                    "items": {"type": "string", "enum": ["webex_calling", "webex_meetings", "webex_suite"]}},
                "grant": {"type": "string", "enum": ["organization", "wholesale-users"], "default": "organization"},
                "flag": {"type": "boolean", "default": false, "description": "Whether."},
                "models": {"type": "array", "items": {"type": "string"}},
            },
        }),
        result_schema: json!({}),
    }
}

pub(super) fn full(states: &[State]) -> FullRecord {
    let fields = json!({
        "name": HOSTILE, "account_number_external": "0b9c6cf8-1c27-4c4f-9d3a-0a1b2c3d4e5f",
        "webex_contact_center": true, "base_url_setting": "EU", "shadow": [{"name": "shadow"}],
        "https_proxy": "http://user@proxy.example.com:8080/", "wholesale_status": states.len() > 1,
    });
    let sync = |name: &str, role: Option<&str>, schedule: bool| DataSyncRow {
        pkid: pkid(5).to_string(),
        name: name.to_owned(),
        role: role.map(str::to_owned),
        sync_type: Some("pull".to_owned()),
        models: vec![
            "device/spark/Role".to_owned(),
            "device/spark/License".to_owned(),
        ],
        schedule: schedule.then(|| ScheduleRow {
            pkid: pkid(6).to_string(),
            active: true,
            time_zone: "Europe/Zurich".to_owned(),
            start: "2026-12-01T03:00".to_owned(),
            every: Some("1d".to_owned()),
            until: None,
            last_executed: Some(Timestamp(NOW - DAY / 2)),
            next: Some(Timestamp(NOW + DAY / 2)),
        }),
    };
    FullRecord {
        record: RecordDetails {
            connection: connection(1, HOSTILE, states),
            fields: fields.as_object().unwrap().clone(),
            owned_documents: Vec::new(),
        },
        data_syncs: vec![
            sync("SyncSparkContoso", Some("sync-all"), true),
            sync("SyncSparkUsersContoso", Some("sync-users"), false),
            sync(HOSTILE, None, false),
        ],
        alerts: vec![alert(Severity::Critical)],
        imports: Vec::new(),
        failed_import: None,
        wakeups: Vec::new(),
    }
}

pub(super) fn wholesale() -> Vec<WholesaleCustomer> {
    let object = |value: Value| value.as_object().cloned();
    vec![WholesaleCustomer {
        customer: HOSTILE.to_owned(),
        customer_id: Some("id".to_owned()),
        imported: object(
            json!({"status": "provisioned", "packages": ["webex_calling", "webex_meetings"]}),
        ),
        order: object(json!({"operation": "modify", "state": "working", "message": HOSTILE})),
    }]
}

/// Returns a role with a long name, in one word.
pub(super) fn long_role() -> CustomRole {
    CustomRole {
        pkid: pkid(6),
        name: "service-desk-".repeat(7),
        hierarchy: "sys.Provider".parse().unwrap(),
        hierarchy_pkid: pkid(4),
        operations: vec![Operation::Read, Operation::Refresh],
    }
}
