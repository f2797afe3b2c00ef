//! A refresh token expires, after alerts. The customer is connected again, and deleted.

use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::reports::{Expiry, Revocation, State};
use serde_json::{Map, Value};
use webex_emulator::{Grant, Mode, Organization, Outcome, RecordedRequest};

use super::environment::{THRESHOLDS, days};
use super::operation::NAME;
use super::steps::{Checks, DemoRun};
use super::{consent, database};

/// The time to let due wakeups finish.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Runs the second half of the demo.
pub async fn run(
    demo: &mut DemoRun,
    organization: &Organization,
    first: &Grant,
) -> Result<(), AppError> {
    demo.environment.webex.set_mode(Mode::FrozenClock);
    for threshold in THRESHOLDS {
        check_warning(demo, threshold).await?;
    }
    check_alert_count(demo).await?;
    check_expired(demo).await?;
    consent::run(demo, organization).await?;
    dry_run_delete(demo).await?;
    delete(demo, first).await?;
    check_no_activity(demo).await
}

async fn check_warning(demo: &mut DemoRun, threshold: u64) -> Result<(), AppError> {
    let expires = refresh_token_expiry(demo).await?.at;
    let left = expires
        .since(demo.environment.now())
        .saturating_sub(days(threshold));
    demo.environment
        .advance(left.saturating_add(SETTLE_TIME))
        .await?;
    let connection = demo.connection().await?;
    let alerts = demo.active_alerts().await?;
    demo.alerts += 1;

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
    checks.equal("one alert is for this threshold", raised.len(), 1);
    checks.holds(
        "it was raised once",
        raised.iter().all(|alert| number(alert, "count") == 1),
    );
    checks.equal(
        "the alerts of earlier thresholds are active",
        alerts.len(),
        demo.alerts,
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
    let happened = match demo.alerts {
        1 => format!("refreshes no longer extend the refresh token: its time runs out\n{happened}"),
        _ => happened,
    };
    demo.finish_step(&title, &happened, checks).await
}

async fn check_alert_count(demo: &mut DemoRun) -> Result<(), AppError> {
    let pkid = demo.customer()?;
    let before = demo.active_alerts().await?.len();
    let report = demo.environment.host.check_expiry(&pkid).await?.value;
    let mut checks = Checks::default();
    let count = report.alert.map(|alert| alert.count);
    checks.equal("the alert's count has risen", count, Some(2));
    checks.equal(
        "there is no further alert",
        demo.active_alerts().await?.len(),
        before,
    );
    demo.finish_step(
        "A manual expiry check",
        "repeats the alert that exists already",
        checks,
    )
    .await
}

async fn check_expired(demo: &mut DemoRun) -> Result<(), AppError> {
    let expires = refresh_token_expiry(demo).await?.at;
    demo.environment
        .advance_until(expires.after(SETTLE_TIME))
        .await?;
    let requests = demo.environment.token_requests();
    let connection = demo.connection().await?;
    let alerts = demo.active_alerts().await?;
    demo.alerts += 1;

    let mut checks = Checks::default();
    checks.equal("it is expired", connection.state, State::Expired);
    let at_expiry = alerts
        .iter()
        .find(|alert| text(alert, "code") == "WEBEX_REFRESH_TOKEN_EXPIRED");
    checks.holds("an alert reports the expiry", at_expiry.is_some());
    checks.equal("no refresh is scheduled", connection.next_refresh, None);
    checks.holds(
        "a note gives the administrator the next step",
        connection.notes.contains("connect this customer again"),
    );
    demo.environment.advance(days(7)).await?;
    checks.equal(
        "no request was sent to Webex in the following week",
        demo.environment.token_requests(),
        requests,
    );
    let happened = format!(
        "the refresh token's lifetime has ended, and a week passes\n{}",
        connection.notes
    );
    demo.finish_step("The refresh token expires", &happened, checks)
        .await
}

async fn dry_run_delete(demo: &mut DemoRun) -> Result<(), AppError> {
    let pkid = demo.customer()?;
    let before = demo.store_contents().await?;
    let requests = demo.environment.webex.requests().len();
    let deletion = demo.environment.host.delete(&pkid, true).await?.value;
    let after = demo.store_contents().await?;
    let mut checks = Checks::default();
    checks.equal("the store is unchanged", &after, &before);
    checks.equal(
        "the report names every document",
        deletion.documents.len(),
        before.documents.values().sum(),
    );
    checks.equal(
        "the report names every wakeup",
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
        "schedules would be deleted before the documents that they run",
        place("data/Schedule").is_some_and(|at| Some(at) < place("data/DataSync")),
    );
    let last = deletion
        .documents
        .last()
        .map(|(document, _)| &document.pkid);
    checks.holds("the record would be deleted last", last == Some(&pkid));
    checks.equal(
        "no request was sent to Webex",
        demo.environment.webex.requests().len(),
        requests,
    );
    let cascade: Vec<String> = deletion
        .documents
        .iter()
        .map(|(document, name)| format!("{} {name}", document.model))
        .collect();
    let happened = format!("would delete {}", cascade.join(", "));
    demo.finish_step("A dry run of the delete", &happened, checks)
        .await
}

async fn delete(demo: &mut DemoRun, grant: &Grant) -> Result<(), AppError> {
    let pkid = demo.customer()?;
    let deletion = demo.environment.host.delete(&pkid, false).await?.value;
    let database = demo.environment.database();
    let mut checks = Checks::default();
    let contents = demo.store_contents().await?;
    checks.holds(
        "no document and no wakeup remains",
        contents.documents.is_empty() && contents.wakeups == 0,
    );
    let naming: Vec<String> = database::count_rows_containing(&database, &[pkid.as_str(), NAME])?
        .into_iter()
        .map(|(table, _)| table)
        .filter(|table| !table.starts_with("transaction"))
        .collect();
    checks.equal(
        "only transactions still name the customer",
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
        demo.environment.webex.requests().iter().any(confirmed),
    );
    checks.equal(
        "no file of the store contains a token in clear",
        database::find_files_containing(&database, &[grant.access_token(), grant.refresh_token()])?,
        Vec::new(),
    );
    let happened = format!(
        "deleted {} documents and {} wakeups, the record in the last commit; then revoked the tokens",
        deletion.documents.len(),
        deletion.wakeups.len()
    );
    demo.finish_step("The customer is deleted", &happened, checks)
        .await
}

async fn check_no_activity(demo: &mut DemoRun) -> Result<(), AppError> {
    let requests = demo.environment.webex.requests().len();
    let summary = demo.environment.advance(days(30)).await?;
    let mut checks = Checks::default();
    checks.equal(
        "no wakeup became due",
        (summary.done, summary.failed),
        (0, 0),
    );
    checks.equal(
        "no request was sent to Webex",
        demo.environment.webex.requests().len(),
        requests,
    );
    demo.finish_step("Another month passes", "no wakeup remains", checks)
        .await
}

async fn refresh_token_expiry(demo: &DemoRun) -> Result<Expiry, AppError> {
    demo.connection()
        .await?
        .refresh_token_expires
        .ok_or_else(|| AppError::new(ErrorKind::Failed, "the refresh token has no expiry"))
}

fn number(alert: &Map<String, Value>, field: &str) -> u64 {
    alert.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'a>(alert: &'a Map<String, Value>, field: &str) -> &'a str {
    alert.get(field).and_then(Value::as_str).unwrap_or_default()
}
