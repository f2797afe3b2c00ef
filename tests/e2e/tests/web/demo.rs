//! A demo has routes of its own, and normal service has none of them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use relation_app::AppError;
use relation_e2e::world::WorldBuilder;
use relation_web::{Demo, SimulatedTime};

use crate::support::{Client, location, post, principal};

/// A clock that only records by how much it is advanced.
#[derive(Clone, Default)]
struct RecordedTime(Arc<Mutex<Vec<Duration>>>);

impl SimulatedTime for RecordedTime {
    fn advance(
        &self,
        by: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<(), AppError>> + Send + '_>> {
        self.0.lock().push(by);
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn normal_service_has_no_simulated_time() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    let moved = post(&client, "/demo/time", &[("by", "1d"), ("next", "/")]).await;
    assert_eq!(moved.status, StatusCode::NOT_FOUND);
    let log_in = client.get("/demo/log-in/").await;
    assert_eq!(log_in.status, StatusCode::NOT_FOUND);
    assert_eq!(
        client.get("/demo/log-in/x").await.status,
        StatusCode::NOT_FOUND
    );
    let page = client.get("/").await;
    assert!(!page.text.contains("/demo/time"), "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_moves_its_time_and_returns_to_the_page() {
    let world = WorldBuilder::default().start().await;
    let time = RecordedTime::default();
    let demo = Demo::new(Arc::new(time.clone()), "visitor").unwrap();
    let client = Client::with_options(&world, |options| options.demo = Some(demo)).await;
    let client = client.with(principal("provider-administrator", "sys"));

    let page = client.get("/organizations?state=expired").await;
    assert!(
        page.text.contains("value=\"/organizations?state=expired\"")
            && page.text.contains("value=\"30d\""),
        "{page:?}"
    );
    // The result of a form is not sent again.
    let refused = post(&client, "/organizations/new", &[("hierarchy", "")]).await;
    assert!(
        refused.text.contains("name=\"next\" value=\"/\""),
        "{refused:?}"
    );

    let next = "/organizations?state=expired";
    let moved = post(&client, "/demo/time", &[("by", "7d"), ("next", next)]).await;
    assert_eq!(location(&moved), next);
    let moved = post(
        &client,
        "/demo/time",
        &[("by", "1h"), ("next", "//evil.example")],
    )
    .await;
    assert_eq!(location(&moved), "/");
    let refused = post(&client, "/demo/time", &[("by", "9d")]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        *time.0.lock(),
        [7 * 24, 1].map(|hours| Duration::from_secs(hours * 3600))
    );

    // Only the address of the demo logs in.
    assert_eq!(
        client.get("/demo/log-in/wrong").await.status,
        StatusCode::NOT_FOUND
    );
}
