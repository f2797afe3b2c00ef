//! Mutation of inputs.

use super::MAX_INPUT_LEN;

/// Bytes at which decoders branch.
const BYTES: &[u8] = &[0, 1, 2, 7, 0x20, 0x7f, 0x80, 0xfe, 0xff];

/// A mutator of inputs. The same seed gives the same inputs.
pub(super) struct Mutator(fastrand::Rng);

impl Mutator {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Returns a number below `end`, or 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.usize(..end) }
    }

    /// Returns a new input: `one` mutated, with or without parts of `other`; or noise.
    pub(super) fn mutated(&mut self, one: Option<&[u8]>, other: Option<&[u8]>) -> Vec<u8> {
        let mut input = match one {
            Some(one) if self.0.u8(..) >= 32 => one.to_vec(),
            _ => return self.noise(),
        };
        for _ in 0..=self.0.u8(..8) {
            self.change(&mut input, other.unwrap_or_default());
        }
        input.truncate(MAX_INPUT_LEN);
        input
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.0.usize(..=MAX_INPUT_LEN / 2);
        (0..length).map(|_| self.0.u8(..)).collect()
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len());
        let byte = match self.0.bool() {
            true => self.0.u8(..),
            false => self.0.choice(BYTES).copied().unwrap_or_default(),
        };
        match self.0.u8(..8) {
            0 | 1 => {
                if let Some(there) = input.get_mut(at) {
                    *there = byte;
                }
            }
            2 => {
                let bit = 1 << self.0.u8(..8);
                if let Some(there) = input.get_mut(at) {
                    *there ^= bit;
                }
            }
            3 => {
                let step = self.0.u8(..5).wrapping_sub(2);
                if let Some(there) = input.get_mut(at) {
                    *there = there.wrapping_add(step);
                }
            }
            4 => input.insert(at, byte),
            5 => {
                let end = (at + 1 + self.below(8)).min(input.len());
                input.drain(at.min(end)..end);
            }
            6 => {
                let count = self.0.usize(1..=16);
                let more: Vec<u8> = (0..count).map(|_| self.0.u8(..)).collect();
                input.extend(more);
            }
            _ => {
                let from = self.below(other.len());
                let tail = other.get(from..).unwrap_or_default();
                input.truncate(at);
                input.extend_from_slice(tail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs_and_none_is_too_long() {
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed);
            let mut one = vec![1, 2, 3];
            let each = |_| {
                one = mutator.mutated(Some(&one), Some(&[9; MAX_INPUT_LEN]));
                one.clone()
            };
            (0..500).map(each).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(3).iter().all(|input| input.len() <= MAX_INPUT_LEN));
    }
}
