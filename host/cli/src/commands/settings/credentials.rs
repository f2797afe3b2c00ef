//! `settings set-credentials`: the community or the passwords of an SNMP target.

use relation_app::AppError;
use relation_notify::settings::{Recipient, SnmpVersion};
use relation_web::access::Authority;
use relation_web::access::notice_settings::{self, SnmpCredentials};
use serde_json::json;

use super::super::access_parts::{open_with_keys, to_app_error};
use super::{RecipientArgs, find_recipient, find_settings, view};
use crate::Context;
use crate::output::escape_control_chars;
use crate::secrets::SecretSource;

/// Arguments of `settings set-credentials`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A target of version 2c has a community: one line. A target of version 3 has an authentication password and a privacy \
password: two lines, in this order. At a terminal, the command asks for them. They are sealed in the store, and never \
shown.

Examples:
  relation-host settings set-credentials --hierarchy sys NOC
  relation-host settings set-credentials --hierarchy sys NOC noc-passwords")]
pub struct Args {
    #[command(flatten)]
    recipient: RecipientArgs,
    /// A file with the credentials, or - for stdin
    #[arg(value_name = "FILE|-", default_value = "-")]
    source: SecretSource,
}

/// Stores the credentials.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let (parts, _) = open_with_keys(context).await?;
    let node = find_settings(&parts, &args.recipient.node.hierarchy).await?;
    let recipient = find_recipient(&node, &args.recipient.recipient)?;
    let Recipient::Snmp(target) = recipient else {
        let name = view::find_name(recipient);
        let message = format!("{name} is not an SNMP target, and has no credentials");
        let hint = format!(
            "a webhook has a signing secret: `relation-host settings rotate-secret --hierarchy {} ID`",
            node.hierarchy
        );
        return Err(AppError::usage(message).hint(hint));
    };
    let names: &[&str] = match target.version {
        SnmpVersion::V2c => &["the community"],
        SnmpVersion::V3 { .. } => &["the authentication password", "the privacy password"],
    };
    let mut secrets = args.source.read_lines(names)?.into_iter();
    let credentials = match (secrets.next(), secrets.next()) {
        (Some(auth_password), Some(privacy_password)) => SnmpCredentials::User {
            auth_password,
            privacy_password,
        },
        (Some(community), None) => SnmpCredentials::Community(community),
        (None, _) => return Err(AppError::usage("no credentials were given")),
    };
    let (hierarchy, id) = (&node.hierarchy, &target.id);
    let stored =
        notice_settings::set_snmp_secrets(&parts, &Authority::Operator, hierarchy, id, credentials);
    stored.await.map_err(to_app_error)?;
    let result = json!({ "hierarchy": hierarchy, "id": id, "set": true });
    context.output.print(&result, |_| {
        let name = escape_control_chars(&target.name);
        format!(
            "the credentials of {name} are stored; `relation-host notices test --hierarchy {hierarchy} {id}` tests them"
        )
    })
}
