//! Injective encoding of lists of byte strings: different lists have different encodings.

/// Joins `parts`. Each part is preceded by its length in bytes, as eight big-endian bytes.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    let size = parts.iter().map(|part| part.len() + 8).sum();
    let mut joined = Vec::with_capacity(size);
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

/// Splits the result of [`join`]; `None` for any other input.
pub(crate) fn split(mut joined: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !joined.is_empty() {
        let (length, rest) = joined.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(part);
        joined = rest;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn joined_parts_split_into_the_same_parts(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..6),
        ) {
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let joined = join(&slices);
            prop_assert_eq!(split(&joined), Some(slices));
        }

        #[test]
        fn arbitrary_bytes_are_split_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(parts) = split(&bytes) {
                prop_assert_eq!(join(&parts), bytes);
            }
        }
    }

    #[test]
    fn a_boundary_that_moves_changes_the_result() {
        assert_ne!(join(&[b"ab", b"c"]), join(&[b"a", b"bc"]));
        assert_ne!(join(&[b"", b"abc"]), join(&[b"abc"]));
    }
}
