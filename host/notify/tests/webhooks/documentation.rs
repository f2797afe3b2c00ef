//! The examples in `docs/webhooks.md` are what the host sends.

use std::path::Path;

use relation_notify::webhook::{EventType, Payload};
use relation_notify::{Digest, Message, Notice, NoticeKind, Severity};
use serde_json::Value;

use super::support::{notice, time};

/// Returns the message of an example; `None`: the type is not sent.
fn example(event_type: EventType) -> Option<Message> {
    let link = "https://relation.example.com/organizations/65f0c1d2e3a4b5c6d7e8f901";
    let about = |kind, severity, code: &str| Notice {
        id: "476b93d5-1c23-8538-bc84-edac56f3613a".to_owned(),
        severity,
        code: code.to_owned(),
        expires: None,
        link: Some(link.parse().unwrap()),
        ..notice(kind)
    };
    let expires = |notice| Notice {
        expires: Some(time("2026-12-09T10:00:00Z")),
        ..notice
    };
    let of_host = |notice| Notice {
        record: "installation".to_owned(),
        customer: String::new(),
        node: "sys".to_owned(),
        grant: String::new(),
        link: None,
        ..notice
    };
    let expiring = expires(about(
        NoticeKind::Expiring,
        Severity::Major,
        "WEBEX_REFRESH_TOKEN_EXPIRING",
    ));
    Some(Message::Single(match event_type {
        EventType::ConnectionExpiring => expiring,
        EventType::ConnectionExpired => Notice {
            occurred: time("2026-12-09T10:00:00Z"),
            ..expires(about(
                NoticeKind::Expired,
                Severity::Critical,
                "WEBEX_REFRESH_TOKEN_EXPIRED",
            ))
        },
        EventType::ConnectionReauthorize => about(
            NoticeKind::Reauthorize,
            Severity::Critical,
            "WEBEX_REAUTHORIZE",
        ),
        EventType::ConnectionMissingScope => about(
            NoticeKind::MissingScope,
            Severity::Minor,
            "WEBEX_MISSING_SCOPE",
        ),
        EventType::ConnectionRetrying => Notice {
            count: 12,
            ..about(
                NoticeKind::Retrying,
                Severity::Major,
                "WEBEX_REFRESH_FAILING",
            )
        },
        EventType::ConnectionRecovered => about(
            NoticeKind::Recovered,
            Severity::Info,
            "WEBEX_CONNECTION_RECOVERED",
        ),
        EventType::ImportFailed => about(
            NoticeKind::ImportFailed,
            Severity::Minor,
            "WEBEX_IMPORT_LIST_FAILED",
        ),
        EventType::HostTrouble => of_host(about(
            NoticeKind::HostTrouble,
            Severity::Critical,
            "HOST_STORE_UNAVAILABLE",
        )),
        EventType::NoticeEndpoint => Notice {
            record: "endpoint tickets".to_owned(),
            node: "sys.Provider".to_owned(),
            ..of_host(about(
                NoticeKind::Endpoint,
                Severity::Major,
                "NOTICE_ENDPOINT_FAILING",
            ))
        },
        EventType::NoticeTest => of_host(about(NoticeKind::Test, Severity::Info, "NOTICE_TEST")),
        EventType::NoticeDigest => {
            return Some(Message::Digest(Digest {
                id: "d3a261c4-622e-83a3-b2c1-ead9fe7fd8a1".to_owned(),
                node: "sys.Provider".to_owned(),
                notices: vec![expiring],
                more: 37,
                link: Some("https://relation.example.com/alerts".parse().unwrap()),
            }));
        }
        EventType::TransactionCompleted => return None,
    }))
}

/// Returns the JSON of the first block below the heading of a type.
fn documented(text: &str, event_type: EventType) -> Option<Value> {
    let heading = format!("\n### {}\n", event_type.as_str());
    let (_, section) = text.split_once(&heading).expect(&heading);
    let section = section.split("\n### ").next().unwrap();
    let (_, block) = section.split_once("```json\n")?;
    let (block, _) = block.split_once("```").unwrap();
    Some(serde_json::from_str(block).unwrap())
}

#[test]
fn each_type_has_an_example_that_is_sent() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/webhooks.md");
    let text = std::fs::read_to_string(path).unwrap();
    for event_type in EventType::ALL {
        let sent = example(event_type).map(|message| {
            let payload = Payload::from_message(&message, time("2026-12-07T10:00:00Z"));
            serde_json::from_str::<Value>(payload.as_str()).unwrap()
        });
        let name = event_type.as_str();
        if documented(&text, event_type) != sent {
            let pretty = sent.map(|sent| serde_json::to_string_pretty(&sent).unwrap());
            panic!(
                "{name} in docs/webhooks.md differs from: {}",
                pretty.unwrap_or_default()
            );
        }
    }
}
