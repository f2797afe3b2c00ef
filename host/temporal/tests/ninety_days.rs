//! Ninety days in a minute, on the time-skipping server: refreshes in time, notices once, expiry, reconnect and delete.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt as _;
use relation_host::clock::{Clock as _, ManualClock};
use relation_host::reports::State;
use relation_host::types::{Filter, Timestamp};
use relation_temporal::customer::SparkCustomer;
use relation_temporal::{Activities, connection, worker};
use support::customer::{add, connect, handle, refreshes, state, wait_for};
use support::{PATIENCE, World, skipping_server_program};
use temporalio_client::tonic::Request;
use temporalio_client::{WorkflowExecuteUpdateOptions, WorkflowGetResultOptions};
use temporalio_common::protos::temporal::api::testservice::v1::{
    LockTimeSkippingRequest, SleepRequest,
};
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use temporalio_sdk::{Runtime, Worker};
use webex_emulator::{Emulator, Mode};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Lets the clock of the host follow that of the server, which jumps.
struct FollowServer(Arc<ManualClock>);

impl ActivityInboundInterceptor for FollowServer {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let scheduled = input.activity_info().scheduled_time;
        let scheduled = scheduled.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        if let Some(since) = scheduled {
            self.0.advance_to(Timestamp(since.as_millis() as u64));
        }
        async move { next.run(input).await }.boxed()
    }
}

/// Runs a worker in a thread of its own, whose clock follows the server.
fn start_worker(world: &World, clock: &Arc<ManualClock>) {
    let activities = Activities::new(world.parts.host.clone(), world.parts.inputs.clone());
    let temporal = world.temporal().clone();
    let follow = FollowServer(Arc::clone(clock));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async move {
            let client = connection::connect(&temporal).await.unwrap();
            let mut options = worker::options(&temporal.task_queue, activities).unwrap();
            options.activity_inbound_interceptor(follow);
            let sdk = Runtime::from_current_tokio(Default::default()).unwrap();
            let mut worker = Worker::new(&sdk, client, options).unwrap();
            let _ = worker.run().await;
        });
    });
}

/// Lets a time pass at the server. Timers fire on the way, and activities stop it.
async fn pass(world: &World, time: Duration) {
    let request = SleepRequest {
        duration: Some(time.try_into().unwrap()),
    };
    let mut service = world.client.connection().test_service();
    let passed = service.unlock_time_skipping_with_sleep(Request::new(request));
    let passed = tokio::time::timeout(PATIENCE, passed).await;
    passed.expect("the time passes").unwrap();
}

/// Returns the number of occurrences of each alert about the record, by code and threshold in milliseconds.
async fn alerts(world: &World) -> BTreeMap<(String, u64), u64> {
    let filter = Filter {
        model: "data/Alert".to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    };
    let page = world.parts.host.store().find(&filter, None, 100).await;
    let bodies = page.unwrap().items.into_iter();
    let bodies = bodies.map(|alert| serde_json::from_str(&alert.body).unwrap());
    let alerts = bodies.map(|body: serde_json::Value| {
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| body[name].as_u64().unwrap_or_default();
        ((code, number("threshold")), number("count"))
    });
    alerts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ninety_days_pass_with_every_refresh() {
    let Some(program) = skipping_server_program() else {
        return;
    };
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    let clock = Arc::new(ManualClock::new(Timestamp(now.unwrap().as_millis() as u64)));
    let webex_clock = Arc::clone(&clock);
    let webex = Emulator::builder()
        .mode(Mode::FrozenClock)
        .clock(Arc::new(move || webex_clock.now().0))
        .access_ttl(14 * DAY)
        .refresh_ttl(90 * DAY);
    let world = World::start_skipping(&program, webex, clock.clone()).await;
    // Time does not pass by itself, only in `pass`.
    let lock = Request::new(LockTimeSkippingRequest {});
    let mut service = world.client.connection().test_service();
    service.lock_time_skipping(lock).await.unwrap();
    start_worker(&world, &clock);
    let pkid = add(&world, "Contoso").await;
    let customer = handle(&world, &pkid);
    connect(&world, &customer).await;
    let connected = clock.now();

    // A refresh is due after 7 days at most, less the jitter.
    let mut told = 0;
    for day in 1..=89 {
        pass(&world, DAY).await;
        let expected = day / 7;
        assert!(
            refreshes(&world) >= expected,
            "{} of {expected} refreshes by day {day}",
            refreshes(&world)
        );
        let count = alerts(&world).await.values().sum::<u64>();
        assert!(count >= told, "no notice is taken back");
        told = count;
    }
    let found = state(&customer).await.unwrap().record.unwrap();
    assert_eq!(found.state, State::Expiring, "{found:?}");
    let before_expiry = alerts(&world).await;
    assert!(!before_expiry.is_empty());
    assert!(
        before_expiry.values().all(|count| *count == 1),
        "{before_expiry:?}"
    );

    pass(&world, 3 * DAY).await;
    let found = state(&customer).await.unwrap().record.unwrap();
    assert_eq!(found.state, State::Expired, "{found:?}");

    // The clock of the host may be behind that of the server until the next activity.
    connect(&world, &customer).await;
    wait_for(&customer, State::Connected).await;
    let refreshed = refreshes(&world);
    pass(&world, 8 * DAY).await;
    assert!(refreshes(&world) > refreshed);
    // The clock shows the time of the last activity.
    assert!(clock.now() > connected.after(95 * DAY));

    let options = WorkflowExecuteUpdateOptions::default();
    let deleted = customer.execute_update(SparkCustomer::delete, (), options);
    assert!(deleted.await.unwrap().record.is_none());
    let ended = customer.get_result(WorkflowGetResultOptions::default());
    tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap()
        .unwrap();
    world.webex.assert_sound();
}
