//! Every page as a sample: rendered with hostile data, without a store. Tests check the samples as HTML and in a
//! browser. With `RELATION_PAGE_SAMPLES=DIRECTORY`, they are also written as files to look at.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a sample is not reached by input"
)]

mod data;
mod members;
mod model;
mod notices;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use relation_app::alerts::Severity;
use relation_host::reports::{Deletion, Grant, Revocation, State};
use relation_host::transactions::Status;
use relation_host::types::{FieldError, Reference, Timestamp};

use self::data::{
    DAY, HOSTILE, NOW, action, alert, connection, full, long_role, pkid, rows, transaction,
    wholesale,
};
pub(crate) use self::model::sample_model;
use super::form::{self, Posted, Purpose};
use super::organizations::{OrganizationsPage, Row};
use super::parts::Badge;
use super::texts::Language;
use super::transactions::TransactionRow;
use super::ui::Ui;
use super::{
    action_form, actions, alerts, assets, bulk, connect, edit, layer, needs, oidc, organization,
    organizations, session, shared, transactions, users,
};
use crate::access::RoleGrant;
use crate::access::oidc::Refusal;
use crate::access::users::{LinkPurpose, User};

/// The samples in English, by name, and the bar of a demo in German, whose texts are longer.
static SAMPLES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let english = pages(Language::English).into_iter();
    let english = english.map(|(name, html)| (name.to_owned(), html));
    let german = demo_pages(Language::German).into_iter();
    let german = german.map(|(name, html)| (format!("{name}-german"), html));
    english.chain(german).collect()
});

/// Returns the names of all samples.
pub fn names() -> Vec<&'static str> {
    SAMPLES.keys().map(String::as_str).collect()
}

/// Returns a router with each sample at `/samples/NAME`, and the static files.
pub fn router() -> Router {
    Router::new()
        .route("/samples/{name}", get(show))
        .route("/assets/{name}", get(assets::get))
}

async fn show(Path(name): Path<String>) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, layer::policy(None, false))];
    match SAMPLES.get(&name) {
        Some(html) => (policy, Html(html.as_str())).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Returns the nodes of the principal of the samples.
fn nodes() -> Vec<String> {
    vec!["sys.Provider.A".to_owned(), "sys.Provider.B".to_owned()]
}

fn needs_page(ui: &Ui) -> needs::NeedsPage<'_> {
    let badge = |state: State| Badge::state(state, ui.language);
    needs::NeedsPage {
        title: ui.t("needs.title"),
        total: "1000+".to_owned(),
        counts: vec![
            needs::Count::sample(badge(State::Expired), 3),
            needs::Count::sample(badge(State::NotConnected), 5000),
        ],
        alert_counts: vec![needs::Count::sample(
            Badge::severity(Severity::Critical, ui.language),
            2,
        )],
        rows: rows(ui).into_iter().filter(Row::needs_person).collect(),
        nodes: nodes(),
        node: "sys.Provider.A".to_owned(),
        ui,
    }
}

/// Renders pages of a demo.
fn demo_pages(language: Language) -> Vec<(&'static str, String)> {
    let with_bar = |path: &str, roles: &[&str]| Ui {
        demo: Some("/".to_owned()),
        ..Ui::sample(language, path, roles)
    };
    let start = with_bar("/", &["provider-administrator"]);
    let log_in = with_bar("/login", &[]);
    let log_in_form = session::log_in_form(&log_in, "/", "", None, None);
    vec![
        ("demo", needs_page(&start).render().unwrap()),
        ("demo-login", log_in_form.render().unwrap()),
    ]
}

/// Renders every page by its name.
fn pages(language: Language) -> Vec<(&'static str, String)> {
    let roles = ["provider-administrator"];
    let at = |path: &str| Ui::sample(language, path, &roles);
    let mut model = sample_model();
    model.actions = vec![action("TestConnection"), action("AddLocationMapping")];
    let mut pages = Vec::new();

    let ui = at("/");
    pages.push(("needs", needs_page(&ui).render().unwrap()));
    pages.extend(demo_pages(language));

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
            may_refresh: true,
            may_delete: true,
            ui: &ui,
        };
        pages.push((name, page.render().unwrap()));
    }
    let refused = || {
        let reasons = [ui.t("bulk.not-connected"), super::parts::clean(HOSTILE)];
        let rows = reasons.into_iter().map(|reason| bulk::RefusedRow {
            name: super::parts::clean(HOSTILE),
            reason,
        });
        rows.collect::<Vec<_>>()
    };
    let page = bulk::BulkDeletePage {
        title: ui.t("bulk.delete-title"),
        rows: (1..=2)
            .map(|number| bulk::DeletionRow {
                pkid: pkid(number).to_string(),
                name: super::parts::clean(HOSTILE),
                node: "sys.Provider.A".to_owned(),
                documents: 12,
                wakeups: 3,
            })
            .collect(),
        refused: refused(),
        back: "/organizations?q=x".to_owned(),
        ui: &ui,
    };
    pages.push(("bulk-delete", page.render().unwrap()));
    for (name, queued, refused) in [
        ("bulk-result", Some(("01990000".to_owned(), 48)), refused()),
        ("bulk-refused", None, refused()),
        ("bulk-none", None, Vec::new()),
    ] {
        let page = bulk::BulkResultPage {
            title: ui.t("bulk.result"),
            queued,
            refused,
            back: "/organizations".to_owned(),
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
            same: vec![(
                pkid(9).to_string(),
                super::parts::clean(HOSTILE),
                "sys.Provider.Other".to_owned(),
            )],
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
        nodes: nodes(),
        next: Some("/transactions?cursor=x".to_owned()),
        ui: &ui,
    };
    pages.push(("transactions", page.render().unwrap()));
    let page = transactions::TransactionsPage {
        rows: Vec::new(),
        next: None,
        ..page
    };
    pages.push(("transactions-empty", page.render().unwrap()));
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
    let page = alerts::AlertsPage {
        rows: Vec::new(),
        ..page
    };
    pages.push(("alerts-empty", page.render().unwrap()));

    let ui = at("/users");
    let user = User {
        pkid: pkid(3),
        name: HOSTILE.to_owned(),
        hierarchy: "sys.Provider".parse().unwrap(),
        hierarchy_pkid: pkid(4),
        grants: ["operator", long_role().pkid.as_str()]
            .map(|role| RoleGrant {
                role: role.to_owned(),
                node: "sys.Provider.Reseller".parse().unwrap(),
            })
            .to_vec(),
        disabled: false,
        language: None,
        created: Timestamp(NOW - DAY),
        has_password: true,
        issuer: None,
    };
    let page = users::UsersPage {
        title: ui.t("users.title"),
        rows: vec![users::UserRow::new(&user, &[long_role()], &ui)],
        next: None,
        ui: &ui,
    };
    pages.push(("users", page.render().unwrap()));
    let page = users::UserPage {
        title: super::parts::clean(HOSTILE),
        row: users::UserRow::new(&user, &[], &ui),
        disabled: false,
        fields: super::grants::grant_fields(&user.grants, None, &[long_role()], &ui),
        summary: Vec::new(),
        failure: None,
        ui: &ui,
    };
    pages.push(("user", page.render().unwrap()));
    let external = users::UserRow::new(
        &User {
            has_password: false,
            issuer: Some(format!("https://id.example.com/{HOSTILE}")),
            ..user.clone()
        },
        &[long_role()],
        &ui,
    );
    let page = users::UserPage {
        title: super::parts::clean(HOSTILE),
        row: external,
        disabled: false,
        fields: Vec::new(),
        summary: Vec::new(),
        failure: None,
        ui: &ui,
    };
    pages.push(("user-of-provider", page.render().unwrap()));
    let page = shared::ManageForm::new(&ui, "users", &[], &[], None, &errors);
    pages.push(("user-add", page.render().unwrap()));
    members::role_pages(language, &user, &errors, &mut pages);
    members::key_pages(language, &errors, &mut pages);
    notices::settings_pages(language, &mut pages);
    notices::recipient_pages(language, &mut pages);
    notices::delivery_pages(language, &mut pages);
    let page = shared::SecretPage {
        title: ui.t("keys.issued"),
        text: ui.t1("keys.issued-text", super::parts::clean(HOSTILE)),
        value: "rel_0123".to_owned(),
        expires: None,
        back: "/keys".to_owned(),
        ui: &ui,
    };
    pages.push(("shown-once", page.render().unwrap()));

    let ui = Ui::sample(language, "/login", &[]);
    let button = Some(super::parts::clean(HOSTILE));
    let page = session::log_in_form(&ui, "/organizations", HOSTILE, None, button);
    pages.push(("login", page.render().unwrap()));
    let address = "https://id.example.com/auth?client_id=relation&state=0123";
    let page = oidc::leaving_page(&ui, address);
    pages.push(("login-leaving", page.render().unwrap()));
    let page = oidc::log_out_page(&ui, address);
    pages.push(("logout-leaving", page.render().unwrap()));
    let page = oidc::refused_page(&ui, Some(HOSTILE), &Refusal::WithoutRole);
    pages.push(("login-refused", page.render().unwrap()));
    let purpose = LinkPurpose::SetPassword {
        name: HOSTILE.to_owned(),
    };
    let page = session::set_up_page(&ui, "token", &purpose, &Posted::default(), &[]);
    pages.push(("set-password", page.render().unwrap()));
    let expires = super::parts::Moment::relative(Timestamp(NOW + DAY), &ui);
    let found = Some((Grant::Organization, expires, super::parts::clean(HOSTILE)));
    let page = super::consent::build(&ui, "token", found, None);
    pages.push(("consent", page.render().unwrap()));
    pages
}
