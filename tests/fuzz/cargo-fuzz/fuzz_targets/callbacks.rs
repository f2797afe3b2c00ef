//! Target `callbacks` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    relation_fuzz::coverage::run(relation_fuzz::Target::Callbacks, bytes);
});
