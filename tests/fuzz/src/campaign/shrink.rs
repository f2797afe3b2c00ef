//! Finds the smallest input that still leads to the same finding.

use super::{Reproducer, run_trial};
use crate::runner::TrialRunner;
use crate::targets::Target;

/// Maximum number of trials per finding.
const MAX_TRIALS: u32 = 600;

/// Removes bytes, and sets them to 0, as long as the finding stays the same.
pub fn shrink(target: Target, runner: &TrialRunner, mut found: Reproducer) -> Reproducer {
    let fingerprint = found.finding.fingerprint();
    let mut tries = 0;
    let mut part = found.input.len().div_ceil(2);
    while part > 0 && tries < MAX_TRIALS {
        let mut at = 0;
        let mut smaller = false;
        while at < found.input.len() && tries < MAX_TRIALS {
            let end = (at + part).min(found.input.len());
            let mut without = found.input.clone();
            without.drain(at..end);
            let mut plain = found.input.clone();
            plain
                .iter_mut()
                .take(end)
                .skip(at)
                .for_each(|byte| *byte = 0);
            let kept = [without, plain].into_iter().find_map(|input| {
                if input == found.input {
                    return None;
                }
                tries += 1;
                let finding = run_trial(target, runner, &input).finding;
                let finding = finding.filter(|finding| finding.fingerprint() == fingerprint)?;
                Some(Reproducer { finding, input })
            });
            match kept {
                Some(kept) => {
                    smaller |= kept.input.len() < found.input.len();
                    if kept.input.len() == found.input.len() {
                        at = end;
                    }
                    found = kept;
                }
                None => at = end,
            }
        }
        if !smaller || part == 1 {
            part /= 2;
        }
    }
    found
}
