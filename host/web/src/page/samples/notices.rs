//! The samples of the pages of notices.

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template as _;
use chrono::{DateTime, Utc};
use relation_app::notices::GrantPreview;
use relation_host::reports::{Grant, State};
use relation_host::types::{FieldError, Hierarchy, Timestamp};
use relation_notify::DeliveryErrorKind;
use relation_notify::health::EndpointHealth;
use relation_notify::routing::{ConnectionFacts, History, preview};
use relation_notify::runner::{
    Attempts, DeliveryState, ListedDelivery, LoggedAttempt, StoredDelivery,
};
use relation_notify::settings::{
    ChannelKind, Defaults, Level, NoticeSettings, Recipient, Resolved, Rules, Setting, parse,
    resolve,
};
use secrecy::SecretString;
use serde_json::json;

use super::data::{DAY, HOSTILE, NOW, pkid};
use super::nodes;
use crate::access::notice_settings::{NewSecret, NodeSettings, SecretState, TestReport};
use crate::page::form::Posted;
use crate::page::notice_recipients::{self, Target};
use crate::page::texts::Language;
use crate::page::ui::Ui;
use crate::page::{deliveries, notice_preview, notice_secrets, notices};

type Pages = Vec<(&'static str, String)>;

const NODE: &str = "sys.Provider.A-Reseller-With-A-Name-That-Is-Longer-Than-Others.Customer";

fn node() -> Hierarchy {
    NODE.parse().unwrap()
}

fn time(at: u64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(i64::try_from(at).unwrap()).unwrap()
}

/// Returns settings with each kind of recipient. The names are hostile, as nobody can save them.
fn settings() -> NoticeSettings {
    let settings = json!({
        "thresholds": { "mode": "add-to-inherited", "values": ["21d", "1d"] },
        "kinds": ["expiring", "expired", "reauthorize"],
        "reminder": "14d",
        "digest": { "hour": 7, "zone": "Europe/Zurich" },
        "quiet_hours": { "from": "22:00", "to": "06:00", "zone": "Europe/Zurich" },
        "language": "de",
        "channels": { "snmp": true },
        "recipients": { "mode": "add-to-inherited", "values": [
            "it-and-everybody-else-who-may-be-of-help@department.contoso.example",
            { "type": "webhook", "id": "hook", "name": "x", "url": "https://tickets.contoso.example/a?b=c" },
            { "type": "snmp", "id": "noc", "name": "NOC", "address": "[2001:db8::1]:1162", "version": "v3",
              "kind": "inform", "user": "relation" },
            { "type": "snmp", "id": "old", "name": "Old NOC", "address": "noc.contoso.example", "version": "v2c" },
        ] },
    });
    let mut settings = parse(&settings, Rules::default()).unwrap();
    if let Setting::Value(list) = &mut settings.recipients {
        for recipient in &mut list.values {
            if let Recipient::Webhook(endpoint) = recipient {
                endpoint.name = HOSTILE.to_owned();
            }
        }
    }
    settings
}

fn resolved() -> Resolved {
    let above = json!({ "recipients": ["noc@provider.example"], "retrying_after": "12h" });
    let levels = [
        Level {
            node: "sys.Provider".parse().unwrap(),
            settings: parse(&above, Rules::default()).unwrap(),
        },
        Level {
            node: node(),
            settings: settings(),
        },
    ];
    resolve(&levels, &Defaults::default())
}

fn health(kind: DeliveryErrorKind) -> EndpointHealth {
    let mut health = EndpointHealth::default();
    health.record_failure(kind, time(NOW - DAY));
    health
}

fn own() -> NodeSettings {
    let state = |set, overlap_end| SecretState { set, overlap_end };
    let secrets = [
        ("hook", state(true, Some(Timestamp(NOW + DAY)))),
        ("noc", state(true, None)),
        ("old", state(false, None)),
    ];
    NodeSettings {
        hierarchy: node(),
        settings: settings(),
        version: 3,
        secrets: secrets.map(|(id, state)| (id.to_owned(), state)).into(),
        health: [
            ("hook", health(DeliveryErrorKind::Gone)),
            ("noc", health(DeliveryErrorKind::Permanent)),
        ]
        .map(|(id, health)| (id.to_owned(), health))
        .into(),
    }
}

/// Returns a level without settings.
fn empty() -> NodeSettings {
    NodeSettings {
        hierarchy: "sys.Provider".parse().unwrap(),
        settings: NoticeSettings::default(),
        version: 0,
        secrets: BTreeMap::new(),
        health: BTreeMap::new(),
    }
}

fn planned(state: State) -> Vec<GrantPreview> {
    let expires = Some(time(NOW + 20 * DAY));
    let facts = ConnectionFacts {
        record: pkid(1).to_string(),
        customer: HOSTILE.to_owned(),
        node: node(),
        grant: "organization".to_owned(),
        generation: 1,
        state,
        expires,
        lifetime: Some(Duration::from_millis(90 * DAY)),
        failing_since: None,
        account_email: None,
        link: None,
    };
    let planned = preview(&facts, &resolved(), &History::default(), time(NOW));
    vec![GrantPreview {
        grant: Grant::Organization,
        state,
        expires,
        planned,
    }]
}

fn delivery(state: DeliveryState, number: usize) -> ListedDelivery {
    let previews = planned(State::Expiring);
    let mut plans = previews[0].planned.iter().map(|each| &each.plan);
    let plan = plans.find(|plan| plan.deliveries.len() > 3).unwrap();
    let attempt = |sent, reply: &str| LoggedAttempt {
        at: time(NOW - DAY),
        sent,
        reply: reply.to_owned(),
    };
    let ended = matches!(state, DeliveryState::Dead | DeliveryState::Dropped);
    let stored = StoredDelivery {
        delivery: plan.deliveries[number].clone(),
        notice: plan.notice.clone(),
        generation: 1,
        threshold_ms: plan.threshold_ms,
        reminder: 0,
        account_email: false,
        state,
        created: time(NOW - DAY),
        attempts: Attempts {
            count: 12,
            unknown: 0,
            log: match state {
                DeliveryState::Pending => Vec::new(),
                _ => vec![
                    attempt(false, HOSTILE),
                    attempt(!ended, "250 2.0.0 Ok: queued as 4F2"),
                ],
            },
        },
        reason: ended.then(|| format!("550 5.1.1 no such mailbox {HOSTILE}")),
        ended: ended.then(|| time(NOW)),
        digest: None,
        resent: 2,
    };
    ListedDelivery {
        pkid: pkid(u8::try_from(number).unwrap()),
        stored,
    }
}

fn posted(pairs: &[(&str, &str)]) -> Posted {
    let pairs = pairs.iter();
    Posted(
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

fn error(field: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: format!("is not right: {HOSTILE}"),
    }
}

/// Renders the pages of notice settings.
pub(super) fn settings_pages(language: Language, pages: &mut Pages) {
    let ui = Ui::sample(language, "/notices", &["provider-administrator"]);
    let visible = resolved().visible_from(&"sys".parse().unwrap());
    let page = notices::build(&ui, &own(), &visible, true);
    let page = page.with_levels(&[own(), empty()], Some("/notices?cursor=x".to_owned()));
    pages.push(("notices", page.render().unwrap()));
    let reader = Ui::sample(language, "/notices", &["auditor"]);
    let page = notices::build(&reader, &own(), &resolved().visible_from(&node()), true);
    pages.push(("notices-reader", page.render().unwrap()));
    let none = resolve(&[], &Defaults::default()).visible_from(&"sys".parse().unwrap());
    let page = notices::build(&ui, &empty(), &none, false);
    pages.push(("notices-empty", page.render().unwrap()));

    let fields = &none.fields;
    for (name, level) in [("notices-edit", own()), ("notices-edit-empty", empty())] {
        let page = notices::build_form(&ui, &level, fields, None, Vec::new());
        pages.push((name, page.render().unwrap()));
    }
    let sent = posted(&[
        ("notify", "yes"),
        ("thresholds", HOSTILE),
        ("budget", "many"),
    ]);
    let errors = [
        "thresholds.0",
        "budget",
        "kinds",
        "digest.zone",
        "quiet_hours.to",
        "recipients.1.url",
        "hierarchy",
    ];
    let errors = errors.map(error).into();
    let page = notices::build_form(&ui, &own(), fields, Some(&sent), errors);
    pages.push(("notices-edit-errors", page.render().unwrap()));
    let page = notices::confirm_removal(&ui, &node());
    pages.push(("notices-remove", page.render().unwrap()));
    let secret = NewSecret {
        id: "hook".to_owned(),
        name: HOSTILE.to_owned(),
        signing_secret: SecretString::from("whsec_0123"),
    };
    let page = notices::build_secrets(&ui, &node(), &[secret]);
    pages.push(("recipient-secret", page.render().unwrap()));
}

/// Renders the pages of recipients.
pub(super) fn recipient_pages(language: Language, pages: &mut Pages) {
    let ui = Ui::sample(language, "/notices/recipient", &["provider-administrator"]);
    for (name, channel) in [
        ("recipient-add-mail", ChannelKind::Mail),
        ("recipient-add-webhook", ChannelKind::Webhook),
        ("recipient-add-snmp", ChannelKind::Snmp),
    ] {
        let new = Target::new(empty(), "");
        let page = notice_recipients::build_form(&ui, &new, channel, None, &[]);
        pages.push((name, page.render().unwrap()));
    }
    let webhook = Target::new(own(), "hook");
    let sent = posted(&[("name", HOSTILE), ("url", HOSTILE)]);
    let errors = [error("url"), error("recipients.0")];
    let page =
        notice_recipients::build_form(&ui, &webhook, ChannelKind::Webhook, Some(&sent), &errors);
    pages.push(("recipient-errors", page.render().unwrap()));
    let page = notice_recipients::confirm_removal(&ui, &webhook);
    pages.push(("recipient-remove", page.render().unwrap()));
    let page = notice_secrets::confirm_rotation(&ui, &webhook);
    pages.push(("recipient-rotate", page.render().unwrap()));
    let snmp = Target::new(own(), "noc");
    let engine = Some("80001f8880e9630000d61ff449".to_owned());
    let page = notice_secrets::build_credentials(&ui, &snmp, engine, &[error("auth_password")]);
    pages.push(("recipient-credentials", page.unwrap().render().unwrap()));
    let community = Target::new(own(), "old");
    let page = notice_secrets::build_credentials(&ui, &community, None, &[]);
    pages.push(("recipient-community", page.unwrap().render().unwrap()));
    for (name, sent, confirmed) in [
        ("recipient-test", true, true),
        ("recipient-test-sent", true, false),
        ("recipient-test-failed", false, false),
    ] {
        let report = TestReport {
            sent,
            confirmed,
            reply: format!("250 2.0.0 Ok {HOSTILE}"),
        };
        let page = notice_secrets::build_report(&ui, &webhook, &report);
        pages.push((name, page.render().unwrap()));
    }
}

/// Renders the pages of deliveries and of a preview.
pub(super) fn delivery_pages(language: Language, pages: &mut Pages) {
    let ui = Ui::sample(language, "/deliveries", &["provider-administrator"]);
    let query = deliveries::ListQuery::default();
    let states = DeliveryState::ALL.into_iter().enumerate();
    let rows = states.map(|(number, state)| {
        let listed = delivery(state, number % 4);
        deliveries::DeliveryRow::new(&listed, &ui)
    });
    for (name, rows) in [
        ("deliveries", rows.collect()),
        ("deliveries-empty", Vec::new()),
    ] {
        let page = deliveries::DeliveriesPage {
            title: ui.t("deliveries.title"),
            query: &query,
            rows,
            states: deliveries::state_choices(&ui),
            nodes: nodes(),
            resend: Some("/deliveries/resend".to_owned()),
            next: Some("/deliveries?cursor=x".to_owned()),
            ui: &ui,
        };
        pages.push((name, page.render().unwrap()));
    }
    for (name, state) in [
        ("delivery-pending", DeliveryState::Pending),
        ("delivery-failed", DeliveryState::Dead),
    ] {
        let listed = delivery(state, 1);
        let page = deliveries::build(&ui, &listed);
        pages.push((name, page.render().unwrap()));
    }
    let page = deliveries::confirm_resending(&ui, &query, NODE, &[error("since")]);
    pages.push(("deliveries-resend", page.render().unwrap()));
    let page = deliveries::result_of_resending(&ui, &query, 12, true);
    pages.push(("deliveries-resent", page.render().unwrap()));

    let about = (pkid(1).to_string(), HOSTILE, node());
    let about = (about.0.as_str(), about.1, &about.2);
    let connected = planned(State::Connected);
    for (name, previews, reader) in [
        ("preview", Some(connected.as_slice()), node()),
        ("preview-empty", Some(&[][..]), node()),
        ("preview-unavailable", None, node()),
    ] {
        let page = notice_preview::build(&ui, about, previews, &reader);
        pages.push((name, page.render().unwrap()));
    }
}
