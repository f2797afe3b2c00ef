//! Kills a worker, the server, or all of them at each message of a refresh that rotates the refresh token: nothing is lost
//! or done twice.
//!
//! Between two writes to the store, a refresh sends or receives a message of Temporal or of Webex. A tap holds all traffic
//! of a worker at the first message, then at the second one, until a refresh ends without another message. One more world
//! holds it at the request to Webex, and at the response.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use relation_host::reports::{Grant, State};
use relation_host::types::{Pkid, Reference};
use relation_temporal::customer::{RefreshRequest, Request};
use secrecy::ExposeSecret as _;
use support::customer::{Customer, add, connect, handle, request, state};
use support::tap::{Link, Message, Point, Tap};
use support::{Addresses, PATIENCE, World, server_program};
use temporalio_client::WorkflowDescribeOptions;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use webex_emulator::{Emulator, Mode, Outcome};

/// The worlds that work concurrently, each on a part of the messages.
const LANES: usize = 5;

/// The processes that are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victims {
    /// The worker that sends or receives the message.
    Worker,
    Server,
    /// Both workers and the server.
    All,
}

/// A kill that was tried.
#[derive(Clone, Copy, Debug)]
struct Kill {
    victims: Victims,
    message: Message,
    /// Whether Webex had carried the refresh out, and the response was not stored at the death of the worker.
    is_lost: bool,
}

/// A server, an emulator, and two workers behind a tap.
struct Lane {
    program: PathBuf,
    world: World,
    tap: Tap,
    configs: [PathBuf; 2],
    workers: [Child; 2],
    pkid: Pkid,
    customer: Customer,
}

impl Lane {
    async fn start(program: &Path) -> Self {
        let webex = Emulator::builder()
            .mode(Mode::Rotate)
            .reuse_detection(true)
            .access_ttl(Duration::from_secs(36_000))
            .refresh_ttl(Duration::from_secs(72_000));
        let world = World::start(program, webex).await;
        let tap = Tap::new();
        let configs = [config(&world, &tap, 0).await, config(&world, &tap, 1).await];
        let mut workers = [
            world.worker_with(&configs[0]),
            world.worker_with(&configs[1]),
        ];
        for worker in &mut workers {
            wait_until_ready(worker).await;
        }
        let pkid = add(&world, "Contoso").await;
        let customer = handle(&world, &pkid);
        connect(&world, &customer).await;
        Self {
            program: program.to_owned(),
            world,
            tap,
            configs,
            workers,
            pkid,
            customer,
        }
    }

    /// Returns the number of refreshes that Webex has carried out.
    fn refreshes(&self) -> usize {
        let requests = self.world.webex.requests();
        let refreshes = requests
            .iter()
            .filter(|request| request.grant_type.as_deref() == Some("refresh_token"));
        let refused = |outcome| matches!(outcome, Outcome::Status(400..));
        let accepted = refreshes.filter(|request| request.processed && !refused(request.status));
        accepted.count()
    }

    /// Returns the version of the record, which each stored refresh raises.
    async fn version(&self) -> u64 {
        let record = Reference::record(self.pkid.clone());
        let found = self.world.parts.host.store().get(&[record]).await.unwrap();
        found.into_iter().flatten().next().unwrap().version
    }

    /// Returns whether the workflow only waits for its timer. This asks the server, not a worker.
    async fn is_idle(&self) -> bool {
        let described = self.customer.describe(WorkflowDescribeOptions::default());
        described.await.is_ok_and(|described| {
            let raw = &described.raw_description;
            raw.pending_activities.is_empty() && raw.pending_workflow_task.is_none()
        })
    }

    async fn wait_for_idle(&self, refreshes: usize) {
        let began = Instant::now();
        while self.refreshes() < refreshes || !self.is_idle().await {
            assert!(began.elapsed() < PATIENCE, "the refresh ends");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Refreshes, and kills at a message. Returns `None` if the refresh has fewer messages.
    async fn kill_at(&mut self, point: Point, victims: Victims) -> Option<Kill> {
        self.wait_for_idle(0).await;
        let before = self.refreshes();
        let version = self.version().await;
        self.tap.hold_at(point);
        let refresh = Request::Refresh(RefreshRequest::default());
        let ((), message) = tokio::join!(request(&self.customer, refresh), async {
            tokio::select! {
                message = self.tap.held() => Some(message),
                () = self.wait_for_idle(before + 1) => None,
            }
        });
        let Some(message) = message else {
            self.tap.release();
            self.check(before + 1).await;
            return None;
        };
        if victims != Victims::Server {
            for (index, worker) in self.workers.iter_mut().enumerate() {
                if victims == Victims::All || index == message.worker {
                    worker.kill().await.unwrap();
                }
            }
        }
        if victims != Victims::Worker {
            self.world.kill_server().await;
        }
        // A request that a dead worker has sent may still arrive at Webex.
        self.tap.release();
        let is_lost = victims != Victims::Server && self.is_lost(before, version).await;
        if victims != Victims::Worker {
            self.world.restart_server(&self.program).await;
        }
        for (worker, config) in self.workers.iter_mut().zip(&self.configs) {
            if worker.try_wait().unwrap().is_some() {
                *worker = self.world.worker_with(config);
                wait_until_ready(worker).await;
            }
        }
        println!("{victims:?} at {point:?}: {message:?}, lost: {is_lost}");
        if is_lost {
            self.reconnect(before + 1).await;
        } else {
            self.check(before + 1).await;
        }
        Some(Kill {
            victims,
            message,
            is_lost,
        })
    }

    /// Returns whether Webex has carried out a refresh whose response nobody stores. Another worker begins at once, or when
    /// the heartbeats of the dead one are missed.
    async fn is_lost(&self, refreshes: usize, version: u64) -> bool {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if self.refreshes() == refreshes {
            return false;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.version().await == version
    }

    /// Checks that the refresh was carried out once, and that the stored token is valid.
    async fn check(&self, refreshes: usize) {
        self.wait_for_state(State::Connected, refreshes).await;
        let host = &self.world.parts.host;
        let token = host.access_token(&self.pkid, Grant::Organization, Duration::ZERO);
        let token = token.await.unwrap().value.token;
        assert!(self.world.webex.accepts(token.expose_secret()));
        assert_eq!(self.refreshes(), refreshes, "no refresh is done twice");
    }

    /// Checks that a lost response is reported, and connects again.
    async fn reconnect(&self, refreshes: usize) {
        self.wait_for_state(State::Reauthorize, refreshes).await;
        let notes = state(&self.customer).await.unwrap().record.unwrap().notes;
        assert!(!notes.is_empty());
        assert_eq!(self.refreshes(), refreshes, "no refresh is done twice");
        connect(&self.world, &self.customer).await;
    }

    async fn wait_for_state(&self, wanted: State, refreshes: usize) {
        let began = Instant::now();
        loop {
            let found = state(&self.customer).await;
            let is_done = found.as_ref().is_some_and(|found| {
                let record = found.record.as_ref();
                let is_wanted = record.is_some_and(|record| record.state == wanted);
                is_wanted && found.waiting == 0 && found.last_error.is_none()
            });
            let done = self.refreshes();
            if is_done && done >= refreshes && self.is_idle().await {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "not {wanted} after {refreshes} refreshes, but {done}: {found:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Writes the configuration of a worker behind the tap.
async fn config(world: &World, tap: &Tap, worker: usize) -> PathBuf {
    let direct = world.addresses();
    let temporal = tap.listen(worker, Link::Temporal, direct.temporal).await;
    let webex = tap.listen(worker, Link::Webex, direct.webex).await;
    let addresses = Addresses {
        store: direct.store,
        temporal: temporal.to_string(),
        webex: webex.to_string(),
    };
    world.write_config(&format!("worker-{worker}.toml"), &addresses)
}

/// Waits until a worker says that it works.
async fn wait_until_ready(worker: &mut Child) {
    let Some(output) = worker.stdout.take() else {
        return;
    };
    let mut lines = BufReader::new(output).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
    let line = line.expect("the worker begins").unwrap();
    assert!(line.is_some(), "the worker has ended");
    // The pipe stays open.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

/// Kills at each `LANES`th message, the first one at `first`; 0: at the request to Webex and its response.
async fn run_lane(program: PathBuf, first: usize) -> Vec<Kill> {
    let mut lane = Lane::start(&program).await;
    let points: Box<dyn Iterator<Item = Point>> = match first {
        0 => Box::new([Point::Request(Link::Webex), Point::Response(Link::Webex)].into_iter()),
        _ => Box::new((first..).step_by(LANES).map(Point::Number)),
    };
    let mut kills = Vec::new();
    for point in points {
        let done = kills.len();
        for victims in [Victims::Worker, Victims::Server, Victims::All] {
            kills.extend(lane.kill_at(point, victims).await);
        }
        if kills.len() == done {
            break;
        }
    }
    // After a lost response, the next attempt has only the old refresh token. The emulator took the tap for the worker,
    // and reports that token as used again.
    let lost = kills.iter().filter(|kill| kill.is_lost).count();
    let violations = lane.world.webex.violations();
    assert!(violations.len() <= lost, "{lost} lost: {violations:?}");
    for worker in &mut lane.workers {
        worker.kill().await.unwrap();
    }
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_each_message_lose_and_double_nothing() {
    let Some(program) = server_program() else {
        return;
    };
    let lanes = (0..=LANES).map(|first| run_lane(program.clone(), first));
    let kills = join_all(lanes).await.concat();
    // A response on its way to a killed worker is the only loss.
    assert!(kills.iter().any(|kill| kill.is_lost));
    for victims in [Victims::Worker, Victims::Server, Victims::All] {
        let kills = || kills.iter().filter(|kill| kill.victims == victims);
        assert!(kills().count() >= 12, "{victims:?}");
        for link in [Link::Temporal, Link::Webex] {
            for is_response in [false, true] {
                let is_hit = kills().any(|kill| {
                    kill.message.link == link && kill.message.is_response == is_response
                });
                assert!(is_hit, "{victims:?} at {link:?}, response: {is_response}");
            }
        }
    }
}
