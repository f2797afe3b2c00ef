//! The body of a webhook: type, time and data, as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use url::Url;

use crate::{Digest, Message, Notice, NoticeKind, Severity};

/// The maximum size of a body, in bytes.
pub const MAX_BODY_BYTES: usize = 20_000;
/// The maximum length of a name of a customer or a node in a body, in characters.
const MAX_NAME_CHARS: usize = 1024;
/// The maximum length of an id in a body, in characters.
const MAX_ID_CHARS: usize = 128;
/// The maximum length of a link in a body, in bytes. A longer link is left out.
const MAX_LINK_BYTES: usize = 2048;

/// The type of an event, which decides the form of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// [`NoticeKind::Expiring`].
    ConnectionExpiring,
    /// [`NoticeKind::Expired`].
    ConnectionExpired,
    /// [`NoticeKind::Reauthorize`].
    ConnectionReauthorize,
    /// [`NoticeKind::MissingScope`].
    ConnectionMissingScope,
    /// [`NoticeKind::Retrying`].
    ConnectionRetrying,
    /// [`NoticeKind::Recovered`].
    ConnectionRecovered,
    /// [`NoticeKind::ImportFailed`].
    ImportFailed,
    /// [`NoticeKind::HostTrouble`].
    HostTrouble,
    /// [`NoticeKind::Endpoint`].
    NoticeEndpoint,
    /// Several notices.
    NoticeDigest,
    /// [`NoticeKind::Test`].
    NoticeTest,
    /// The end of a transaction. The caller makes the data: see [`Payload::new`].
    TransactionCompleted,
}

impl EventType {
    /// All types.
    pub const ALL: [Self; 12] = [
        Self::ConnectionExpiring,
        Self::ConnectionExpired,
        Self::ConnectionReauthorize,
        Self::ConnectionMissingScope,
        Self::ConnectionRetrying,
        Self::ConnectionRecovered,
        Self::ImportFailed,
        Self::HostTrouble,
        Self::NoticeEndpoint,
        Self::NoticeDigest,
        Self::NoticeTest,
        Self::TransactionCompleted,
    ];

    /// Returns the type as a body has it, such as `connection.expiring`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionExpiring => "connection.expiring",
            Self::ConnectionExpired => "connection.expired",
            Self::ConnectionReauthorize => "connection.reauthorize",
            Self::ConnectionMissingScope => "connection.missing_scope",
            Self::ConnectionRetrying => "connection.retrying",
            Self::ConnectionRecovered => "connection.recovered",
            Self::ImportFailed => "import.failed",
            Self::HostTrouble => "host.trouble",
            Self::NoticeEndpoint => "notice.endpoint",
            Self::NoticeDigest => "notice.digest",
            Self::NoticeTest => "notice.test",
            Self::TransactionCompleted => "transaction.completed",
        }
    }
}

impl From<NoticeKind> for EventType {
    fn from(kind: NoticeKind) -> Self {
        match kind {
            NoticeKind::Expiring => Self::ConnectionExpiring,
            NoticeKind::Expired => Self::ConnectionExpired,
            NoticeKind::Reauthorize => Self::ConnectionReauthorize,
            NoticeKind::MissingScope => Self::ConnectionMissingScope,
            NoticeKind::Retrying => Self::ConnectionRetrying,
            NoticeKind::Recovered => Self::ConnectionRecovered,
            NoticeKind::ImportFailed => Self::ImportFailed,
            NoticeKind::HostTrouble => Self::HostTrouble,
            NoticeKind::Endpoint => Self::NoticeEndpoint,
            NoticeKind::Test => Self::NoticeTest,
        }
    }
}

/// The reason why there is no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The body would be too large.
    #[error("the body would have {0} bytes; at most {MAX_BODY_BYTES} are sent")]
    TooLarge(usize),
    /// The data cannot be written as JSON.
    #[error("the data cannot be written as JSON")]
    Data,
}

/// The body of a webhook. Every attempt of a delivery sends the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(String);

impl Payload {
    /// Creates the payload of an event from data without secrets. This is for events that are not notices, such as
    /// [`EventType::TransactionCompleted`].
    ///
    /// # Errors
    /// A [`PayloadError`].
    pub fn new(
        event_type: EventType,
        timestamp: DateTime<Utc>,
        data: &impl Serialize,
    ) -> Result<Self, PayloadError> {
        let event = Event::new(event_type, timestamp, data);
        let body = serde_json::to_string(&event).map_err(|_| PayloadError::Data)?;
        if body.len() > MAX_BODY_BYTES {
            return Err(PayloadError::TooLarge(body.len()));
        }
        Ok(Self(body))
    }

    /// Creates the payload of a message. A digest has as many notices as there is room for, and the number of the others.
    /// A digest without notices has the time `now`.
    #[must_use]
    pub fn from_message(message: &Message, now: DateTime<Utc>) -> Self {
        Self(match message {
            Message::Single(notice) => to_json(&notice_event(notice)),
            Message::Digest(digest) => digest_body(digest, now),
        })
    }

    /// Returns the JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Serialize)]
struct Event<T> {
    #[serde(rename = "type")]
    event_type: &'static str,
    timestamp: String,
    data: T,
}

impl<T> Event<T> {
    fn new(event_type: EventType, timestamp: DateTime<Utc>, data: T) -> Self {
        Self {
            event_type: event_type.as_str(),
            timestamp: format_time(timestamp),
            data,
        }
    }
}

/// The data of a notice. The alert's text is not in it, since it may quote the response of another server.
#[derive(Serialize)]
struct NoticeData<'a> {
    id: &'a str,
    record: &'a str,
    customer: &'a str,
    node: &'a str,
    grant: &'a str,
    code: &'a str,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
}

/// The data of a digest.
#[derive(Serialize)]
struct DigestData<'a> {
    id: &'a str,
    node: &'a str,
    /// The number of notices, with those that are left off.
    count: u64,
    left_off: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    notices: Vec<Event<NoticeData<'a>>>,
}

fn notice_event(notice: &Notice) -> Event<NoticeData<'_>> {
    let data = NoticeData {
        id: cut(&notice.id, MAX_ID_CHARS),
        record: cut(&notice.record, MAX_ID_CHARS),
        customer: cut(&notice.customer, MAX_NAME_CHARS),
        node: cut(&notice.node, MAX_NAME_CHARS),
        grant: cut(&notice.grant, MAX_ID_CHARS),
        code: cut(&notice.code, MAX_ID_CHARS),
        severity: notice.severity,
        state: to_state(notice.kind),
        expires: notice.expires.map(format_time),
        count: notice.count,
        link: keep_short_link(notice.link.as_ref()),
    };
    Event::new(notice.kind.into(), notice.occurred, data)
}

fn digest_body(digest: &Digest, now: DateTime<Utc>) -> String {
    let latest = digest.notices.iter().map(|notice| notice.occurred).max();
    let count = to_u64(digest.notices.len()).saturating_add(digest.more);
    let mut event = Event::new(
        EventType::NoticeDigest,
        latest.unwrap_or(now),
        DigestData {
            id: cut(&digest.id, MAX_ID_CHARS),
            node: cut(&digest.node, MAX_NAME_CHARS),
            count,
            // The number has the most digits without notices.
            left_off: count,
            link: keep_short_link(digest.link.as_ref()),
            notices: Vec::new(),
        },
    );
    let mut room = MAX_BODY_BYTES.saturating_sub(to_json(&event).len());
    for notice in digest.notices.iter().map(notice_event) {
        let Some(left) = room.checked_sub(to_json(&notice).len() + ",".len()) else {
            break;
        };
        room = left;
        event.data.notices.push(notice);
    }
    event.data.left_off = count.saturating_sub(to_u64(event.data.notices.len()));
    to_json(&event)
}

/// Returns the JSON of texts and numbers, which cannot fail.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Returns the connection's state that a notice reports; `None`: the notice is about something else.
fn to_state(kind: NoticeKind) -> Option<&'static str> {
    match kind {
        NoticeKind::Expiring => Some("expiring"),
        NoticeKind::Expired => Some("expired"),
        NoticeKind::Reauthorize => Some("reauthorize"),
        NoticeKind::MissingScope => Some("missing-scope"),
        NoticeKind::Retrying => Some("retrying"),
        NoticeKind::Recovered => Some("connected"),
        NoticeKind::ImportFailed
        | NoticeKind::HostTrouble
        | NoticeKind::Endpoint
        | NoticeKind::Test => None,
    }
}

fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn cut(text: &str, max_chars: usize) -> &str {
    let end = text.char_indices().nth(max_chars);
    end.map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

fn keep_short_link(link: Option<&Url>) -> Option<&str> {
    link.map(Url::as_str)
        .filter(|link| link.len() <= MAX_LINK_BYTES)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn notice(kind: NoticeKind) -> Notice {
        Notice {
            id: "n-1".to_owned(),
            kind,
            severity: Severity::Major,
            record: "0123456789abcdef01234567".to_owned(),
            customer: "Contoso".to_owned(),
            node: "sys.Provider.Contoso".to_owned(),
            grant: "organization".to_owned(),
            code: "WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(),
            text: "canary: the text of the alert".to_owned(),
            expires: Some(time("2026-12-09T10:00:00Z")),
            occurred: time("2026-12-07T10:00:00Z"),
            count: 1,
            link: Some(
                "https://relation.example.com/organizations/1"
                    .parse()
                    .unwrap(),
            ),
        }
    }

    fn digest(notices: Vec<Notice>, more: u64) -> Message {
        Message::Digest(Digest {
            id: "d-1".to_owned(),
            node: "sys.Provider".to_owned(),
            notices,
            more,
            link: None,
        })
    }

    fn read(message: &Message) -> (Value, usize) {
        let payload = Payload::from_message(message, time("2026-12-08T00:00:00Z"));
        let json = serde_json::from_str(payload.as_str()).unwrap();
        (json, payload.as_str().len())
    }

    #[test]
    fn notice_has_type_time_and_thin_data() {
        let (body, _) = read(&Message::Single(notice(NoticeKind::Expiring)));
        let expected = json!({
            "type": "connection.expiring",
            "timestamp": "2026-12-07T10:00:00Z",
            "data": {
                "id": "n-1",
                "record": "0123456789abcdef01234567",
                "customer": "Contoso",
                "node": "sys.Provider.Contoso",
                "grant": "organization",
                "code": "WEBEX_REFRESH_TOKEN_EXPIRING",
                "severity": "major",
                "state": "expiring",
                "expires": "2026-12-09T10:00:00Z",
                "count": 1,
                "link": "https://relation.example.com/organizations/1",
            },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn types_have_only_permitted_characters() {
        for event_type in EventType::ALL {
            let text = event_type.as_str();
            let is_plain = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '_');
            assert!(text.chars().all(is_plain), "{text}");
        }
    }

    #[test]
    fn digest_entries_have_the_form_of_single_notices() {
        let notices = vec![notice(NoticeKind::Expired), notice(NoticeKind::Expiring)];
        let (body, _) = read(&digest(notices.clone(), 37));
        assert_eq!(body["type"], "notice.digest");
        assert_eq!(body["data"]["count"], 39);
        assert_eq!(body["data"]["left_off"], 37);
        for (entry, notice) in body["data"]["notices"]
            .as_array()
            .unwrap()
            .iter()
            .zip(notices)
        {
            assert_eq!(*entry, read(&Message::Single(notice)).0);
        }
    }

    #[test]
    fn large_digest_is_cut_and_counts_the_rest() {
        let notices = vec![notice(NoticeKind::Expiring); 5000];
        let (body, bytes) = read(&digest(notices, 1));
        let included = body["data"]["notices"].as_array().unwrap().len();
        assert!((40..5000).contains(&included), "{included}");
        assert_eq!(body["data"]["left_off"], 5001 - included);
        assert!(
            (MAX_BODY_BYTES - 500..=MAX_BODY_BYTES).contains(&bytes),
            "{bytes}"
        );
    }

    #[test]
    fn body_is_bounded_for_the_longest_texts() {
        let long = "\u{1}".repeat(5000);
        let mut notice = notice(NoticeKind::Expiring);
        let fields = [
            &mut notice.id,
            &mut notice.record,
            &mut notice.customer,
            &mut notice.node,
            &mut notice.grant,
            &mut notice.code,
        ];
        for field in fields {
            field.clone_from(&long);
        }
        notice.link = format!("https://x.example/{}", "x".repeat(MAX_LINK_BYTES - 18))
            .parse()
            .ok();
        let single = Message::Single(notice.clone());
        assert!(read(&single).1 <= MAX_BODY_BYTES);
        let digest = Message::Digest(Digest {
            id: long.clone(),
            node: long,
            link: notice.link.clone(),
            notices: vec![notice; 3],
            more: u64::MAX,
        });
        let (body, bytes) = read(&digest);
        assert!(bytes <= MAX_BODY_BYTES);
        assert_eq!(body["data"]["left_off"], u64::MAX);
    }

    #[test]
    fn payload_has_no_text_of_the_alert() {
        let message = digest(vec![notice(NoticeKind::Retrying)], 0);
        let payload = Payload::from_message(&message, time("2026-12-08T00:00:00Z"));
        assert!(!payload.as_str().contains("canary"));
    }

    #[test]
    fn other_events_are_bounded() {
        let at = time("2026-12-07T10:00:00Z");
        let kind = EventType::TransactionCompleted;
        let payload = Payload::new(kind, at, &json!({ "id": "t-1" })).unwrap();
        let expected = r#"{"type":"transaction.completed","timestamp":"2026-12-07T10:00:00Z","data":{"id":"t-1"}}"#;
        assert_eq!(payload.as_str(), expected);
        let large = Payload::new(kind, at, &"x".repeat(MAX_BODY_BYTES));
        assert!(matches!(large, Err(PayloadError::TooLarge(_))));
    }
}
