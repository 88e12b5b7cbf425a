//! Any bytes as a disk image: no panic, no endless loop, nothing read outside.
//! The image begins at its volume descriptors, sector 16.
#![no_main]
use libfuzzer_sys::fuzz_target;
use onecontext::disk::iso9660::{Descriptor, Iso};
use onecontext::memory::Arena;

const SYSTEM_AREA: usize = 16 * 2048;

fuzz_target!(|bytes: &[u8]| {
    let arena = Arena::new();
    let image = arena.bytes(SYSTEM_AREA + bytes.len());
    image[SYSTEM_AREA..].copy_from_slice(bytes);
    let image: &[u8] = image;
    let mut descriptor = Descriptor::empty();
    if !descriptor.read_first(&image).unwrap_or(false) {
        return;
    }
    let Ok(iso) = Iso::open(&arena, image, &mut descriptor) else { return };
    for name in [&b"context.sh"[..], b"configuration.sh", b"init.sh"] {
        if let Ok(Some(file)) = iso.find(name)
            && let Ok(content) = file.read(&arena, &iso.source)
        {
            // Extents may overlap, but no file is larger than the limit.
            assert!(content.len() <= 16 << 20);
        }
    }
});
