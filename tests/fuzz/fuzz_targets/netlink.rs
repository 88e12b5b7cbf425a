//! Any bytes as what the kernel answered: every length is checked.
#![no_main]
use libfuzzer_sys::fuzz_target;
use onecontext::kernel::wire::{End, answers};

fuzz_target!(|bytes: &[u8]| {
    for answer in answers(bytes) {
        if let Some(End::Refused(_, words)) = answer.end() {
            assert!(words.len() <= bytes.len());
        }
        if let Some(device) = answer.link() {
            assert!(device.name.len() <= bytes.len());
        }
        let _ = (answer.address(), answer.route());
    }
});
