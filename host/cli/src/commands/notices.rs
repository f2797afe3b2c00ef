//! `notices`: deliveries, tests of recipients, and the preview for a customer.

mod preview;
mod view;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use relation_app::{AppError, ErrorKind, records};
use relation_host::types::{Hierarchy, Pkid};
use relation_notify::runner::{self, DeliveryState, MAX_LISTED};
use relation_web::access::deliveries::{self, DeliveryFilter};
use relation_web::access::notice_settings;
use relation_web::access::{AccessParts, Authority, nodes};
use serde_json::json;

use super::access_parts::{open, open_to_read, open_with_keys, to_app_error};
use super::page::PageArgs;
use super::settings::{self, RecipientArgs};
use crate::Context;
use crate::output::escape_control_chars;
use crate::record_selector::{RecordSelector, find_node};

/// Subcommands of `notices`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List deliveries, the newest first, with their states and recipients
    List(ListArgs),
    /// Show a delivery with its attempts and the replies of the receiver
    Show(DeliveryArgs),
    /// List webhooks and SNMP targets that were tried, those that do not work first
    Endpoints(EndpointsArgs),
    /// Enable a disabled webhook or SNMP target, and forget its failures
    Enable(RecipientArgs),
    /// Send again what was not delivered: one delivery, or all since a time
    Resend(ResendArgs),
    /// Send a test to a recipient, and print the receiver's reply
    Test(TestArgs),
    /// Show who would be told about a customer, when, and by what
    Preview(PreviewArgs),
    /// Print this host's id as an SNMP engine, which receivers of version 3 need
    EngineId(EngineIdArgs),
}

/// Arguments of `notices list`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A delivery is pending, sent (the channel has no confirmation), confirmed, dead (it has failed for good), or dropped \
(it became obsolete). It belongs to the node whose settings name the recipient.

Examples:
  relation-host notices list --state dead
  relation-host notices list --record Contoso --day 2026-12-01")]
pub struct ListArgs {
    /// Only deliveries about this customer, by pkid or by name
    #[arg(long, value_name = "RECORD")]
    record: Option<String>,
    /// Only deliveries in this state
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<DeliveryState>,
    /// Only deliveries to recipients that this node or one below names
    #[arg(long, value_name = "PATH")]
    hierarchy: Option<Hierarchy>,
    /// Only deliveries of this day in UTC, such as 2026-12-01
    #[arg(long, value_name = "DATE", value_parser = parse_day)]
    day: Option<NaiveDate>,
    #[command(flatten)]
    page: PageArgs,
}

/// Selects a delivery.
#[derive(Debug, clap::Args)]
pub struct DeliveryArgs {
    /// The pkid of the delivery, as `notices list` prints it
    #[arg(value_name = "PKID")]
    pkid: Pkid,
}

/// Arguments of `notices endpoints`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
An endpoint with only failures for 3 days is disabled, and one that responds with 410 immediately. After its repair, a \
test that succeeds enables it, and so does `relation-host notices enable`.

Example: relation-host notices endpoints --hierarchy sys.Provider")]
pub struct EndpointsArgs {
    /// Only those that this node or one below names
    #[arg(long, value_name = "PATH", default_value = settings::ROOT)]
    hierarchy: Hierarchy,
}

/// Arguments of `notices resend`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A delivery is sent again with its id, so that a receiver can drop a repetition, and if the settings still name the \
recipient. With --since, only dead deliveries are sent again. `relation-host run` or `serve` sends them.

Examples:
  relation-host notices resend 0123456789abcdef01234567
  relation-host notices resend --since 2026-12-01T08:00:00Z
  relation-host notices resend --since 2026-12-01 --hierarchy sys.Provider")]
#[command(group = clap::ArgGroup::new("choice").required(true).args(["pkid", "since"]))]
pub struct ResendArgs {
    /// The pkid of one delivery that has ended
    #[arg(value_name = "PKID")]
    pkid: Option<Pkid>,
    /// All deliveries that died at this time or later: a date in UTC, or 2026-12-01T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<DateTime<Utc>>,
    /// Only those to recipients that this node or one below names
    #[arg(long, value_name = "PATH", requires = "since")]
    hierarchy: Option<Hierarchy>,
}

/// Arguments of `notices test`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The test is sent at once, by this command. The exit code is 0 if the receiver has accepted it, and 1 with its reply if \
not. A trap is only sent: SNMP has no reply to it. A success enables an endpoint that was disabled.

Examples:
  relation-host notices test --hierarchy sys noc@provider.example
  relation-host notices test --hierarchy sys.Provider.Contoso 'ticket system'")]
pub struct TestArgs {
    #[command(flatten)]
    recipient: RecipientArgs,
}

/// Arguments of `notices preview`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The preview uses the rules of the delivery: it shows what will be sent if the connection does not change, and the reason \
where nobody is told.

Example: relation-host notices preview Contoso")]
pub struct PreviewArgs {
    #[command(flatten)]
    record: RecordSelector,
}

/// Arguments of `notices engine-id`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A receiver of traps of version 3 must know the user under this id. For snmptrapd, in snmptrapd.conf:
  createUser -e ENGINE-ID relation SHA-256 AUTH-PASSWORD AES PRIVACY-PASSWORD
  authUser log relation priv

The id stays the same for this store and notices.snmp.host-id. Informs do not need it.")]
pub struct EngineIdArgs {}

fn parse_state(text: &str) -> Result<DeliveryState, String> {
    let mut all = DeliveryState::ALL.into_iter();
    all.find(|state| state.as_str() == text).ok_or_else(|| {
        let known = DeliveryState::ALL.map(DeliveryState::as_str);
        format!("states are {}", known.join(", "))
    })
}

fn parse_day(text: &str) -> Result<NaiveDate, String> {
    let parsed = text.parse();
    parsed.map_err(|_| "expected a date such as 2026-12-01".to_owned())
}

/// Parses a time with its zone, or a date in UTC.
fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let parsed = DateTime::parse_from_rfc3339(text);
    let parsed = parsed.map(|time| time.to_utc());
    parsed.map_err(|_| "expected a time such as 2026-12-01T08:00:00Z, or a date".to_owned())
}

/// Runs a subcommand.
pub async fn run(context: &Context, command: Command) -> Result<(), AppError> {
    match command {
        Command::List(args) => list(context, args).await,
        Command::Show(args) => show(context, args).await,
        Command::Endpoints(args) => list_endpoints(context, args).await,
        Command::Enable(args) => enable(context, args).await,
        Command::Resend(args) => resend(context, args).await,
        Command::Test(args) => test(context, args).await,
        Command::Preview(args) => preview::run(context, args.record).await,
        Command::EngineId(_) => print_engine_id(context).await,
    }
}

async fn list(context: &Context, args: ListArgs) -> Result<(), AppError> {
    let parts = open_to_read(context).await?;
    let node = find_node(parts.store(), args.hierarchy.as_ref()).await?;
    let record = match &args.record {
        Some(record) => Some(records::find(parts.store(), record, None).await?.pkid),
        None => None,
    };
    let filter = DeliveryFilter {
        node,
        record,
        state: args.state,
        day: args.day,
    };
    let page = args
        .page
        .fetch(async |cursor, limit| {
            let cursor = cursor.as_deref();
            let page = deliveries::list(&parts, &Authority::Operator, &filter, cursor, limit).await;
            page.map_err(to_app_error)
        })
        .await?;
    context
        .output
        .page(&page.items, page.next.as_deref(), view::render_list)
}

async fn show(context: &Context, args: DeliveryArgs) -> Result<(), AppError> {
    let parts = open_to_read(context).await?;
    let found = deliveries::find(&parts, &Authority::Operator, &args.pkid).await;
    let found = found.map_err(|error| explain_missing(&args.pkid, error))?;
    let now = context.installation.now();
    context
        .output
        .print(&found, |listed| view::render(listed, now))
}

async fn list_endpoints(context: &Context, args: EndpointsArgs) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let node = nodes::find_spelling(store.as_ref(), &args.hierarchy).await?;
    let mut endpoints = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page =
            runner::list_endpoints(store.as_ref(), &node, cursor.as_deref(), MAX_LISTED).await?;
        endpoints.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    endpoints.sort_by_key(|endpoint| {
        let health = endpoint.health;
        (
            health.disabled().is_none(),
            health.failing_since().is_none(),
        )
    });
    let now = context.installation.now();
    context.output.page(&endpoints, None, |endpoints| {
        view::render_endpoints(endpoints, now)
    })
}

async fn enable(context: &Context, args: RecipientArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let node = settings::find_settings(&parts, &args.node.hierarchy).await?;
    let recipient = settings::find_recipient(&node, &args.recipient)?;
    let name = escape_control_chars(settings::find_name(recipient));
    let Some(id) = recipient.id() else {
        let message = format!("{name} is an e-mail address, which is never disabled");
        return Err(AppError::usage(message));
    };
    let enabled = notice_settings::enable(&parts, &Authority::Operator, &node.hierarchy, id).await;
    enabled.map_err(to_app_error)?;
    let result = json!({ "hierarchy": node.hierarchy, "id": id, "enabled": true });
    context.output.print(&result, |_| {
        format!(
            "{name} gets notices again; `relation-host notices resend` repeats those that it missed"
        )
    })
}

async fn resend(context: &Context, args: ResendArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let count = match (&args.pkid, args.since) {
        (Some(pkid), _) => {
            let resent = deliveries::resend(&parts, &Authority::Operator, pkid).await;
            resent.map_err(|error| explain_missing(pkid, error))?;
            1
        }
        (None, Some(since)) => resend_since(&parts, args.hierarchy.as_ref(), since).await?,
        (None, None) => return Err(AppError::usage("name a delivery, or give --since")),
    };
    let result = json!({ "resent": count });
    context.output.print(&result, |_| match count {
        0 => "no dead delivery has ended since then".to_owned(),
        1 => "1 delivery is sent again; `relation-host run` or `serve` must be running".to_owned(),
        count => format!(
            "{count} deliveries are sent again; `relation-host run` or `serve` must be running"
        ),
    })
}

/// Sends all dead deliveries since a time again, in as many calls as needed. Returns their number.
async fn resend_since(
    parts: &AccessParts,
    node: Option<&Hierarchy>,
    since: DateTime<Utc>,
) -> Result<u64, AppError> {
    let filter = DeliveryFilter {
        node: find_node(parts.store(), node).await?,
        ..DeliveryFilter::default()
    };
    let since = view::to_timestamp(&since);
    let mut cursor: Option<String> = None;
    let mut count = 0;
    loop {
        let authority = Authority::Operator;
        let page =
            deliveries::resend_since(parts, &authority, &filter, since, cursor.as_deref()).await;
        let page = page.map_err(to_app_error)?;
        count += u64::from(page.resent);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(count);
        }
    }
}

async fn test(context: &Context, args: TestArgs) -> Result<(), AppError> {
    let (parts, notices) = open_with_keys(context).await?;
    let RecipientArgs { node, recipient } = &args.recipient;
    let node = settings::find_settings(&parts, &node.hierarchy).await?;
    let recipient = settings::find_recipient(&node, recipient)?;
    let name = escape_control_chars(settings::find_name(recipient));
    let channel = recipient.channel();
    if !context.installation.config.notices.has_channel(channel) {
        let section = settings::find_section(channel);
        let message = format!("{name} cannot be told: the configuration lacks {section}");
        let hint = "docs/configuration.md has an example in [notices]";
        return Err(AppError::new(ErrorKind::Problem, message).hint(hint));
    }
    let id = relation_app::notices::recipient_id(recipient);
    let report =
        notice_settings::send_test(&parts, &Authority::Operator, &notices, &node.hierarchy, id);
    let report = report.await.map_err(to_app_error)?;
    let reply = escape_control_chars(&report.reply);
    if !report.sent {
        let message = format!("the test to {name} was not delivered: {reply}");
        return Err(AppError::new(ErrorKind::Failed, message));
    }
    context
        .output
        .print(&report, |report| match report.confirmed {
            true => format!("{name} has accepted the test: {reply}"),
            false => format!("the test to {name} was sent, without a confirmation: {reply}"),
        })
}

async fn print_engine_id(context: &Context) -> Result<(), AppError> {
    let (_, notices) = open_with_keys(context).await?;
    let Some(id) = notices.find_engine_id().await? else {
        let message = "SNMP is not configured";
        let hint = "add the section [notices.snmp] to the configuration; docs/snmp.md describes it";
        return Err(AppError::new(ErrorKind::Problem, message).hint(hint));
    };
    let result = json!({ "engine_id": id });
    context.output.print(&result, |_| id)
}

fn explain_missing(pkid: &Pkid, error: relation_web::WebError) -> AppError {
    let error = to_app_error(error);
    match error.kind {
        ErrorKind::NotFound => {
            let message = format!("there is no delivery {pkid}");
            let hint = "`relation-host notices list` lists the deliveries that are kept";
            AppError::new(ErrorKind::NotFound, message).hint(hint)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_a_date_or_has_a_zone() {
        let parse = |text: &str| parse_time(text).map(|time| time.timestamp());
        assert_eq!(parse("2026-12-01"), Ok(1_796_083_200));
        assert_eq!(parse("2026-12-01T01:00:00+01:00"), Ok(1_796_083_200));
        for text in ["2026-12-01T08:00", "yesterday", "2026-13-01"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
