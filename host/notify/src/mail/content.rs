//! The content of an e-mail: subject, text and HTML in the recipient's language.

use std::fmt;
use std::sync::Arc;

use askama::Template;
use chrono::{DateTime, Days, FixedOffset, Utc};
use url::Url;

use crate::{Digest, Message, Notice, NoticeKind};

use super::address::MailAddress;
use super::texts::{Due, Facts, Language, Texts};

/// A time zone: a rule from a time to the offset and the abbreviation that are valid then.
#[derive(Clone)]
pub struct Zone(Arc<ZoneRule>);

type ZoneRule = dyn Fn(DateTime<Utc>) -> (FixedOffset, String) + Send + Sync;

impl Zone {
    /// Creates a zone from a rule.
    pub fn new(
        rule: impl Fn(DateTime<Utc>) -> (FixedOffset, String) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(rule))
    }

    /// Returns the zone UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self::new(|time| {
            use chrono::Offset as _;
            (time.offset().fix(), "UTC".to_owned())
        })
    }

    fn local(&self, time: DateTime<Utc>) -> (DateTime<FixedOffset>, String) {
        let (offset, name) = (self.0)(time);
        (time.with_timezone(&offset), name)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zone")
    }
}

/// A recipient of e-mails, and the reason why it gets them.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The address.
    pub address: MailAddress,
    /// The language of the texts.
    pub language: Language,
    /// The zone of times.
    pub zone: Zone,
    /// The node whose notice settings name the address, such as `sys.hcs`.
    pub settings_node: String,
}

/// The content of an e-mail, as a preview shows it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailText {
    /// The subject.
    pub subject: String,
    /// The content as text.
    pub text: String,
    /// The same content as HTML.
    pub html: String,
}

/// The maximum number of notices in the table of a digest.
const MAX_ENTRIES: usize = 50;
/// The maximum length of a name in a subject, in characters.
const MAX_IN_SUBJECT: usize = 60;
/// The maximum length of a name in the content.
const MAX_NAME: usize = 200;
/// The maximum length of an alert's text.
const MAX_TEXT: usize = 2000;

/// Writes the content of a message for a recipient at a time.
///
/// # Errors
/// The reason why a template cannot be filled in.
pub fn write_mail(
    message: &Message,
    recipient: &Recipient,
    now: DateTime<Utc>,
) -> Result<MailText, String> {
    let writer = Writer {
        texts: recipient.language.texts(),
        zone: &recipient.zone,
        now,
    };
    let written = match message {
        Message::Single(notice) => writer.write_notice(notice, recipient),
        Message::Digest(digest) => writer.write_digest(digest, recipient),
    };
    written.map_err(|error| error.to_string())
}

/// A line of the facts about a connection.
struct Row {
    label: &'static str,
    value: String,
}

/// A line of a digest's table: customer, node, state, time.
type Entry = [String; 4];

#[derive(Template)]
#[template(path = "mail/notice.txt")]
struct NoticeText<'a>(&'a NoticePage<'a>);

#[derive(Template)]
#[template(path = "mail/notice.html")]
struct NoticeHtml<'a>(&'a NoticePage<'a>);

struct NoticePage<'a> {
    language: &'static str,
    subject: &'a str,
    lead: String,
    rows: Vec<Row>,
    consequence: String,
    button: &'static str,
    link: Option<&'a str>,
    why: String,
    automatic: String,
}

#[derive(Template)]
#[template(path = "mail/digest.txt")]
struct DigestText<'a>(&'a DigestPage<'a>);

#[derive(Template)]
#[template(path = "mail/digest.html")]
struct DigestHtml<'a>(&'a DigestPage<'a>);

struct DigestPage<'a> {
    language: &'static str,
    subject: &'a str,
    lead: String,
    columns: [&'static str; 4],
    entries: Vec<Entry>,
    more: Option<String>,
    button: &'static str,
    link: Option<&'a str>,
    why: String,
    automatic: String,
}

struct Writer<'a> {
    texts: &'static dyn Texts,
    zone: &'a Zone,
    now: DateTime<Utc>,
}

impl Writer<'_> {
    fn write_notice(&self, notice: &Notice, recipient: &Recipient) -> askama::Result<MailText> {
        let texts = self.texts;
        let labels = texts.labels();
        let short = self.collect_facts(notice, MAX_IN_SUBJECT);
        let facts = self.collect_facts(notice, MAX_NAME);
        let subject = format!("[relation] {}", texts.subject(notice.kind, &short));
        let link = usable(notice.link.as_ref());
        let page = NoticePage {
            language: recipient.language.code(),
            subject: &subject,
            lead: texts.lead(notice.kind, &facts),
            rows: self.list_rows(notice, &facts),
            consequence: texts.consequence(notice.kind, &facts),
            button: labels.button,
            link,
            why: self.explain(recipient),
            automatic: self.explain_origin(link),
        };
        let (text, html) = (NoticeText(&page).render()?, NoticeHtml(&page).render()?);
        Ok(MailText {
            subject,
            text,
            html,
        })
    }

    fn write_digest(&self, digest: &Digest, recipient: &Recipient) -> askama::Result<MailText> {
        let (texts, labels) = (self.texts, self.texts.labels());
        let shown = digest.notices.len().min(MAX_ENTRIES);
        let left_off = (digest.notices.len() - shown) as u64;
        let more = digest.more.saturating_add(left_off);
        let total = more.saturating_add(shown as u64);
        let title = texts.digest_subject(total, &clean(&digest.node, MAX_IN_SUBJECT));
        let subject = format!("[relation] {title}");
        let link = usable(digest.link.as_ref());
        let page = DigestPage {
            language: recipient.language.code(),
            subject: &subject,
            lead: texts.digest_lead(total, &clean(&digest.node, MAX_NAME)),
            columns: [labels.customer, labels.node, labels.state, labels.time],
            entries: digest
                .notices
                .iter()
                .take(shown)
                .map(|notice| self.list_entry(notice))
                .collect(),
            more: (more > 0).then(|| texts.more(more)),
            button: labels.list_button,
            link,
            why: self.explain(recipient),
            automatic: self.explain_origin(link),
        };
        let (text, html) = (DigestText(&page).render()?, DigestHtml(&page).render()?);
        Ok(MailText {
            subject,
            text,
            html,
        })
    }

    fn explain(&self, recipient: &Recipient) -> String {
        let node = clean(&recipient.settings_node, MAX_NAME);
        self.texts.why(&node, &recipient.address.to_string())
    }

    /// Returns the last sentences, which explain the link if there is one.
    fn explain_origin(&self, link: Option<&str>) -> String {
        let labels = self.texts.labels();
        match link {
            Some(_) => format!("{} {}", labels.automatic, labels.login),
            None => labels.automatic.to_owned(),
        }
    }

    fn collect_facts(&self, notice: &Notice, max: usize) -> Facts {
        Facts {
            customer: clean(&notice.customer, max),
            grant: clean(&notice.grant, MAX_IN_SUBJECT),
            due: notice.expires.map(|time| self.compute_due(time)),
            date: notice
                .expires
                .map(|time| self.texts.date(&self.zone.local(time).0)),
            time: notice.expires.map(|time| self.format_time(time)),
        }
    }

    fn list_rows(&self, notice: &Notice, facts: &Facts) -> Vec<Row> {
        let labels = self.texts.labels();
        let is_about_alert = !matches!(notice.kind, NoticeKind::Test | NoticeKind::Recovered);
        let expires = match notice.kind {
            NoticeKind::Expired => labels.expired,
            _ => labels.expires,
        };
        let rows = [
            (labels.customer, Some(facts.customer.clone())),
            (labels.node, Some(clean(&notice.node, MAX_NAME))),
            (labels.grant, Some(self.texts.grant(&facts.grant))),
            (labels.state, Some(self.texts.state(notice.kind).to_owned())),
            (expires, facts.time.clone()),
            (labels.occurred, Some(self.format_time(notice.occurred))),
            (
                labels.count,
                is_about_alert.then(|| notice.count.to_string()),
            ),
            (labels.details, Some(clean(&notice.text, MAX_TEXT))),
        ];
        let rows = rows.into_iter().filter_map(|(label, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some(Row { label, value })
        });
        rows.collect()
    }

    fn list_entry(&self, notice: &Notice) -> Entry {
        let state = self.texts.state(notice.kind);
        let grant = clean(&notice.grant, MAX_IN_SUBJECT);
        let state = match grant.as_str() {
            "" | "organization" => state.to_owned(),
            _ => format!("{state} ({})", self.texts.grant(&grant)),
        };
        [
            clean(&notice.customer, MAX_NAME),
            clean(&notice.node, MAX_NAME),
            state,
            self.format_time(notice.expires.unwrap_or(notice.occurred)),
        ]
    }

    fn format_time(&self, time: DateTime<Utc>) -> String {
        let (time, zone) = self.zone.local(time);
        self.texts.time(&time, &clean(&zone, 20))
    }

    /// Returns the days until a time, rounded up; "today" and "tomorrow" are those of the zone's calendar.
    fn compute_due(&self, time: DateTime<Utc>) -> Due {
        const DAY: i64 = 24 * 60 * 60;
        let (today, date) = (
            self.zone.local(self.now).0.date_naive(),
            self.zone.local(time).0.date_naive(),
        );
        if time <= self.now {
            Due::Past
        } else if date == today {
            Due::Today
        } else if today.checked_add_days(Days::new(1)) == Some(date) {
            Due::Tomorrow
        } else {
            let left = time.signed_duration_since(self.now);
            let seconds = left.num_seconds() + i64::from(left.subsec_nanos() > 0);
            Due::Days((seconds + DAY - 1) / DAY)
        }
    }
}

/// Returns the address of a page, if a mail program may open it.
fn usable(link: Option<&Url>) -> Option<&str> {
    let is_plain = |link: &&Url| {
        let is_web = matches!(link.scheme(), "http" | "https");
        is_web && link.username().is_empty() && link.password().is_none()
    };
    link.filter(is_plain).map(Url::as_str)
}

/// Returns a text in one line, at most `max` characters, without characters that change how others are shown.
///
/// White space, including line breaks, becomes one space. Control characters, direction marks and other invisible
/// characters become U+FFFD.
pub(super) fn clean(text: &str, max: usize) -> String {
    let words = text.split_whitespace().enumerate();
    let characters = words.flat_map(|(index, word)| {
        let space = (index > 0).then_some(' ');
        space.into_iter().chain(word.chars().map(show))
    });
    // A text is read no further than needed.
    let cleaned: String = characters.take(max.saturating_add(1)).collect();
    match cleaned.char_indices().nth(max) {
        None => cleaned,
        Some(_) => {
            let kept = cleaned.chars().take(max.saturating_sub(1));
            kept.chain(['…']).collect()
        }
    }
}

fn show(character: char) -> char {
    match is_deceptive(character) {
        true => '\u{fffd}',
        false => character,
    }
}

/// Returns whether a character is invisible or changes the order of others. Emoji and some scripts need the joiners
/// U+200C and U+200D and the variation selectors.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
