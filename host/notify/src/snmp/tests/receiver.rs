//! A receiver whose behavior a test scripts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use url::Host;

use super::super::engine::{EngineId, EngineTime};
use super::super::message::{
    INFORM_REQUEST, REPORT, RESPONSE, ReceivedMessage, ReceivedPdu, UserMessage,
    build_community_message, build_pdu, read_community_message,
};
use super::super::oid::Oid;
use super::super::usm::{AuthProtocol, LocalizedKeys, UserKeys};
use super::super::{
    LocalEngine, MibRoot, ResolveError, ResolveTarget, SecurityLevel, SnmpAuth, SnmpChannel,
    SnmpKind, SnmpLimits, SnmpPrivacy, SnmpSender, SnmpTarget, SnmpVersion,
};
use crate::{Attempt, Channel as _, DeliveryError, Message, Notice, NoticeKind, Receipt, Severity};

pub const PASSWORD: &str = "canary-password";

/// The time that a scripted receiver leaves for a reply.
const REPLY: Duration = Duration::from_millis(200);

/// A function that returns a receiver's replies to a datagram.
type Script = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>> + Send>;

/// Receives datagrams until the future is dropped.
pub async fn serve(socket: UdpSocket, mut script: Script) {
    let mut buffer = vec![0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        for reply in script(&buffer[..length]) {
            socket.send_to(&reply, from).await.unwrap();
        }
    }
}

pub async fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A receiver of SNMPv3 that follows the rules.
#[derive(Clone)]
pub struct Engine {
    pub id: EngineId,
    pub time: EngineTime,
    pub keys: Arc<UserKeys>,
}

impl Engine {
    pub fn new(name: &str, boots: u32, seconds: u32) -> Self {
        Self {
            id: EngineId::derive(8072, name, ""),
            time: EngineTime { boots, seconds },
            keys: keys(PASSWORD),
        }
    }

    fn localized(&self) -> LocalizedKeys {
        self.keys.localize(&self.id)
    }

    /// Returns the reply that the rules ask for.
    pub fn handle(&self, datagram: &[u8]) -> Vec<u8> {
        let message = ReceivedMessage::read(datagram).unwrap();
        if message.engine.as_ref() != Some(&self.id) {
            return self.report(&message, 4, false);
        }
        if !message.verify(&self.localized()) {
            return self.report(&message, 5, false);
        }
        let difference = self.time.seconds.abs_diff(message.time.seconds);
        if message.time.boots != self.time.boots || difference > 150 {
            return self.report(&message, 2, true);
        }
        let pdu = self.open(&message);
        assert_eq!(pdu.tag, INFORM_REQUEST);
        self.respond(&message, pdu.request_id)
    }

    pub fn open(&self, message: &ReceivedMessage<'_>) -> ReceivedPdu {
        message.open(Some(&self.localized())).unwrap()
    }

    /// Returns a response with this request id.
    pub fn respond(&self, message: &ReceivedMessage<'_>, request_id: i32) -> Vec<u8> {
        self.build(message.id, true, &build_pdu(RESPONSE, request_id, &[]))
    }

    /// Returns a report of a counter of `usmStats`.
    pub fn report(
        &self,
        message: &ReceivedMessage<'_>,
        counter: u32,
        authenticated: bool,
    ) -> Vec<u8> {
        let name = Oid::new([1, 3, 6, 1, 6, 3, 15, 1, 1, counter, 0]).unwrap();
        let value = super::super::ber::Value::Gauge(1);
        self.build(
            message.id,
            authenticated,
            &build_pdu(REPORT, 0, &[(name, value)]),
        )
    }

    pub fn build(&self, id: i32, authenticated: bool, pdu: &[u8]) -> Vec<u8> {
        let keys = self.localized();
        UserMessage {
            id,
            reportable: false,
            engine: self.id.as_octets(),
            time: self.time,
            user: if authenticated { "relation" } else { "" },
            keys: authenticated.then_some(&keys),
            salt: [1; 8],
            context_engine: self.id.as_octets(),
        }
        .build(pdu)
    }
}

/// Returns keys without privacy, each password's derived once.
pub fn keys(password: &str) -> Arc<UserKeys> {
    Arc::new(UserKeys::derive(
        AuthProtocol::Sha256,
        &password.into(),
        None,
    ))
}

/// Returns the response to a datagram of v2c.
pub fn answer_community(datagram: &[u8]) -> Vec<u8> {
    let pdu = read_community_message(datagram).unwrap();
    build_community_message("public", &build_pdu(RESPONSE, pdu.request_id, &[]))
}

/// Resolves every name to fixed addresses.
struct Fixed(Result<Vec<IpAddr>, ResolveError>);

#[async_trait]
impl ResolveTarget for Fixed {
    async fn resolve(&self, _host: &Host, _port: u16) -> Result<Vec<IpAddr>, ResolveError> {
        self.0.clone()
    }
}

/// A host that sends to one receiver, with a clock that the test moves.
pub struct TestHost {
    clock: Arc<Mutex<Duration>>,
    sender: Arc<SnmpSender>,
}

impl TestHost {
    pub fn new(addresses: &[IpAddr]) -> Self {
        Self::with_resolved(Ok(addresses.to_vec()))
    }

    pub fn with_resolved(resolved: Result<Vec<IpAddr>, ResolveError>) -> Self {
        let clock = Arc::new(Mutex::new(Duration::from_secs(1000)));
        let read = Arc::clone(&clock);
        let id = EngineId::derive(32473, "installation", "host");
        let engine = LocalEngine::new(id, 1, Arc::new(move || *read.lock())).unwrap();
        let limits = SnmpLimits {
            reply: REPLY,
            tries: 3,
            attempt: Duration::from_secs(10),
        };
        Self {
            clock,
            sender: Arc::new(SnmpSender::new(engine, Arc::new(Fixed(resolved)), limits)),
        }
    }

    pub fn advance(&self, seconds: u64) {
        *self.clock.lock() += Duration::from_secs(seconds);
    }

    pub async fn inform(&self, port: u16, version: SnmpVersion) -> Result<Receipt, DeliveryError> {
        self.deliver(port, version, SnmpKind::Inform).await
    }

    pub async fn deliver(
        &self,
        port: u16,
        version: SnmpVersion,
        kind: SnmpKind,
    ) -> Result<Receipt, DeliveryError> {
        let target = SnmpTarget {
            address: format!("nms.example.com:{port}"),
            version,
            kind,
            root: MibRoot::default(),
            allow_sha1: false,
        };
        let channel = SnmpChannel::new(target, Arc::clone(&self.sender)).unwrap();
        assert!(!format!("{channel:?}").contains("canary"));
        let message = Message::Single(notice());
        let attempt = Attempt {
            id: "delivery-1",
            message: &message,
            now: DateTime::UNIX_EPOCH,
        };
        channel.deliver(&attempt).await
    }
}

pub fn v2c() -> SnmpVersion {
    SnmpVersion::V2c {
        community: "canary-community".into(),
    }
}

pub fn v3(privacy: bool) -> SnmpVersion {
    SnmpVersion::V3 {
        user: "relation".to_owned(),
        level: match privacy {
            true => SecurityLevel::AuthPriv,
            false => SecurityLevel::AuthNoPriv,
        },
        auth: SnmpAuth {
            protocol: AuthProtocol::Sha256,
            secret: PASSWORD.into(),
        },
        privacy: privacy.then(|| SnmpPrivacy {
            secret: PASSWORD.into(),
        }),
    }
}

fn notice() -> Notice {
    Notice {
        id: "notice-1".to_owned(),
        kind: NoticeKind::Expired,
        severity: Severity::Critical,
        record: "5f0c1b2a3d4e5f6071829300".to_owned(),
        customer: "Contoso".to_owned(),
        node: "sys.Contoso".to_owned(),
        grant: "organization".to_owned(),
        code: "WEBEX_REFRESH_TOKEN_EXPIRED".to_owned(),
        text: "The refresh token has expired.".to_owned(),
        expires: None,
        occurred: DateTime::<Utc>::UNIX_EPOCH,
        count: 1,
        link: None,
    }
}
