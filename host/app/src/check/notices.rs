//! Checks the channels of notices, and the recipients that administrators have named. Their problems are warnings: nothing
//! about notices stops a refresh.

use std::collections::BTreeMap;

use relation_host::store::{Store, StoreError};
use relation_host::text::format_count;
use relation_host::types::{Document, Filter};
use relation_notify::settings::{ChannelKind, NOTICE_SETTINGS_MODEL};

use super::CheckFinding;
use crate::client_secret::is_open_to_others;
use crate::notices::{MAIL_PASSWORD, read_level};
use crate::{Installation, quote_for_shell, secret_text};

const CHECK: &str = "notices";
/// The number of documents that are read at once.
const PAGE_SIZE: u32 = 200;

/// Checks the channels and the settings of all nodes. Without channels and settings, there is no finding.
pub(super) async fn check(installation: &Installation) -> Vec<CheckFinding> {
    let mut findings = check_channels(installation);
    let settings = match installation.store_to_read().await {
        Ok(store) => read_settings(store.as_ref(), installation).await,
        // The check of the store reports it.
        Err(_) => Ok(Vec::new()),
    };
    findings.extend(settings.unwrap_or_else(|error| {
        let error = crate::AppError::from(error);
        vec![CheckFinding::warning(
            CHECK,
            format!("the notice settings cannot be read: {error}"),
            "check the store",
        )]
    }));
    if findings.is_empty() {
        findings.extend(describe_channels(installation));
    }
    findings
}

/// Checks the configuration of the channels.
pub(super) fn check_channels(installation: &Installation) -> Vec<CheckFinding> {
    let notices = &installation.config.notices;
    let mut findings = Vec::new();
    let password_file = notices.mail.as_ref();
    if let Some(file) = password_file.and_then(|mail| mail.password_file.as_ref()) {
        if let Err(error) = secret_text::read_line_of_file(file, MAIL_PASSWORD) {
            findings.push(CheckFinding::warning(
                CHECK,
                format!("no e-mail can be sent: {error}"),
                "write the password to the file; the file is read again at the next e-mail",
            ));
        } else if is_open_to_others(file) {
            findings.push(CheckFinding::warning(
                CHECK,
                "others on this machine can read the password of the mail server",
                format!("chmod 600 {}", quote_for_shell(&file.to_string_lossy())),
            ));
        }
    }
    let origins = notices.webhook_origins.iter();
    let unencrypted: Vec<&str> = origins
        .map(String::as_str)
        .filter(|origin| origin.starts_with("http:"))
        .collect();
    if !unencrypted.is_empty() {
        let message = format!(
            "notices.webhook-origins permits webhooks without encryption: {}",
            unencrypted.join(", ")
        );
        let hint = "use https; others on the way can read names and states of customers";
        findings.push(CheckFinding::warning(CHECK, message, hint));
    }
    findings
}

/// Names the configured channels.
fn describe_channels(installation: &Installation) -> Option<CheckFinding> {
    let named = ChannelKind::ALL.into_iter();
    let named = named.filter(|channel| installation.config.notices.has_channel(*channel));
    let named: Vec<&str> = named.map(describe_channel).collect();
    let message = format!("notices can be sent by {}", named.join(", "));
    (!named.is_empty()).then(|| CheckFinding::ok(CHECK, message))
}

fn describe_channel(channel: ChannelKind) -> &'static str {
    match channel {
        ChannelKind::Mail => "e-mail",
        ChannelKind::Webhook => "webhook",
        ChannelKind::Snmp => "SNMP",
    }
}

/// Returns the part of the configuration that permits a channel.
fn find_section(channel: ChannelKind) -> &'static str {
    match channel {
        ChannelKind::Mail => "the section [notices.mail]",
        ChannelKind::Webhook => "notices.webhook-origins",
        ChannelKind::Snmp => "the section [notices.snmp]",
    }
}

/// Reads the settings of all nodes. Finds those that cannot be read, and recipients of a channel that is not configured.
async fn read_settings(
    store: &dyn Store,
    installation: &Installation,
) -> Result<Vec<CheckFinding>, StoreError> {
    let mut findings = Vec::new();
    // The nodes by channel.
    let mut unreachable: BTreeMap<ChannelKind, Vec<String>> = BTreeMap::new();
    for document in list_settings(store).await? {
        let level = match read_level(&document) {
            Ok(level) => level,
            Err(error) => {
                let hint = error.hint.clone().unwrap_or_default();
                findings.push(CheckFinding::warning(CHECK, error.message, hint));
                continue;
            }
        };
        let recipients = level.settings.recipients.value();
        for recipient in recipients.iter().flat_map(|list| &list.values) {
            let channel = recipient.channel();
            if installation.config.notices.has_channel(channel) {
                continue;
            }
            let nodes = unreachable.entry(channel).or_default();
            if nodes.last().is_none_or(|last| last != level.node.as_str()) {
                nodes.push(level.node.to_string());
            }
        }
    }
    findings.extend(unreachable.into_iter().map(|(channel, nodes)| {
        let count = format_count(nodes.len() as u64, "node names", "nodes name");
        let first = nodes.first().map_or("", String::as_str);
        let message = format!(
            "{count} recipients by {}, which is not configured, such as {first}",
            describe_channel(channel)
        );
        let hint = format!(
            "add {} to the configuration; until then, their notices wait",
            find_section(channel)
        );
        CheckFinding::warning(CHECK, message, hint)
    }));
    Ok(findings)
}

async fn list_settings(store: &dyn Store) -> Result<Vec<Document>, StoreError> {
    let filter = Filter {
        model: NOTICE_SETTINGS_MODEL.to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    };
    let mut documents = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.find(&filter, cursor.as_deref(), PAGE_SIZE).await?;
        documents.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(documents);
        }
    }
}
