//! Tests of e-mails without sockets; `tests/mail/` has those with servers.

mod addresses;
mod messages;
mod options;
mod protocol;
mod texts;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone as _, Utc};
use relation_egress::Resolve;
use secrecy::SecretString;

use super::*;
use crate::{Digest, Message, Notice, NoticeKind, Severity};

/// The secret of the relay, which no output may contain.
const SECRET: &str = "canary-relay-secret";

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

/// A resolver without names: tests without sockets must not need it.
struct NoNames;

#[async_trait]
impl Resolve for NoNames {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Err(std::io::Error::other(format!("no address of {name}")))
    }
}

fn valid_options() -> MailOptions {
    MailOptions {
        host: "mail.example.com".to_owned(),
        ehlo: "relation.example.com".to_owned(),
        from: "Relation <notices@example.com>".to_owned(),
        ..MailOptions::default()
    }
}

fn options_with_login() -> MailOptions {
    MailOptions {
        user: Some("relay".to_owned()),
        secret: Some(SecretString::from(SECRET)),
        ..valid_options()
    }
}

fn server(options: MailOptions) -> MailServer {
    MailServer::new(options, Arc::new(NoNames), permit_global_and(Vec::new())).unwrap()
}

/// Returns a time of December 2026.
fn december(day: u32, hour: u32, minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 12, day, hour, minute, 0)
        .unwrap()
}

fn notice(kind: NoticeKind) -> Notice {
    Notice {
        id: "notice-1".to_owned(),
        kind,
        severity: Severity::Major,
        record: "65f0a1b2c3d4e5f601234567".to_owned(),
        customer: "Contoso".to_owned(),
        node: "sys.hcs.Contoso".to_owned(),
        grant: "organization".to_owned(),
        code: "WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(),
        text: "The refresh token expires soon: connect again.".to_owned(),
        expires: Some(december(9, 14, 30)),
        occurred: december(7, 9, 0),
        count: 3,
        link: Some(
            "https://relation.example.com/organizations/65f0"
                .parse()
                .unwrap(),
        ),
    }
}

fn digest(notices: Vec<Notice>, more: u64) -> Digest {
    Digest {
        id: "digest-1".to_owned(),
        node: "sys.hcs".to_owned(),
        notices,
        more,
        link: Some("https://relation.example.com/alerts".parse().unwrap()),
    }
}

fn recipient(language: Language) -> Recipient {
    Recipient {
        address: MailAddress::parse("noc@example.net").unwrap(),
        language,
        zone: Zone::utc(),
        settings_node: "sys.hcs".to_owned(),
    }
}

/// Writes a notice in English on 7 December 2026 at 10:00.
fn write(notice: Notice) -> MailText {
    let message = Message::Single(notice);
    write_mail(&message, &recipient(Language::English), december(7, 10, 0)).unwrap()
}
