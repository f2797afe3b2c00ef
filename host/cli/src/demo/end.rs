//! The end of a refresh token: warnings, expiry, a new beginning; and the end of the customer.

use std::time::Duration;

use relation_host::reports::{Expiry, Revocation, State};
use serde_json::{Map, Value};
use webex_emulator::{Grant, Mode, Organization, Outcome, RecordedRequest};

use super::beginning::NAME;
use super::stage::{THRESHOLDS, days};
use super::story::{Checks, Story};
use super::{consent, database};
use crate::failure::{Failed, Kind};

/// Time enough for what is due at a moment to be done.
const MOMENT: Duration = Duration::from_secs(2);

/// Tells how it ends.
pub async fn tell(
    story: &mut Story,
    organization: &Organization,
    first: &Grant,
) -> Result<(), Failed> {
    story.stage.webex.set_mode(Mode::FrozenClock);
    for threshold in THRESHOLDS {
        warning(story, threshold).await?;
    }
    counted(story).await?;
    expired(story).await?;
    consent::tell(story, organization).await?;
    dry_run(story).await?;
    deleted(story, first).await?;
    silence(story).await
}

async fn warning(story: &mut Story, threshold: u64) -> Result<(), Failed> {
    let expires = expiry(story).await?.at;
    let left = expires
        .since(story.stage.now())
        .saturating_sub(days(threshold));
    story.stage.pass(left.saturating_add(MOMENT)).await?;
    let connection = story.connection().await?;
    let alerts = story.standing_alerts().await?;
    story.alerts += 1;

    let mut checks = Checks::default();
    let is_last = Some(&threshold) == THRESHOLDS.last();
    let expected = match is_last {
        true => State::Expiring,
        false => State::Connected,
    };
    checks.equal(format!("it is {expected}"), connection.state, expected);
    let raised = alerts
        .iter()
        .filter(|alert| number(alert, "threshold") == threshold * 86_400_000)
        .collect::<Vec<_>>();
    checks.equal("one alert tells of this threshold", raised.len(), 1);
    checks.holds(
        "it was raised once",
        raised.iter().all(|alert| number(alert, "count") == 1),
    );
    checks.equal(
        "the alerts of the thresholds before stand",
        alerts.len(),
        story.alerts,
    );
    let title = format!("{threshold} days before the expiry");
    let happened = match raised.first() {
        Some(alert) => format!(
            "alert {}, {}: {}",
            text(alert, "code"),
            text(alert, "severity"),
            text(alert, "message")
        ),
        None => "no alert".to_owned(),
    };
    let happened = match story.alerts {
        1 => format!("refreshes no longer extend the refresh token: its time runs out\n{happened}"),
        _ => happened,
    };
    story.tell(&title, &happened, checks).await
}

async fn counted(story: &mut Story) -> Result<(), Failed> {
    let pkid = story.customer()?;
    let before = story.standing_alerts().await?.len();
    let report = story.stage.host.check_expiry(&pkid).await?.value;
    let mut checks = Checks::default();
    let count = report.alert.map(|alert| alert.count);
    checks.equal("the alert's count has risen", count, Some(2));
    checks.equal(
        "there is no further alert",
        story.standing_alerts().await?.len(),
        before,
    );
    story
        .tell(
            "Somebody checks by hand",
            "and finds what is known already",
            checks,
        )
        .await
}

async fn expired(story: &mut Story) -> Result<(), Failed> {
    let expires = expiry(story).await?.at;
    story.stage.pass_until(expires.after(MOMENT)).await?;
    let requests = story.stage.token_requests();
    let connection = story.connection().await?;
    let alerts = story.standing_alerts().await?;
    story.alerts += 1;

    let mut checks = Checks::default();
    checks.equal("it is expired", connection.state, State::Expired);
    let at_expiry = alerts
        .iter()
        .find(|alert| text(alert, "code") == "WEBEX_REFRESH_TOKEN_EXPIRED");
    checks.holds("an alert says so", at_expiry.is_some());
    checks.equal("no refresh is to come", connection.next_refresh, None);
    checks.holds(
        "a note tells the administrator what to do",
        connection.notes.contains("connect this customer again"),
    );
    story.stage.pass(days(7)).await?;
    checks.equal(
        "Webex was not asked in the week after",
        story.stage.token_requests(),
        requests,
    );
    let happened = format!(
        "the refresh token's time is over, and a week passes\n{}",
        connection.notes
    );
    story
        .tell("The refresh token expires", &happened, checks)
        .await
}

async fn dry_run(story: &mut Story) -> Result<(), Failed> {
    let pkid = story.customer()?;
    let before = story.holdings().await?;
    let requests = story.stage.webex.requests().len();
    let deletion = story.stage.host.delete(&pkid, true).await?.value;
    let after = story.holdings().await?;
    let mut checks = Checks::default();
    checks.equal("nothing has changed", &after, &before);
    checks.equal(
        "it names every document",
        deletion.documents.len(),
        before.documents.values().sum(),
    );
    checks.equal(
        "it names every wakeup",
        deletion.wakeups.len(),
        before.wakeups,
    );
    let place = |model: &str| {
        let mut models = deletion
            .documents
            .iter()
            .map(|(document, _)| &document.model);
        models.position(|each| each == model)
    };
    checks.holds(
        "schedules would go before what they fire at",
        place("data/Schedule").is_some_and(|at| Some(at) < place("data/DataSync")),
    );
    let last = deletion
        .documents
        .last()
        .map(|(document, _)| &document.pkid);
    checks.holds("the record would go last", last == Some(&pkid));
    checks.equal(
        "Webex was not asked",
        story.stage.webex.requests().len(),
        requests,
    );
    let cascade: Vec<String> = deletion
        .documents
        .iter()
        .map(|(document, name)| format!("{} {name}", document.model))
        .collect();
    let happened = format!("would delete {}", cascade.join(", "));
    story
        .tell(
            "Somebody asks what a delete would take away",
            &happened,
            checks,
        )
        .await
}

async fn deleted(story: &mut Story, grant: &Grant) -> Result<(), Failed> {
    let pkid = story.customer()?;
    let deletion = story.stage.host.delete(&pkid, false).await?.value;
    let database = story.stage.database();
    let mut checks = Checks::default();
    let holdings = story.holdings().await?;
    checks.holds(
        "no document and no wakeup is left",
        holdings.documents.is_empty() && holdings.wakeups == 0,
    );
    let naming: Vec<String> = database::rows_naming(&database, &[pkid.as_str(), NAME])?
        .into_iter()
        .map(|(table, _)| table)
        .filter(|table| !table.starts_with("transaction"))
        .collect();
    checks.equal(
        "no row names it but those of the transactions",
        naming,
        Vec::new(),
    );
    checks.equal(
        "the tokens were revoked",
        deletion.revocation,
        Revocation::Revoked,
    );
    let confirmed = |request: &RecordedRequest| {
        request.method == "DELETE"
            && request.path.starts_with("/v1/authorizations")
            && matches!(request.status, Outcome::Status(200..=299))
    };
    checks.holds(
        "Webex confirmed that",
        story.stage.webex.requests().iter().any(confirmed),
    );
    checks.equal(
        "no file of the store has a token in clear",
        database::files_with(&database, &[grant.access_token(), grant.refresh_token()])?,
        Vec::new(),
    );
    let happened = format!(
        "{} documents and {} wakeups went, the record last and with all that could fire, then the tokens",
        deletion.documents.len(),
        deletion.wakeups.len()
    );
    story
        .tell("The customer is deleted", &happened, checks)
        .await
}

async fn silence(story: &mut Story) -> Result<(), Failed> {
    let requests = story.stage.webex.requests().len();
    let ran = story.stage.pass(days(30)).await?;
    let mut checks = Checks::default();
    checks.equal("nothing came due", (ran.done, ran.failed), (0, 0));
    checks.equal(
        "Webex was not asked",
        story.stage.webex.requests().len(),
        requests,
    );
    story
        .tell(
            "Another month passes",
            "nothing is left that could fire",
            checks,
        )
        .await
}

async fn expiry(story: &Story) -> Result<Expiry, Failed> {
    story
        .connection()
        .await?
        .refresh_token_expires
        .ok_or_else(|| Failed::new(Kind::Failed, "the refresh token has no expiry"))
}

fn number(alert: &Map<String, Value>, field: &str) -> u64 {
    alert.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'a>(alert: &'a Map<String, Value>, field: &str) -> &'a str {
    alert.get(field).and_then(Value::as_str).unwrap_or_default()
}
