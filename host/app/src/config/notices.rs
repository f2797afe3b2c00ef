//! The section `[notices]`: the mail server, the webhooks and the SNMP receivers that notices may reach.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use relation_host::egress::SystemResolver;
use relation_notify::mail::{MailOptions, MailServer, Plaintext, TlsMode, permit_global_and};
use relation_notify::settings::ChannelKind;
use relation_notify::snmp::{MibRoot, Oid};
use relation_toml::values::parse_word;
use relation_toml::{DeValue, Table, ValueError};
use secrecy::SecretString;

use super::values::{
    parse_duration, parse_flag, parse_list, parse_path, parse_positive, parse_text,
    parse_webhook_origins,
};

/// The enterprise number for documentation (RFC 5612).
const EXAMPLE_ENTERPRISE: u32 = 32_473;
/// The longest name of a host as an engine of SNMP, in characters.
const MAX_HOST_ID: usize = 64;

/// The keys of the mail server whose values the channel checks.
const KEYS: [&str; 9] = [
    "host",
    "port",
    "tls",
    "user",
    "password-file",
    "ehlo",
    "from",
    "reply-to",
    "envelope-sender",
];

/// The settings of notices that are the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticesConfig {
    /// The mail server; without one, there are no e-mails.
    pub mail: Option<MailConfig>,
    /// The origins that webhooks may be posted to.
    pub webhook_origins: Vec<String>,
    /// SNMP; without its section, there are no notifications.
    pub snmp: Option<SnmpConfig>,
    /// How long a delivery is kept after its end.
    pub keep: Duration,
}

/// The mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailConfig {
    /// The name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The encryption.
    pub tls: TlsMode,
    /// The permission to connect without TLS.
    pub plaintext: Plaintext,
    /// The user for `AUTH`.
    pub user: Option<String>,
    /// The file with the user's password and nothing else.
    pub password_file: Option<PathBuf>,
    /// The name of this host in `EHLO`.
    pub ehlo: String,
    /// The author.
    pub from: String,
    /// The mailbox for replies.
    pub reply_to: Option<String>,
    /// The address that bounces go to.
    pub envelope_sender: Option<String>,
    /// Addresses that are not globally reachable, and that the server's name may have.
    pub addresses: Vec<IpAddr>,
}

/// SNMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnmpConfig {
    /// The enterprise number, part of the engine id.
    pub enterprise: u32,
    /// The root of the MIB.
    pub root: MibRoot,
    /// The name of this host as an engine. Hosts of one store have different ones.
    pub host_id: String,
    /// Addresses of receivers that are not globally reachable.
    pub addresses: Vec<IpAddr>,
    /// Permits HMAC-SHA-1.
    pub allow_sha1: bool,
}

impl Default for NoticesConfig {
    fn default() -> Self {
        Self {
            mail: None,
            webhook_origins: Vec::new(),
            snmp: None,
            keep: Duration::from_secs(180 * 86_400),
        }
    }
}

impl NoticesConfig {
    pub(super) fn read(&mut self, mut table: Table<'_, '_>, directory: &Path) {
        if let Some(mail) = table.undeclared_table("mail") {
            self.mail = MailConfig::read(mail, directory);
        }
        let origins = table.get("webhook-origins", parse_webhook_origins);
        self.webhook_origins = origins.unwrap_or_default();
        if let Some(snmp) = table.undeclared_table("snmp") {
            self.snmp = Some(SnmpConfig::read(snmp));
        }
        if let Some(keep) = table.get("keep", parse_duration) {
            self.keep = keep;
        }
        table.close();
    }

    /// Returns whether a channel is configured.
    pub fn has_channel(&self, channel: ChannelKind) -> bool {
        match channel {
            ChannelKind::Mail => self.mail.is_some(),
            ChannelKind::Webhook => !self.webhook_origins.is_empty(),
            ChannelKind::Snmp => self.snmp.is_some(),
        }
    }

    /// Returns whether a webhook may have the scheme `http`: an origin with it is listed.
    pub fn allows_http(&self) -> bool {
        let mut origins = self.webhook_origins.iter();
        origins.any(|origin| origin.starts_with("http:"))
    }
}

impl MailConfig {
    fn read(mut table: Table<'_, '_>, directory: &Path) -> Option<Self> {
        let spans = KEYS
            .iter()
            .filter_map(|key| Some((*key, table.span_of(key)?)));
        let spans: BTreeMap<&str, Range<usize>> = spans.collect();
        let tls = table.get("tls", |value| {
            let words = [
                ("starttls", TlsMode::StartTls),
                ("implicit", TlsMode::Implicit),
                ("none", TlsMode::None),
            ];
            parse_word(value, "encryption", &words)
        });
        let tls = tls.unwrap_or_default();
        let plaintext = table.get("plaintext", |value| {
            let words = [
                ("never", Plaintext::Never),
                ("loopback", Plaintext::Loopback),
                ("trusted-relay", Plaintext::TrustedRelay),
            ];
            parse_word(value, "permission", &words)
        });
        let default_port = match tls {
            TlsMode::Implicit => 465,
            TlsMode::StartTls => 587,
            TlsMode::None => 25,
        };
        let host = table.require("host", parse_text);
        let from = table.require("from", parse_text);
        let ehlo = table.require("ehlo", parse_text);
        let port = table.get("port", parse_positive);
        let user = table.get("user", parse_text);
        let password_file = table.get("password-file", |value| parse_path(value, directory));
        let reply_to = table.get("reply-to", parse_text);
        let envelope_sender = table.get("envelope-sender", parse_text);
        let addresses = table.get("addresses", parse_addresses);
        let config = Self {
            host: host?,
            port: port.unwrap_or(default_port),
            tls,
            plaintext: plaintext.unwrap_or_default(),
            user,
            password_file,
            ehlo: ehlo?,
            from: from?,
            reply_to,
            envelope_sender,
            addresses: addresses.unwrap_or_default(),
        };
        let is_valid = config.check(&table, &spans);
        table.close();
        is_valid.then_some(config)
    }

    /// Reports all values that the channel refuses.
    fn check(&self, table: &Table<'_, '_>, spans: &BTreeMap<&str, Range<usize>>) -> bool {
        // The file is read when the host starts.
        let password = self.password_file.as_ref();
        let password = password.map(|_| SecretString::from("password"));
        let options = self.options(password, None);
        let check = permit_global_and(Vec::new());
        let Err(errors) = MailServer::new(options, Arc::new(SystemResolver), check) else {
            return true;
        };
        for error in errors.0 {
            let key = match error.field {
                "secret" => "password-file",
                field => field,
            };
            let problem = error.problem.replace("`secret`", "`password-file`");
            match spans.get(key).or_else(|| spans.get("host")) {
                Some(span) => {
                    let key = format!("notices.mail.{key}");
                    table.reader().report(span, &key, problem);
                }
                None => table.report(problem),
            }
        }
        false
    }

    /// Returns the options of the channel.
    pub fn options(&self, password: Option<SecretString>, extra_ca: Option<String>) -> MailOptions {
        MailOptions {
            host: self.host.clone(),
            port: self.port,
            tls: self.tls,
            plaintext: self.plaintext,
            user: self.user.clone(),
            secret: password,
            ehlo: self.ehlo.clone(),
            from: self.from.clone(),
            reply_to: self.reply_to.clone(),
            envelope_sender: self.envelope_sender.clone(),
            extra_ca,
            ..MailOptions::default()
        }
    }
}

impl SnmpConfig {
    fn read(mut table: Table<'_, '_>) -> Self {
        let enterprise = table.get("enterprise", parse_positive::<i32>);
        let enterprise = enterprise.and_then(|number| u32::try_from(number).ok());
        let enterprise = enterprise.unwrap_or(EXAMPLE_ENTERPRISE);
        let root = table.get("root", |value| {
            let root = Oid::parse(&parse_text(value)?).and_then(MibRoot::new);
            Ok(root.map_err(
                |_| "expected an identifier below 1.3.6.1.4.1, such as \"1.3.6.1.4.1.32473.1\"",
            )?)
        });
        let host_id = table.get("host-id", parse_host_id);
        let addresses = table.get("addresses", parse_addresses);
        let allow_sha1 = table.get("allow-sha-1", parse_flag);
        table.close();
        Self {
            enterprise,
            root: root.unwrap_or_else(|| MibRoot::with_enterprise(enterprise)),
            host_id: host_id.unwrap_or_else(|| "1".to_owned()),
            addresses: addresses.unwrap_or_default(),
            allow_sha1: allow_sha1.unwrap_or_default(),
        }
    }
}

fn parse_host_id(value: DeValue<'_>) -> Result<String, ValueError> {
    let text = parse_text(value)?;
    let is_valid = (1..=MAX_HOST_ID).contains(&text.chars().count())
        && text.chars().all(|c| c.is_ascii_graphic());
    match is_valid {
        true => Ok(text),
        false => Err(format!(
            "expected 1 to {MAX_HOST_ID} visible ASCII characters, such as \"host-1\""
        )
        .into()),
    }
}

fn parse_addresses(value: DeValue<'_>) -> Result<Vec<IpAddr>, ValueError> {
    parse_list(
        value,
        "a list of addresses, such as [\"10.0.0.25\"]",
        |value| {
            let text = parse_text(value)?;
            let parsed = text.parse();
            Ok(parsed
                .map_err(|_| format!("{text:?} is not an IP address, such as \"10.0.0.25\""))?)
        },
    )
}

#[cfg(test)]
mod tests {
    use relation_toml::Source;

    use super::super::{Config, SettingError};
    use super::*;

    fn parse(text: &str) -> Result<NoticesConfig, Vec<SettingError>> {
        let config = Config::parse(&Source::new(Path::new("/etc/relation.toml"), text));
        config.map(|config| config.notices)
    }

    #[test]
    fn every_key_is_read() {
        let notices = parse(
            r#"
            [notices]
            webhook-origins = ["https://*.example.com", "http://10.0.0.7:9000"]
            keep = "30d"
            [notices.mail]
            host = "relay.example.com"
            port = 2525
            tls = "implicit"
            plaintext = "loopback"
            user = "relation"
            password-file = "mail-password"
            ehlo = "relation.example.com"
            from = "Webex connections <relation@example.com>"
            reply-to = "noc@example.com"
            envelope-sender = "bounces@example.com"
            addresses = ["10.0.0.25"]
            [notices.snmp]
            enterprise = 8072
            root = "1.3.6.1.4.1.8072.9999"
            host-id = "host-2"
            addresses = ["10.0.0.162"]
            allow-sha-1 = true
            "#,
        )
        .unwrap();
        let expected = NoticesConfig {
            mail: Some(MailConfig {
                host: "relay.example.com".to_owned(),
                port: 2525,
                tls: TlsMode::Implicit,
                plaintext: Plaintext::Loopback,
                user: Some("relation".to_owned()),
                password_file: Some("/etc/mail-password".into()),
                ehlo: "relation.example.com".to_owned(),
                from: "Webex connections <relation@example.com>".to_owned(),
                reply_to: Some("noc@example.com".to_owned()),
                envelope_sender: Some("bounces@example.com".to_owned()),
                addresses: vec!["10.0.0.25".parse().unwrap()],
            }),
            webhook_origins: ["https://*.example.com", "http://10.0.0.7:9000"]
                .map(str::to_owned)
                .to_vec(),
            snmp: Some(SnmpConfig {
                enterprise: 8072,
                root: MibRoot::new(Oid::parse("1.3.6.1.4.1.8072.9999").unwrap()).unwrap(),
                host_id: "host-2".to_owned(),
                addresses: vec!["10.0.0.162".parse().unwrap()],
                allow_sha1: true,
            }),
            keep: Duration::from_secs(30 * 86_400),
        };
        assert_eq!(notices, expected);
        assert!(notices.allows_http());
    }

    #[test]
    fn section_without_keys_enables_snmp() {
        let snmp = parse("[notices.snmp]\n").unwrap().snmp.unwrap();
        assert_eq!(snmp.root, MibRoot::with_enterprise(32_473));
        assert_eq!(snmp.host_id, "1");
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = parse(
            "[notices]\nwebhook-origins = [\"receiver\"]\nkeep = \"soon\"\n[notices.mail]\nhost = \"a b\"\n\
             from = \"nobody\"\nehlo = \"a b\"\nuser = \"u\"\ntls = \"none\"\n[notices.snmp]\nroot = \"1.2\"\nhost-id = \"\"\n",
        );
        let errors = errors.unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        let expected = [
            "notices.webhook-origins",
            "notices.keep",
            "notices.mail.host",
            "notices.mail.password-file",
            "notices.mail.from",
            "notices.mail.ehlo",
            "notices.mail.tls",
            "notices.snmp.root",
            "notices.snmp.host-id",
        ];
        let mut found = keys.clone();
        found.sort_unstable();
        let mut wanted = expected.to_vec();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }

    #[test]
    fn mail_server_without_its_required_keys_is_refused() {
        let errors = parse("[notices.mail]\nhost = \"relay.example.com\"\n").unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["notices.mail", "notices.mail"]);
    }
}
