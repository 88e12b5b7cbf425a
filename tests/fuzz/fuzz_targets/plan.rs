#![no_main]
#[path = "../checks.rs"]
#[allow(dead_code, reason = "each target has one")]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::one_of_many(bytes, checks::plan));
