//! The channels of a host: secrets come from their store, and the reasons against a channel name the cause.

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use relation_egress::{Client, ClientOptions, Policy};
use relation_host::HandlerError;
use secrecy::SecretString;
use tokio::net::UdpSocket;
use url::Host;

use super::super::channels::to_mail_zone;
use super::super::{
    ChannelTarget, Channels as _, HostChannels, Secrets, SnmpChannels, SnmpSecrets, WebhookChannels,
};
use super::*;
use crate::mail;
use crate::settings::{Defaults, Language, Level, NoticeSettings, Recipient, resolve};
use crate::snmp::{
    EngineId, LocalEngine, MibRoot, ResolveError, ResolveTarget, SnmpLimits, SnmpSender,
};
use crate::webhook::{EndpointOptions, SigningKeys, SigningSecret};
use crate::{Attempt, DeliveryError};

const COMMUNITY: &str = "canary-community";

/// Secrets for ids that begin with `known`.
struct FakeSecrets;

#[async_trait]
impl Secrets for FakeSecrets {
    async fn find_webhook_keys(
        &self,
        origin: &Hierarchy,
        id: &str,
    ) -> Result<Option<SigningKeys>, HandlerError> {
        assert_eq!(*origin, node("sys.Provider"));
        let keys = || SigningKeys::new(SigningSecret::from_entropy(&[7; 32]));
        Ok(id.starts_with("known").then(keys))
    }

    async fn find_webhook_url(
        &self,
        _: &Hierarchy,
        id: &str,
    ) -> Result<Option<SecretString>, HandlerError> {
        Ok((id == "known-path").then(|| "https://tickets.example/canary-path".into()))
    }

    async fn find_snmp_secrets(
        &self,
        _: &Hierarchy,
        id: &str,
    ) -> Result<Option<SnmpSecrets>, HandlerError> {
        Ok(match id {
            "known-v2c" => Some(SnmpSecrets::Community(COMMUNITY.into())),
            "known-v3" => Some(SnmpSecrets::User {
                auth: "canary-auth-password".into(),
                privacy: "canary-privacy-password".into(),
            }),
            "broken" => return Err("the key-encryption key is missing".into()),
            _ => None,
        })
    }
}

struct Loopback;

#[async_trait]
impl ResolveTarget for Loopback {
    async fn resolve(&self, _: &Host, _: u16) -> Result<Vec<IpAddr>, ResolveError> {
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }
}

fn channels() -> HostChannels {
    let policy = Policy::parse_callbacks(&["https://tickets.example".to_owned()]).unwrap();
    let engine = EngineId::derive(32_473, "test", "host");
    let engine = LocalEngine::new(engine, 1, Arc::new(|| Duration::from_secs(5))).unwrap();
    HostChannels {
        mail: None,
        webhook: Some(WebhookChannels {
            client: Client::new(policy, ClientOptions::default()).unwrap(),
            options: EndpointOptions::default(),
        }),
        snmp: Some(SnmpChannels {
            sender: Arc::new(SnmpSender::new(
                engine,
                Arc::new(Loopback),
                SnmpLimits::default(),
            )),
            root: MibRoot::with_enterprise(32_473),
            allow_sha1: false,
        }),
        secrets: Arc::new(FakeSecrets),
    }
}

fn recipient(json: Value) -> Recipient {
    let settings: NoticeSettings =
        serde_json::from_value(json!({"recipients": [json]})).expect("valid settings");
    settings.recipients.value().unwrap().values[0].clone()
}

async fn open(
    channels: &HostChannels,
    json: Value,
) -> Result<Box<dyn crate::Channel>, DeliveryError> {
    let origin = node("sys.Provider");
    let target = ChannelTarget {
        recipient: &recipient(json),
        origin: &origin,
        language: Language::De,
        zone: None,
    };
    channels.open(&target).await
}

fn snmp(id: &str, address: &str) -> Value {
    match id.ends_with("v3") {
        false => {
            json!({"type": "snmp", "id": id, "name": "NOC", "address": address, "version": "v2c"})
        }
        true => {
            json!({"type": "snmp", "id": id, "name": "NOC", "address": address, "version": "v3",
            "user": "relation"})
        }
    }
}

#[test]
fn times_in_mails_are_in_the_zone_of_the_settings() {
    let recipient = |settings: Value| {
        let settings = resolve(
            &[Level {
                node: node("sys.Provider"),
                settings: serde_json::from_value(settings).expect("valid settings"),
            }],
            &Defaults::default(),
        );
        let delivery = settings.fields.delivery();
        mail::Recipient {
            address: mail::MailAddress::parse("noc@provider.example").unwrap(),
            language: mail::Language::English,
            zone: delivery.zone().map(to_mail_zone).unwrap_or_default(),
            settings_node: "sys.Provider".to_owned(),
        }
    };
    let digest = json!({"hour": 7, "zone": "Europe/Zurich"});
    let quiet = json!({"from": "22:00", "to": "06:00", "zone": "Asia/Kolkata"});
    for (settings, expected) in [
        (json!({}), "00:00 UTC"),
        (json!({"quiet_hours": quiet.clone()}), "05:30 IST"),
        (json!({"quiet_hours": quiet, "digest": digest}), "01:00 CET"),
    ] {
        let facts = crate::routing::ConnectionFacts::for_installation(node(NODE), None);
        let event = crate::routing::Event::test(&facts, "1", to_time(START));
        let message = Message::Single(event.notice);
        let mail = mail::write_mail(&message, &recipient(settings), to_time(START)).unwrap();
        assert!(mail.text.contains(expected), "{}", mail.text);
    }
}

#[tokio::test]
async fn missing_parts_and_secrets_are_not_attempts() {
    let webhook =
        |id: &str, url: &str| json!({"type": "webhook", "id": id, "name": "t", "url": url});
    for (recipient, expected) in [
        (json!("noc@provider.example"), "not configured e-mail"),
        (
            webhook("new", "https://tickets.example/a"),
            "no signing key",
        ),
        (
            webhook("known", "https://other.example/canary"),
            "web.callback-origins",
        ),
        (
            webhook("known", "https://tickets.example/…"),
            "enter the whole address again",
        ),
        (snmp("new-v2c", "noc.example"), "no community"),
        (snmp("new-v3", "noc.example"), "no passwords"),
        (
            snmp("broken", "noc.example"),
            "key-encryption key is missing",
        ),
    ] {
        let error = open(&channels(), recipient).await.err().expect(expected);
        assert_eq!(error.kind, DeliveryErrorKind::NotAttempted, "{error}");
        assert!(error.text.contains(expected), "{error}");
        assert!(!error.text.contains("canary"), "{error}");
    }
    for (id, path) in [("known", "a"), ("known-path", "…")] {
        let url = format!("https://tickets.example/{path}");
        assert!(open(&channels(), webhook(id, &url)).await.is_ok(), "{id}");
    }
    assert!(
        open(&channels(), snmp("known-v3", "noc.example"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn trap_has_the_community_of_its_target() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let channel = open(&channels(), snmp("known-v2c", &address))
        .await
        .unwrap();
    let facts = crate::routing::ConnectionFacts::for_installation(node(NODE), None);
    let event = crate::routing::Event::test(&facts, "1", to_time(START));
    let attempt = Attempt {
        id: "delivery",
        message: &Message::Single(event.notice),
        now: to_time(START),
    };
    let receipt = channel.deliver(&attempt).await.unwrap();
    assert!(!receipt.confirmed);
    let mut datagram = [0; 1500];
    let length = socket.recv(&mut datagram).await.unwrap();
    let found = datagram[..length]
        .windows(COMMUNITY.len())
        .any(|part| part == COMMUNITY.as_bytes());
    assert!(found, "the trap has the community");
}
