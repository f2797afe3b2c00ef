//! The good days: a customer is added, refreshed on schedule, and outlives a stretch of faults.

use std::time::Duration;

use relation_host::AddRequest;
use relation_host::reports::{Expiry, State};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use webex_emulator::{DEFAULT_SCOPES, Fault, Grant, Organization};

use super::database;
use super::stage::days;
use super::story::{Checks, Story};
use crate::failure::Failed;
use crate::progress;

/// Where the customer lives.
pub const HIERARCHY: &str = "sys.Provider.Reseller.Acme";
/// What it is called.
pub const NAME: &str = "Acme";

/// Tells the beginning, up to a connection that has survived everything. Answers with the
/// organisation that the customer is connected to, and the grant that it was added with.
pub async fn tell(story: &mut Story) -> Result<(Organization, Grant), Failed> {
    set_up(story).await?;
    let organization = story.stage.webex.create_organization("Acme Ltd");
    let grant = story.stage.webex.grant(&organization, DEFAULT_SCOPES);
    add(story, &organization, &grant).await?;
    add_again(story, &organization, &grant).await?;
    sealed(story, &grant).await?;
    ninety_days(story).await?;
    faults(story).await?;
    Ok((organization, grant))
}

async fn set_up(story: &mut Story) -> Result<(), Failed> {
    let stage = &story.stage;
    let happened = format!(
        "plugin: {}, compiled and linked\nemulated Webex: {}\nstore: {}",
        stage.host.plugin().name(),
        stage.webex.base_url(),
        stage.database().display(),
    );
    let mut checks = Checks::default();
    let holdings = story.holdings().await?;
    checks.holds(
        "the store is empty",
        holdings.documents.is_empty() && holdings.wakeups == 0,
    );
    checks.holds(
        "its key was made, and nobody else can read it",
        is_private(&stage.key_file()),
    );
    story
        .tell("The host starts on an empty store", &happened, checks)
        .await
}

async fn add(story: &mut Story, organization: &Organization, grant: &Grant) -> Result<(), Failed> {
    let added = story.stage.host.add(request(organization, grant)?).await?;
    let added = added.value;
    story.customer = Some(added.connection.pkid.clone());
    let connection = story.connection().await?;
    let record = story.record().await?;
    let holdings = story.holdings().await?;
    let now = story.stage.now();
    let life = |expiry: Option<Expiry>| {
        expiry.map(|expiry| (expiry.at.since(now).as_secs(), expiry.assumed))
    };

    let mut checks = Checks::default();
    checks.equal("it is connected", connection.state, State::Connected);
    checks.equal(
        "the access token's expiry is what Webex said",
        life(connection.access_token_expires),
        Some((grant.expires_in(), false)),
    );
    checks.equal(
        "the refresh token's expiry is what Webex said",
        life(connection.refresh_token_expires),
        Some((grant.refresh_token_expires_in(), false)),
    );
    let mut names: Vec<String> = record
        .iter()
        .flat_map(|record| &record.parts)
        .filter(|part| part.model == "data/DataSync")
        .map(|part| part.name.clone())
        .collect();
    names.sort();
    checks.equal(
        "its data syncs are there",
        names,
        ["SyncSpark", "SyncSparkRolesLicenses", "SyncSparkUsers"]
            .map(|prefix| format!("{prefix}{NAME}"))
            .to_vec(),
    );
    let count = |model: &str| holdings.documents.get(model).copied().unwrap_or_default();
    checks.equal("its schedules are there", count("data/Schedule"), 2);
    checks.equal("its shadow is there", count("data/SparkCustomerShadow"), 1);
    checks.equal("refresh and expiry check are due", holdings.wakeups, 2);
    checks.equal(
        "everything was created in one go",
        added.created.len(),
        holdings.documents.values().sum(),
    );
    let paths: Vec<String> = story
        .stage
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
        "an administrator pasted the token endpoint's answer for the organisation {}",
        organization.uuid
    );
    story.tell("A customer is added", &happened, checks).await
}

async fn add_again(
    story: &mut Story,
    organization: &Organization,
    grant: &Grant,
) -> Result<(), Failed> {
    let before = story.holdings().await?;
    let again = story.stage.host.add(request(organization, grant)?).await?;
    let mut checks = Checks::default();
    checks.holds("it was known for a repetition", again.value.replayed);
    let same = Some(&again.value.connection.pkid) == story.customer.as_ref();
    checks.holds("the answer names the same record", same);
    let after = story.holdings().await?;
    checks.equal("nothing was made twice", after, before);
    story
        .tell(
            "The same add is sent again",
            "with the same idempotency key, as after a lost answer",
            checks,
        )
        .await
}

async fn sealed(story: &mut Story, grant: &Grant) -> Result<(), Failed> {
    let database = story.stage.database();
    let tokens = [grant.access_token(), grant.refresh_token()];
    let mut checks = Checks::default();
    checks.equal(
        "no file of the store has a token in clear",
        database::files_with(&database, &tokens)?,
        Vec::new(),
    );
    let tables: Vec<String> = database::rows_naming(&database, &[NAME])?
        .into_iter()
        .map(|(table, _)| table)
        .collect();
    checks.holds(
        "the customer's name is found there, so the search does find things",
        tables.iter().any(|table| table == "documents"),
    );
    let happened = format!("tables that name the customer: {}", tables.join(", "));
    story
        .tell("The database is searched for the tokens", &happened, checks)
        .await
}

async fn ninety_days(story: &mut Story) -> Result<(), Failed> {
    const DAYS: u64 = 90;
    let before = story.connection().await?;
    let bar = progress::counter(DAYS, "days");
    let (mut answered, mut failed) = (0, 0);
    for _ in 0..DAYS {
        let ran = story.stage.pass(days(1)).await?;
        answered += ran.done;
        failed += ran.failed;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let after = story.connection().await?;
    let now = story.stage.now();
    let refreshes = story.stage.token_requests();

    let mut checks = Checks::default();
    checks.equal("it is connected", after.state, State::Connected);
    checks.equal("no call failed", failed, 0);
    // Every 7 days at the latest, and at most a tenth of that earlier.
    checks.holds(
        format!("{refreshes} refreshes: one every 7 days, spread by up to a tenth"),
        (12..=15).contains(&refreshes),
    );
    let lasts = after
        .access_token_expires
        .is_some_and(|expiry| expiry.at > now.after(days(6)));
    checks.holds("the access token lasts for days to come", lasts);
    checks.holds(
        "the refresh token, whose 90 days would be over, was extended",
        later(after.refresh_token_expires, before.refresh_token_expires),
    );
    checks.equal(
        "no alert was raised",
        story.standing_alerts().await?.len(),
        0,
    );
    let happened = format!("{answered} wakeups came due and were answered");
    story.tell("Ninety days pass", &happened, checks).await
}

async fn faults(story: &mut Story) -> Result<(), Failed> {
    const REFUSALS: u32 = 3;
    let before = story.connection().await?;
    let requests = story.stage.token_requests();
    story
        .stage
        .webex
        .inject(Fault::status("/v1/access_token", 503).times(REFUSALS));
    if let Some(due) = before.next_refresh {
        story.stage.pass_until(due).await?;
    }
    let failing = story.connection().await?;
    let mut checks = Checks::default();
    checks.equal("it is retrying", failing.state, State::Retrying);
    checks.equal(
        "the tokens are kept as they were",
        (failing.access_token_expires, failing.refresh_token_expires),
        (before.access_token_expires, before.refresh_token_expires),
    );
    let soon = story.stage.now().after(Duration::from_secs(120));
    checks.holds(
        "the next try is minutes away",
        failing.next_refresh.is_some_and(|at| at <= soon),
    );
    story
        .tell(
            "Webex has a bad hour",
            "the token endpoint answers 503, and a refresh is due",
            checks,
        )
        .await?;

    story.stage.pass(Duration::from_secs(3600)).await?;
    let recovered = story.connection().await?;
    let mut checks = Checks::default();
    checks.equal("it is connected", recovered.state, State::Connected);
    checks.equal(
        "it took one try for each 503, and one more",
        story.stage.token_requests() - requests,
        REFUSALS as usize + 1,
    );
    checks.holds(
        "the tokens are new",
        later(recovered.access_token_expires, before.access_token_expires),
    );
    story
        .tell(
            "Webex recovers",
            "an hour passes, with tries at growing distances",
            checks,
        )
        .await
}

fn later(now: Option<Expiry>, before: Option<Expiry>) -> bool {
    now.map(|expiry| expiry.at) > before.map(|expiry| expiry.at)
}

fn request(organization: &Organization, grant: &Grant) -> Result<AddRequest, Failed> {
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
                Failed::usage(error.to_string())
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
