//! A person connects the customer by OAuth: first declines, then accepts. Roles and licenses are imported.

use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::reports::{Authorization, Grant, State};
use relation_host::types::Pkid;
use secrecy::SecretString;
use webex_emulator::{Consent, Mode, Organization};

use super::steps::{Checks, DemoRun, StoreContents};

/// The redirect address. No server listens there: the demo reads the address itself.
pub const REDIRECT: &str = "http://127.0.0.1:8400/callback";
/// The models that the import after a consent fills.
const IMPORTED: [&str; 2] = ["device/spark/Role", "device/spark/License"];

/// Connects the expired customer again.
pub async fn run(demo: &mut DemoRun, organization: &Organization) -> Result<(), AppError> {
    let pkid = demo.customer()?;
    demo.environment.webex.set_mode(Mode::ExtendSame);
    decline(demo, &pkid).await?;
    accept(demo, &pkid, organization).await?;
    check_import(demo, organization).await
}

async fn decline(demo: &mut DemoRun, pkid: &Pkid) -> Result<(), AppError> {
    let before = demo.connection().await?;
    let authorization = begin(demo, pkid).await?;
    let callback = browse(demo, &authorization, &Consent::decline())?;
    let host = &demo.environment.host;
    let refused = host.complete_connect(pkid, &callback).await;
    let words = match &refused {
        Ok(_) => "the call accepted it as a consent".to_owned(),
        Err(refused) => refused.to_string(),
    };
    let mut checks = Checks::default();
    checks.holds("the error says so", words.contains("declined"));
    checks.equal(
        "the connection is unchanged",
        demo.connection().await?,
        before,
    );
    let title = "A person opens Webex's consent page and declines";
    demo.finish_step(title, &words, checks).await
}

async fn accept(
    demo: &mut DemoRun,
    pkid: &Pkid,
    organization: &Organization,
) -> Result<(), AppError> {
    let before = demo.store_contents().await?;
    let authorization = begin(demo, pkid).await?;
    let callback = browse(demo, &authorization, &Consent::accept(organization))?;
    let report = demo
        .environment
        .host
        .complete_connect(pkid, &callback)
        .await?;
    let report = report.value;
    let connection = demo.connection().await?;
    let requests = demo.environment.webex.requests().len();
    let replayed = demo
        .environment
        .host
        .complete_connect(pkid, &callback)
        .await;

    let mut checks = Checks::default();
    checks.equal("it is connected", connection.state, State::Connected);
    checks.holds("it is the same record", &report.connection.pkid == pkid);
    checks.equal(
        "the organization is the record's",
        report.organization,
        organization.uuid.clone(),
    );
    let expires = (
        connection.access_token_expires.is_some(),
        connection.refresh_token_expires.is_some(),
    );
    checks.equal("both expiries are known", expires, (true, true));
    checks.equal(
        "the alerts have ended",
        demo.active_alerts().await?.len(),
        0,
    );
    checks.holds("a repeated callback is harmless", replayed.is_ok());
    checks.equal(
        "Webex is not asked again",
        demo.environment.webex.requests().len(),
        requests,
    );
    let after = demo.store_contents().await?;
    let besides_alerts = |contents: &StoreContents| {
        let mut documents = contents.documents.clone();
        documents.remove("data/Alert");
        documents
    };
    checks.equal(
        "the other documents are unchanged",
        besides_alerts(&after),
        besides_alerts(&before),
    );
    checks.equal(
        "refresh, expiry check and an import are due",
        after.wakeups,
        3,
    );
    demo.finish_step(
        "A person connects the customer again",
        &format!(
            "{}\nscopes: {}",
            report.message,
            authorization.scopes.join(" ")
        ),
        checks,
    )
    .await
}

async fn check_import(demo: &mut DemoRun, organization: &Organization) -> Result<(), AppError> {
    let summary = demo.environment.advance(Duration::from_secs(60)).await?;
    let webex = &demo.environment.webex;
    let expected = [
        webex.roles(organization).len(),
        webex.licenses(organization).len(),
    ];
    let contents = demo.store_contents().await?;
    let stored = |model: &str| contents.documents.get(model).copied().unwrap_or_default();
    let mut checks = Checks::default();
    for (model, expected) in IMPORTED.iter().zip(expected) {
        checks.equal(format!("every {model} is stored"), stored(model), expected);
        checks.holds(format!("at least one {model} was expected"), expected > 0);
    }
    checks.equal("no call failed", summary.failed, 0);
    checks.equal("refresh and expiry check stay due", contents.wakeups, 2);
    demo.finish_step(
        "Roles and licenses are imported",
        "in a transaction of its own, shortly after the consent",
        checks,
    )
    .await
}

async fn begin(demo: &DemoRun, pkid: &Pkid) -> Result<Authorization, AppError> {
    let host = &demo.environment.host;
    let call_output = host.connect(pkid, Grant::Organization, REDIRECT).await?;
    Ok(call_output.value)
}

/// Opens the link, responds as the administrator, and returns the redirect URL.
fn browse(
    demo: &DemoRun,
    authorization: &Authorization,
    consent: &Consent,
) -> Result<SecretString, AppError> {
    let sent = demo
        .environment
        .webex
        .authorize(&authorization.url, consent);
    sent.map(SecretString::from).map_err(|refusal| {
        AppError::new(
            ErrorKind::Failed,
            format!("the emulated Webex shows no consent page: {refusal}"),
        )
    })
}
