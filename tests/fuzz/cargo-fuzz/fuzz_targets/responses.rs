//! Target `responses` under libFuzzer.
#![no_main]

use relation_fuzz::{Target, coverage};

libfuzzer_sys::fuzz_target!(init: coverage::ready(), |bytes: &[u8]| {
    coverage::run(Target::Responses, bytes);
});
