//! A person connects the customer by OAuth: first declines, then accepts; roles and licences follow.

use std::time::Duration;

use relation_host::reports::{Authorization, Grant, State};
use relation_host::types::Pkid;
use secrecy::SecretString;
use webex_emulator::{Consent, Mode, Organization};

use super::story::{Checks, Holdings, Story};
use crate::failure::{Failed, Kind};

/// Where Webex sends the browser back to; nothing listens, the demo reads the address itself.
pub const REDIRECT: &str = "http://127.0.0.1:8400/callback";
/// The models that the import after a consent fills.
const IMPORTED: [&str; 2] = ["device/spark/Role", "device/spark/License"];

/// Tells how the expired customer is connected again.
pub async fn tell(story: &mut Story, organization: &Organization) -> Result<(), Failed> {
    let pkid = story.customer()?;
    story.stage.webex.set_mode(Mode::ExtendSame);
    declined(story, &pkid).await?;
    accepted(story, &pkid, organization).await?;
    imported(story, organization).await
}

async fn declined(story: &mut Story, pkid: &Pkid) -> Result<(), Failed> {
    let before = story.connection().await?;
    let authorization = begin(story, pkid).await?;
    let callback = browse(story, &authorization, &Consent::decline())?;
    let host = &story.stage.host;
    let refused = host.complete_connect(pkid, &callback).await;
    let words = match &refused {
        Ok(_) => "it was taken for a consent".to_owned(),
        Err(refused) => refused.to_string(),
    };
    let mut checks = Checks::default();
    checks.holds("the call says so", words.contains("declined"));
    checks.equal(
        "the connection is as it was",
        story.connection().await?,
        before,
    );
    let title = "A person opens Webex's consent page and declines";
    story.tell(title, &words, checks).await
}

async fn accepted(
    story: &mut Story,
    pkid: &Pkid,
    organization: &Organization,
) -> Result<(), Failed> {
    let before = story.holdings().await?;
    let authorization = begin(story, pkid).await?;
    let callback = browse(story, &authorization, &Consent::accept(organization))?;
    let report = story.stage.host.complete_connect(pkid, &callback).await?;
    let report = report.value;
    let connection = story.connection().await?;
    let replayed = story.stage.host.complete_connect(pkid, &callback).await;

    let mut checks = Checks::default();
    checks.equal("it is connected", connection.state, State::Connected);
    checks.holds("it is the same record", &report.connection.pkid == pkid);
    checks.equal(
        "the organisation is the record's",
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
        story.standing_alerts().await?.len(),
        0,
    );
    checks.holds("the same callback does nothing twice", replayed.is_err());
    let after = story.holdings().await?;
    let besides_alerts = |holdings: &Holdings| {
        let mut documents = holdings.documents.clone();
        documents.remove("data/Alert");
        documents
    };
    checks.equal(
        "everything else is as it was",
        besides_alerts(&after),
        besides_alerts(&before),
    );
    checks.equal(
        "refresh, expiry check and an import are due",
        after.wakeups,
        3,
    );
    story
        .tell(
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

async fn imported(story: &mut Story, organization: &Organization) -> Result<(), Failed> {
    let ran = story.stage.pass(Duration::from_secs(60)).await?;
    let webex = &story.stage.webex;
    let expected = [
        webex.roles(organization).len(),
        webex.licenses(organization).len(),
    ];
    let holdings = story.holdings().await?;
    let stored = |model: &str| holdings.documents.get(model).copied().unwrap_or_default();
    let mut checks = Checks::default();
    for (model, expected) in IMPORTED.iter().zip(expected) {
        checks.equal(format!("every {model} is there"), stored(model), expected);
        checks.holds(format!("there are some of {model}"), expected > 0);
    }
    checks.equal("no call failed", ran.failed, 0);
    checks.equal("refresh and expiry check stay due", holdings.wakeups, 2);
    story
        .tell(
            "Roles and licences are imported",
            "by a transaction of its own, a moment after the consent",
            checks,
        )
        .await
}

async fn begin(story: &Story, pkid: &Pkid) -> Result<Authorization, Failed> {
    let host = &story.stage.host;
    let begun = host.connect(pkid, Grant::Organization, REDIRECT).await?;
    Ok(begun.value)
}

/// Opens the link, answers as the administrator, and reads where the browser is sent.
fn browse(
    story: &Story,
    authorization: &Authorization,
    consent: &Consent,
) -> Result<SecretString, Failed> {
    let sent = story.stage.webex.authorize(&authorization.url, consent);
    sent.map(SecretString::from).map_err(|refusal| {
        Failed::new(
            Kind::Failed,
            format!("the emulated Webex shows no consent page: {refusal}"),
        )
    })
}
