//! Structured values from a fuzzer's bytes. Once the bytes run out, every value is the simplest.

use arbitrary::Unstructured;
use serde_json::{Map, Number, Value};

/// Maximum nesting of a value that is not meant to be deep.
const DEPTH: u8 = 4;

/// Texts that programs trip over: limits of fields, foreign alphabets, invisible characters,
/// lookalikes.
const TEXTS: &[&str] = &[
    "",
    " ",
    "Acme",
    "\u{0}",
    "\r\n",
    "\t\u{7f}\u{85}",
    "Zoë Łódź 東京",
    "\u{202e}desrever\u{202c}",
    "e\u{301}\u{327}\u{200d}",
    "👩\u{200d}👩\u{200d}👧",
    "\u{feff}",
    "\u{fffd}",
    "null",
    "true",
    "-1",
    "1e999",
    "{}",
    "[]",
    "\"",
    "\\u0000",
    "%00",
    "%zz",
    "../../etc/passwd",
    "a;b,c=d",
    "<script>",
    "' OR 1=1",
    "${x}",
    "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "18446744073709551616",
];

/// Numbers at the limits of arithmetic.
const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    60,
    1_209_599,
    7_775_999,
    i32::MAX as i64,
    u32::MAX as i64,
    1_767_225_600_000,
    (1 << 53) + 1,
    i64::MAX,
    i64::MIN,
];

/// Numbers that are not integers.
const FLOATS: &[f64] = &[0.5, -0.0, 1e-320, 1e18, 1.9e19, 1e300, f64::MAX, f64::MIN];

/// Lengths around likely limits.
const LENGTHS: &[usize] = &[
    63, 64, 254, 255, 256, 257, 300, 1_023, 1_024, 1_025, 8_192, 8_193, 20_000,
];

/// The remaining bytes of a fuzzer's input.
pub struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    /// Reads `bytes` from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Returns a number below `end`, which must not be 0; 0 when the bytes have run out.
    pub fn below(&mut self, end: usize) -> usize {
        let last = end.saturating_sub(1);
        if self.0.is_empty() {
            return 0;
        }
        self.0.int_in_range(0..=last).unwrap_or(0)
    }

    /// Returns true `parts` times in 256; never when the bytes have run out.
    pub fn chance(&mut self, parts: u8) -> bool {
        !self.0.is_empty()
            && self
                .0
                .arbitrary::<u8>()
                .is_ok_and(|byte| byte >= 255 - (parts - 1))
    }

    /// Returns any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Returns one of `choices`, the first when the bytes have run out.
    ///
    /// # Panics
    /// Never on input: `choices` are constants that are not empty.
    #[allow(
        clippy::expect_used,
        reason = "every list of choices is written down and has one"
    )]
    pub fn pick<'t, T>(&mut self, choices: &'t [T]) -> &'t T {
        let index = self.below(choices.len());
        choices.get(index).or(choices.first()).expect("a choice")
    }

    /// Returns up to `max` bytes.
    pub fn bytes(&mut self, max: usize) -> &'a [u8] {
        let length = self.below(max.saturating_add(1)).min(self.0.len());
        self.0.bytes(length).unwrap_or_default()
    }

    /// Returns a text of up to some thousand characters; most are short.
    pub fn text(&mut self) -> String {
        match self.below(8) {
            0..=2 => (*self.pick(TEXTS)).to_owned(),
            3..=5 => String::from_utf8_lossy(self.bytes(24)).into_owned(),
            6 => {
                let length = *self.pick(LENGTHS);
                let unit = *self.pick(&["x", "ß", "東", "😀", "0", " "]);
                unit.repeat(length)
            }
            _ => format!("{}{}", self.pick(TEXTS), self.pick(TEXTS)),
        }
    }

    /// Returns a JSON number.
    pub fn number(&mut self) -> Number {
        match self.below(4) {
            0 | 1 => Number::from(*self.pick(NUMBERS)),
            2 => Number::from(self.bits()),
            _ => Number::from_f64(*self.pick(FLOATS)).unwrap_or_else(|| Number::from(0)),
        }
    }

    /// Returns any JSON value, with member names from `names`.
    pub fn json(&mut self, names: &[&str]) -> Value {
        self.nested(names, DEPTH)
    }

    /// Returns a member name: one of `names`, or another.
    pub fn name(&mut self, names: &[&str]) -> String {
        if names.is_empty() || self.chance(32) {
            return self.text();
        }
        (*self.pick(names)).to_owned()
    }

    fn nested(&mut self, names: &[&str], depth: u8) -> Value {
        match self.below(if depth == 0 { 6 } else { 10 }) {
            0 => Value::Null,
            1 => Value::Bool(self.bits() & 1 == 1),
            2 | 3 => Value::Number(self.number()),
            4 | 5 => Value::String(self.text()),
            6 | 7 => {
                let length = self.below(4);
                (0..length).map(|_| self.nested(names, depth - 1)).collect()
            }
            8 => {
                let mut members = Map::new();
                for _ in 0..self.below(4) {
                    let name = self.name(names);
                    members.insert(name, self.nested(names, depth - 1));
                }
                Value::Object(members)
            }
            _ => {
                let levels = *self.pick(&[2_u32, 16, 126, 127, 128, 129, 500]);
                (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_input_gives_the_simplest_values() {
        let mut input = Input::new(&[]);
        assert_eq!(input.below(7), 0);
        assert!(!input.chance(255));
        assert_eq!(*input.pick(&["first", "second"]), "first");
        assert_eq!(input.text(), "");
        assert_eq!(input.json(&["name"]), Value::Null);
    }

    #[test]
    fn the_same_bytes_give_the_same_value() {
        let bytes: Vec<u8> = (0..=255).collect();
        let value = || Input::new(&bytes).json(&["name", "notes"]);
        assert_eq!(value(), value());
    }
}
