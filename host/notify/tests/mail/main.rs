//! E-mail through real servers: aiosmtpd (PyPI) with a scripted behavior, and Postfix (Debian) with a mailbox.
//!
//! A test reports that it is skipped if its server is missing. With `RELATION_REQUIRE_MAIL` set it fails instead.
#![cfg(unix)]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where it cannot continue"
)]

mod aiosmtpd;
mod authority;
#[path = "../python/packages.rs"]
mod packages;
mod postfix;
mod python;

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone as _, Utc};
use relation_egress::Resolve;
use relation_notify::mail::{
    Language, MailAddress, MailChannel, MailOptions, MailServer, Recipient, Zone, permit_global_and,
};
use relation_notify::{
    Attempt, Channel as _, DeliveryError, Message, Notice, NoticeKind, Receipt, Severity,
};

/// Environment variable that makes a missing server an error.
const REQUIRED: &str = "RELATION_REQUIRE_MAIL";

/// The name that certificates are issued for. It resolves to the loopback address only in the tests' resolver.
const HOST: &str = "mail.example.test";

/// The secret of the relay, which no error may contain.
const SECRET: &str = "canary-relay-secret";

/// Reports that a test is skipped, with the reason; fails if the servers are required.
#[track_caller]
fn report_skipped(reason: &str) {
    assert!(
        std::env::var_os(REQUIRED).is_none(),
        "{reason}, and {REQUIRED} is set"
    );
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    // Writes to stderr directly: the captured output of a test that passes is hidden.
    let _ = std::io::stderr().write_all(format!("SKIPPED: {name}: {reason}\n").as_bytes());
}

/// A resolver in which every name is this machine.
struct Loopback;

#[async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

/// Returns options for a server on this machine, with TLS by STARTTLS.
fn options(port: u16, ca: String) -> MailOptions {
    MailOptions {
        host: HOST.to_owned(),
        port,
        ehlo: "relation.example.com".to_owned(),
        from: "Relation <notices@bücher.example>".to_owned(),
        envelope_sender: Some("bounces@example.com".to_owned()),
        extra_ca: Some(ca),
        ..MailOptions::default()
    }
}

/// Creates the channel to a recipient through a server on this machine.
fn channel(options: MailOptions, to: &str, language: Language) -> MailChannel {
    let check = permit_global_and(vec![IpAddr::from([127, 0, 0, 1])]);
    let server = MailServer::new(options, Arc::new(Loopback), check).unwrap();
    let recipient = Recipient {
        address: MailAddress::parse(to).unwrap(),
        language,
        zone: Zone::utc(),
        settings_node: "sys.hcs".to_owned(),
    };
    MailChannel::new(Arc::new(server), recipient)
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 12, 7, 10, 0, 0).unwrap()
}

fn notice(kind: NoticeKind) -> Notice {
    Notice {
        id: "notice-1".to_owned(),
        kind,
        severity: Severity::Major,
        record: "65f0a1b2c3d4e5f601234567".to_owned(),
        customer: "Müller & Söhne\r\nBcc: victim@evil.example".to_owned(),
        node: "sys.hcs.Müller".to_owned(),
        grant: "organization".to_owned(),
        code: "WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(),
        text: ".\r\nQUIT\r\n.the refresh token expires soon".to_owned(),
        expires: Some(now() + Duration::from_secs(2 * 24 * 3600)),
        occurred: now(),
        count: 1,
        link: Some(
            "https://relation.example.com/organizations/65f0"
                .parse()
                .unwrap(),
        ),
    }
}

/// Makes one attempt at a delivery with this id.
async fn deliver(
    channel: &MailChannel,
    id: &str,
    notice: Notice,
) -> Result<Receipt, DeliveryError> {
    let message = Message::Single(notice);
    let attempt = Attempt {
        id,
        message: &message,
        now: now(),
    };
    channel.deliver(&attempt).await
}
