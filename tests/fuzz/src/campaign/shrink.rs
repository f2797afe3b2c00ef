//! The smallest input that still leads to the same finding.

use super::{Found, judged};
use crate::bench::Bench;
use crate::targets::Target;

/// Trials that are spent on one finding.
const TRIES: u32 = 600;

/// Leaves bytes out, and sets them to 0, as long as the finding stays what it is.
pub fn shrink(target: Target, bench: &Bench, mut found: Found) -> Found {
    let gist = found.finding.gist();
    let mut tries = 0;
    let mut part = found.input.len().div_ceil(2);
    while part > 0 && tries < TRIES {
        let mut at = 0;
        let mut smaller = false;
        while at < found.input.len() && tries < TRIES {
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
                let finding = judged(target, bench, &input).finding;
                let finding = finding.filter(|finding| finding.gist() == gist)?;
                Some(Found { finding, input })
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
