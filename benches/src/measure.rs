//! Measurements: slots of work with their wall and processor time, and percentiles over rounds. Ratios are those within
//! a round, so that a machine that drifts favors no side.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::task::JoinSet;

/// Median and extremes of a figure over several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median; for an even number of rounds, the mean of the two middle values.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Percentiles {
    /// Returns the percentiles of `values`, or `None` without values.
    pub fn from_values(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get((values.len() - 1) / 2)?;
        Some(Self {
            median: f64::midpoint(*lower, *upper),
            min,
            max,
        })
    }
}

/// The work of the whole process between two moments.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// Number of operations completed.
    pub done: u64,
    /// Wall-clock time.
    pub wall: Duration,
    /// Processor time of all threads.
    pub cpu: Duration,
}

impl Measurement {
    /// Returns operations per second.
    pub fn rate(&self) -> f64 {
        count(self.done) / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns microseconds of wall time per operation.
    pub fn each(&self) -> f64 {
        micros(self.wall) / count(self.done).max(1.0)
    }

    /// Returns microseconds of processor time per operation.
    pub fn cpu_each(&self) -> f64 {
        micros(self.cpu) / count(self.done).max(1.0)
    }
}

/// A measurement of one slot in progress.
pub struct Meter {
    begun: Instant,
    cpu: Duration,
}

impl Meter {
    /// Starts a slot now.
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            cpu: process_time(),
        }
    }

    /// Ends the slot now, with `done` operations completed.
    pub fn stop(self, done: u64) -> Measurement {
        Measurement {
            done,
            wall: self.begun.elapsed(),
            cpu: process_time().saturating_sub(self.cpu),
        }
    }
}

/// One side of a comparison: one slot per round.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<Measurement>);

impl Series {
    /// Adds the slot of a round.
    pub fn add(&mut self, slot: Measurement) {
        self.0.push(slot);
    }

    /// Returns `figure` of each round.
    pub fn values(&self, figure: impl Fn(&Measurement) -> f64) -> impl Iterator<Item = f64> {
        self.0.iter().map(figure)
    }

    /// Returns the percentiles of `figure` over the rounds.
    pub fn percentiles(&self, figure: impl Fn(&Measurement) -> f64) -> Result<Percentiles> {
        Percentiles::from_values(self.values(figure)).context("nothing was measured")
    }

    /// Returns the ratio of `figure` to that of `baseline`, round by round.
    pub fn ratio(
        &self,
        baseline: &Self,
        figure: impl Fn(&Measurement) -> f64,
    ) -> Result<Percentiles> {
        let pairs = self.0.iter().zip(&baseline.0);
        Percentiles::from_values(
            pairs.map(|(own, other)| figure(own) / figure(other).max(f64::MIN_POSITIVE)),
        )
        .context("nothing was measured")
    }
}

/// Keeps `lanes` operations in flight for `time`: each lane starts its next one when the last is
/// done. Operations still running when the time is over are finished and counted.
pub async fn in_flight<F, Op>(lanes: usize, time: Duration, op: Op) -> Result<Measurement>
where
    F: Future<Output = Result<()>> + Send,
    Op: Fn(usize) -> F + Send + Sync + 'static,
{
    let op = Arc::new(op);
    let mut running = JoinSet::new();
    let meter = Meter::start();
    let begun = Instant::now();
    for lane in 0..lanes {
        let op = Arc::clone(&op);
        running.spawn(async move {
            let mut done = 0;
            loop {
                op(lane).await?;
                done += 1;
                if begun.elapsed() >= time {
                    return anyhow::Ok(done);
                }
            }
        });
    }
    let mut done = 0;
    while let Some(lane) = running.join_next().await {
        done += lane.context("an operation broke")??;
    }
    Ok(meter.stop(done))
}

/// Runs `op` repeatedly for `time`, one after the other.
pub async fn serially(
    time: Duration,
    mut op: impl AsyncFnMut() -> Result<()>,
) -> Result<Measurement> {
    let meter = Meter::start();
    let mut done = 0;
    loop {
        op().await?;
        done += 1;
        if meter.begun.elapsed() >= time {
            return Ok(meter.stop(done));
        }
    }
}

/// Converts a duration to microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts of operations are far below 2^53"
)]
fn count(done: u64) -> f64 {
    done as f64
}

/// Returns the processor time that all threads of this process have used so far.
fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(rates: &[u64]) -> Series {
        let slot = |&done| Measurement {
            done,
            wall: Duration::from_secs(1),
            cpu: Duration::from_secs(1),
        };
        Series(rates.iter().map(slot).collect())
    }

    #[test]
    fn median_is_the_middle_value() {
        let percentiles = Percentiles::from_values([9.0, 1.0, 4.0]).unwrap();
        assert_eq!(
            (percentiles.min, percentiles.median, percentiles.max),
            (1.0, 4.0, 9.0)
        );
        assert_eq!(
            Percentiles::from_values([1.0, 2.0, 4.0, 9.0])
                .unwrap()
                .median,
            3.0
        );
        assert_eq!(Percentiles::from_values([]), None);
    }

    #[test]
    fn a_ratio_compares_within_each_round() {
        // The machine became ten times slower after the first round; the ratio stays the same.
        let ratio = side(&[500, 50]).ratio(&side(&[1000, 100]), Measurement::rate);
        let ratio = ratio.unwrap();
        assert_eq!((ratio.min, ratio.median, ratio.max), (0.5, 0.5, 0.5));
    }

    #[tokio::test]
    async fn every_lane_completes_at_least_one_operation() {
        let slot = in_flight(4, Duration::ZERO, |_| async { Ok(()) }).await;
        assert_eq!(slot.unwrap().done, 4);
    }

    #[tokio::test]
    async fn failing_operation_ends_the_measurement() {
        let slot = in_flight(4, Duration::MAX / 2, |lane| async move {
            tokio::task::yield_now().await;
            anyhow::ensure!(lane != 3, "lane 3 fails");
            Ok(())
        });
        assert!(slot.await.is_err());
    }
}
