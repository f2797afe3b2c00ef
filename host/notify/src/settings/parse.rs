//! Parses the settings of one level. All errors are found in one pass.

use relation_types::FieldError;
use serde_json::Value;

use super::reader::{
    Errors, Members, describe, join, parse_word, read_flag, read_list, read_number, read_text,
};
use super::recipient::read_recipient;
use super::span::read_span;
use super::{
    ChannelSettings, DigestSchedule, KINDS, Language, List, ListMode, MAX_RECIPIENTS,
    MAX_THRESHOLDS, NoticeSettings, QuietHours, Recipient, Reminder, Setting, Span, TimeOfDay,
    Zone,
};
use crate::NoticeKind;

/// The names of all fields.
pub(super) const FIELDS: [&str; 12] = [
    "notify",
    "thresholds",
    "recipients",
    "channels",
    "kinds",
    "retrying_after",
    "reminder",
    "digest",
    "quiet_hours",
    "language",
    "budget",
    "account_email",
];
/// The maximum size of the settings as text.
const MAX_BYTES: usize = 256 * 1024;
/// The shortest time between two reminders.
const MIN_REMINDER: Span = Span::from_days(7);
/// The longest wait before failed refreshes are reported.
const MAX_RETRYING: Span = Span::from_days(30);
/// The largest budget of messages in an hour.
const MAX_BUDGET: u64 = 1_000;

/// The operator's rules for settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether webhook endpoints may be without TLS.
    pub allow_http: bool,
}

/// Parses settings from JSON text of at most 256 KiB.
///
/// # Errors
/// Errors of [`parse`]; the field is empty if the text is too long or not JSON.
pub fn parse_text(text: &str, rules: Rules) -> Result<NoticeSettings, Vec<FieldError>> {
    let error = |message: String| {
        vec![FieldError {
            field: String::new(),
            message,
        }]
    };
    if text.len() > MAX_BYTES {
        return Err(error(format!(
            "the settings are longer than {MAX_BYTES} bytes"
        )));
    }
    let value: Value = serde_json::from_str(text).map_err(|found| {
        let (line, column) = (found.line(), found.column());
        error(format!(
            "the settings are not JSON: line {line}, column {column}"
        ))
    })?;
    parse(&value, rules)
}

/// Parses settings.
///
/// # Errors
/// An error for each invalid field, at most 100, with the field's path such as `recipients.2.address`.
pub fn parse(json: &Value, rules: Rules) -> Result<NoticeSettings, Vec<FieldError>> {
    let mut errors = Errors::default();
    let settings = read(json, rules, &mut errors).unwrap_or_default();
    errors.into_result(settings)
}

fn read(json: &Value, rules: Rules, errors: &mut Errors) -> Option<NoticeSettings> {
    let members = Members::read(json, "", &FIELDS, errors)?;
    Some(NoticeSettings {
        notify: members.setting("notify", errors, read_flag),
        thresholds: members.setting("thresholds", errors, read_thresholds),
        recipients: members.setting("recipients", errors, |value, path, errors| {
            read_recipients(value, path, errors, rules)
        }),
        channels: read_channels(&members, errors),
        kinds: members.setting("kinds", errors, read_kinds),
        retrying_after: members.setting("retrying_after", errors, |value, path, errors| {
            read_span(value, path, errors, Span::MIN, MAX_RETRYING)
        }),
        reminder: members.setting("reminder", errors, read_reminder),
        digest: members.setting("digest", errors, read_digest),
        quiet_hours: members.setting("quiet_hours", errors, read_quiet_hours),
        language: members.setting("language", errors, |value, path, errors| {
            read_text(value, path, errors, |text| {
                parse_word(
                    text,
                    "a language",
                    &[("en", Language::En), ("de", Language::De)],
                )
            })
        }),
        budget: members.setting("budget", errors, |value, path, errors| {
            let budget = read_number(value, path, errors, 1..=MAX_BUDGET)?;
            u32::try_from(budget).ok()
        }),
        account_email: members.setting("account_email", errors, read_flag),
    })
}

/// Reads a list of thresholds, or a single one as the platform's older settings have it.
fn read_thresholds(value: &Value, path: &str, errors: &mut Errors) -> Option<List<Span>> {
    if let Value::Number(_) | Value::String(_) = value {
        let span = read_span(value, path, errors, Span::MIN, Span::MAX)?;
        return Some(List {
            mode: ListMode::Replace,
            values: vec![span],
        });
    }
    let mut list = read_list(
        value,
        path,
        errors,
        MAX_THRESHOLDS,
        |value, path, errors| read_span(value, path, errors, Span::MIN, Span::MAX),
    )?;
    list.values.sort_unstable_by(|a, b| b.cmp(a));
    list.values.dedup();
    Some(list)
}

fn read_kinds(value: &Value, path: &str, errors: &mut Errors) -> Option<List<NoticeKind>> {
    let mut list = read_list(
        value,
        path,
        errors,
        2 * KINDS.len(),
        |value, path, errors| {
            read_text(value, path, errors, |text| {
                parse_word(text, "a kind of notice", &KINDS)
            })
        },
    )?;
    list.values.sort_unstable();
    list.values.dedup();
    Some(list)
}

fn read_recipients(
    value: &Value,
    path: &str,
    errors: &mut Errors,
    rules: Rules,
) -> Option<List<Recipient>> {
    // The paths of the recipients so far, by place and by id.
    let mut seen: Vec<(String, String)> = Vec::new();
    read_list(
        value,
        path,
        errors,
        MAX_RECIPIENTS,
        |value, path, errors| {
            let recipient = read_recipient(value, path, errors, rules.allow_http)?;
            let mut names = vec![format!(
                "{} {}",
                recipient.channel().as_str(),
                recipient.place()
            )];
            names.extend(recipient.id().map(|id| format!("id {id}")));
            let has_id = value.get("id").is_some_and(|id| !id.is_null());
            for (name, is_id) in names.into_iter().zip([false, true]) {
                match seen.iter().find(|(earlier, _)| *earlier == name) {
                    Some((_, earlier)) => {
                        match (is_id, has_id) {
                            (false, _) => errors.push(path, format!("is the same as {earlier}")),
                            (true, true) => {
                                let message = format!("is the same as that of {earlier}");
                                errors.push(&join(path, "id"), message);
                            }
                            // The id is derived from name and server.
                            (true, false) => {
                                let message = format!(
                                    "is the same as that of {earlier} at the same server: give them different names"
                                );
                                errors.push(&join(path, "name"), message);
                            }
                        }
                        break;
                    }
                    None => seen.push((name, path.to_owned())),
                }
            }
            Some(recipient)
        },
    )
}

fn read_channels(members: &Members<'_>, errors: &mut Errors) -> ChannelSettings {
    let channels = members.setting("channels", errors, |value, path, errors| {
        let members = Members::read(value, path, &["mail", "webhook", "snmp"], errors)?;
        Some(ChannelSettings {
            mail: members.setting("mail", errors, read_flag),
            webhook: members.setting("webhook", errors, read_flag),
            snmp: members.setting("snmp", errors, read_flag),
        })
    });
    match channels {
        Setting::Value(channels) => channels,
        Setting::Inherit => ChannelSettings::default(),
    }
}

fn read_reminder(value: &Value, path: &str, errors: &mut Errors) -> Option<Reminder> {
    match value {
        Value::String(word) if word == "off" => Some(Reminder::Off),
        Value::Bool(false) => Some(Reminder::Off),
        value => read_span(value, path, errors, MIN_REMINDER, Span::MAX).map(Reminder::Every),
    }
}

fn read_digest(value: &Value, path: &str, errors: &mut Errors) -> Option<DigestSchedule> {
    match value {
        Value::String(word) if word == "per-event" => return Some(DigestSchedule::PerEvent),
        Value::Object(_) => {}
        other => {
            let found = describe(other);
            let expected = "must be \"per-event\" or an object with hour and zone";
            errors.push(path, format!("{expected}, not {found}"));
            return None;
        }
    }
    let members = Members::read(value, path, &["hour", "zone"], errors)?;
    let hour = members.required("hour", errors, |value, path, errors| {
        let hour = read_number(value, path, errors, 0..=23)?;
        u8::try_from(hour).ok()
    });
    let zone = read_zone(&members, errors);
    Some(DigestSchedule::Daily {
        hour: hour?,
        zone: zone?,
    })
}

fn read_quiet_hours(value: &Value, path: &str, errors: &mut Errors) -> Option<QuietHours> {
    match value {
        Value::String(word) if word == "off" => return Some(QuietHours::Off),
        Value::Object(_) => {}
        other => {
            let found = describe(other);
            let expected = "must be \"off\" or an object with from, to and zone";
            errors.push(path, format!("{expected}, not {found}"));
            return None;
        }
    }
    let members = Members::read(value, path, &["from", "to", "zone"], errors)?;
    let time = |name, errors: &mut Errors| {
        members.required(name, errors, |value, path, errors| {
            read_text(value, path, errors, TimeOfDay::parse)
        })
    };
    let (from, to) = (time("from", errors), time("to", errors));
    let zone = read_zone(&members, errors);
    if from.is_some() && from == to {
        errors.push(
            &join(path, "to"),
            "must differ from `from`; to tell nothing at all, set `notify` to false",
        );
        return None;
    }
    Some(QuietHours::Daily {
        from: from?,
        to: to?,
        zone: zone?,
    })
}

fn read_zone(members: &Members<'_>, errors: &mut Errors) -> Option<Zone> {
    members.required("zone", errors, |value, path, errors| {
        read_text(value, path, errors, Zone::parse)
    })
}
