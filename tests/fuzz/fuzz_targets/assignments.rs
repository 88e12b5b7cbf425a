//! Any bytes as the text of context.sh: no panic, no endless loop, and what
//! is read is part of the text.
#![no_main]
use libfuzzer_sys::fuzz_target;
use onecontext::context::assignments::read;
use onecontext::memory::Arena;
use onecontext::plan::Warnings;

fuzz_target!(|bytes: &[u8]| {
    let arena = Arena::new();
    let mut list = arena.table();
    let mut warnings = Warnings(arena.table());
    read(b"context.sh", arena.copy(bytes), &mut list, &mut warnings);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
    for found in list.iter() {
        assert!(!found.name.is_empty() && found.name.len() + found.value.len() < bytes.len());
        assert!((1..=lines).contains(&found.place.line));
    }
});
