//! Words for notices: kinds, channels, recipients, and the values of settings with the level that they come from.

use chrono::{DateTime, Utc};
use relation_host::types::{Hierarchy, Timestamp};
use relation_notify::runner::DeliveryState;
use relation_notify::settings::{
    ChannelKind, DigestSchedule, KINDS, Language as NoticeLanguage, Origin, QuietHours, Recipient,
    Reminder, ResolvedFields, ResolvedList, SnmpVersion, Sourced, Span,
};
use relation_notify::{NoticeKind, Severity};

use super::parts::{Badge, Moment, clean, slug};
use super::texts::Language;
use super::ui::Ui;

/// Returns a time of a notice as a time of the page.
pub(crate) fn to_timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp(u64::try_from(time.timestamp_millis()).unwrap_or(0))
}

/// Returns a time of a notice as date and time.
pub(crate) fn moment(time: DateTime<Utc>, ui: &Ui) -> Moment {
    Moment::absolute(to_timestamp(time), ui)
}

/// Returns the name of a kind in settings and texts.
pub(crate) fn kind_name(kind: NoticeKind) -> &'static str {
    let mut kinds = KINDS.iter();
    kinds
        .find(|(_, each)| *each == kind)
        .map_or("test", |(name, _)| name)
}

pub(crate) fn kind_word(kind: NoticeKind, ui: &Ui) -> String {
    ui.t(&format!("notice-kind.{}", kind_name(kind)))
}

/// Returns the badge of a notice: its kind, in the color of its severity.
pub(crate) fn kind_badge(kind: NoticeKind, severity: Severity, ui: &Ui) -> Badge {
    let icon = match (kind, severity) {
        (NoticeKind::Recovered, _) => "good",
        (_, Severity::Critical) => "bad",
        (_, Severity::Major | Severity::Minor) => "warn",
        (_, Severity::Info) => "idle",
    };
    Badge::new(icon, kind_word(kind, ui))
}

pub(crate) fn severity_word(severity: Severity, ui: &Ui) -> String {
    ui.t(match severity {
        Severity::Critical => "severity.critical",
        Severity::Major => "severity.major",
        Severity::Minor => "severity.minor",
        Severity::Info => "severity.info",
    })
}

pub(crate) fn state_badge(state: DeliveryState, ui: &Ui) -> Badge {
    let icon = match state {
        DeliveryState::Pending => "busy",
        DeliveryState::Sent | DeliveryState::Confirmed => "good",
        DeliveryState::Dead => "bad",
        DeliveryState::Dropped => "idle",
    };
    Badge::new(icon, state_word(state, ui))
}

pub(crate) fn state_word(state: DeliveryState, ui: &Ui) -> String {
    ui.t(&format!("deliveries.{}", state.as_str()))
}

pub(crate) fn channel_word(channel: ChannelKind, ui: &Ui) -> String {
    ui.t(&format!("recipient.{}", channel.as_str()))
}

/// Returns the name of a recipient, and where it is if the name does not say it. The path of a webhook may be confidential,
/// and is left out.
pub(crate) fn describe_recipient(recipient: &Recipient) -> (String, String) {
    match recipient {
        Recipient::Mail(address) => (clean(address.as_str()), String::new()),
        Recipient::Webhook(endpoint) => {
            let origin = endpoint.url.origin().ascii_serialization();
            (clean(&endpoint.name), clean(&origin))
        }
        Recipient::Snmp(target) => {
            let version = match target.version {
                SnmpVersion::V2c => "v2c",
                SnmpVersion::V3 { .. } => "v3",
            };
            let place = format!("{} {version} {}", target.address(), target.kind.as_str());
            (clean(&target.name), clean(&place))
        }
    }
}

/// A field of resolved settings in words.
pub(crate) struct FieldWords {
    /// The path of the field in the settings.
    pub(crate) name: &'static str,
    pub(crate) label: String,
    pub(crate) value: String,
    /// The level that the value comes from.
    pub(crate) origin: String,
    /// Whether it is the level that is shown.
    pub(crate) is_own: bool,
}

/// Returns the label of a field of settings, by its path.
pub(crate) fn field_label(name: &str, ui: &Ui) -> String {
    ui.t(&format!("notices.{}", slug(name).replace('.', "-")))
}

fn describe_origin(origin: &Origin, node: &Hierarchy, ui: &Ui) -> String {
    match origin {
        Origin::Default => ui.t("notices.default"),
        Origin::Inherited => ui.t("notices.above"),
        Origin::Node(level) if level == node => ui.t("notices.own"),
        Origin::Node(level) => clean(level.as_str()),
    }
}

/// Describes the resolved fields of a node, in the order of the page.
pub(crate) fn describe_fields(
    fields: &ResolvedFields,
    node: &Hierarchy,
    ui: &Ui,
) -> Vec<FieldWords> {
    let row = |name: &'static str, value: String, origin: &Origin, is_mixed: bool| {
        let mut from = describe_origin(origin, node, ui);
        if is_mixed {
            from = format!("{from}, {}", ui.t("notices.partly"));
        }
        FieldWords {
            name,
            label: field_label(name, ui),
            value,
            origin: from,
            is_own: matches!(origin, Origin::Node(level) if level == node),
        }
    };
    let flag =
        |name, flag: &Sourced<bool>| row(name, flag_word(flag.value, ui), &flag.origin, false);
    let thresholds = list_values(&fields.thresholds);
    let kinds = list_values(&fields.kinds);
    let channels = &fields.channels;
    vec![
        flag("notify", &fields.notify),
        row(
            "kinds",
            kinds_words(&kinds, ui),
            &fields.kinds.origin,
            is_mixed(&fields.kinds),
        ),
        row(
            "thresholds",
            spans_words(&thresholds, ui),
            &fields.thresholds.origin,
            is_mixed(&fields.thresholds),
        ),
        row(
            "retrying_after",
            fields.retrying_after.value.to_string(),
            &fields.retrying_after.origin,
            false,
        ),
        row(
            "reminder",
            reminder_words(fields.reminder.value, ui),
            &fields.reminder.origin,
            false,
        ),
        flag("channels.mail", &channels.mail),
        flag("channels.webhook", &channels.webhook),
        flag("channels.snmp", &channels.snmp),
        row(
            "language",
            language_word(fields.language.value).to_owned(),
            &fields.language.origin,
            false,
        ),
        row(
            "digest",
            digest_words(&fields.digest.value, ui),
            &fields.digest.origin,
            false,
        ),
        row(
            "quiet_hours",
            quiet_words(&fields.quiet_hours.value, ui),
            &fields.quiet_hours.origin,
            false,
        ),
        row(
            "budget",
            fields.budget.value.to_string(),
            &fields.budget.origin,
            false,
        ),
        flag("account_email", &fields.account_email),
    ]
}

fn list_values<T: Copy>(list: &ResolvedList<T>) -> Vec<T> {
    list.values.iter().map(|each| each.value).collect()
}

/// Returns whether a list has values of a level other than the nearest one.
fn is_mixed<T>(list: &ResolvedList<T>) -> bool {
    list.values.iter().any(|each| each.origin != list.origin)
}

pub(crate) fn flag_word(flag: bool, ui: &Ui) -> String {
    match flag {
        true => ui.t("form.yes"),
        false => ui.t("form.no"),
    }
}

/// Returns durations as settings have them.
pub(crate) fn spans_text(spans: &[Span]) -> String {
    let texts: Vec<String> = spans.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn spans_words(spans: &[Span], ui: &Ui) -> String {
    match spans.is_empty() {
        true => ui.t("notices.none"),
        false => spans_text(spans),
    }
}

fn kinds_words(kinds: &[NoticeKind], ui: &Ui) -> String {
    if kinds.is_empty() {
        return ui.t("notices.none");
    }
    if KINDS.iter().all(|(_, kind)| kinds.contains(kind)) {
        return ui.t("notices.all-kinds");
    }
    let words: Vec<String> = kinds.iter().map(|kind| kind_word(*kind, ui)).collect();
    words.join(", ")
}

fn reminder_words(reminder: Reminder, ui: &Ui) -> String {
    match reminder {
        Reminder::Off => ui.t("notices.off"),
        Reminder::Every(span) => ui.t1("notices.every", span),
    }
}

/// Returns a language's own name.
pub(crate) fn language_word(language: NoticeLanguage) -> &'static str {
    match language {
        NoticeLanguage::En => Language::English.name(),
        NoticeLanguage::De => Language::German.name(),
    }
}

fn digest_words(digest: &DigestSchedule, ui: &Ui) -> String {
    match digest {
        DigestSchedule::PerEvent => ui.t("notices.per-event"),
        DigestSchedule::Daily { hour, zone } => {
            ui.t1("notices.daily-at", format!("{hour:02}:00 {zone}"))
        }
    }
}

fn quiet_words(hours: &QuietHours, ui: &Ui) -> String {
    match hours {
        QuietHours::Off => ui.t("notices.off"),
        QuietHours::Daily { from, to, zone } => format!("{from}–{to} {zone}"),
    }
}

#[cfg(test)]
mod tests {
    use relation_notify::settings::{Defaults, resolve};

    use super::*;

    #[test]
    fn every_name_of_notices_has_a_text() {
        for language in Language::ALL {
            let ui = Ui::sample(language, "/notices", &[]);
            let fields = resolve(&[], &Defaults::default()).fields;
            let node: Hierarchy = "sys".parse().unwrap();
            let labels = describe_fields(&fields, &node, &ui).into_iter();
            let mut words: Vec<String> = labels.map(|field| field.label).collect();
            words.extend(KINDS.map(|(_, kind)| kind_word(kind, &ui)));
            words.push(kind_word(NoticeKind::Test, &ui));
            words.extend(DeliveryState::ALL.map(|state| state_word(state, &ui)));
            words.extend(ChannelKind::ALL.map(|channel| channel_word(channel, &ui)));
            let keys: Vec<&String> = words
                .iter()
                .filter(|word| word.contains('.') && !word.contains(' '))
                .collect();
            assert!(keys.is_empty(), "{keys:?}");
        }
    }

    #[test]
    fn path_of_a_webhook_is_left_out() {
        let webhook = serde_json::json!({
            "type": "webhook", "name": "tickets", "url": "https://t.example:8443/secret?token=x",
        });
        let recipient: Recipient = serde_json::from_value(webhook).unwrap();
        let (name, place) = describe_recipient(&recipient);
        assert_eq!(
            (name.as_str(), place.as_str()),
            ("tickets", "https://t.example:8443")
        );
    }
}
