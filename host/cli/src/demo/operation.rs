//! Normal operation: a customer is added, refreshed on schedule, and survives an outage of Webex.

use std::time::Duration;

use relation_app::AppError;
use relation_host::AddRequest;
use relation_host::reports::{Expiry, State};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use webex_emulator::{DEFAULT_SCOPES, Fault, Grant, Organization};

use super::database;
use super::environment::days;
use super::steps::{Checks, DemoRun};
use crate::progress;

/// The node of the customer.
pub const HIERARCHY: &str = "sys.Provider.Reseller.Acme";
/// The customer's name.
pub const NAME: &str = "Acme";

/// Runs the first half of the demo. Returns the organization that the customer is connected to, and the grant
/// that the customer was added with.
pub async fn run(demo: &mut DemoRun) -> Result<(Organization, Grant), AppError> {
    set_up(demo).await?;
    let organization = demo.environment.webex.create_organization("Acme Ltd");
    let grant = demo.environment.webex.grant(&organization, DEFAULT_SCOPES);
    add(demo, &organization, &grant).await?;
    repeat_add(demo, &organization, &grant).await?;
    search_for_tokens(demo, &grant).await?;
    pass_ninety_days(demo).await?;
    survive_outage(demo).await?;
    Ok((organization, grant))
}

async fn set_up(demo: &mut DemoRun) -> Result<(), AppError> {
    let environment = &demo.environment;
    let happened = format!(
        "plugin: {}, compiled and linked\nWebex emulator: {}\nstore: {}",
        environment.host.plugin().name(),
        environment.webex.base_url(),
        environment.database().display(),
    );
    let mut checks = Checks::default();
    let contents = demo.store_contents().await?;
    checks.holds(
        "the store is empty",
        contents.documents.is_empty() && contents.wakeups == 0,
    );
    checks.holds(
        "its key was created, readable by this user only",
        is_private(&environment.key_file()),
    );
    demo.finish_step("The host starts on an empty store", &happened, checks)
        .await
}

async fn add(
    demo: &mut DemoRun,
    organization: &Organization,
    grant: &Grant,
) -> Result<(), AppError> {
    let added = demo
        .environment
        .host
        .add(request(organization, grant)?)
        .await?;
    let added = added.value;
    demo.customer = Some(added.connection.pkid.clone());
    let connection = demo.connection().await?;
    let record = demo.record().await?;
    let contents = demo.store_contents().await?;
    let now = demo.environment.now();
    let lifetime = |expiry: Option<Expiry>| {
        expiry.map(|expiry| (expiry.at.since(now).as_secs(), expiry.assumed))
    };

    let mut checks = Checks::default();
    checks.equal("it is connected", connection.state, State::Connected);
    checks.equal(
        "the access token's expiry is the one from Webex",
        lifetime(connection.access_token_expires),
        Some((grant.expires_in(), false)),
    );
    checks.equal(
        "the refresh token's expiry is the one from Webex",
        lifetime(connection.refresh_token_expires),
        Some((grant.refresh_token_expires_in(), false)),
    );
    let mut names: Vec<String> = record
        .iter()
        .flat_map(|record| &record.owned_documents)
        .filter(|part| part.reference.model == "data/DataSync")
        .map(|part| part.name.clone())
        .collect();
    names.sort();
    checks.equal(
        "its data syncs exist",
        names,
        ["SyncSpark", "SyncSparkRolesLicenses", "SyncSparkUsers"]
            .map(|prefix| format!("{prefix}{NAME}"))
            .to_vec(),
    );
    let count = |model: &str| contents.documents.get(model).copied().unwrap_or_default();
    checks.equal("its schedules are there", count("data/Schedule"), 2);
    checks.equal("its shadow is there", count("data/SparkCustomerShadow"), 1);
    checks.equal(
        "refresh, expiry check and an import are due",
        contents.wakeups,
        3,
    );
    checks.equal(
        "everything was created in one commit",
        added.created.len(),
        contents.documents.values().sum(),
    );
    let paths: Vec<String> = demo
        .environment
        .webex
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    checks.holds(
        "the tokens were checked at Webex",
        paths
            .iter()
            .any(|path| path.starts_with("/v1/organizations")),
    );
    let happened = format!(
        "an administrator pasted the token endpoint's response for the organization {}",
        organization.uuid
    );
    demo.finish_step("A customer is added", &happened, checks)
        .await
}

async fn repeat_add(
    demo: &mut DemoRun,
    organization: &Organization,
    grant: &Grant,
) -> Result<(), AppError> {
    let before = demo.store_contents().await?;
    let again = demo
        .environment
        .host
        .add(request(organization, grant)?)
        .await?;
    let mut checks = Checks::default();
    checks.holds("the host recognized the repetition", again.value.replayed);
    let same = Some(&again.value.connection.pkid) == demo.customer.as_ref();
    checks.holds("the result names the same record", same);
    let after = demo.store_contents().await?;
    checks.equal("nothing was created twice", after, before);
    demo.finish_step(
        "The same add is sent again",
        "with the same idempotency key, as after a lost response",
        checks,
    )
    .await
}

async fn search_for_tokens(demo: &mut DemoRun, grant: &Grant) -> Result<(), AppError> {
    let database = demo.environment.database();
    let tokens = [grant.access_token(), grant.refresh_token()];
    let mut checks = Checks::default();
    checks.equal(
        "no file of the store contains a token in clear",
        database::find_files_containing(&database, &tokens)?,
        Vec::new(),
    );
    let tables: Vec<String> = database::count_rows_containing(&database, &[NAME])?
        .into_iter()
        .map(|(table, _)| table)
        .collect();
    checks.holds(
        "the search finds the customer's name, so it works",
        tables.iter().any(|table| table == "documents"),
    );
    let happened = format!("tables that name the customer: {}", tables.join(", "));
    demo.finish_step("The database is searched for the tokens", &happened, checks)
        .await
}

async fn pass_ninety_days(demo: &mut DemoRun) -> Result<(), AppError> {
    const DAYS: u64 = 90;
    let before = demo.connection().await?;
    let bar = progress::counter(DAYS, "days");
    let (mut settled, mut failed) = (0, 0);
    for _ in 0..DAYS {
        let summary = demo.environment.advance(days(1)).await?;
        settled += summary.done;
        failed += summary.failed;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let after = demo.connection().await?;
    let now = demo.environment.now();
    let refreshes = demo.environment.token_requests();

    let mut checks = Checks::default();
    checks.equal("it is connected", after.state, State::Connected);
    checks.equal("no call failed", failed, 0);
    // Every 7 days at the latest, with up to a tenth of jitter before that.
    checks.holds(
        format!("{refreshes} refreshes: one every 7 days, spread by up to a tenth"),
        (12..=15).contains(&refreshes),
    );
    let lasts = after
        .access_token_expires
        .is_some_and(|expiry| expiry.at > now.after(days(6)));
    checks.holds("the access token lasts for days to come", lasts);
    checks.holds(
        "the refresh token was extended beyond its first 90 days",
        is_later(after.refresh_token_expires, before.refresh_token_expires),
    );
    checks.equal("no alert was raised", demo.active_alerts().await?.len(), 0);
    let happened = format!("{settled} wakeups came due and were settled");
    demo.finish_step("Ninety days pass", &happened, checks)
        .await
}

async fn survive_outage(demo: &mut DemoRun) -> Result<(), AppError> {
    const REFUSALS: u32 = 3;
    let before = demo.connection().await?;
    let requests = demo.environment.token_requests();
    demo.environment
        .webex
        .inject(Fault::status("/v1/access_token", 503).times(REFUSALS));
    if let Some(due) = before.next_refresh {
        demo.environment.advance_until(due).await?;
    }
    let failing = demo.connection().await?;
    let mut checks = Checks::default();
    checks.equal("the state is retrying", failing.state, State::Retrying);
    checks.equal(
        "the tokens are unchanged",
        (failing.access_token_expires, failing.refresh_token_expires),
        (before.access_token_expires, before.refresh_token_expires),
    );
    let soon = demo.environment.now().after(Duration::from_secs(120));
    checks.holds(
        "the next attempt is minutes away",
        failing.next_refresh.is_some_and(|at| at <= soon),
    );
    demo.finish_step(
        "Webex is unavailable for an hour",
        "the token endpoint returns 503 while a refresh is due",
        checks,
    )
    .await?;

    demo.environment.advance(Duration::from_secs(3600)).await?;
    let recovered = demo.connection().await?;
    let mut checks = Checks::default();
    checks.equal("it is connected", recovered.state, State::Connected);
    checks.equal(
        "one attempt for each 503, and one more",
        demo.environment.token_requests() - requests,
        REFUSALS as usize + 1,
    );
    checks.holds(
        "the tokens are new",
        is_later(recovered.access_token_expires, before.access_token_expires),
    );
    demo.finish_step(
        "Webex recovers",
        "an hour passes, with growing delays between attempts",
        checks,
    )
    .await
}

fn is_later(now: Option<Expiry>, before: Option<Expiry>) -> bool {
    now.map(|expiry| expiry.at) > before.map(|expiry| expiry.at)
}

fn request(organization: &Organization, grant: &Grant) -> Result<AddRequest, AppError> {
    let fields = json!({
        "name": NAME,
        "account_number_external": organization.uuid,
        "account_email": "admin@acme.example",
        "shadow": [{ "name": format!("{NAME} shadow") }],
    });
    let fields: Map<String, Value> = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    Ok(AddRequest {
        hierarchy: HIERARCHY
            .parse()
            .map_err(|error: relation_host::types::InvalidHierarchy| {
                AppError::usage(error.to_string())
            })?,
        fields,
        token_response: Some(SecretString::from(grant.json().to_string())),
        idempotency_key: Some("demo-1".to_owned()),
    })
}

#[cfg(unix)]
fn is_private(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(file: &std::path::Path) -> bool {
    file.exists()
}
