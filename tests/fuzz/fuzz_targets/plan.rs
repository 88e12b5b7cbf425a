//! The whole way from the text to the plan and its text form, which must stay
//! one directive a line.
#![no_main]
use libfuzzer_sys::fuzz_target;
use onecontext::context::{self, Files};
use onecontext::memory::Arena;
use onecontext::text::Reason;

/// A disk whose files are the input, split at its first NUL.
struct Disk<'a> {
    arena: &'a Arena,
    context: &'a [u8],
    configuration: Option<&'a [u8]>,
}

impl<'a> Files<'a> for Disk<'a> {
    fn read(&self, name: &[u8]) -> Result<Option<&'a mut [u8]>, Reason> {
        let file = match name {
            b"context.sh" => Some(self.context),
            b"configuration.sh" => self.configuration,
            // Key files: any other name.
            _ => self.configuration,
        };
        Ok(file.map(|file| self.arena.copy(file)))
    }
    fn has(&self, _: &[u8]) -> Result<bool, Reason> {
        Ok(self.configuration.is_some())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let arena = Arena::new();
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let disk = Disk { arena: &arena, context: parts.next().unwrap_or_default(), configuration: parts.next() };
    let Ok(plan) = context::read(&arena, b"fuzz", &disk) else { panic!("refused") };
    let mut text = arena.table();
    plan.write(&mut text, b"");
    const DIRECTIVES: [&[u8]; 10] = [
        b"context ", b"hostname ", b"link ", b"address ", b"route ", b"dns ", b"search ", b"user ", b"key ", b"warning ",
    ];
    let text = text.strip_suffix(b"\n").expect("a last newline");
    for line in text.split(|byte| *byte == b'\n') {
        assert!(DIRECTIVES.iter().any(|word| line.starts_with(word)), "{}", String::from_utf8_lossy(line));
        assert!(!line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
    }
});
