//! The clock of the served demo: it advances with real time, and by as much as a visitor asks for.

use std::time::Duration;

use futures_util::future::BoxFuture;
use relation_app::{AppError, ErrorKind};
use relation_host::clock::{Clock as _, ManualClock};
use relation_web::SimulatedTime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::environment::Environment;

/// The real time between two ticks of the clock.
const TICK: Duration = Duration::from_millis(100);

/// A visitor's request to advance the clock.
pub(super) struct Move {
    by: Duration,
    done: oneshot::Sender<Result<(), AppError>>,
}

/// The sender of visitors' requests to advance the clock; [`run`] receives them.
pub(super) struct DemoTime {
    moves: mpsc::Sender<Move>,
}

impl DemoTime {
    /// Creates the sender and the receiver of requests.
    pub(super) fn new() -> (Self, mpsc::Receiver<Move>) {
        let (moves, received) = mpsc::channel(1);
        (Self { moves }, received)
    }
}

impl SimulatedTime for DemoTime {
    fn advance(&self, by: Duration) -> BoxFuture<'_, Result<(), AppError>> {
        let stopped = || AppError::new(ErrorKind::Unavailable, "the demo is stopping");
        Box::pin(async move {
            let (done, ended) = oneshot::channel();
            let sent = self.moves.send(Move { by, done }).await;
            sent.map_err(|_| stopped())?;
            ended.await.map_err(|_| stopped())?
        })
    }
}

/// Runs due wakeups and advances the clock for visitors until stopped. One dispatcher does both: while the clock is
/// advanced, no other dispatcher takes wakeups, and the clock stops only at the times of wakeups.
pub(super) async fn run(
    environment: &Environment,
    mut moves: mpsc::Receiver<Move>,
    stop: &CancellationToken,
) {
    let (clock, dispatcher) = (&*environment.clock, &environment.dispatcher);
    loop {
        let mut next = None;
        let interrupted = async {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                received = moves.recv() => next = received,
            }
        };
        tokio::select! {
            _ = dispatcher.run(interrupted) => {}
            () = tick(clock) => {}
        }
        let Some(Move { by, done }) = next else {
            return;
        };
        let moved = tokio::select! {
            moved = dispatcher.run_through(clock, clock.now().after(by)) => moved,
            () = stop.cancelled() => return,
        };
        // The browser may have gone.
        let _ = done.send(moved.map(|_| ()).map_err(AppError::from));
    }
}

/// Advances the clock with real time, for ever.
async fn tick(clock: &ManualClock) {
    let (began, start) = (Instant::now(), clock.now());
    loop {
        tokio::time::sleep(TICK).await;
        clock.advance_to(start.after(began.elapsed()));
    }
}
