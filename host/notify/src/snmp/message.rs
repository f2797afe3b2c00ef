//! Messages of SNMP: those that this host sends, and the responses and reports to them.

use std::ops::Range;

use super::ber::{OCTET_STRING, SEQUENCE, Value, Writer};
use super::engine::{EngineId, EngineTime};
use super::oid::Oid;
use super::reader::{ReadError, Reader};
use super::usm::{LocalizedKeys, SALT};

/// The tags of PDUs (RFC 3416 section 3).
pub const GET_REQUEST: u8 = 0xa0;
pub const RESPONSE: u8 = 0xa2;
pub const INFORM_REQUEST: u8 = 0xa6;
pub const TRAP: u8 = 0xa7;
pub const REPORT: u8 = 0xa8;

/// `version` of a message.
const V2C: i32 = 1;
const V3: i32 = 3;
/// `msgSecurityModel` of USM.
const USM: i32 = 3;
/// Bits of `msgFlags`.
const AUTH: u8 = 1;
const PRIVACY: u8 = 2;
const REPORTABLE: u8 = 4;

/// The longest reply that is read; it repeats an inform, which is shorter.
pub const MAX_REPLY: usize = 2048;
/// [`MAX_REPLY`] as `msgMaxSize`.
const MAX_REPLY_SIZE: i32 = 2048;

/// Builds a PDU of a request or a notification.
pub fn build_pdu(tag: u8, request_id: i32, bindings: &[(Oid, Value)]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag, |pdu| {
        pdu.integer(request_id);
        // Error status and error index.
        pdu.integer(0);
        pdu.integer(0);
        pdu.nested(SEQUENCE, |list| {
            for (name, value) in bindings {
                list.nested(SEQUENCE, |binding| {
                    binding.oid(name);
                    binding.value(value);
                });
            }
        });
    });
    writer.into_bytes()
}

/// Builds a message of SNMP v2c.
pub fn build_community_message(community: &str, pdu: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(SEQUENCE, |message| {
        message.integer(V2C);
        message.octets(community.as_bytes());
        message.raw(pdu);
    });
    writer.into_bytes()
}

/// The parts of a message of SNMPv3, apart from its PDU.
#[derive(Debug)]
pub struct UserMessage<'a> {
    /// `msgID`.
    pub id: i32,
    /// Whether the receiver may respond with a report.
    pub reportable: bool,
    /// The id of the authoritative engine; empty for discovery.
    pub engine: &'a [u8],
    /// The time of the authoritative engine.
    pub time: EngineTime,
    /// The user; empty for discovery.
    pub user: &'a str,
    /// The keys for the authoritative engine; none for discovery.
    pub keys: Option<&'a LocalizedKeys>,
    /// The salt of the encryption: another one in every message.
    pub salt: [u8; SALT],
    /// The engine whose notification it is.
    pub context_engine: &'a [u8],
}

impl UserMessage<'_> {
    /// Builds the message: encrypted if the keys have privacy, and authenticated if there are keys.
    pub fn build(&self, pdu: &[u8]) -> Vec<u8> {
        let privacy = self.keys.filter(|keys| keys.has_privacy());
        let mut flags = 0;
        for (set, flag) in [
            (self.keys.is_some(), AUTH),
            (privacy.is_some(), PRIVACY),
            (self.reportable, REPORTABLE),
        ] {
            if set {
                flags |= flag;
            }
        }

        let mut scoped = Writer::new();
        scoped.nested(SEQUENCE, |scoped| {
            scoped.octets(self.context_engine);
            scoped.octets(b"");
            scoped.raw(pdu);
        });
        let mut data = scoped.into_bytes();
        if let Some(keys) = privacy {
            keys.encrypt(self.time, self.salt, &mut data);
            let mut encrypted = Writer::new();
            encrypted.octets(&data);
            data = encrypted.into_bytes();
        }

        let mut salt = Writer::new();
        salt.octets(if privacy.is_some() { &self.salt } else { &[] });
        let salt = salt.into_bytes();
        let mac_len = self.keys.map_or(0, |keys| keys.protocol().mac_len());

        let mut security = Writer::new();
        security.nested(SEQUENCE, |security| {
            security.octets(self.engine);
            security.integer(signed(self.time.boots));
            security.integer(signed(self.time.seconds));
            security.octets(self.user.as_bytes());
            security.octets(&vec![0; mac_len]);
            security.raw(&salt);
        });
        let security = security.into_bytes();

        let mut message = Writer::new();
        message.nested(SEQUENCE, |message| {
            message.integer(V3);
            message.nested(SEQUENCE, |header| {
                header.integer(self.id);
                header.integer(MAX_REPLY_SIZE);
                header.octets(&[flags]);
                header.integer(USM);
            });
            message.octets(&security);
            message.raw(&data);
        });
        let mut message = message.into_bytes();

        if let Some(keys) = self.keys {
            // The tag is followed by the salt and the data only.
            let end = message.len().saturating_sub(data.len() + salt.len());
            let tag = keys.authenticate(&[&message]);
            if let Some(place) = message.get_mut(end.saturating_sub(mac_len)..end) {
                place.copy_from_slice(&tag);
            }
        }
        message
    }
}

/// The part of a received PDU that this host needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedPdu {
    pub tag: u8,
    pub request_id: i32,
    pub error_status: i32,
    /// The name of the first variable binding.
    pub first_name: Option<Oid>,
}

impl ReceivedPdu {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let tag = reader.peek_tag()?;
        if !(GET_REQUEST..=REPORT).contains(&tag) {
            return Err(ReadError::Tag {
                expected: RESPONSE,
                found: tag,
            });
        }
        let mut pdu = reader.nested(tag)?;
        let request_id = pdu.integer()?;
        let error_status = pdu.integer()?;
        let _error_index = pdu.integer()?;
        let mut list = pdu.sequence()?;
        pdu.finish()?;
        let first_name = if list.is_at_end() {
            None
        } else {
            Some(list.sequence()?.oid()?)
        };
        Ok(Self {
            tag,
            request_id,
            error_status,
            first_name,
        })
    }
}

/// Reads a message of SNMP v2c.
pub fn read_community_message(bytes: &[u8]) -> Result<ReceivedPdu, ReadError> {
    let mut whole = Reader::new(bytes);
    let mut message = whole.sequence()?;
    whole.finish()?;
    expect(message.integer()?, V2C)?;
    message.octets()?;
    let pdu = ReceivedPdu::read(&mut message)?;
    message.finish()?;
    Ok(pdu)
}

/// A received message of SNMPv3, whose authenticity is not checked yet.
#[derive(Debug)]
pub struct ReceivedMessage<'a> {
    bytes: &'a [u8],
    /// `msgID`.
    pub id: i32,
    flags: u8,
    /// The authoritative engine.
    pub engine: Option<EngineId>,
    /// The engine's time.
    pub time: EngineTime,
    /// The user.
    pub user: &'a [u8],
    mac: Range<usize>,
    salt: Option<[u8; SALT]>,
    data: Reader<'a>,
}

impl<'a> ReceivedMessage<'a> {
    /// Reads the parts that are not encrypted.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let mut whole = Reader::new(bytes);
        let mut message = whole.sequence()?;
        whole.finish()?;
        expect(message.integer()?, V3)?;

        let mut header = message.sequence()?;
        let id = header.integer()?;
        header.integer()?;
        let [flags] = *header.octets()? else {
            return Err(ReadError::Length);
        };
        expect(header.integer()?, USM)?;
        header.finish()?;

        let mut outer = message.nested(OCTET_STRING)?;
        let mut security = outer.sequence()?;
        outer.finish()?;
        let engine = EngineId::from_octets(security.octets()?);
        let boots = unsigned(security.integer()?)?;
        let seconds = unsigned(security.integer()?)?;
        let user = security.octets()?;
        let mac = security.place(OCTET_STRING)?;
        let salt = security.octets()?.try_into().ok();
        security.finish()?;

        Ok(Self {
            bytes,
            id,
            flags,
            engine,
            time: EngineTime { boots, seconds },
            user,
            mac,
            salt,
            data: message,
        })
    }

    /// Returns whether the message claims to be authenticated.
    pub fn is_authenticated(&self) -> bool {
        self.flags & AUTH != 0
    }

    /// Returns whether the message is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.flags & PRIVACY != 0
    }

    /// Returns whether the message's authentication is valid.
    pub fn verify(&self, keys: &LocalizedKeys) -> bool {
        let (Some(before), Some(tag), Some(after)) = (
            self.bytes.get(..self.mac.start),
            self.bytes.get(self.mac.clone()),
            self.bytes.get(self.mac.end..),
        ) else {
            return false;
        };
        keys.verify(&[before, &vec![0; tag.len()], after], tag)
    }

    /// Decrypts the PDU if needed, and reads it.
    pub fn open(&self, keys: Option<&LocalizedKeys>) -> Result<ReceivedPdu, ReadError> {
        let mut data = self.data.clone();
        if !self.is_encrypted() {
            let pdu = read_scoped(&mut data)?;
            data.finish()?;
            return Ok(pdu);
        }
        let mut plain = data.octets()?.to_vec();
        data.finish()?;
        let (Some(keys), Some(salt)) = (keys, self.salt) else {
            return Err(ReadError::Length);
        };
        keys.decrypt(self.time, salt, &mut plain);
        // Ciphers that work on blocks may have added octets, so that a rest is not an error.
        read_scoped(&mut Reader::new(&plain))
    }
}

fn read_scoped(data: &mut Reader<'_>) -> Result<ReceivedPdu, ReadError> {
    let mut scoped = data.sequence()?;
    // The engine and the name of the context.
    scoped.octets()?;
    scoped.octets()?;
    let pdu = ReceivedPdu::read(&mut scoped)?;
    scoped.finish()?;
    Ok(pdu)
}

fn expect(found: i32, expected: i32) -> Result<(), ReadError> {
    if found == expected {
        Ok(())
    } else {
        Err(ReadError::Number)
    }
}

fn unsigned(value: i32) -> Result<u32, ReadError> {
    u32::try_from(value).map_err(|_| ReadError::Number)
}

/// Boots and seconds never exceed the range of `INTEGER`.
fn signed(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
