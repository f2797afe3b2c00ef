//! The time of the served demo: it moves with real time, and by as much as a visitor asks for.

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

/// A move of the time that a visitor asks for.
pub(super) struct Move {
    by: Duration,
    done: oneshot::Sender<Result<(), AppError>>,
}

/// The sender of the moves that visitors ask for; [`run`] receives them.
pub(super) struct DemoTime {
    moves: mpsc::Sender<Move>,
}

impl DemoTime {
    /// Creates the sender and the receiver of moves.
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

/// Runs due wakeups and the moves of the time until stopped. One dispatcher does both: during a move, no other one
/// takes wakeups, and the clock stops only at their times.
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

/// Moves the clock with real time, for ever.
async fn tick(clock: &ManualClock) {
    let (began, start) = (Instant::now(), clock.now());
    loop {
        tokio::time::sleep(TICK).await;
        clock.advance_to(start.after(began.elapsed()));
    }
}
