//! `wholesale`: the customers of a wholesale partner: lists and shows them, and changes them at Webex.

mod follow;
mod view;

use std::io::{self, IsTerminal};

use relation_app::records::StoredRecord;
use relation_app::wholesale::{self, WholesaleCustomer};
use relation_app::{AppError, ErrorKind};
use serde_json::{Map, Value};

use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::streams::stderr;
use crate::{Context, progress};
use follow::follow;

/// Subcommands of `wholesale`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the partner's customers that were imported or changed from here
    List(ListArgs),
    /// Show a customer with its packages, and the change that was requested last
    Show(ShowArgs),
    /// Add a customer at Webex, and wait until it is provisioned
    Add(Box<AddArgs>),
    /// Change packages and details of a customer at Webex, and wait until it is provisioned
    Modify(Box<ModifyArgs>),
    /// Delete a customer at Webex, and wait until it is gone
    Delete(DeleteArgs),
}

/// Arguments of `wholesale list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    record: RecordSelector,
}

/// Arguments of `wholesale show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    #[command(flatten)]
    record: RecordSelector,
    /// The customer: the partner's own id of it, or Webex's id
    #[arg(value_name = "CUSTOMER")]
    customer: String,
    /// Ask Webex for the present state; without this option, only the store is read
    #[arg(long)]
    check: bool,
}

/// Arguments of `wholesale add`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Webex accepts the request and provisions the customer later. The command waits for the end, usually a few seconds and at
most two minutes. `relation-host run` continues after an interruption, or with --no-wait. The same command again continues
as well; it never adds the customer twice.

Packages are common_area_calling, webex_calling, webex_meetings, webex_suite, webex_voice, cx_essentials,
webex_calling_standard, cisco_calling_plan, attendant_console, cx_premium_agent, cx_standard_agent, cx_voice_ports,
cx_ai_assistant and webex_ai_agent. Calling packages need a location; cisco_calling_plan and attendant_console need a
calling package.

Example: relation-host wholesale add Partner c-17 --provisioning-id P1 --packages webex_calling,webex_meetings
--name Newcomer --email boss@newcomer.example --address-line1 '1 Main Street' --city Austin --country US
--location-name Office --location-timezone America/Chicago --location-language en_us")]
pub struct AddArgs {
    #[command(flatten)]
    record: RecordSelector,
    /// The partner's own id of the new customer
    #[arg(value_name = "EXTERNAL_ID")]
    external_id: String,
    /// The id of the partner's subscription that the customer belongs to, from Partner Hub
    #[arg(long, value_name = "ID")]
    provisioning_id: Option<String>,
    /// All packages of the customer
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',')]
    packages: Vec<String>,
    /// The id of the customer's organization, if Webex has it
    #[arg(long, value_name = "ID")]
    org_id: Option<String>,
    /// The name of the customer's new organization
    #[arg(long)]
    name: Option<String>,
    /// The e-mail address of the new organization's first administrator
    #[arg(long)]
    email: Option<String>,
    /// The language of the new organization, such as en
    #[arg(long)]
    language: Option<String>,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Arguments of `wholesale modify`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Packages and details that are not named stay as they are at Webex.

Example: relation-host wholesale modify Partner c-17 --add-packages attendant_console --city Boston")]
pub struct ModifyArgs {
    #[command(flatten)]
    record: RecordSelector,
    /// The customer: the partner's own id of it, or Webex's id
    #[arg(value_name = "CUSTOMER")]
    customer: String,
    /// Packages that the customer gets
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',')]
    add_packages: Vec<String>,
    /// Packages that the customer loses
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',')]
    remove_packages: Vec<String>,
    /// All packages, in place of the present ones: the customer loses those that are not named
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',')]
    packages: Vec<String>,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Arguments of `wholesale delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    record: RecordSelector,
    /// The customer: the partner's own id of it, or Webex's id
    #[arg(value_name = "CUSTOMER")]
    customer: String,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// The option not to wait for Webex.
#[derive(Clone, Copy, Debug, clap::Args)]
struct WaitArgs {
    /// Do not wait until Webex has carried out the request: `relation-host run` does
    #[arg(long)]
    no_wait: bool,
}

/// The details of a customer.
#[derive(Debug, clap::Args)]
struct Details {
    /// The address, at most 50 characters
    #[arg(long, value_name = "TEXT")]
    address_line1: Option<String>,
    /// The second line of the address, at most 50 characters
    #[arg(long, value_name = "TEXT")]
    address_line2: Option<String>,
    /// The city of the address
    #[arg(long)]
    city: Option<String>,
    /// The state or province of the address
    #[arg(long)]
    state: Option<String>,
    /// The ZIP or postal code of the address
    #[arg(long, value_name = "CODE")]
    postal_code: Option<String>,
    /// The country of the address: two capital letters, such as US
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// The name of the first location of calling, which has the customer's address; needed with the first calling
    /// package
    #[arg(long, value_name = "NAME")]
    location_name: Option<String>,
    /// The time zone of that location, such as America/Chicago
    #[arg(long, value_name = "ZONE")]
    location_timezone: Option<String>,
    /// The language of announcements in that location, such as en_us
    #[arg(long, value_name = "LANGUAGE")]
    location_language: Option<String>,
    /// The identifier of that location for emergency calls
    #[arg(long, value_name = "ID")]
    location_emergency_id: Option<String>,
    /// The time zone of meetings, such as America/Chicago
    #[arg(long, value_name = "ZONE")]
    meetings_timezone: Option<String>,
    /// The e-mail address of a sub-partner's administrator
    #[arg(long, value_name = "EMAIL")]
    sub_partner_admin_email: Option<String>,
}

impl Details {
    fn into_arguments(self) -> Map<String, Value> {
        to_arguments([
            ("address_line1", self.address_line1),
            ("address_line2", self.address_line2),
            ("city", self.city),
            ("state", self.state),
            ("postal_code", self.postal_code),
            ("country", self.country),
            ("location_name", self.location_name),
            ("location_timezone", self.location_timezone),
            ("location_language", self.location_language),
            ("location_emergency_id", self.location_emergency_id),
            ("meetings_timezone", self.meetings_timezone),
            ("sub_partner_admin_email", self.sub_partner_admin_email),
        ])
    }
}

/// Builds the arguments of an action from texts that were given.
fn to_arguments<const N: usize>(texts: [(&str, Option<String>); N]) -> Map<String, Value> {
    let given = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    given.collect()
}

/// Adds lists that are not empty to the arguments of an action.
fn add_lists<const N: usize>(arguments: &mut Map<String, Value>, lists: [(&str, Vec<String>); N]) {
    for (name, list) in lists {
        if !list.is_empty() {
            let trimmed = list.iter().map(|text| text.trim().into());
            arguments.insert(name.to_owned(), Value::Array(trimmed.collect()));
        }
    }
}

/// Runs a subcommand.
pub async fn run(context: &Context, command: Command) -> Result<(), AppError> {
    match command {
        Command::List(args) => list(context, args).await,
        Command::Show(args) => show(context, args).await,
        Command::Add(args) => {
            let mut arguments = args.details.into_arguments();
            arguments.extend(to_arguments([
                ("external_id", Some(args.external_id)),
                ("provisioning_id", args.provisioning_id),
                ("org_id", args.org_id),
                ("name", args.name),
                ("email", args.email),
                ("language", args.language),
            ]));
            add_lists(&mut arguments, [("packages", args.packages)]);
            let action = "AddWholesaleCustomer";
            change(context, &args.record, action, arguments, args.wait).await
        }
        Command::Modify(args) => {
            let mut arguments = args.details.into_arguments();
            arguments.extend(to_arguments([("customer", Some(args.customer))]));
            add_lists(
                &mut arguments,
                [
                    ("packages", args.packages),
                    ("add_packages", args.add_packages),
                    ("remove_packages", args.remove_packages),
                ],
            );
            let action = "ModifyWholesaleCustomer";
            change(context, &args.record, action, arguments, args.wait).await
        }
        Command::Delete(args) => {
            if !args.yes && !confirm(&args.customer)? {
                return Err(AppError::new(ErrorKind::Failed, "nothing was deleted"));
            }
            let arguments = to_arguments([("customer", Some(args.customer))]);
            let action = "DeleteWholesaleCustomer";
            change(context, &args.record, action, arguments, args.wait).await
        }
    }
}

async fn list(context: &Context, args: ListArgs) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let record = args.record.find(store.as_ref()).await?;
    let customers = wholesale::list(store.as_ref(), &record).await?;
    if customers.is_empty() && !context.output.json {
        let hint = format!(
            "`relation-host sync {} all` imports the customers of a wholesale partner",
            record.selector()
        );
        stderr::note(&hint);
    }
    let render = |customers: &[WholesaleCustomer]| view::render_list(customers);
    context.output.page(&customers, None, render)
}

async fn show(context: &Context, args: ShowArgs) -> Result<(), AppError> {
    if !args.check {
        let store = context.installation.store_to_read().await?;
        let record = args.record.find(store.as_ref()).await?;
        let found = wholesale::find(store.as_ref(), &record, &args.customer).await?;
        let found = found.ok_or_else(|| not_found(&record, &args.customer))?;
        return context.output.print(&found, view::render_stored);
    }
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let label = format!("asking Webex for {}", args.customer);
    let arguments = to_arguments([("customer", Some(args.customer))]);
    let call = host.invoke(follow::CHECK, &record.pkid, arguments);
    let watched = Some((host.store().as_ref(), record.reference()));
    let call_output = progress::show_while(&label, watched, call).await;
    let call_output = call_output.map_err(|error| record.explain(error))?;
    context.print_call(&call_output, view::render_report)
}

fn not_found(record: &StoredRecord, customer: &str) -> AppError {
    let message = format!(
        "no wholesale customer {customer:?} of {} is stored",
        record.name()
    );
    let selector = record.selector();
    AppError::new(ErrorKind::NotFound, message).hint(format!(
        "`relation-host wholesale list {selector}` shows what is stored; --check asks Webex; \
         `relation-host sync {selector} all` imports the customers"
    ))
}

/// Requests a change, and waits for its end.
async fn change(
    context: &Context,
    record: &RecordSelector,
    action: &str,
    arguments: Map<String, Value>,
    wait: WaitArgs,
) -> Result<(), AppError> {
    let host = context.installation.host().await?;
    let record = record.find(host.store().as_ref()).await?;
    let label = format!("{action} of {}", record.name());
    let watched = Some((host.store().as_ref(), record.reference()));
    let call = host.invoke(action, &record.pkid, arguments);
    let call_output = progress::show_while(&label, watched, call).await;
    let call_output = call_output.map_err(|error| record.explain(error))?;
    let call_output = follow(&host, &record, call_output, wait.no_wait).await;
    context.print_call(&call_output, view::render_report)?;
    follow::check_end(&record, &call_output.value)
}

fn confirm(customer: &str) -> Result<bool, AppError> {
    if !(io::stdin().is_terminal() && stderr::is_interactive()) {
        return Err(
            AppError::usage("this would delete a customer at Webex without asking")
                .hint("--yes deletes"),
        );
    }
    let customer = escape_control_chars(customer);
    stderr::prompt(&format!(
        "Delete the customer {customer} at Webex, with all packages and users? [y/N] "
    ));
    let mut reply = String::new();
    io::stdin()
        .read_line(&mut reply)
        .map_err(|error| AppError::new(ErrorKind::Failed, format!("cannot ask: {error}")))?;
    Ok(matches!(reply.trim(), "y" | "Y" | "yes"))
}
