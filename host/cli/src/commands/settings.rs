//! `settings`: the settings of notices, for each node of the hierarchy.

mod changes;
mod credentials;
mod view;

use relation_app::{AppError, ErrorKind};
use relation_host::types::Hierarchy;
use relation_notify::settings::{NoticeSettings, Recipient, VisibleSettings};
use relation_web::access::notice_settings::{self, NewSecret, NodeSettings};
use relation_web::access::{AccessParts, Authority, nodes};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;

use self::changes::{FieldChange, SettingsInput};
pub use self::view::{find_name, find_section};
use super::access_parts::{ListArgs, open_to_read, open_with_keys, to_app_error};
use crate::Context;
use crate::output::escape_control_chars;
use crate::streams::stderr;

/// The root of the hierarchy, above every customer.
pub const ROOT: &str = "sys";

/// Subcommands of `settings`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the nodes that have settings
    List(ListArgs),
    /// Show the settings of a node, or the values that apply there and the level of each
    Show(ShowArgs),
    /// Change single fields of a node's settings, or replace all of them by a JSON file
    Set(SetArgs),
    /// Remove the settings of a node with the secrets of its recipients; the levels above then apply
    Remove(NodeArgs),
    /// Give a webhook a new signing secret, and print it; the present one stays valid for 24 hours
    RotateSecret(RecipientArgs),
    /// Store the community or the passwords of an SNMP target
    SetCredentials(credentials::Args),
}

/// Selects a node.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// The node
    #[arg(long, value_name = "PATH")]
    pub hierarchy: Hierarchy,
}

/// Arguments of `settings show`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Each field is `inherit`, or has a value. A field that is inherited has the value of the nearest node above, or the default. \
With --resolved, each value is shown with the node that it comes from.

Examples:
  relation-host settings show --hierarchy sys.Provider
  relation-host settings show --hierarchy sys.Provider.Contoso --resolved")]
pub struct ShowArgs {
    /// The node
    #[arg(long, value_name = "PATH", default_value = ROOT)]
    hierarchy: Hierarchy,
    /// Show the values that apply to the node, with the level of each
    #[arg(long)]
    resolved: bool,
}

/// Arguments of `settings set`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
FIELD=VALUE changes one field of the node's own settings and leaves the others as they are. VALUE is plain text or JSON.

  FIELD=VALUE    the node's value; a list is separated by commas and replaces
                 the inherited one
  FIELD+=VALUE   adds to a list; a list that was inherited stays inherited, too
  FIELD-=VALUE   removes from the node's own list, by value, name or id
  FIELD=inherit  the levels above decide again

FILE has all settings of the node as JSON. Fields that it lacks are inherited. `relation-host settings show --json` prints \
the member `settings` in this form. docs/notices.md lists the fields. Settings with an error change nothing.

A new webhook gets a signing secret, which is printed once. The address of a webhook may be confidential: use a file.

Examples:
  relation-host settings set --hierarchy sys recipients=noc@provider.example \\
    thresholds=30d,7d,2d language=de
  relation-host settings set --hierarchy sys.Provider.Contoso \\
    recipients+=it@contoso.example reminder=7d
  relation-host settings set --hierarchy sys quiet_hours.from=22:00 \\
    quiet_hours.to=06:00 quiet_hours.zone=Europe/Zurich
  relation-host settings set --hierarchy sys.Provider.Fabrikam notify=no
  relation-host settings set --hierarchy sys.Provider.Contoso settings.json")]
pub struct SetArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Fields; or a file with all settings as JSON, or - for stdin
    #[arg(value_name = "FIELD=VALUE|FILE|-", required = true)]
    changes: Vec<String>,
}

/// Selects a recipient of a node.
#[derive(Debug, clap::Args)]
pub struct RecipientArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// The recipient: its e-mail address, or its name or id
    #[arg(value_name = "RECIPIENT")]
    pub recipient: String,
}

/// The settings of a node, as they are printed.
#[derive(Serialize)]
struct SettingsOutput<'a> {
    hierarchy: &'a Hierarchy,
    version: u64,
    settings: &'a NoticeSettings,
    secrets: Vec<SecretOutput<'a>>,
    /// The only place that shows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    new_secrets: Vec<NewSecretOutput<'a>>,
}

/// The state of a recipient's secret.
#[derive(Serialize)]
struct SecretOutput<'a> {
    id: &'a str,
    set: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap_end: Option<relation_host::types::Timestamp>,
}

/// A signing secret that was made by this command.
#[derive(Serialize)]
struct NewSecretOutput<'a> {
    id: &'a str,
    name: &'a str,
    signing_secret: &'a str,
}

/// The settings that apply to a node, as they are printed.
#[derive(Serialize)]
struct ResolvedOutput<'a> {
    hierarchy: &'a Hierarchy,
    #[serde(flatten)]
    settings: &'a VisibleSettings,
}

impl<'a> SettingsOutput<'a> {
    fn new(node: &'a NodeSettings, new_secrets: &'a [NewSecret]) -> Self {
        let secrets = node.secrets.iter().map(|(id, state)| SecretOutput {
            id,
            set: state.set,
            overlap_end: state.overlap_end,
        });
        Self {
            hierarchy: &node.hierarchy,
            version: node.version,
            settings: &node.settings,
            secrets: secrets.collect(),
            new_secrets: new_secrets.iter().map(NewSecretOutput::new).collect(),
        }
    }
}

impl<'a> NewSecretOutput<'a> {
    fn new(secret: &'a NewSecret) -> Self {
        Self {
            id: &secret.id,
            name: &secret.name,
            signing_secret: secret.signing_secret.expose_secret(),
        }
    }

    /// Renders the secret with the warning that it is not shown again.
    fn render(&self) -> String {
        format!(
            "The signing secret of the webhook {} ({}). This is the only time that it is shown:\n{}",
            escape_control_chars(self.name),
            self.id,
            self.signing_secret
        )
    }
}

/// Runs a subcommand.
pub async fn run(context: &Context, command: Command) -> Result<(), AppError> {
    match command {
        Command::List(args) => list(context, args).await,
        Command::Show(args) => show(context, args).await,
        Command::Set(args) => set(context, args).await,
        Command::Remove(args) => remove(context, args).await,
        Command::RotateSecret(args) => rotate_secret(context, args).await,
        Command::SetCredentials(args) => credentials::run(context, args).await,
    }
}

async fn list(context: &Context, args: ListArgs) -> Result<(), AppError> {
    let parts = open_to_read(context).await?;
    let page = args.fetch(&parts, async |node, cursor, limit| {
        notice_settings::list(&parts, &Authority::Operator, node, cursor, limit).await
    });
    let page = page.await?;
    let outputs: Vec<SettingsOutput<'_>> = page
        .items
        .iter()
        .map(|node| SettingsOutput::new(node, &[]))
        .collect();
    context
        .output
        .page(&outputs, page.next.as_deref(), view::render_list)
}

async fn show(context: &Context, args: ShowArgs) -> Result<(), AppError> {
    if args.resolved {
        return show_resolved(context, &args.hierarchy).await;
    }
    let parts = open_to_read(context).await?;
    let node = find_settings(&parts, &args.hierarchy).await?;
    let output = SettingsOutput::new(&node, &[]);
    context.output.print(&output, |_| view::render(&node))
}

async fn show_resolved(context: &Context, node: &Hierarchy) -> Result<(), AppError> {
    let (parts, _) = open_with_keys(context).await?;
    let node = nodes::find_spelling(parts.store(), node).await?;
    let resolved = notice_settings::resolve(&parts, &Authority::Operator, &node).await;
    let output = ResolvedOutput {
        hierarchy: &node,
        settings: &resolved.map_err(to_app_error)?,
    };
    context.output.print(&output, |output| {
        view::render_resolved(output.hierarchy, output.settings)
    })
}

async fn set(context: &Context, args: SetArgs) -> Result<(), AppError> {
    let input = changes::parse_arguments(args.changes)?;
    let (parts, notices) = open_with_keys(context).await?;
    let node = nodes::find_spelling(parts.store(), &args.node.hierarchy).await?;
    let (settings, version) = match input {
        SettingsInput::File(source) => {
            let settings = source.read_object("the settings")?;
            (Value::Object(settings), None)
        }
        SettingsInput::Fields(changes) => {
            let present = find_settings(&parts, &node).await?;
            let settings = merge(&present.settings, &changes, &notices)?;
            (settings, Some(present.version))
        }
    };
    let saved = notice_settings::save(
        &parts,
        &Authority::Operator,
        notices.rules(),
        &node,
        &settings,
        version,
    );
    let saved = saved.await.map_err(explain_errors)?;
    let output = SettingsOutput::new(&saved.node, &saved.new_secrets);
    context.output.print(&output, |output| {
        let secrets = output.new_secrets.iter().map(NewSecretOutput::render);
        let blocks = std::iter::once(view::render(&saved.node)).chain(secrets);
        blocks.collect::<Vec<_>>().join("\n\n")
    })?;
    note_missing(context, &saved.node);
    Ok(())
}

/// Applies changes to present settings. Returns all errors, also those of fields that the changes have left wrong.
fn merge(
    present: &NoticeSettings,
    changes: &[FieldChange],
    notices: &relation_app::notices::Notices,
) -> Result<Value, AppError> {
    let present = serde_json::to_value(present);
    let mut settings = present.map_err(|error| {
        let message = format!("the settings cannot be written as JSON: {error}");
        AppError::new(ErrorKind::Internal, message)
    })?;
    let mut errors = changes::apply(&mut settings, changes);
    if errors.is_empty() {
        return Ok(settings);
    }
    let others = relation_notify::settings::parse(&settings, notices.rules());
    errors.extend(others.err().unwrap_or_default());
    let mut error = AppError::new(ErrorKind::Invalid, "the settings are not right");
    error.field_errors = errors;
    Err(error.hint(SET_HINT))
}

/// The hint for settings with errors.
const SET_HINT: &str = "nothing was changed; `relation-host settings set --help` has examples, and docs/notices.md the fields";

fn explain_errors(error: relation_web::WebError) -> AppError {
    let error = to_app_error(error);
    match error.kind {
        ErrorKind::Invalid => error.or_hint(SET_HINT),
        ErrorKind::Changed | ErrorKind::Conflict => {
            error.or_hint("somebody else has changed the settings meanwhile; run the command again")
        }
        _ => error,
    }
}

/// Notes on stderr what recipients still lack before they can be told.
fn note_missing(context: &Context, node: &NodeSettings) {
    if context.output.json {
        return;
    }
    let recipients = node.settings.recipients.value();
    let config = &context.installation.config.notices;
    for recipient in recipients.into_iter().flat_map(|list| &list.values) {
        let name = escape_control_chars(view::find_name(recipient));
        if !config.has_channel(recipient.channel()) {
            stderr::note(&format!(
                "{name} gets nothing yet: the configuration does not have {}",
                view::find_section(recipient.channel())
            ));
        }
        let has_secret = |id: &String| node.secrets.get(id).is_some_and(|state| state.set);
        if let Recipient::Snmp(target) = recipient
            && !has_secret(&target.id)
        {
            let (hierarchy, id) = (&node.hierarchy, &target.id);
            stderr::note(&format!(
                "{name} needs credentials: `relation-host settings set-credentials --hierarchy {hierarchy} {id}`"
            ));
        }
    }
}

async fn remove(context: &Context, args: NodeArgs) -> Result<(), AppError> {
    let (parts, _) = open_with_keys(context).await?;
    let node = find_settings(&parts, &args.hierarchy).await?;
    if node.version == 0 {
        let message = format!("{} has no settings", node.hierarchy);
        let hint = "`relation-host settings list` lists the nodes that have";
        return Err(AppError::new(ErrorKind::NotFound, message).hint(hint));
    }
    let version = Some(node.version);
    let removed =
        notice_settings::remove(&parts, &Authority::Operator, &node.hierarchy, version).await;
    removed.map_err(explain_errors)?;
    // Removed settings can be set again.
    let output = SettingsOutput::new(&node, &[]);
    context.output.print(&output, |_| {
        format!("the settings of {} are removed", node.hierarchy)
    })
}

async fn rotate_secret(context: &Context, args: RecipientArgs) -> Result<(), AppError> {
    let (parts, _) = open_with_keys(context).await?;
    let node = find_settings(&parts, &args.node.hierarchy).await?;
    let recipient = find_recipient(&node, &args.recipient)?;
    let Recipient::Webhook(endpoint) = recipient else {
        let name = view::find_name(recipient);
        let message = format!("{name} is not a webhook, and has no signing secret");
        return Err(AppError::usage(message));
    };
    let (hierarchy, id) = (&node.hierarchy, &endpoint.id);
    let secret = notice_settings::rotate_secret(&parts, &Authority::Operator, hierarchy, id).await;
    let secret = secret.map_err(to_app_error)?;
    context
        .output
        .print(&NewSecretOutput::new(&secret), |output| {
            format!(
                "{}\nThe former secret signs too, for 24 hours.",
                output.render()
            )
        })
}

/// Reads the settings of a node, in its stored spelling.
pub async fn find_settings(
    parts: &AccessParts,
    node: &Hierarchy,
) -> Result<NodeSettings, AppError> {
    let node = nodes::find_spelling(parts.store(), node).await?;
    let found = notice_settings::find(parts, &Authority::Operator, &node).await;
    found.map_err(to_app_error)
}

/// Finds a recipient of a node: an e-mail address, or a webhook or SNMP target by name or id.
pub fn find_recipient<'n>(node: &'n NodeSettings, text: &str) -> Result<&'n Recipient, AppError> {
    let list = node.settings.recipients.value();
    let recipients = list.into_iter().flat_map(|list| &list.values);
    let node = &node.hierarchy;
    let wanted = text.trim().to_lowercase();
    let matching: Vec<&Recipient> = recipients
        .filter(|recipient| {
            recipient.id() == Some(&wanted) || view::find_name(recipient).to_lowercase() == wanted
        })
        .collect();
    match matching.as_slice() {
        [] => {
            let message = format!("the settings of {node} have no recipient {text:?}");
            let hint = format!(
                "`relation-host settings show --hierarchy {node}` lists the recipients of this level"
            );
            Err(AppError::new(ErrorKind::NotFound, message).hint(hint))
        }
        [recipient] => Ok(recipient),
        several => {
            let ids = several.iter().filter_map(|recipient| recipient.id());
            let ids: Vec<&str> = ids.collect();
            let message = format!("several recipients of {node} have the name {text:?}");
            let hint = format!("name one by its id: {}", ids.join(", "));
            Err(AppError::usage(message).hint(hint))
        }
    }
}
