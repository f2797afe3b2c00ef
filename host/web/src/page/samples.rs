//! Tests of whole pages: each is rendered with hostile data in every language and checked as HTML. With
//! `RELATION_PAGE_SAMPLES=DIRECTORY`, the pages are also written as files to look at.

use std::collections::BTreeSet;

use askama::Template;
use relation_app::alerts::{Alert, AlertBody, Severity};
use relation_app::data_syncs::{DataSyncRow, ScheduleRow};
use relation_app::details::FullRecord;
use relation_app::listing::ListRow;
use relation_app::wholesale::WholesaleCustomer;
use relation_host::reports::{
    Action, ConnectionReport, Deletion, Expiry, FailedRefresh, Grant, GrantStatus, RecordDetails,
    Revocation, State,
};
use relation_host::transactions::{Level, LogLine, Progress, Status, Transaction};
use relation_host::types::{FieldError, Pkid, Reference, Timestamp};
use serde_json::{Value, json};

use super::form::{self, Posted, Purpose};
use super::organizations::{OrganizationsPage, Row};
use super::parts::Badge;
use super::texts::Language;
use super::transactions::TransactionRow;
use super::ui::Ui;
use super::{
    action_form, actions, alerts, connect, edit, needs, organization, organizations, transactions,
};
use crate::access::Operation;

const NOW: u64 = 1_795_975_200_000;
const DAY: u64 = 86_400_000;
const HOSTILE: &str = "<script>alert(1)</script>\" onload='x' \u{202e}gnirts\u{1b}[2J";

fn pkid(number: u8) -> Pkid {
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
        refreshed: connected.then_some(Timestamp(NOW - DAY)),
        failed_refresh: (state == State::Retrying).then(|| FailedRefresh {
            attempts: 3,
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

fn connection(number: u8, name: &str, states: &[State]) -> ConnectionReport {
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
        wholesale: number % 3 == 0,
        contact_center: number % 4 == 0,
        alert: (state == State::Expired).then(|| alert(Severity::Critical)),
    };
    Row::new(row, ui)
}

fn rows(ui: &Ui) -> Vec<Row> {
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

fn alert(severity: Severity) -> Alert {
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

fn transaction(status: Status) -> Transaction {
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
            line(2, Level::Error, "Webex does not answer"),
        ],
        secret_accesses: Vec::new(),
        omitted_accesses: 0,
    }
}

fn action(name: &str) -> Action {
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

fn full(states: &[State]) -> FullRecord {
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

fn wholesale() -> Vec<WholesaleCustomer> {
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

/// Renders every page by its name.
fn pages(language: Language) -> Vec<(&'static str, String)> {
    let roles = ["provider-administrator"];
    let at = |path: &str| Ui::sample(language, path, &roles);
    let nodes = || vec!["sys.Provider.A".to_owned(), "sys.Provider.B".to_owned()];
    let mut model = form::tests::sample_model();
    model.actions = vec![action("TestConnection"), action("AddLocationMapping")];
    let mut pages = Vec::new();

    let ui = at("/");
    let badge = |state: State| Badge::state(state, language);
    let page = needs::NeedsPage {
        title: ui.t("needs.title"),
        total: "1000+".to_owned(),
        counts: vec![
            needs::Count::sample(badge(State::Expired), 3),
            needs::Count::sample(badge(State::NotConnected), 5000),
        ],
        alert_counts: vec![needs::Count::sample(
            Badge::severity(Severity::Critical, language),
            2,
        )],
        rows: rows(&ui).into_iter().filter(Row::needs_person).collect(),
        nodes: nodes(),
        node: "sys.Provider.A".to_owned(),
        ui: &ui,
    };
    pages.push(("needs", page.render().unwrap()));

    let ui = at("/organizations?q=x");
    for (name, rows) in [
        ("organizations", rows(&ui)),
        ("organizations-empty", Vec::new()),
    ] {
        let page = OrganizationsPage {
            title: ui.t("organizations.title"),
            rows,
            query: &organizations::ListQuery::default(),
            nodes: nodes(),
            states: organizations::state_choices(&ui),
            next: Some("/organizations?cursor=x".to_owned()),
            may_add: true,
            ui: &ui,
        };
        pages.push((name, page.render().unwrap()));
    }

    let ui = at("/organizations/0101");
    let wholesale = wholesale();
    for (name, states, customers) in [
        ("organization", &[State::Connected][..], None),
        ("organization-expired", &[State::Expired][..], None),
        ("organization-new", &[State::NotConnected][..], None),
        (
            "organization-wholesale",
            &[State::Connected, State::MissingScope, State::Retrying][..],
            Some(wholesale.as_slice()),
        ),
    ] {
        let page = organization::OrganizationPage {
            done: Some((super::parts::clean(HOSTILE), "01990000".to_owned())),
            imported: vec![(
                "device/spark/User".to_owned(),
                "User".to_owned(),
                "1000+".to_owned(),
            )],
            transactions: vec![TransactionRow::new(&transaction(Status::Success), &ui)],
            ..organization::build(&model, &ui, &full(states), customers)
        };
        pages.push((name, page.render().unwrap()));
    }

    let errors = [
        FieldError {
            field: "name".to_owned(),
            message: format!("is required {HOSTILE}"),
        },
        FieldError {
            field: "token".to_owned(),
            message: "needs the refresh token too".to_owned(),
        },
        FieldError {
            field: "unknown".to_owned(),
            message: HOSTILE.to_owned(),
        },
    ];
    let posted = Posted(vec![
        ("name".to_owned(), HOSTILE.to_owned()),
        ("token".to_owned(), "SECRET".to_owned()),
    ]);
    for (name, purpose, errors, posted) in [
        ("add", Purpose::Add, &[][..], None),
        ("edit-errors", Purpose::Modify, &errors[..], Some(&posted)),
    ] {
        let current = full(&[State::Connected]).record.fields;
        let fields = form::model_fields(&model, purpose, &current, posted, errors, language);
        let page = edit::FormPage {
            title: ui.t("form.add-title"),
            action: "/organizations/new".to_owned(),
            back: "/organizations".to_owned(),
            ..edit::build(&ui, fields, errors.to_vec(), None)
        };
        pages.push((name, page.render().unwrap()));
    }

    let page = connect::build(
        &ui,
        &connection(
            1,
            HOSTILE,
            &[State::Expired, State::Connected, State::NotConnected],
        ),
        Some("0b9c6cf8-1c27-4c4f-9d3a-0a1b2c3d4e5f"),
        None,
        "https://relation.example.com/callback".to_owned(),
        None,
    );
    pages.push(("connect", page.render().unwrap()));

    let fields = action_form::action_fields(
        &action("AddWholesaleCustomer"),
        &Posted::default(),
        &errors,
        language,
    );
    let page = actions::ActionPage {
        title: "Add Wholesale Customer".to_owned(),
        help: "Requests a new customer.".to_owned(),
        address: "/organizations/0101".to_owned(),
        name: super::parts::clean(HOSTILE),
        action: "/organizations/0101/actions/AddWholesaleCustomer".to_owned(),
        summary: form::summarize(&fields, &errors),
        fields,
        failure: None,
        is_deletion: false,
        ui: &ui,
    };
    pages.push(("action", page.render().unwrap()));

    let deletion = Deletion {
        documents: vec![(Reference::record(pkid(1)), HOSTILE.to_owned())],
        wakeups: vec!["refresh".to_owned()],
        revocation: Revocation::Revoked,
    };
    let page = actions::delete_page(&ui, super::parts::clean(HOSTILE), "0101", &deletion);
    pages.push(("delete", page.render().unwrap()));

    let ui = at("/transactions");
    let page = transactions::TransactionsPage {
        title: ui.t("transactions.title"),
        query: &transactions::ListQuery::default(),
        rows: [Status::Processing, Status::Success, Status::Fail]
            .map(|status| TransactionRow::new(&transaction(status), &ui))
            .into(),
        statuses: vec![("Success".to_owned(), "success".to_owned())],
        next: Some("/transactions?cursor=x".to_owned()),
        ui: &ui,
    };
    pages.push(("transactions", page.render().unwrap()));
    for (name, status) in [
        ("transaction-running", Status::Processing),
        ("transaction-failed", Status::Fail),
    ] {
        let page = transactions::build(
            &ui,
            &transaction(status),
            &[transaction(Status::Success)],
            false,
        );
        pages.push((name, page.render().unwrap()));
    }

    let ui = at("/alerts");
    let page = alerts::AlertsPage {
        title: ui.t("alerts.title"),
        query: &alerts::ListQuery::default(),
        rows: Severity::ALL
            .iter()
            .map(|each| alerts::AlertRow::new(&alert(*each), &ui))
            .collect(),
        severities: vec![("critical".to_owned(), "Critical".to_owned())],
        nodes: nodes(),
        next: None,
        ui: &ui,
    };
    pages.push(("alerts", page.render().unwrap()));
    pages
}

/// Returns the values of an attribute.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    let found = html.match_indices(start.as_str());
    found
        .map(|(position, _)| html[position + start.len()..].split('"').next().unwrap())
        .collect()
}

#[test]
fn every_page_is_safe_and_accessible() {
    for language in Language::ALL {
        let pages = pages(language);
        if let Ok(directory) = std::env::var("RELATION_PAGE_SAMPLES") {
            for (name, html) in &pages {
                let file = format!("{directory}/{name}-{}.html", language.code());
                std::fs::write(file, html).unwrap();
            }
        }
        for (name, html) in pages {
            let count = |text: &str| html.matches(text).count();
            assert_eq!(count("<h1"), 1, "{name}: one h1");
            assert_eq!(count("<script"), 1, "{name}: one module of our own");
            assert_eq!(count("<style"), 0, "{name}");
            // Controls keep what was typed.
            let mut shown = html.clone();
            for value in attributes(&html, "value") {
                shown = shown.replace(&format!(" value=\"{value}\""), "");
            }
            for text in [
                " style=",
                "<script>alert",
                "javascript:",
                "\u{202e}",
                "\u{1b}",
                "SECRET",
            ] {
                assert!(!shown.contains(text), "{name}: {text:?}");
            }
            assert!(!html.contains(" onload='"), "{name}: a handler");
            let ids = attributes(&html, "id");
            let distinct: BTreeSet<&str> = ids.iter().copied().collect();
            assert_eq!(
                ids.len(),
                distinct.len(),
                "{name}: ids are distinct: {ids:?}"
            );
            for attribute in ["for", "aria-describedby", "aria-labelledby"] {
                for target in attributes(&html, attribute)
                    .iter()
                    .flat_map(|value| value.split(' '))
                {
                    assert!(distinct.contains(target), "{name}: {attribute} {target}");
                }
            }
            for address in attributes(&html, "href")
                .iter()
                .chain(&attributes(&html, "action"))
            {
                assert!(
                    address.starts_with('/') && !address.starts_with("//")
                        || address.starts_with('#'),
                    "{name}: {address}"
                );
            }
            for key in html
                .split([' ', '>', '<', '"'])
                .filter(|word| Language::English.find(word).is_some())
            {
                panic!("{name} shows the key {key}");
            }
        }
    }
}

#[test]
fn reader_sees_no_button_that_is_not_permitted() {
    let ui = Ui::sample(Language::English, "/organizations/0101", &["auditor"]);
    assert!(!ui.may_somewhere(Operation::Modify));
    let page = organization::build(
        &form::tests::sample_model(),
        &ui,
        &full(&[State::Expired]),
        None,
    );
    let html = page.render().unwrap();
    assert!(
        !html.contains("method=\"post\" action=\"/organizations"),
        "{html}"
    );
    assert!(
        !html.contains("/edit\"") && !html.contains("/connect\""),
        "{html}"
    );
}
