//! The exchange of an inform with one address: discovery, time synchronization, and the response.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::SnmpSender;
use super::engine::{EngineTime, RemoteEngine};
use super::message::{
    GET_REQUEST, MAX_REPLY, REPORT, RESPONSE, ReceivedMessage, ReceivedPdu, UserMessage, build_pdu,
    read_community_message,
};
use super::report::Report;
use super::usm::{LocalizedKeys, SALT, UserKeys};

/// The maximum number of datagrams that are read for one reply.
const MAX_DATAGRAMS: usize = 32;
/// The maximum number of messages for one inform: with an outdated engine id, with the new one, and with its time. One
/// is spare.
const MAX_ROUNDS: usize = 4;

/// The reason why an inform was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The operating system cannot send to the address, or the host there refused it.
    #[error("cannot reach {address}: {error}")]
    Unreachable {
        address: SocketAddr,
        error: io::Error,
    },
    /// No valid reply in time.
    #[error("no response from {address} within {seconds} s{}", describe_ignored(.ignored.as_ref()))]
    NoReply {
        address: SocketAddr,
        seconds: f32,
        ignored: Option<Ignored>,
    },
    /// The receiver refused the message.
    #[error("{address} refused the inform with {report}")]
    Report { address: SocketAddr, report: Report },
    /// The receiver could not process the inform.
    #[error("{address} responded with the error status {status} ({})", name_status(*.status))]
    Status { address: SocketAddr, status: i32 },
    /// The receiver's engine id or time changed with every message.
    #[error("{address} did not agree with this host on an engine id and a time")]
    NotSynchronized { address: SocketAddr },
}

/// The reason why a datagram was not taken as the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    #[error("is not a response of SNMP: {0}")]
    Unreadable(#[from] super::reader::ReadError),
    #[error("belongs to another request")]
    OtherRequest,
    #[error("is not authentic, so its sender has another authentication secret or protocol")]
    NotAuthentic,
    #[error("is outside of the time window")]
    NotInTimeWindow,
    #[error("is not encrypted")]
    NotEncrypted,
}

fn describe_ignored(ignored: Option<&Ignored>) -> String {
    ignored
        .map(|why| format!("; the last datagram {why}"))
        .unwrap_or_default()
}

/// Returns the name of an error status (RFC 3416 section 3).
fn name_status(status: i32) -> &'static str {
    match status {
        1 => "tooBig",
        5 => "genErr",
        13 => "resourceUnavailable",
        16 => "authorizationError",
        _ => "see RFC 3416",
    }
}

/// A step of the exchange.
enum Step {
    Confirmed,
    /// Send again with the engine's time, which is known now.
    Synchronized,
    /// Send again for this engine.
    OtherEngine(RemoteEngine),
}

/// A UDP socket that is connected to the receiver, so that it only receives from there.
pub struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Socket {
    pub async fn connect(address: SocketAddr) -> Result<Self, ExchangeError> {
        let connect = async {
            let any = match address {
                SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            Ok(socket)
        };
        match connect.await {
            Ok(socket) => Ok(Self { socket, address }),
            Err(error) => Err(ExchangeError::Unreachable { address, error }),
        }
    }

    pub async fn send(&self, message: &[u8]) -> Result<(), ExchangeError> {
        let sent = self.socket.send(message).await;
        sent.map(|_| ()).map_err(|error| self.unreachable(error))
    }

    /// Sends an inform of SNMP v2c and waits for its response.
    pub async fn inform_community(
        &self,
        message: &[u8],
        request_id: i32,
        wait: Duration,
    ) -> Result<(), ExchangeError> {
        self.send(message).await?;
        let read = |bytes: &[u8]| {
            let pdu = read_community_message(bytes)?;
            let is_response = pdu.tag == RESPONSE && pdu.request_id == request_id;
            is_response.then_some(pdu).ok_or(Ignored::OtherRequest)
        };
        let pdu = self.receive(wait, read).await?;
        self.check_status(&pdu)
    }

    /// Sends an inform of SNMPv3 and waits for its response. `wait` is the time for each reply.
    pub async fn inform_user(
        &self,
        sender: &SnmpSender,
        user: &str,
        keys: &UserKeys,
        pdu: &[u8],
        request_id: i32,
        wait: Duration,
    ) -> Result<(), ExchangeError> {
        let result = self
            .synchronize_and_inform(sender, user, keys, pdu, request_id, wait)
            .await;
        if result.is_err() {
            // An engine whose time went back is discovered again.
            sender.remote_engines.remove(self.address);
        }
        result
    }

    async fn synchronize_and_inform(
        &self,
        sender: &SnmpSender,
        user: &str,
        keys: &UserKeys,
        pdu: &[u8],
        request_id: i32,
        wait: Duration,
    ) -> Result<(), ExchangeError> {
        let mut engine = match sender.remote_engines.get(self.address) {
            Some(known) => known,
            None => self.discover(sender, wait).await?,
        };
        for _ in 0..MAX_ROUNDS {
            let keys = keys.localize(&engine.id);
            let id = sender.numbers.message_id();
            let message = UserMessage {
                id,
                reportable: true,
                engine: engine.id.as_octets(),
                time: engine.time_at(sender.engine().elapsed()),
                user,
                keys: Some(&keys),
                salt: sender.numbers.salt(),
                context_engine: sender.engine().id().as_octets(),
            };
            self.send(&message.build(pdu)).await?;
            let read = |bytes: &[u8]| {
                let reply = ReceivedMessage::read(bytes)?;
                if reply.id == id {
                    let elapsed = sender.engine().elapsed();
                    read_reply(&reply, &keys, user, request_id, &mut engine, elapsed)
                } else {
                    Err(Ignored::OtherRequest)
                }
            };
            match self.receive(wait, read).await? {
                Ok(Step::Confirmed) => {
                    sender.remote_engines.put(self.address, engine);
                    return Ok(());
                }
                Ok(Step::Synchronized) => {}
                Ok(Step::OtherEngine(other)) => engine = other,
                Err(refusal) => return Err(self.refuse(refusal)),
            }
        }
        Err(ExchangeError::NotSynchronized {
            address: self.address,
        })
    }

    /// Asks for the receiver's engine id (RFC 3414 section 4).
    async fn discover(
        &self,
        sender: &SnmpSender,
        wait: Duration,
    ) -> Result<RemoteEngine, ExchangeError> {
        let id = sender.numbers.message_id();
        let message = UserMessage {
            id,
            reportable: true,
            engine: &[],
            time: EngineTime::default(),
            user: "",
            keys: None,
            salt: [0; SALT],
            context_engine: &[],
        };
        self.send(&message.build(&build_pdu(GET_REQUEST, id, &[])))
            .await?;
        let read = |bytes: &[u8]| {
            let reply = ReceivedMessage::read(bytes)?;
            if reply.id != id {
                return Err(Ignored::OtherRequest);
            }
            match (Report::read(&reply.open(None)?), &reply.engine) {
                (Some(Report::UnknownEngineIds), Some(engine)) => {
                    Ok(Ok(RemoteEngine::new(engine.clone())))
                }
                (Some(report), _) => Ok(Err(Refusal::Report(report))),
                (None, _) => Err(Ignored::OtherRequest),
            }
        };
        let found = self.receive(wait, read).await?;
        found.map_err(|refusal| self.refuse(refusal))
    }

    /// Receives datagrams until `read` accepts one.
    async fn receive<T>(
        &self,
        wait: Duration,
        mut read: impl FnMut(&[u8]) -> Result<T, Ignored>,
    ) -> Result<T, ExchangeError> {
        let deadline = Instant::now() + wait;
        let mut buffer = vec![0; MAX_REPLY];
        let mut ignored = None;
        for _ in 0..MAX_DATAGRAMS {
            let Ok(received) = timeout_at(deadline, self.socket.recv(&mut buffer)).await else {
                break;
            };
            let length = received.map_err(|error| self.unreachable(error))?;
            match read(buffer.get(..length).unwrap_or_default()) {
                Ok(reply) => return Ok(reply),
                Err(why) => {
                    tracing::debug!(address = %self.address, "SNMP datagram ignored: it {why}");
                    ignored = Some(why);
                }
            }
        }
        Err(ExchangeError::NoReply {
            address: self.address,
            seconds: wait.as_secs_f32(),
            ignored,
        })
    }

    fn check_status(&self, pdu: &ReceivedPdu) -> Result<(), ExchangeError> {
        match pdu.error_status {
            0 => Ok(()),
            status => Err(self.refuse(Refusal::Status(status))),
        }
    }

    fn refuse(&self, refusal: Refusal) -> ExchangeError {
        let address = self.address;
        match refusal {
            Refusal::Report(report) => ExchangeError::Report { address, report },
            Refusal::Status(status) => ExchangeError::Status { address, status },
        }
    }

    fn unreachable(&self, error: io::Error) -> ExchangeError {
        ExchangeError::Unreachable {
            address: self.address,
            error,
        }
    }
}

/// A reply that refuses the message.
enum Refusal {
    Report(Report),
    Status(i32),
}

/// Checks a reply with the right message id (RFC 3414 section 3.2), and takes the engine's time from it if it is
/// authentic.
fn read_reply(
    reply: &ReceivedMessage<'_>,
    keys: &LocalizedKeys,
    user: &str,
    request_id: i32,
    engine: &mut RemoteEngine,
    elapsed: Duration,
) -> Result<Result<Step, Refusal>, Ignored> {
    if !reply.is_authenticated() {
        // These reports cannot be authenticated, since keys or engine do not match. A forged one does no more harm
        // than a lost response.
        let report = Report::read(&reply.open(None)?).ok_or(Ignored::NotAuthentic)?;
        return match (report, &reply.engine) {
            (Report::UnknownEngineIds, Some(other)) => {
                Ok(Ok(Step::OtherEngine(RemoteEngine::new(other.clone()))))
            }
            (Report::NotInTimeWindows, _) => Err(Ignored::NotAuthentic),
            (report, _) => Ok(Err(Refusal::Report(report))),
        };
    }
    let is_from_engine = reply.engine.as_ref() == Some(&engine.id) && reply.user == user.as_bytes();
    if !is_from_engine || !reply.verify(keys) {
        return Err(Ignored::NotAuthentic);
    }
    if !engine.update(reply.time, elapsed) {
        return Err(Ignored::NotInTimeWindow);
    }
    let pdu = reply.open(Some(keys))?;
    if pdu.tag == REPORT {
        return match Report::read(&pdu) {
            Some(Report::NotInTimeWindows) => Ok(Ok(Step::Synchronized)),
            Some(report) => Ok(Err(Refusal::Report(report))),
            None => Err(Ignored::OtherRequest),
        };
    }
    if reply.is_encrypted() != keys.has_privacy() {
        return Err(Ignored::NotEncrypted);
    }
    let is_response = pdu.tag == RESPONSE && pdu.request_id == request_id;
    match (is_response, pdu.error_status) {
        (false, _) => Err(Ignored::OtherRequest),
        (true, 0) => Ok(Ok(Step::Confirmed)),
        (true, status) => Ok(Err(Refusal::Status(status))),
    }
}
