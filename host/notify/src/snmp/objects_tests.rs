use chrono::TimeZone as _;
use proptest::prelude::*;

use super::super::message::TRAP;
use super::*;

fn notice(kind: NoticeKind) -> Notice {
    Notice {
        id: "notice-1".to_owned(),
        kind,
        severity: Severity::Major,
        record: "5f0c1b2a3d4e5f6071829300".to_owned(),
        customer: "Contoso".to_owned(),
        node: "sys.hcs.Contoso".to_owned(),
        grant: "organization".to_owned(),
        code: "WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(),
        text: "The refresh token expires in 2 days.".to_owned(),
        expires: Some(time(2 * 86_400)),
        occurred: time(0),
        count: 3,
        link: Some("https://relation.example/records/1".parse().unwrap()),
    }
}

fn time(seconds: i64) -> DateTime<Utc> {
    let start = Utc.with_ymd_and_hms(2026, 11, 30, 4, 5, 6).unwrap();
    start + chrono::TimeDelta::seconds(seconds)
}

fn read(message: &Message, limit: usize) -> Vec<(Oid, Value)> {
    let attempt = Attempt {
        id: "delivery-1",
        message,
        now: time(0),
    };
    bindings(&attempt, &MibRoot::default(), 4711, limit)
}

fn find(bindings: &[(Oid, Value)], object: Object) -> Option<&Value> {
    let name = MibRoot::default().object(object);
    bindings
        .iter()
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

fn string(value: &str) -> Value {
    Value::Octets(value.as_bytes().to_vec())
}

const KINDS: [NoticeKind; 10] = [
    NoticeKind::Expiring,
    NoticeKind::Expired,
    NoticeKind::Reauthorize,
    NoticeKind::MissingScope,
    NoticeKind::Retrying,
    NoticeKind::ImportFailed,
    NoticeKind::HostTrouble,
    NoticeKind::Recovered,
    NoticeKind::Test,
    NoticeKind::Endpoint,
];

/// Returns the identifiers of a MIB file, and the objects of each notification.
mod mib {
    use std::collections::HashMap;

    pub struct Mib {
        pub identifiers: HashMap<String, String>,
        pub objects: HashMap<String, Vec<String>>,
    }

    pub fn read() -> Mib {
        let without_comments: Vec<&str> = crate::snmp::RELATION_MIB
            .lines()
            .map(|line| line.split_once("--").map_or(line, |(before, _)| before))
            .collect();
        // Outside of quotes.
        let code: Vec<_> = without_comments
            .join("\n")
            .split('"')
            .step_by(2)
            .map(str::to_owned)
            .collect();
        let words = code.join(" ");
        let words: Vec<&str> = words.split_whitespace().collect();

        let mut mib = Mib {
            identifiers: HashMap::from([("enterprises".to_owned(), "1.3.6.1.4.1".to_owned())]),
            objects: HashMap::new(),
        };
        let mut parents = Vec::new();
        let mut name = "";
        for (at, word) in words.iter().enumerate() {
            let next = |offset: usize| words.get(at + offset).copied().unwrap_or_default();
            let defines = [
                "OBJECT-TYPE",
                "NOTIFICATION-TYPE",
                "MODULE-IDENTITY",
                "OBJECT",
            ];
            if defines.contains(&next(1)) && word.starts_with("relation") {
                name = word;
            }
            if *word == "OBJECTS" {
                let list = words.iter().skip(at + 2).take_while(|word| **word != "}");
                let list = list.map(|word| word.trim_end_matches(',').to_owned());
                mib.objects
                    .entry(name.to_owned())
                    .or_insert_with(|| list.collect());
            }
            if *word == "::=" && next(1) == "{" && !name.is_empty() {
                parents.push((name, next(2), next(3)));
                name = "";
            }
        }
        // The root comes before its parent.
        for _ in 0..3 {
            for (name, parent, arc) in &parents {
                if let Some(parent) = mib.identifiers.get(*parent) {
                    let oid = format!("{parent}.{arc}");
                    mib.identifiers.insert((*name).to_owned(), oid);
                }
            }
        }
        mib
    }
}

#[test]
fn identifiers_are_those_of_the_mib() {
    let mib = mib::read();
    let oid = |name: &str| mib.identifiers.get(name).cloned().unwrap_or_default();
    let root = MibRoot::default();
    assert_eq!(root.oid().to_string(), oid("relationMIB"));
    let notifications = [
        "relationExpiring",
        "relationExpired",
        "relationReauthorize",
        "relationMissingScope",
        "relationRetrying",
        "relationImportFailed",
        "relationHostTrouble",
        "relationRecovered",
        "relationTest",
        "relationEndpoint",
    ];
    for (kind, name) in KINDS.into_iter().zip(notifications) {
        assert_eq!(
            root.notification(notification_number(kind)).to_string(),
            oid(name),
            "{name}"
        );
    }
    assert_eq!(root.notification(DIGEST).to_string(), oid("relationDigest"));
    let in_mib = mib
        .identifiers
        .keys()
        .filter(|name| oid(name).starts_with(&format!("{}.1.", root.oid())));
    assert_eq!(in_mib.count(), Object::Expires as usize);
}

#[test]
fn notifications_have_the_objects_of_the_mib_in_order() {
    let mib = mib::read();
    let objects = |notification: &str| -> Vec<String> {
        let names = mib.objects.get(notification).unwrap();
        let oids = names.iter().map(|name| mib.identifiers.get(name).unwrap());
        oids.map(|oid| format!("{oid}.0")).collect()
    };
    let sent = |message: &Message| -> Vec<String> {
        read(message, 512)
            .iter()
            .map(|(name, _)| name.to_string())
            .collect()
    };
    let first = ["1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.1.1.4.1.0"];
    for kind in KINDS {
        let mut notice = notice(kind);
        notice.expires = None;
        let name = mib.identifiers.iter().find(|(_, oid)| {
            **oid
                == MibRoot::default()
                    .notification(notification_number(kind))
                    .to_string()
        });
        let expected = objects(name.unwrap().0);
        let sent_names = sent(&Message::Single(notice.clone()));
        assert_eq!(sent_names[..2], first);
        assert_eq!(sent_names[2..], expected);
        // The end of the token comes after them.
        notice.expires = Some(time(1));
        let mut with_end = sent_names;
        with_end.push(format!(
            "{}.0",
            mib.identifiers.get("relationExpires").unwrap()
        ));
        assert_eq!(sent(&Message::Single(notice)), with_end);
    }
    let digest = Message::Digest(Digest {
        id: "digest-1".to_owned(),
        node: "sys".to_owned(),
        notices: vec![notice(NoticeKind::Expired)],
        more: 0,
        link: None,
    });
    assert_eq!(sent(&digest)[..2], first);
    assert_eq!(sent(&digest)[2..], objects("relationDigest"));
}

#[test]
fn values_are_those_of_the_notice() {
    let bindings = read(&Message::Single(notice(NoticeKind::Expiring)), 512);
    assert_eq!(bindings[0].1, Value::Ticks(4711));
    for (object, expected) in [
        (Object::Customer, string("Contoso")),
        (Object::Node, string("sys.hcs.Contoso")),
        (Object::State, Value::Integer(3)),
        (Object::SecondsLeft, Value::Integer(172_800)),
        (Object::Count, Value::Gauge(3)),
        (Object::Severity, Value::Integer(3)),
        (
            Object::Time,
            Value::Octets(vec![0x07, 0xea, 11, 30, 4, 5, 6, 0, b'+', 0, 0]),
        ),
        (Object::NoticeId, string("notice-1")),
        (Object::Link, string("https://relation.example/records/1")),
        (
            Object::Expires,
            Value::Octets(vec![0x07, 0xea, 12, 2, 4, 5, 6, 0, b'+', 0, 0]),
        ),
    ] {
        assert_eq!(find(&bindings, object), Some(&expected), "{object:?}");
    }
}

#[test]
fn seconds_left_has_limits() {
    for (expires, expected) in [
        (None, -1),
        (Some(time(-5)), 0),
        (Some(time(5)), 5),
        (Some(time(1 << 40)), i32::MAX),
    ] {
        assert_eq!(seconds_left(expires, time(0)), expected);
    }
}

#[test]
fn texts_are_cut_at_a_char_boundary() {
    assert_eq!(text("Müller\r\nGmbH", 64), string("Müller  GmbH"));
    assert_eq!(text("Mülle", 6), string("Mülle"));
    assert_eq!(text("Müller", 6), string("Mü…"));
    assert_eq!(text("Müüü", 6), string("Mü…"));
    assert_eq!(text("aaüüü", 6), string("aa…"));
}

#[test]
fn long_ids_and_links_are_not_cut() {
    let long = "x".repeat(300);
    let Value::Octets(hash) = id(&long) else {
        panic!()
    };
    assert_eq!(hash.len(), 64);
    assert_eq!(Value::Octets(hash), id(&long));
    let url = format!("https://relation.example/{long}").parse().unwrap();
    assert_eq!(link(Some(&url)), string(""));
}

#[test]
fn digest_names_what_fits_and_counts_the_rest() {
    let digest = |more| Digest {
        id: "digest-1".to_owned(),
        node: "sys".to_owned(),
        notices: vec![notice(NoticeKind::Expired); 3],
        more,
        link: None,
    };
    let one = "Contoso: The refresh token expires in 2 days.";
    for (more, limit, expected) in [
        (0, 512, format!("{one}; {one}; {one}")),
        (37, 512, format!("{one}; {one}; {one}; and 37 more")),
        (37, 128, format!("{one}; {one}; and 38 more")),
        (37, 32, "40 notices".to_owned()),
    ] {
        let bindings = read(&Message::Digest(digest(more)), limit);
        assert_eq!(find(&bindings, Object::Text), Some(&string(&expected)));
    }
    let bindings = read(&Message::Digest(digest(u64::MAX)), 512);
    assert_eq!(
        find(&bindings, Object::Count),
        Some(&Value::Gauge(u32::MAX))
    );
}

#[test]
fn root_must_be_below_enterprises() {
    assert_eq!(MibRoot::default().oid().to_string(), "1.3.6.1.4.1.32473.1");
    let parse = |text| MibRoot::new(Oid::parse(text).unwrap());
    assert!(parse("1.3.6.1.4.1.9999.42.7").is_ok());
    for bad in [
        "1.3.6.1.4.1",
        "1.3.6.1.2.1.1",
        "1.3.6.1.4.1.1.2.3.4.5.6.7.8.9",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn request_id_depends_on_the_delivery_only() {
    assert_eq!(request_id("a"), request_id("a"));
    assert_ne!(request_id("a"), request_id("b"));
}

proptest! {
    #[test]
    fn notifications_fit_into_a_datagram(
        customer in any::<String>(),
        name in "\\PC{0,1024}",
        long in "[a-zü😀\n]{0,2000}",
        link in "[a-z]{0,300}",
        digest in any::<bool>(),
    ) {
        let mut one = notice(NoticeKind::Expiring);
        one.customer = name.clone();
        one.node = customer;
        one.text = long.clone();
        one.code = long.clone();
        one.grant = name;
        one.id = long;
        one.link = format!("https://relation.example/{link}").parse().ok();
        let message = if digest {
            let (link, node) = (one.link.clone(), one.node.clone());
            Message::Digest(Digest { id: one.id.clone(), node, notices: vec![one; 20], more: 7, link })
        } else {
            Message::Single(one)
        };
        let attempt = Attempt { id: "delivery-1", message: &message, now: time(0) };
        let pdu = notification_pdu(TRAP, &attempt, &MibRoot::default(), u32::MAX);
        prop_assert!(pdu.len() <= MAX_PDU, "{}", pdu.len());
        for (_, value) in bindings(&attempt, &MibRoot::default(), 0, 32).iter().skip(2) {
            if let Value::Octets(octets) = value {
                prop_assert!(octets.len() == 11 || std::str::from_utf8(octets).is_ok());
            }
        }
    }
}
