//! A reader of the part of BER that responses and reports contain.
//!
//! It only reads slices of one datagram, never copies more than an object identifier, and has no recursion. So any
//! input takes time and memory in proportion to its size.

use std::ops::Range;

#[cfg(test)]
use super::ber::{GAUGE32, TIME_TICKS, Value};
use super::ber::{INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use super::oid::Oid;

/// The problem with a datagram. The bytes are not quoted, since they may contain a community.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A value ends after its container.
    #[error("it is cut short")]
    Truncated,
    /// Another tag is expected.
    #[error("it has the tag 0x{found:02x} in place of 0x{expected:02x}")]
    Tag {
        /// The expected tag.
        expected: u8,
        /// The tag of the datagram.
        found: u8,
    },
    /// An indefinite length, or one with more than four octets.
    #[error("a length is not valid")]
    Length,
    /// An integer has no octets or does not fit.
    #[error("a number is not valid")]
    Number,
    /// An object identifier is not valid.
    #[error("an object identifier is not valid")]
    Oid,
    /// Bytes follow after the last value.
    #[error("bytes follow after its end")]
    Trailing,
}

/// A position in the bytes of one value.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    whole: &'a [u8],
    rest: Range<usize>,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            whole: bytes,
            rest: 0..bytes.len(),
        }
    }

    /// Returns whether all was read.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Fails if something is left.
    pub fn finish(&self) -> Result<(), ReadError> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(ReadError::Trailing)
        }
    }

    /// Returns the next tag without reading it.
    pub fn peek_tag(&self) -> Result<u8, ReadError> {
        self.bytes(self.rest.clone())?
            .first()
            .copied()
            .ok_or(ReadError::Truncated)
    }

    /// Reads a value with this tag and returns its place in the whole.
    pub fn place(&mut self, tag: u8) -> Result<Range<usize>, ReadError> {
        let found = self.octet()?;
        if found != tag {
            return Err(ReadError::Tag {
                expected: tag,
                found,
            });
        }
        let length = self.length()?;
        let start = self.rest.start;
        let end = start.checked_add(length).ok_or(ReadError::Length)?;
        if end > self.rest.end {
            return Err(ReadError::Truncated);
        }
        self.rest.start = end;
        Ok(start..end)
    }

    /// Reads a constructed value; its reader keeps places relative to the whole.
    pub fn nested(&mut self, tag: u8) -> Result<Self, ReadError> {
        let rest = self.place(tag)?;
        Ok(Self {
            whole: self.whole,
            rest,
        })
    }

    /// Reads an `OCTET STRING`.
    pub fn octets(&mut self) -> Result<&'a [u8], ReadError> {
        let place = self.place(OCTET_STRING)?;
        self.bytes(place)
    }

    /// Reads an `INTEGER` of 32 bits.
    pub fn integer(&mut self) -> Result<i32, ReadError> {
        i32::try_from(self.signed(INTEGER)?).map_err(|_| ReadError::Number)
    }

    /// Reads an `OBJECT IDENTIFIER`.
    pub fn oid(&mut self) -> Result<Oid, ReadError> {
        let place = self.place(OBJECT_IDENTIFIER)?;
        let mut arcs = Vec::new();
        let mut arc: u32 = 0;
        let mut complete = false;
        for octet in self.bytes(place)? {
            if arc > u32::MAX >> 7 {
                return Err(ReadError::Oid);
            }
            arc = arc << 7 | u32::from(octet & 0x7f);
            complete = octet & 0x80 == 0;
            if complete {
                match (arcs.is_empty(), arc) {
                    (false, _) => arcs.push(arc),
                    (true, 0..40) => arcs.extend([0, arc]),
                    (true, 40..80) => arcs.extend([1, arc - 40]),
                    (true, _) => arcs.extend([2, arc - 80]),
                }
                arc = 0;
            }
        }
        if !complete {
            return Err(ReadError::Oid);
        }
        Oid::new(arcs).map_err(|_| ReadError::Oid)
    }

    /// Reads the value of a variable binding that the writer wrote.
    #[cfg(test)]
    pub fn value(&mut self) -> Result<Value, ReadError> {
        let tag = self.peek_tag()?;
        Ok(match tag {
            INTEGER => Value::Integer(self.integer()?),
            OCTET_STRING => Value::Octets(self.octets()?.to_vec()),
            OBJECT_IDENTIFIER => Value::Oid(self.oid()?),
            GAUGE32 => Value::Gauge(self.unsigned(tag)?),
            TIME_TICKS => Value::Ticks(self.unsigned(tag)?),
            found => {
                return Err(ReadError::Tag {
                    expected: OCTET_STRING,
                    found,
                });
            }
        })
    }

    /// Reads a `SEQUENCE`.
    pub fn sequence(&mut self) -> Result<Self, ReadError> {
        self.nested(SEQUENCE)
    }

    #[cfg(test)]
    fn unsigned(&mut self, tag: u8) -> Result<u32, ReadError> {
        u32::try_from(self.signed(tag)?).map_err(|_| ReadError::Number)
    }

    fn signed(&mut self, tag: u8) -> Result<i64, ReadError> {
        let place = self.place(tag)?;
        let octets = self.bytes(place)?;
        let (Some(first), 1..=5) = (octets.first(), octets.len()) else {
            return Err(ReadError::Number);
        };
        let sign = if *first < 0x80 { 0 } else { -1 };
        Ok(octets
            .iter()
            .fold(sign, |value: i64, octet| value << 8 | i64::from(*octet)))
    }

    fn octet(&mut self) -> Result<u8, ReadError> {
        let octet = self.peek_tag()?;
        self.rest.start += 1;
        Ok(octet)
    }

    fn length(&mut self) -> Result<usize, ReadError> {
        let first = self.octet()?;
        match first {
            0..=0x7f => Ok(usize::from(first)),
            0x81..=0x84 => {
                let mut length: u32 = 0;
                for _ in 0x80..first {
                    length = length << 8 | u32::from(self.octet()?);
                }
                usize::try_from(length).map_err(|_| ReadError::Length)
            }
            _ => Err(ReadError::Length),
        }
    }

    fn bytes(&self, place: Range<usize>) -> Result<&'a [u8], ReadError> {
        self.whole.get(place).ok_or(ReadError::Truncated)
    }
}
