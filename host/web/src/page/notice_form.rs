//! The form of the notice settings of a node: each field is inherited or has a value of its own.

use relation_host::types::{FieldError, Hierarchy};
use relation_notify::settings::{
    DigestSchedule, KINDS, Language as NoticeLanguage, List, ListMode, NoticeSettings, QuietHours,
    Recipient, Reminder, ResolvedFields, Setting,
};
use serde_json::{Map, Value, json};

use super::form::{CheckBox, Control, FormField, Posted};
use super::notice_words::{
    FieldWords, describe_fields, describe_recipient, field_label, kind_word, language_word,
    spans_text,
};
use super::ui::Ui;
use crate::access::users::field_error;

/// The choice of a field that the levels above decide.
const INHERIT: &str = "inherit";
const REPLACE: &str = "replace";
const ADD: &str = "add-to-inherited";
/// The choice of a digest or of quiet hours each day.
const DAILY: &str = "daily";
const OFF: &str = "off";
const PER_EVENT: &str = "per-event";
/// The field with the relation of the recipients to the inherited ones.
const RECIPIENTS: &str = "recipients";

/// A part of the form with a heading.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) fields: Vec<FormField>,
}

/// Builds the sections of the form. `inherited` are the fields that apply if the level decides none.
pub(crate) fn build_sections(
    ui: &Ui,
    settings: &NoticeSettings,
    inherited: &ResolvedFields,
    node: &Hierarchy,
    posted: Option<&Posted>,
) -> Vec<Section> {
    let form = Form {
        ui,
        posted,
        inherited: describe_fields(inherited, node, ui),
    };
    let inherited_kinds = inherited.kinds.values.iter().map(|each| each.value);
    let kinds = match settings.kinds.value() {
        Some(list) => list.values.clone(),
        None => inherited_kinds.collect(),
    };
    let what = vec![
        FormField {
            help: ui.t("notices.notify-help"),
            ..form.flag("notify", &settings.notify)
        },
        form.list_mode("kinds", &settings.kinds),
        form.kinds(&kinds),
        form.list_mode("thresholds", &settings.thresholds),
        form.thresholds(settings),
        form.text(
            "retrying_after",
            settings.retrying_after.value().map(ToString::to_string),
        ),
        form.text("reminder", settings.reminder.value().map(reminder_text)),
    ];
    let mut how = vec![
        form.flag("channels.mail", &settings.channels.mail),
        form.flag("channels.webhook", &settings.channels.webhook),
        form.flag("channels.snmp", &settings.channels.snmp),
        form.language(&settings.language),
    ];
    how.extend(form.digest(&settings.digest));
    how.extend(form.quiet_hours(&settings.quiet_hours));
    how.push(form.text("budget", settings.budget.value().map(ToString::to_string)));
    let whom = vec![
        form.recipients(&settings.recipients),
        form.flag("account_email", &settings.account_email),
    ];
    let section = |key: &str, fields| Section {
        title: ui.t(key),
        fields,
    };
    vec![
        section("notices.what", what),
        section("notices.how", how),
        section("notices.whom", whom),
    ]
}

fn reminder_text(reminder: &Reminder) -> String {
    match reminder {
        Reminder::Off => OFF.to_owned(),
        Reminder::Every(span) => span.to_string(),
    }
}

struct Form<'a> {
    ui: &'a Ui,
    posted: Option<&'a Posted>,
    inherited: Vec<FieldWords>,
}

impl Form<'_> {
    /// Returns the inherited value of a field with its level, in words.
    fn inherited(&self, name: &str) -> String {
        let mut fields = self.inherited.iter();
        let found = fields.find(|field| field.name == name);
        found.map_or_else(String::new, |field| {
            format!("{} ({})", field.value, field.origin)
        })
    }

    /// Returns the sent value, or the stored one.
    fn value(&self, name: &str, stored: String) -> String {
        let sent = self.posted.and_then(|posted| posted.get(name));
        sent.map_or(stored, str::to_owned)
    }

    fn choice(
        &self,
        name: &str,
        label: String,
        stored: &str,
        choices: Vec<(&str, String)>,
    ) -> FormField {
        let chosen = self.value(name, stored.to_owned());
        let mut field = FormField::new(name, label, String::new());
        let choices = choices.into_iter();
        let choices = choices.map(|(value, text)| (value.to_owned(), text, value == chosen));
        field.control = Control::Choice(choices.collect());
        field
    }

    /// Returns the choice to inherit a field.
    fn inherit(&self, name: &str) -> (&'static str, String) {
        let text = self.ui.t1("notices.inherit", self.inherited(name));
        (INHERIT, text)
    }

    fn flag(&self, name: &str, setting: &Setting<bool>) -> FormField {
        let stored = match setting {
            Setting::Inherit => INHERIT,
            Setting::Value(true) => "yes",
            Setting::Value(false) => "no",
        };
        let choices = vec![
            self.inherit(name),
            ("yes", self.ui.t("form.yes")),
            ("no", self.ui.t("form.no")),
        ];
        self.choice(name, field_label(name, self.ui), stored, choices)
    }

    fn list_mode<T>(&self, name: &str, setting: &Setting<List<T>>) -> FormField {
        let choices = vec![
            self.inherit(name),
            (REPLACE, self.ui.t("notices.only")),
            (ADD, self.ui.t("notices.added")),
        ];
        let mode = format!("{name}.mode");
        let label = field_label(&mode, self.ui);
        self.choice(&mode, label, mode_text(setting), choices)
    }

    fn kinds(&self, chosen: &[relation_notify::NoticeKind]) -> FormField {
        let help = self.ui.t("notices.kinds-mode-help");
        let mut field = FormField::new("kinds", field_label("kinds", self.ui), help);
        let stored = KINDS.iter().filter(|(_, kind)| chosen.contains(kind));
        let stored: Vec<&str> = stored.map(|(name, _)| *name).collect();
        field.was = Some(self.value("was.kinds", stored.join(",")));
        let is_on = |name: &str| match self.posted {
            Some(posted) => posted.all("kinds").any(|sent| sent == name),
            None => stored.contains(&name),
        };
        let checks = KINDS.iter().map(|(name, kind)| CheckBox {
            value: (*name).to_owned(),
            label: kind_word(*kind, self.ui),
            is_on: is_on(name),
            is_fixed: false,
        });
        field.control = Control::Checks(checks.collect());
        field
    }

    /// Builds the input of a field that is used only with a choice above it.
    fn dependent(&self, name: &str, stored: String, help: String) -> FormField {
        let mut field = FormField::new(name, field_label(name, self.ui), help);
        field.was = Some(self.value(&format!("was.{name}"), stored.clone()));
        field.value = self.value(name, stored);
        field
    }

    fn thresholds(&self, settings: &NoticeSettings) -> FormField {
        let stored = settings.thresholds.value();
        let stored = stored.map_or_else(String::new, |list| spans_text(&list.values));
        self.dependent("thresholds", stored, self.ui.t("notices.thresholds-help"))
    }

    /// Builds the input of a field that is inherited while it is empty.
    fn text(&self, name: &str, stored: Option<String>) -> FormField {
        let ui = self.ui;
        let help = ui.t(match name {
            "reminder" => "notices.reminder-help",
            "budget" => "notices.budget-help",
            _ => "notices.retrying-after-help",
        });
        let inherited = ui.t1("notices.inherited", self.inherited(name));
        let help = format!("{help} {inherited}");
        let mut field = FormField::new(name, field_label(name, ui), help);
        field.value = self.value(name, stored.unwrap_or_default());
        field
    }

    fn language(&self, setting: &Setting<NoticeLanguage>) -> FormField {
        let stored = match setting {
            Setting::Inherit => INHERIT,
            Setting::Value(NoticeLanguage::En) => "en",
            Setting::Value(NoticeLanguage::De) => "de",
        };
        let choices = vec![
            self.inherit("language"),
            ("en", language_word(NoticeLanguage::En).to_owned()),
            ("de", language_word(NoticeLanguage::De).to_owned()),
        ];
        self.choice(
            "language",
            field_label("language", self.ui),
            stored,
            choices,
        )
    }

    fn digest(&self, setting: &Setting<DigestSchedule>) -> Vec<FormField> {
        let ui = self.ui;
        let (stored, hour, zone) = match setting {
            Setting::Inherit => (INHERIT, String::new(), String::new()),
            Setting::Value(DigestSchedule::PerEvent) => (PER_EVENT, String::new(), String::new()),
            Setting::Value(DigestSchedule::Daily { hour, zone }) => {
                (DAILY, hour.to_string(), zone.to_string())
            }
        };
        let choices = vec![
            self.inherit("digest"),
            (PER_EVENT, ui.t("notices.per-event")),
            (DAILY, ui.t("notices.daily")),
        ];
        vec![
            self.choice("digest", field_label("digest", ui), stored, choices),
            self.dependent("digest.hour", hour, ui.t("notices.digest-hour-help")),
            self.dependent("digest.zone", zone, ui.t("notices.zone-help")),
        ]
    }

    fn quiet_hours(&self, setting: &Setting<QuietHours>) -> Vec<FormField> {
        let ui = self.ui;
        let none = String::new;
        let (stored, from, to, zone) = match setting {
            Setting::Inherit => (INHERIT, none(), none(), none()),
            Setting::Value(QuietHours::Off) => (OFF, none(), none(), none()),
            Setting::Value(QuietHours::Daily { from, to, zone }) => {
                (DAILY, from.to_string(), to.to_string(), zone.to_string())
            }
        };
        let choices = vec![
            self.inherit("quiet_hours"),
            (OFF, ui.t("notices.off")),
            (DAILY, ui.t("notices.quiet-daily")),
        ];
        let label = field_label("quiet_hours", ui);
        let time = |name: &str, stored| self.dependent(name, stored, ui.t("notices.time-help"));
        vec![
            FormField {
                help: ui.t("notices.quiet-hours-help"),
                ..self.choice("quiet_hours", label, stored, choices)
            },
            time("quiet_hours.from", from),
            time("quiet_hours.to", to),
            self.dependent("quiet_hours.zone", zone, ui.t("notices.zone-help")),
        ]
    }

    /// Builds the choice whether recipients of levels above are told too. While the level has recipients, it cannot
    /// inherit them: they would be lost.
    fn recipients(&self, setting: &Setting<List<Recipient>>) -> FormField {
        let ui = self.ui;
        let choices = match has_recipients(setting) {
            true => vec![
                (ADD, ui.t("notices.added")),
                (REPLACE, ui.t("notices.only")),
            ],
            false => vec![
                (INHERIT, ui.t("notices.recipients-inherit")),
                (REPLACE, ui.t("notices.only-none")),
            ],
        };
        let stored = match (mode_text(setting), has_recipients(setting)) {
            (ADD, false) => INHERIT,
            (mode, _) => mode,
        };
        FormField {
            help: ui.t("notices.recipients-mode-help"),
            ..self.choice(RECIPIENTS, ui.t("notices.recipients-mode"), stored, choices)
        }
    }
}

fn has_recipients(setting: &Setting<List<Recipient>>) -> bool {
    setting.value().is_some_and(|list| !list.values.is_empty())
}

fn mode_text<T>(setting: &Setting<List<T>>) -> &'static str {
    match setting {
        Setting::Inherit => INHERIT,
        Setting::Value(list) => match list.mode {
            ListMode::Replace => REPLACE,
            ListMode::AddToInherited => ADD,
        },
    }
}

/// Reads the sent form as settings, as the API has them. The recipients are those of `present`. Adds the errors that only
/// the form can have.
pub(crate) fn read(
    ui: &Ui,
    posted: &Posted,
    present: &NoticeSettings,
    errors: &mut Vec<FieldError>,
) -> Value {
    let mut form = Reader { ui, posted, errors };
    let mut settings = Map::new();
    let mut put = |name: &str, value: Value| settings.insert(name.to_owned(), value);
    for name in ["notify", "language", "account_email"] {
        put(name, form.word(name).into());
    }
    let channels = ["mail", "webhook", "snmp"];
    let channels = channels.map(|name| {
        let word = form.word(&format!("channels.{name}"));
        (name.to_owned(), Value::from(word))
    });
    put("channels", Value::Object(channels.into_iter().collect()));
    put("thresholds", form.thresholds());
    put("kinds", form.kinds());
    for name in ["retrying_after", "reminder", "budget"] {
        put(name, form.optional(name));
    }
    put("digest", form.daily("digest", &["hour", "zone"]));
    put(
        "quiet_hours",
        form.daily("quiet_hours", &["from", "to", "zone"]),
    );
    put(RECIPIENTS, form.recipients(&present.recipients));
    Value::Object(settings)
}

struct Reader<'a> {
    ui: &'a Ui,
    posted: &'a Posted,
    errors: &'a mut Vec<FieldError>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> &str {
        self.posted.get(name).unwrap_or_default().trim()
    }

    /// Returns the value of a choice. Without one, the field is inherited.
    fn word(&self, name: &str) -> String {
        match self.text(name) {
            "" => INHERIT.to_owned(),
            word => word.to_owned(),
        }
    }

    fn optional(&self, name: &str) -> Value {
        match self.text(name) {
            "" => INHERIT.into(),
            text => number_or_text(text),
        }
    }

    fn was(&self, name: &str) -> &str {
        self.posted.get(&format!("was.{name}")).unwrap_or_default()
    }

    /// Adds an error for a value that was typed and would be lost, since the choice above does not use it.
    fn check_unused(&mut self, name: &str, value: &str) {
        if value != self.was(name).trim() {
            let message = self.ui.t("notices.unused");
            self.errors.push(field_error(name, message));
        }
    }

    fn thresholds(&mut self) -> Value {
        let text = self.text("thresholds").to_owned();
        let mode = self.word("thresholds.mode");
        if mode == INHERIT {
            self.check_unused("thresholds", &text);
            return INHERIT.into();
        }
        let values = text.split([',', ';', '\n']).map(str::trim);
        let values: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
        if values.is_empty() {
            let message = self.ui.t("notices.missing-thresholds");
            self.errors.push(field_error("thresholds", message));
        }
        json!({ "mode": mode, "values": values })
    }

    fn kinds(&mut self) -> Value {
        let values: Vec<String> = self.posted.all("kinds").map(str::to_owned).collect();
        let mode = self.word("kinds.mode");
        if mode == INHERIT {
            // A form that has no boxes says nothing about them.
            if !values.is_empty() || !self.was("kinds").is_empty() {
                self.check_unused("kinds", &values.join(","));
            }
            return INHERIT.into();
        }
        if values.is_empty() {
            let message = self.ui.t("notices.missing-kinds");
            self.errors.push(field_error("kinds", message));
        }
        json!({ "mode": mode, "values": values })
    }

    /// Reads a field whose parts are used with one of its choices.
    fn daily(&mut self, name: &str, parts: &[&str]) -> Value {
        let word = self.word(name);
        let mut object = Map::new();
        for part in parts {
            let path = format!("{name}.{part}");
            let text = self.text(&path).to_owned();
            if word != DAILY {
                self.check_unused(&path, &text);
            } else if !text.is_empty() {
                let value = match *part {
                    "hour" => number_or_text(&text),
                    _ => text.into(),
                };
                object.insert((*part).to_owned(), value);
            }
        }
        match word == DAILY {
            true => Value::Object(object),
            false => word.into(),
        }
    }

    fn recipients(&mut self, present: &Setting<List<Recipient>>) -> Value {
        let mode = self.word(RECIPIENTS);
        let mode = match (mode.as_str(), has_recipients(present)) {
            (INHERIT, true) => mode_text(present),
            (INHERIT, false) => return INHERIT.into(),
            (mode, _) => mode,
        };
        let values = present.value().map(|list| list.values.as_slice());
        json!({ "mode": mode, "values": values.unwrap_or_default() })
    }
}

/// Returns a number if the text is a whole number, and else the text, for which the settings report an error of the
/// field.
fn number_or_text(text: &str) -> Value {
    text.parse::<u64>()
        .map_or_else(|_| text.into(), Value::from)
}

/// Replaces the paths of errors in list items, such as `recipients.2.address`, by the form's field of the list. The
/// error of a recipient then begins with the recipient.
pub(crate) fn place_errors(errors: Vec<FieldError>, present: &NoticeSettings) -> Vec<FieldError> {
    let recipients = present.recipients.value();
    let recipients = recipients.map_or(&[][..], |list| list.values.as_slice());
    let errors = errors.into_iter().map(|error| {
        let Some((list, rest)) = error.field.split_once('.') else {
            return error;
        };
        let message = match list {
            "thresholds" | "kinds" => error.message,
            RECIPIENTS => {
                let position = rest.split('.').next().and_then(|each| each.parse().ok());
                let position: Option<usize> = position;
                let recipient = position.and_then(|position| recipients.get(position));
                match recipient {
                    Some(recipient) => {
                        format!("{}: {}", describe_recipient(recipient).0, error.message)
                    }
                    None => error.message,
                }
            }
            _ => return error,
        };
        FieldError {
            field: list.to_owned(),
            message,
        }
    });
    errors.collect()
}
