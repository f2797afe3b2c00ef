//! The channel: it resolves the receiver, and sends a trap or an inform.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use url::Host;

use super::engine::{LocalEngine, RemoteEngines};
use super::exchange::{ExchangeError, Socket};
use super::message::{INFORM_REQUEST, TRAP, UserMessage, build_community_message};
use super::numbers::Numbers;
use super::objects::{notification_pdu, request_id};
use super::target::{InvalidTarget, SnmpKind, SnmpTarget, SnmpVersion, TargetAddress};
use super::usm::UserKeys;
use crate::{Attempt, Channel, DeliveryError, DeliveryErrorKind, Receipt};

/// The maximum number of addresses of a name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Resolves a receiver's name and applies the egress policy.
#[async_trait]
pub trait ResolveTarget: Send + Sync {
    /// Returns the permitted addresses of a host, in the order in which they are tried. The host may be an address
    /// already, which must be checked as well.
    ///
    /// # Errors
    /// [`ResolveError`].
    async fn resolve(&self, host: &Host, port: u16) -> Result<Vec<IpAddr>, ResolveError>;
}

/// A receiver without a permitted address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The policy refuses it. The text says which setting permits it.
    #[error("{0}")]
    Refused(String),
    /// The name cannot be resolved now.
    #[error("{0}")]
    Failed(String),
}

/// The limits of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct SnmpLimits {
    /// The time for one reply.
    pub reply: Duration,
    /// The number of times that an inform is sent.
    pub tries: u32,
    /// The time for the whole attempt, with the resolution of the name.
    pub attempt: Duration,
}

impl Default for SnmpLimits {
    fn default() -> Self {
        Self {
            reply: Duration::from_secs(3),
            tries: 3,
            attempt: Duration::from_secs(20),
        }
    }
}

/// The parts that all channels of a host share.
pub struct SnmpSender {
    engine: LocalEngine,
    resolver: Arc<dyn ResolveTarget>,
    limits: SnmpLimits,
    pub(super) remote_engines: RemoteEngines,
    pub(super) numbers: Numbers,
}

impl SnmpSender {
    /// Creates it once for each start of the host.
    #[must_use]
    pub fn new(engine: LocalEngine, resolver: Arc<dyn ResolveTarget>, limits: SnmpLimits) -> Self {
        Self {
            engine,
            resolver,
            limits,
            remote_engines: RemoteEngines::default(),
            numbers: Numbers::new(),
        }
    }

    /// Returns this host's engine.
    #[must_use]
    pub fn engine(&self) -> &LocalEngine {
        &self.engine
    }
}

/// Delivers messages to one receiver.
pub struct SnmpChannel {
    target: SnmpTarget,
    address: TargetAddress,
    sender: Arc<SnmpSender>,
    /// Derived at the first use, since that takes milliseconds.
    keys: OnceLock<UserKeys>,
}

impl SnmpChannel {
    /// Creates it for a valid target.
    ///
    /// # Errors
    /// All errors of the target.
    pub fn new(target: SnmpTarget, sender: Arc<SnmpSender>) -> Result<Self, InvalidTarget> {
        Ok(Self {
            address: target.validate()?,
            target,
            sender,
            keys: OnceLock::new(),
        })
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, DeliveryError> {
        let TargetAddress { host, port } = &self.address;
        let found = self.sender.resolver.resolve(host, *port).await;
        let mut addresses = found.map_err(|error| match error {
            ResolveError::Refused(why) => DeliveryError {
                kind: DeliveryErrorKind::Permanent,
                text: format!("the receiver {} is refused: {why}", self.address),
            },
            ResolveError::Failed(why) => temporary(format!(
                "cannot resolve the receiver {}: {why}",
                self.address
            )),
        })?;
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            return Err(temporary(format!(
                "the receiver {} has no address",
                self.address
            )));
        }
        let addresses = addresses.into_iter();
        Ok(addresses.map(|ip| SocketAddr::new(ip, *port)).collect())
    }

    /// Sends to the first address to which this host has a route.
    async fn send_trap(&self, attempt: &Attempt<'_>) -> Result<Receipt, DeliveryError> {
        let engine = &self.sender.engine;
        let pdu = notification_pdu(TRAP, attempt, &self.target.root, engine.up_time());
        let message = match self.credentials() {
            Credentials::Community(community) => {
                build_community_message(community.expose_secret(), &pdu)
            }
            Credentials::User { name, keys } => UserMessage {
                id: self.sender.numbers.message_id(),
                reportable: false,
                engine: engine.id().as_octets(),
                time: engine.boots_and_time(),
                user: name,
                keys: Some(&keys.localize(engine.id())),
                salt: self.sender.numbers.salt(),
                context_engine: engine.id().as_octets(),
            }
            .build(&pdu),
        };
        let mut errors = Vec::new();
        for address in self.resolve().await? {
            let sent = async { Socket::connect(address).await?.send(&message).await };
            match sent.await {
                Ok(()) => {
                    return Ok(Receipt {
                        confirmed: false,
                        reply: format!("sent to {address}; traps are not confirmed"),
                    });
                }
                Err(error) => errors.push(error.to_string()),
            }
        }
        Err(temporary(errors.join("; ")))
    }

    async fn send_inform(&self, attempt: &Attempt<'_>) -> Result<Receipt, DeliveryError> {
        let addresses = self.resolve().await?;
        let up_time = self.sender.engine.up_time();
        let pdu = notification_pdu(INFORM_REQUEST, attempt, &self.target.root, up_time);
        let request_id = request_id(attempt.id);
        // Every address has a turn.
        let tries = usize::try_from(self.sender.limits.tries.clamp(1, 10)).unwrap_or(1);
        let turns = tries.max(addresses.len());
        let mut last = String::new();
        for address in addresses.iter().cycle().take(turns) {
            match self.exchange(*address, &pdu, request_id).await {
                Ok(()) => {
                    return Ok(Receipt {
                        confirmed: true,
                        reply: format!("confirmed by {address}, request id {request_id}"),
                    });
                }
                // The next response would be the same.
                Err(error @ ExchangeError::Status { .. }) => {
                    return Err(temporary(error.to_string()));
                }
                Err(ref error @ ExchangeError::Report { ref report, .. }) => {
                    return Err(temporary(format!("{error}: {}", report.advice())));
                }
                Err(error) => {
                    tracing::debug!(%address, "SNMP inform failed: {error}");
                    last = error.to_string();
                }
            }
        }
        Err(temporary(format!(
            "{last} ({turns} tries): {}",
            self.silence_advice()
        )))
    }

    /// Sends an inform once to one address, and waits for the response.
    async fn exchange(
        &self,
        address: SocketAddr,
        pdu: &[u8],
        request_id: i32,
    ) -> Result<(), ExchangeError> {
        let socket = Socket::connect(address).await?;
        let wait = self.sender.limits.reply;
        match self.credentials() {
            Credentials::Community(community) => {
                let message = build_community_message(community.expose_secret(), pdu);
                socket.inform_community(&message, request_id, wait).await
            }
            Credentials::User { name, keys } => {
                let sender = &self.sender;
                socket
                    .inform_user(sender, name, keys, pdu, request_id, wait)
                    .await
            }
        }
    }

    fn credentials(&self) -> Credentials<'_> {
        match &self.target.version {
            SnmpVersion::V2c { community } => Credentials::Community(community),
            SnmpVersion::V3 {
                user,
                auth,
                privacy,
                ..
            } => Credentials::User {
                name: user,
                keys: self.keys.get_or_init(|| {
                    let privacy = privacy.as_ref().map(|privacy| &privacy.secret);
                    UserKeys::derive(auth.protocol, &auth.secret, privacy)
                }),
            },
        }
    }

    /// Returns the things to check at a receiver that does not respond.
    fn silence_advice(&self) -> &'static str {
        match &self.target.version {
            SnmpVersion::V2c { .. } => {
                "check that the receiver listens there, accepts this community and confirms informs"
            }
            SnmpVersion::V3 { privacy: None, .. } => {
                "check that the receiver listens there and confirms informs of this user"
            }
            SnmpVersion::V3 { .. } => {
                "check that the receiver listens there, and that the privacy secret is the receiver's"
            }
        }
    }
}

/// The credentials of a target.
enum Credentials<'a> {
    Community(&'a SecretString),
    User { name: &'a str, keys: &'a UserKeys },
}

#[async_trait]
impl Channel for SnmpChannel {
    async fn deliver(&self, attempt: &Attempt<'_>) -> Result<Receipt, DeliveryError> {
        let limit = self.sender.limits.attempt;
        let delivered = async {
            match self.target.kind {
                SnmpKind::Trap => self.send_trap(attempt).await,
                SnmpKind::Inform => self.send_inform(attempt).await,
            }
        };
        timeout(limit, delivered).await.unwrap_or_else(|_| {
            Err(temporary(format!(
                "the delivery to {} took longer than {} s: {}",
                self.address,
                limit.as_secs_f32(),
                self.silence_advice()
            )))
        })
    }
}

impl fmt::Debug for SnmpChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnmpChannel")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Creates an error that a repair at the receiver or in the network can correct.
fn temporary(text: String) -> DeliveryError {
    DeliveryError {
        kind: DeliveryErrorKind::Temporary { retry_after: None },
        text,
    }
}
