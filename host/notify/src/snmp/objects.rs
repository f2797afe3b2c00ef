//! The objects and notifications of `mibs/RELATION-MIB.txt`, and a message as variable bindings.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use sha2::{Digest as _, Sha256};

use super::ber::Value;
use super::message::build_pdu;
use super::oid::{Oid, OidError};
use crate::{Attempt, Digest, Message, Notice, NoticeKind, Severity};

/// The longest datagram: it passes every Ethernet and most tunnels in one piece.
pub const MAX_DATAGRAM: usize = 1400;
/// The room for everything but the PDU, of which the longest user, community, engine ids and tag take 230 octets.
const MAX_PDU: usize = MAX_DATAGRAM - 240;
/// The limits of free texts that are tried until the PDU fits.
const TEXT_LIMITS: [usize; 8] = [512, 384, 256, 192, 128, 96, 64, 32];

const SYS_UP_TIME: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 3, 0];
const SNMP_TRAP_OID: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
const ENTERPRISES: &[u32] = &[1, 3, 6, 1, 4, 1];
/// The enterprise number for documentation (RFC 5612).
const EXAMPLE_ENTERPRISE: u32 = 32473;
/// The arc of `relationMIB` below an enterprise.
const RELATION: u32 = 1;

/// The identifier of `relationMIB`, below `enterprises`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MibRoot(Oid);

impl MibRoot {
    /// Returns arc 1 below an enterprise number.
    #[must_use]
    pub fn with_enterprise(number: u32) -> Self {
        Self(Oid::from_static(ENTERPRISES).child(&[number, RELATION]))
    }

    /// Creates it from a whole identifier, for an enterprise that keeps arc 1 for other things.
    ///
    /// # Errors
    /// The identifier is not below `1.3.6.1.4.1`, or it has more than 8 arcs below it.
    pub fn new(oid: Oid) -> Result<Self, OidError> {
        match oid.arcs().strip_prefix(ENTERPRISES) {
            Some(below) if (1..=8).contains(&below.len()) => Ok(Self(oid)),
            _ => Err(OidError),
        }
    }

    /// Returns the identifier.
    #[must_use]
    pub fn oid(&self) -> &Oid {
        &self.0
    }

    fn notification(&self, number: u32) -> Oid {
        self.0.child(&[0, number])
    }

    /// Returns the only instance of an object.
    fn object(&self, object: Object) -> Oid {
        self.0.child(&[1, object as u32, 0])
    }
}

impl Default for MibRoot {
    /// Returns the root of the file as it is delivered, with the enterprise number for documentation.
    fn default() -> Self {
        Self::with_enterprise(EXAMPLE_ENTERPRISE)
    }
}

/// An object below `relationObjects`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Object {
    Customer = 1,
    Node = 2,
    State = 3,
    SecondsLeft = 4,
    Count = 5,
    Severity = 6,
    Time = 7,
    NoticeId = 8,
    Grant = 9,
    Text = 10,
    Code = 11,
    Record = 12,
    Link = 13,
    Expires = 14,
}

/// The number of `relationDigest` below `relationNotifications`.
pub const DIGEST: u32 = 10;

/// Returns the number of a kind's notification below `relationNotifications`.
pub fn notification_number(kind: NoticeKind) -> u32 {
    match kind {
        NoticeKind::Expiring => 1,
        NoticeKind::Expired => 2,
        NoticeKind::Reauthorize => 3,
        NoticeKind::MissingScope => 4,
        NoticeKind::Retrying => 5,
        NoticeKind::ImportFailed => 6,
        NoticeKind::HostTrouble => 7,
        NoticeKind::Recovered => 8,
        NoticeKind::Test => 9,
        NoticeKind::Endpoint => 11,
    }
}

/// Returns the value of `relationState`.
pub fn state_number(kind: NoticeKind) -> i32 {
    match kind {
        NoticeKind::HostTrouble | NoticeKind::Endpoint | NoticeKind::Test => 1,
        NoticeKind::Recovered | NoticeKind::ImportFailed => 2,
        NoticeKind::Expiring => 3,
        NoticeKind::Expired => 4,
        NoticeKind::Reauthorize => 5,
        NoticeKind::MissingScope => 6,
        NoticeKind::Retrying => 7,
    }
}

/// Returns the value of `relationSeverity`.
pub fn severity_number(severity: Severity) -> i32 {
    match severity {
        Severity::Info => 1,
        Severity::Minor => 2,
        Severity::Major => 3,
        Severity::Critical => 4,
    }
}

/// Returns the request id of a delivery, the same in every attempt.
pub fn request_id(delivery: &str) -> i32 {
    let digest = Sha256::digest(delivery);
    let number = digest
        .first_chunk()
        .map_or(0, |first| u32::from_be_bytes(*first));
    i32::try_from(number & 0x7fff_ffff).unwrap_or_default()
}

/// Builds the PDU of a trap or inform. Free texts are cut until it fits into a datagram.
pub fn notification_pdu(tag: u8, attempt: &Attempt<'_>, root: &MibRoot, up_time: u32) -> Vec<u8> {
    let request_id = request_id(attempt.id);
    let mut pdu = Vec::new();
    for limit in TEXT_LIMITS {
        pdu = build_pdu(tag, request_id, &bindings(attempt, root, up_time, limit));
        if pdu.len() <= MAX_PDU {
            break;
        }
    }
    pdu
}

/// Returns a message as variable bindings in the order of the MIB, with free texts of at most `limit` octets.
pub fn bindings(
    attempt: &Attempt<'_>,
    root: &MibRoot,
    up_time: u32,
    limit: usize,
) -> Vec<(Oid, Value)> {
    let (number, objects) = match attempt.message {
        Message::Single(notice) => (
            notification_number(notice.kind),
            notice_objects(notice, attempt.now, limit),
        ),
        Message::Digest(digest) => (DIGEST, digest_objects(digest, attempt.now, limit)),
    };
    let first = [
        (Oid::from_static(SYS_UP_TIME), Value::Ticks(up_time)),
        (
            Oid::from_static(SNMP_TRAP_OID),
            Value::Oid(root.notification(number)),
        ),
    ];
    let objects = objects
        .into_iter()
        .map(|(object, value)| (root.object(object), value));
    first.into_iter().chain(objects).collect()
}

fn notice_objects(notice: &Notice, now: DateTime<Utc>, limit: usize) -> Vec<(Object, Value)> {
    let mut objects = vec![
        (Object::Customer, text(&notice.customer, limit.min(255))),
        (Object::Node, text(&notice.node, limit.min(255))),
        (Object::State, Value::Integer(state_number(notice.kind))),
        (
            Object::SecondsLeft,
            Value::Integer(seconds_left(notice.expires, now)),
        ),
        (Object::Count, Value::Gauge(notice.count)),
        (
            Object::Severity,
            Value::Integer(severity_number(notice.severity)),
        ),
        (Object::Time, date_and_time(notice.occurred)),
        (Object::NoticeId, id(&notice.id)),
        (Object::Grant, text(&notice.grant, limit.min(64))),
        (Object::Text, text(&notice.text, limit)),
        (Object::Code, text(&notice.code, limit.min(64))),
        (Object::Record, id(&notice.record)),
        (Object::Link, link(notice.link.as_ref())),
    ];
    if let Some(expires) = notice.expires {
        objects.push((Object::Expires, date_and_time(expires)));
    }
    objects
}

fn digest_objects(digest: &Digest, now: DateTime<Utc>, limit: usize) -> Vec<(Object, Value)> {
    let severity = digest.notices.iter().map(|notice| notice.severity).max();
    let told = u64::try_from(digest.notices.len()).unwrap_or(u64::MAX);
    let count = u32::try_from(digest.more.saturating_add(told)).unwrap_or(u32::MAX);
    vec![
        (Object::Node, text(&digest.node, limit.min(255))),
        (Object::Count, Value::Gauge(count)),
        (
            Object::Severity,
            Value::Integer(severity_number(severity.unwrap_or(Severity::Info))),
        ),
        (Object::Time, date_and_time(now)),
        (Object::NoticeId, id(&digest.id)),
        (
            Object::Text,
            text(&digest_text(digest, count, limit), limit),
        ),
        (Object::Link, link(digest.link.as_ref())),
    ]
}

/// Returns the notices that fit, and the number of the others.
fn digest_text(digest: &Digest, count: u32, limit: usize) -> String {
    // The longest end is `; and 4294967295 more`.
    let room = limit.saturating_sub(22);
    let mut result = String::new();
    let mut left = count;
    for notice in &digest.notices {
        let separator = if result.is_empty() { "" } else { "; " };
        let entry = format!("{separator}{}: {}", notice.customer, notice.text);
        if result.len() + entry.len() > room {
            break;
        }
        result.push_str(&entry);
        left = left.saturating_sub(1);
    }
    match (result.is_empty(), left) {
        (true, left) => format!("{left} notices"),
        (false, 0) => result,
        (false, left) => format!("{result}; and {left} more"),
    }
}

/// Returns the seconds until the end, 0 after it, and -1 if no end is known.
fn seconds_left(expires: Option<DateTime<Utc>>, now: DateTime<Utc>) -> i32 {
    expires.map_or(-1, |expires| {
        let seconds = expires.signed_duration_since(now).num_seconds().max(0);
        i32::try_from(seconds).unwrap_or(i32::MAX)
    })
}

/// Returns a `DateAndTime` (RFC 2579) in UTC.
fn date_and_time(time: DateTime<Utc>) -> Value {
    let octet = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    let [year_high, year_low] = u16::try_from(time.year()).unwrap_or_default().to_be_bytes();
    Value::Octets(vec![
        year_high,
        year_low,
        octet(time.month()),
        octet(time.day()),
        octet(time.hour()),
        octet(time.minute()),
        octet(time.second()),
        octet(time.timestamp_subsec_millis() / 100).min(9),
        b'+',
        0,
        0,
    ])
}

/// Returns one line of at most `limit` octets, with an ellipsis where the text was cut.
fn text(text: &str, limit: usize) -> Value {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.len() <= limit {
        return Value::Octets(line.into_bytes());
    }
    const ELLIPSIS: &str = "…";
    let kept = line.get(..line.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len())));
    Value::Octets([kept.unwrap_or_default(), ELLIPSIS].concat().into_bytes())
}

/// Returns an id whole, or its hash, since a cut id might be that of another notice.
fn id(id: &str) -> Value {
    if id.len() <= 64 {
        return text(id, 64);
    }
    Value::Octets(hex::encode(Sha256::digest(id)).into_bytes())
}

/// Returns a link whole or not at all, since a cut link leads elsewhere.
fn link(link: Option<&url::Url>) -> Value {
    let link = link.map(url::Url::as_str).filter(|link| link.len() <= 255);
    Value::Octets(link.unwrap_or_default().as_bytes().to_vec())
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
