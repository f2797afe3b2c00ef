//! A writer of the part of BER (X.690) that SNMP uses: definite lengths in their shortest form.

use super::oid::Oid;

/// `INTEGER`.
pub const INTEGER: u8 = 0x02;
/// `OCTET STRING`.
pub const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// `SEQUENCE`.
pub const SEQUENCE: u8 = 0x30;
/// `Gauge32`, which is also `Unsigned32`.
pub const GAUGE32: u8 = 0x42;
/// `TimeTicks`, in hundredths of a second.
pub const TIME_TICKS: u8 = 0x43;

/// A value of a variable binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `INTEGER`.
    Integer(i32),
    /// `OCTET STRING`.
    Octets(Vec<u8>),
    /// `OBJECT IDENTIFIER`.
    Oid(Oid),
    /// `Gauge32`.
    Gauge(u32),
    /// `TimeTicks`, in hundredths of a second.
    Ticks(u32),
}

/// Bytes that are being written.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Returns an empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes a tag, the length and the content.
    pub fn tlv(&mut self, tag: u8, content: &[u8]) {
        self.bytes.push(tag);
        self.length(content.len());
        self.bytes.extend_from_slice(content);
    }

    /// Writes a constructed value whose content `write` adds.
    pub fn nested(&mut self, tag: u8, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::new();
        write(&mut inner);
        self.tlv(tag, &inner.bytes);
    }

    /// Appends bytes that are encoded already.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    /// Writes an `INTEGER` in the least number of octets.
    pub fn integer(&mut self, value: i32) {
        self.signed(INTEGER, i64::from(value));
    }

    /// Writes an unsigned number under an application tag.
    pub fn unsigned(&mut self, tag: u8, value: u32) {
        self.signed(tag, i64::from(value));
    }

    /// Writes an `OCTET STRING`.
    pub fn octets(&mut self, value: &[u8]) {
        self.tlv(OCTET_STRING, value);
    }

    /// Writes an `OBJECT IDENTIFIER`.
    pub fn oid(&mut self, oid: &Oid) {
        let mut content = Vec::with_capacity(oid.arcs().len() + 4);
        if let [first, second, rest @ ..] = oid.arcs() {
            // X.690 section 8.19.4: the first two arcs share a subidentifier.
            push_base128(&mut content, first.wrapping_mul(40).wrapping_add(*second));
            for arc in rest {
                push_base128(&mut content, *arc);
            }
        }
        self.tlv(OBJECT_IDENTIFIER, &content);
    }

    /// Writes the value of a variable binding.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Integer(value) => self.integer(*value),
            Value::Octets(value) => self.octets(value),
            Value::Oid(value) => self.oid(value),
            Value::Gauge(value) => self.unsigned(GAUGE32, *value),
            Value::Ticks(value) => self.unsigned(TIME_TICKS, *value),
        }
    }

    fn signed(&mut self, tag: u8, value: i64) {
        let octets = value.to_be_bytes();
        let mut content = octets.as_slice();
        // Nine equal bits at the front are one octet too many (X.690 section 8.3.2).
        while let [first, rest @ ..] = content
            && let Some(second) = rest.first()
            && ((*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80))
        {
            content = rest;
        }
        self.tlv(tag, content);
    }

    fn length(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short @ 0..=0x7f) => self.bytes.push(short),
            _ => {
                let octets = length.to_be_bytes();
                let skipped = octets.iter().take_while(|octet| **octet == 0).count();
                let used = octets.get(skipped..).unwrap_or_default();
                // A length has at most eight octets.
                #[allow(clippy::cast_possible_truncation)]
                self.bytes.push(0x80 | used.len() as u8);
                self.bytes.extend_from_slice(used);
            }
        }
    }
}

fn push_base128(content: &mut Vec<u8>, value: u32) {
    for shift in [28, 21, 14, 7] {
        if value >> shift > 0 {
            content.push(0x80 | low_seven_bits(value >> shift));
        }
    }
    content.push(low_seven_bits(value));
}

fn low_seven_bits(value: u32) -> u8 {
    let [.., low] = value.to_be_bytes();
    low & 0x7f
}
