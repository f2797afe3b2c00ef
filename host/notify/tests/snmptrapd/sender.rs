//! This host as a sender, with a clock that the test moves.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeZone as _, Utc};
use relation_notify::snmp::{
    AuthProtocol, EngineId, LocalEngine, MibRoot, ResolveError, ResolveTarget, SecurityLevel,
    SnmpAuth, SnmpChannel, SnmpKind, SnmpLimits, SnmpPrivacy, SnmpSender, SnmpTarget, SnmpVersion,
};
use relation_notify::{
    Attempt, Channel as _, DeliveryError, Digest, Message, Notice, NoticeKind, Receipt, Severity,
};
use url::Host;

use crate::daemon::Trapd;

pub const AUTH_SECRET: &str = "canary-auth-secret";
pub const PRIVACY_SECRET: &str = "canary-privacy-secret";

/// Returns the engine id of the host under test.
pub fn engine_id() -> EngineId {
    EngineId::derive(32473, "0b7c6a1e-installation", "host-1")
}

pub fn v2c(community: &str) -> SnmpVersion {
    SnmpVersion::V2c {
        community: community.into(),
    }
}

pub fn v3(protocol: AuthProtocol, level: SecurityLevel, auth: &str, privacy: &str) -> SnmpVersion {
    SnmpVersion::V3 {
        user: "relation".to_owned(),
        level,
        auth: SnmpAuth {
            protocol,
            secret: auth.into(),
        },
        privacy: (level == SecurityLevel::AuthPriv).then(|| SnmpPrivacy {
            secret: privacy.into(),
        }),
    }
}

pub fn rename_user(version: &mut SnmpVersion, name: &str) {
    if let SnmpVersion::V3 { user, .. } = version {
        name.clone_into(user);
    }
}

pub fn notice(id: &str, kind: NoticeKind) -> Notice {
    let occurred = Utc.with_ymd_and_hms(2026, 11, 30, 4, 5, 6).unwrap();
    Notice {
        id: format!("notice-{id}"),
        kind,
        severity: Severity::Major,
        record: "5f0c1b2a3d4e5f6071829300".to_owned(),
        customer: "Müller GmbH".to_owned(),
        node: "sys.hcs.Mueller".to_owned(),
        grant: "organization".to_owned(),
        code: "WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(),
        text: "The refresh token expires in 2 days.".to_owned(),
        expires: Some(occurred + Duration::from_secs(172_800)),
        occurred,
        count: 2,
        link: Some("https://relation.example/records/1".parse().unwrap()),
    }
}

/// Permits addresses only.
struct Addresses;

#[async_trait]
impl ResolveTarget for Addresses {
    async fn resolve(&self, host: &Host, _port: u16) -> Result<Vec<IpAddr>, ResolveError> {
        match host {
            Host::Ipv4(address) => Ok(vec![(*address).into()]),
            Host::Ipv6(address) => Ok(vec![(*address).into()]),
            Host::Domain(_) => Err(ResolveError::Refused("names are not permitted".to_owned())),
        }
    }
}

/// One run of the host.
pub struct Sender {
    seconds: Arc<AtomicU64>,
    sender: Arc<SnmpSender>,
}

impl Sender {
    /// Starts the host with this number of boots.
    pub fn start(boots: u32) -> Self {
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&seconds);
        let clock = Arc::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        let engine = LocalEngine::new(engine_id(), boots, clock).unwrap();
        let sender = SnmpSender::new(engine, Arc::new(Addresses), SnmpLimits::default());
        Self {
            seconds,
            sender: Arc::new(sender),
        }
    }

    pub fn advance(&self, time: Duration) {
        self.seconds.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    pub async fn send(
        &self,
        trapd: &Trapd,
        kind: SnmpKind,
        version: SnmpVersion,
        id: &str,
        notice_kind: NoticeKind,
    ) -> Result<Receipt, DeliveryError> {
        self.send_notice(trapd, kind, version, notice(id, notice_kind))
            .await
    }

    pub async fn send_notice(
        &self,
        trapd: &Trapd,
        kind: SnmpKind,
        version: SnmpVersion,
        notice: Notice,
    ) -> Result<Receipt, DeliveryError> {
        let message = Message::Single(notice);
        self.deliver(trapd, kind, version, MibRoot::default(), &message)
            .await
    }

    pub async fn send_with_root(
        &self,
        trapd: &Trapd,
        version: SnmpVersion,
        id: &str,
        root: MibRoot,
    ) -> Result<Receipt, DeliveryError> {
        let message = Message::Single(notice(id, NoticeKind::Expiring));
        self.deliver(trapd, SnmpKind::Inform, version, root, &message)
            .await
    }

    pub async fn send_digest(
        &self,
        trapd: &Trapd,
        version: SnmpVersion,
        id: &str,
    ) -> Result<Receipt, DeliveryError> {
        let message = Message::Digest(Digest {
            id: id.to_owned(),
            node: "sys.hcs".to_owned(),
            notices: vec![
                notice("a", NoticeKind::Expired),
                notice("b", NoticeKind::Expiring),
            ],
            more: 7,
            link: None,
        });
        self.deliver(
            trapd,
            SnmpKind::Inform,
            version,
            MibRoot::default(),
            &message,
        )
        .await
    }

    async fn deliver(
        &self,
        trapd: &Trapd,
        kind: SnmpKind,
        version: SnmpVersion,
        root: MibRoot,
        message: &Message,
    ) -> Result<Receipt, DeliveryError> {
        let target = SnmpTarget {
            address: trapd.address().to_string(),
            version,
            kind,
            root,
            allow_sha1: true,
        };
        let channel = SnmpChannel::new(target, Arc::clone(&self.sender)).unwrap();
        let attempt = Attempt {
            id: message.id(),
            message,
            now: Utc.with_ymd_and_hms(2026, 11, 30, 4, 5, 6).unwrap(),
        };
        channel.deliver(&attempt).await
    }
}
