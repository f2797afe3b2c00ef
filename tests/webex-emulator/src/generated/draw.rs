//! Choices from the hash of an entry.

/// The random bits of one entry. Choices at different places are independent of each other.
pub(crate) struct Draw([u8; 32]);

impl Draw {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes of the entry's UUID.
    pub(crate) fn uuid_bytes(&self) -> [u8; 16] {
        self.0.last_chunk().copied().unwrap_or_default()
    }

    /// Returns a number below `bound`, from the bytes at this place of 0 to 14.
    pub(crate) fn number(&self, place: usize, bound: u64) -> u64 {
        let bytes = self.0.iter().cycle().skip(place).take(8);
        let drawn = bytes.fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        drawn.checked_rem(bound).unwrap_or(0)
    }

    /// Returns an index below `count`, or `None` if there is none.
    pub(crate) fn index(&self, place: usize, count: usize) -> Option<usize> {
        let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
        usize::try_from(self.number(place, count)).ok()
    }

    /// Returns one of the options; an empty list has none.
    pub(crate) fn pick<'a>(&self, place: usize, options: &[&'a str]) -> &'a str {
        let index = self.index(place, options.len());
        index
            .and_then(|index| options.get(index))
            .copied()
            .unwrap_or_default()
    }

    /// Returns whether an event happens that has this probability in percent.
    pub(crate) fn chance(&self, place: usize, percent: u64) -> bool {
        // A prime, so that a choice and a chance at one place are independent.
        self.number(place, 10_007) % 100 < percent
    }

    /// Returns the value with this probability in percent.
    pub(crate) fn maybe<T>(
        &self,
        place: usize,
        percent: u64,
        value: impl FnOnce() -> T,
    ) -> Option<T> {
        self.chance(place, percent).then(value)
    }
}
