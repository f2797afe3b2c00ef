//! The emulator as a program, for tests and people that want it as a separate process.
// Printing macros panic where the output cannot be written.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};
use webex_emulator::{
    Builder, CONTACT_CENTER_SCOPES, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES,
    Emulator, ErrorStyle, IDENTITY_SCOPES, Listing, Mode, PERSONAL_SCOPES, PersonFlags,
    ProvisioningOutcome, Region, WHOLESALE_SCOPES, WholesaleSettings, WorkspaceLocations,
};

const GENERATED: &str = "Generated entries";

/// Emulates the part of the Webex API that connections and imports need, with a control plane at /_emulator,
/// until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen at; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Lifetime of an access token, such as "20s" or "14d"
    #[arg(long, value_name = "TIME", default_value = "1209599s", value_parser = humantime::parse_duration)]
    access_ttl: Duration,

    /// Lifetime of a refresh token, such as "60s" or "90d"
    #[arg(long, value_name = "TIME", default_value = "7775999s", value_parser = humantime::parse_duration)]
    refresh_ttl: Duration,

    /// Effect of a refresh on the refresh token
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// Revoke the whole grant when a rotated-out refresh token is used
    #[arg(long)]
    reuse_detection: bool,

    /// Id of the client
    #[arg(long, value_name = "ID", default_value = DEFAULT_CLIENT_ID)]
    client_id: String,

    /// File with the client's secret; without it the secret is "emulated-client-secret"
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,

    /// A redirect address of the client, which requests match byte for byte; may be repeated
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,

    /// Scopes of the client, separated by spaces or repeated; every known scope by default
    #[arg(
        long = "scope",
        value_name = "SCOPES",
        value_delimiter = ' ',
        long_help = scopes_help(),
    )]
    scopes: Vec<String>,

    /// Reject a request for authorization without a PKCE challenge (S256)
    #[arg(long)]
    require_pkce: bool,

    /// Lifetime of an authorization code, such as "30s"
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    code_ttl: Duration,

    /// Revoke the tokens of a code's first use when it is used again
    #[arg(long)]
    code_reuse_revokes: bool,

    /// Create an organization with this name at the start; may be repeated
    #[arg(
        long = "organization",
        value_name = "NAME",
        long_help = "Make an organization with this name at the start and print its id and UUID; may be \
                     repeated. Its administrator can consent at /v1/authorize. More can be made at \
                     /_emulator/organizations"
    )]
    organizations: Vec<String>,

    /// Derive ids, tokens, codes and generated entries from this seed: the same requests get the same responses
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// People of each organization, its administrator included
    #[arg(long, value_name = "COUNT", help_heading = GENERATED)]
    people: Option<usize>,

    /// Locations of each organization
    #[arg(long, value_name = "COUNT", help_heading = GENERATED)]
    locations: Option<usize>,

    /// Workspaces of each organization
    #[arg(long, value_name = "COUNT", help_heading = GENERATED)]
    workspaces: Option<usize>,

    /// Groups of each organization
    #[arg(long, value_name = "COUNT", help_heading = GENERATED)]
    groups: Option<usize>,

    /// Contact Center sites of each organization
    #[arg(long, value_name = "COUNT", help_heading = GENERATED)]
    sites: Option<usize>,

    /// Customers of each organization as a wholesale partner
    #[arg(long, value_name = "COUNT", help_heading = GENERATED)]
    customers: Option<usize>,

    /// Subscribers of each organization as a wholesale partner
    #[arg(long, value_name = "COUNT", help_heading = GENERATED)]
    subscribers: Option<usize>,

    /// Response to requests for workspace locations, whose end was announced
    #[arg(long, value_enum, value_name = "RESPONSE", default_value_t)]
    workspace_locations: WorkspaceLocations,

    /// Only region of Contact Center that has the organizations' data; all by default
    #[arg(long, value_enum, value_name = "REGION")]
    contact_center_region: Option<Region>,

    /// Requests per minute that a client may send to Contact Center, such as 300; no limit by default
    #[arg(long, value_name = "COUNT")]
    contact_center_limit: Option<u64>,

    /// How the provisioning of wholesale customers ends
    #[arg(long, value_enum, value_name = "OUTCOME", default_value_t)]
    provisioning_outcome: ProvisioningOutcome,

    /// Time that an operation on a wholesale customer takes
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    provisioning_time: Duration,

    /// Deny a partner access to a new customer's organization until
    /// GET /v1/identity/organizations/{uuid} was called
    #[arg(long)]
    lock_new_organizations: bool,

    /// Body of errors at the token endpoint
    #[arg(long, value_enum, default_value_t)]
    error_style: ErrorStyle,

    /// Omit `scope` and `token_type` from token responses
    #[arg(long = "bare-responses")]
    bare_responses: bool,

    /// JSON type of a person's `invitePending` and `loginEnabled`
    #[arg(long, value_enum, default_value_t)]
    person_flags: PersonFlags,

    /// Accept a bare UUID at /v1/organizations/{id} too
    #[arg(long)]
    organization_uuids: bool,
}

impl Arguments {
    /// Sets numbers of generated entries, and the behavior of the lists.
    fn configure_entries(&self, mut builder: Builder) -> Builder {
        let counts = [
            (Listing::People, self.people),
            (Listing::Locations, self.locations),
            (Listing::Workspaces, self.workspaces),
            (Listing::Groups, self.groups),
            (Listing::Sites, self.sites),
            (Listing::Customers, self.customers),
            (Listing::Subscribers, self.subscribers),
        ];
        for (listing, count) in counts {
            if let Some(count) = count {
                builder = builder.generate(listing, count);
            }
        }
        if let Some(region) = self.contact_center_region {
            builder = builder.contact_center_region(region);
        }
        if let Some(limit) = self.contact_center_limit {
            builder = builder.contact_center_limit(limit);
        }
        let mut wholesale = WholesaleSettings::default();
        wholesale.outcome = self.provisioning_outcome;
        wholesale.duration = self.provisioning_time;
        wholesale.locks_new_organizations = self.lock_new_organizations;
        builder
            .workspace_locations(self.workspace_locations)
            .wholesale(wholesale)
    }
}

/// Exits with 0 when it is stopped, with 2 for a wrong command line, else with 1.
#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::try_parse() {
        Ok(arguments) => run(arguments).await,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => print_text(&error.to_string()),
        Err(error) if error.kind() == ErrorKind::DisplayVersion => print_text(&error.to_string()),
        Err(error) => {
            // Without a writable output, the exit code still reports it.
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to stdout; a reader that has gone is not an error.
fn print_text(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // Before the first line of output: its reader may send a signal immediately.
    let mut stop = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    let is_anywhere = arguments.listen.port() == 0;
    let secret = match &arguments.client_secret_file {
        Some(file) => read_secret(file)?,
        None => DEFAULT_CLIENT_SECRET.to_owned(),
    };
    let mut builder = Emulator::builder()
        .listen(arguments.listen)
        .access_ttl(arguments.access_ttl)
        .refresh_ttl(arguments.refresh_ttl)
        .mode(arguments.mode)
        .reuse_detection(arguments.reuse_detection)
        .client(&arguments.client_id, &secret)
        .error_style(arguments.error_style)
        .bare_responses(arguments.bare_responses)
        .person_flags(arguments.person_flags)
        .organization_uuids(arguments.organization_uuids)
        .require_pkce(arguments.require_pkce)
        .code_ttl(arguments.code_ttl)
        .code_reuse_revokes(arguments.code_reuse_revokes);
    builder = arguments.configure_entries(builder);
    if let Some(seed) = arguments.seed {
        builder = builder.seed(seed);
    }
    for uri in &arguments.redirect_uris {
        builder = builder.redirect_uri(uri);
    }
    if !arguments.scopes.is_empty() {
        builder = builder.scopes(arguments.scopes);
    }
    let emulator = builder.start().await?;
    let mut text = String::new();
    writeln!(
        text,
        "webex emulator listening on {} (client id {})",
        emulator.base_url(),
        emulator.client_id()
    )?;
    for name in &arguments.organizations {
        let organization = emulator.create_organization(name);
        writeln!(
            text,
            "organization {name} has the id {} (UUID {})",
            organization.id, organization.uuid
        )?;
    }
    // In one write, so that a reader of the first line alone does not end it.
    match print_text(&text) {
        // Without its address, no client could find the emulator.
        Err(error) if is_anywhere => return Err(error),
        _ => {}
    }
    let [interrupt, terminate, hangup] = &mut stop;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    emulator.shutdown().await;
    Ok(())
}

fn scopes_help() -> String {
    let known = [
        &DEFAULT_SCOPES[..],
        &WHOLESALE_SCOPES,
        &CONTACT_CENTER_SCOPES,
        &PERSONAL_SCOPES,
        &IDENTITY_SCOPES,
    ];
    format!(
        "What the client may ask for, separated by spaces or repeated. Without it these:\n{}",
        known.concat().join("\n")
    )
}

fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the client secret from {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
