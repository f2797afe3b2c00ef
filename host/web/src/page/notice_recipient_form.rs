//! The fields of a recipient: an e-mail address, a webhook or an SNMP target.

use relation_host::types::FieldError;
use relation_notify::settings::{ChannelKind, Recipient, SnmpAuth, SnmpKind, SnmpVersion};
use serde_json::{Map, Value};

use super::form::{Control, FormField, Posted};
use super::ui::Ui;
use crate::access::notice_settings::HIDDEN_PATH;
use crate::access::users::field_error;

/// The authentications of version 3, the recommended one first.
const AUTHS: [SnmpAuth; 4] = [
    SnmpAuth::Sha256,
    SnmpAuth::Sha384,
    SnmpAuth::Sha512,
    SnmpAuth::Sha1,
];
/// The fields that only version 3 has, and that can be empty.
const ONLY_V3: [&str; 2] = ["user", "context"];
/// A hidden path as URLs have it.
const ENCODED_PATH: &str = "/%E2%80%A6";

/// Builds the fields of a recipient.
pub(crate) fn build_fields(
    ui: &Ui,
    channel: ChannelKind,
    recipient: Option<&Recipient>,
    posted: Option<&Posted>,
) -> Vec<FormField> {
    let form = Form { ui, posted };
    match channel {
        ChannelKind::Mail => {
            let stored = match recipient {
                Some(Recipient::Mail(address)) => address.as_str().to_owned(),
                _ => String::new(),
            };
            vec![form.text("address", "recipient.address", "", stored)]
        }
        ChannelKind::Webhook => {
            let (name, url) = match recipient {
                Some(Recipient::Webhook(endpoint)) => {
                    let url = endpoint.url.as_str().replace(ENCODED_PATH, HIDDEN_PATH);
                    (endpoint.name.clone(), url)
                }
                _ => Default::default(),
            };
            vec![
                form.text("name", "recipient.name", "recipient.name-help", name),
                form.text("url", "recipient.url", "recipient.url-help", url),
            ]
        }
        ChannelKind::Snmp => form.snmp(recipient),
    }
}

struct Form<'a> {
    ui: &'a Ui,
    posted: Option<&'a Posted>,
}

impl Form<'_> {
    fn value(&self, name: &str, stored: String) -> String {
        let sent = self.posted.and_then(|posted| posted.get(name));
        sent.map_or(stored, str::to_owned)
    }

    /// Builds a field that must not be empty.
    fn text(&self, name: &str, label: &str, help: &str, stored: String) -> FormField {
        let help = match help {
            "" => String::new(),
            key => self.ui.t(key),
        };
        let mut field = FormField::new(name, self.ui.t(label), help);
        field.value = self.value(name, stored);
        field.required = true;
        field
    }

    fn choice(
        &self,
        name: &str,
        label: &str,
        stored: &str,
        choices: impl Iterator<Item = (&'static str, String)>,
    ) -> FormField {
        let chosen = self.value(name, stored.to_owned());
        let mut field = FormField::new(name, self.ui.t(label), String::new());
        let choices = choices.map(|(value, text)| (value.to_owned(), text, value == chosen));
        field.control = Control::Choice(choices.collect());
        field
    }

    fn snmp(&self, recipient: Option<&Recipient>) -> Vec<FormField> {
        let ui = self.ui;
        let target = match recipient {
            Some(Recipient::Snmp(target)) => Some(target),
            _ => None,
        };
        let name = target.map_or_else(String::new, |target| target.name.clone());
        let place = target.map_or_else(String::new, |target| target.address());
        let kind = target.map_or(SnmpKind::Trap, |target| target.kind);
        let (version, user, context, auth) = match target.map(|target| &target.version) {
            Some(SnmpVersion::V3 {
                user,
                context,
                auth,
            }) => ("v3", user.clone(), context.clone(), *auth),
            Some(SnmpVersion::V2c) => ("v2c", String::new(), String::new(), SnmpAuth::Sha256),
            None => ("v3", String::new(), String::new(), SnmpAuth::Sha256),
        };
        let versions = [("v3", "v3".to_owned()), ("v2c", "v2c".to_owned())];
        let kinds = [
            (SnmpKind::Trap.as_str(), ui.t("recipient.kind-trap")),
            (SnmpKind::Inform.as_str(), ui.t("recipient.kind-inform")),
        ];
        let auths = AUTHS.map(|auth| (auth.as_str(), auth.as_str().to_uppercase()));
        let only_v3 = |name: &str, label: &str, help: &str, stored: String| FormField {
            was: Some(self.value(&format!("was.{name}"), stored.clone())),
            required: false,
            ..self.text(name, label, help, stored)
        };
        let auth = self.choice("auth", "recipient.auth", auth.as_str(), auths.into_iter());
        vec![
            self.text("name", "recipient.name", "recipient.name-help", name),
            self.text(
                "address",
                "recipient.target",
                "recipient.target-help",
                place,
            ),
            self.choice(
                "version",
                "recipient.version",
                version,
                versions.into_iter(),
            ),
            self.choice("kind", "recipient.kind", kind.as_str(), kinds.into_iter()),
            only_v3("user", "recipient.user", "recipient.user-help", user),
            FormField {
                help: ui.t("recipient.auth-help"),
                ..auth
            },
            only_v3(
                "context",
                "recipient.context",
                "recipient.context-help",
                context,
            ),
        ]
    }
}

/// Reads a sent form as a recipient, as the settings have it. Adds the errors that only the form can have.
pub(crate) fn read(
    ui: &Ui,
    channel: ChannelKind,
    present: Option<&Recipient>,
    posted: &Posted,
    errors: &mut Vec<FieldError>,
) -> Value {
    let text = |name: &str| posted.get(name).unwrap_or_default().trim();
    let mut object = Map::new();
    let mut put = |name: &str, value: &str| object.insert(name.to_owned(), value.into());
    put("type", channel.as_str());
    if let Some(id) = present.and_then(Recipient::id) {
        put("id", id);
    }
    let names: &[&str] = match channel {
        ChannelKind::Mail => &["address"],
        ChannelKind::Webhook => &["name", "url"],
        ChannelKind::Snmp => &["name", "address", "version", "kind"],
    };
    for name in names {
        put(name, text(name));
    }
    if channel == ChannelKind::Snmp {
        let is_v3 = text("version") == "v3";
        if is_v3 {
            put("user", text("user"));
            put("context", text("context"));
            put("auth", text("auth"));
        }
        let was = |name: &str| posted.get(&format!("was.{name}")).unwrap_or_default();
        for name in ONLY_V3 {
            if !is_v3 && text(name) != was(name).trim() {
                errors.push(field_error(name, ui.t("recipient.only-v3")));
            }
        }
    }
    Value::Object(object)
}
