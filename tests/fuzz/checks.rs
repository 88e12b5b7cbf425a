//! Properties that hold for any bytes: no reader panics or runs forever, and its result
//! meets the conditions checked here.
//!
//! The fuzz targets try any bytes; `tests/fuzz/replay.rs` tries those that they found.
use onecontext::base::context_files::Files;
use onecontext::base::error::Error;
use onecontext::base::memory::{self, Vector};
use onecontext::base::text::Mac;
use onecontext::context::{self, Purpose, shell};
use onecontext::disk::iso9660::{Descriptor, Iso};
use onecontext::kernel::dhcp::message::DhcpReply;
use onecontext::kernel::wire::{End, answers};
use onecontext::plan::bound::{BoundPlan, DhcpClient};
use onecontext::plan::{Plan, Warnings};

/// Checks one of very many inputs: what it took of the memory is given back.
#[cfg(fuzzing)]
pub fn one_of_many(bytes: &[u8], check: fn(&[u8])) {
    let mark = memory::mark();
    check(bytes);
    // SAFETY: a check keeps nothing.
    unsafe { memory::release(mark) };
}

/// The text of context.sh: every result is a part of it.
pub fn assignments(bytes: &[u8]) {
    let mut list = Vector::new();
    let mut warnings = Warnings(Vector::new());
    let text = memory::copy(bytes);
    shell::read(b"context.sh", text, &mut list, &mut warnings);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
    for found in list.iter() {
        assert!(!found.name.is_empty());
        assert!(found.name.len() + found.value.len() < bytes.len());
        assert!((1..=lines).contains(&found.place.line));
    }
}

/// A disk image from its volume descriptors on, sector 16: nothing outside of it is
/// read.
pub fn iso9660(bytes: &[u8]) {
    const SYSTEM_AREA: usize = 16 * 2048;
    let image = memory::bytes(SYSTEM_AREA + bytes.len());
    image[SYSTEM_AREA..].copy_from_slice(bytes);
    let image: &[u8] = image;
    let mut descriptor = Descriptor::empty();
    if !descriptor.read_first(&image).unwrap_or(false) {
        return;
    }
    let Ok(iso) = Iso::open(image, &mut descriptor) else {
        return;
    };
    for name in [&b"context.sh"[..], b"configuration.sh", b"init.sh"] {
        if let Ok(Some(content)) = iso.read(name) {
            // Extents may overlap, but no file is larger than the limit.
            assert!(content.len() <= 16 << 20);
        }
    }
}

/// The kernel's answers: every length is checked.
pub fn netlink(bytes: &[u8]) {
    for answer in answers(bytes) {
        if let Some(End::Refused(_, Some(words))) = answer.end() {
            assert!(words.len() <= bytes.len());
        }
        if let Some(device) = answer.link() {
            assert!(device.name.len() <= bytes.len());
        }
        let _ = answer.address();
        answer.routes(&mut |_, _| {});
    }
}

/// An IPv4 packet. Whatever a server sends, a name that goes into a file of the root is
/// a valid name, a route has no bits outside of its prefix, and no value is made up.
pub fn dhcp(bytes: &[u8]) {
    let Some(reply) = DhcpReply::of(bytes) else {
        return;
    };
    let _ = (reply.xid(), reply.is_for(Mac([0; 6])), reply.kind());
    let Some(lease) = reply.lease(1024) else {
        return;
    };
    assert!((1..=32).contains(&lease.address.length) && lease.seconds > 0);
    assert!(lease.dns.len() * 4 <= bytes.len());
    for route in lease.routes {
        assert!(route.destination.length <= 32);
        assert_eq!(route.destination, route.destination.network());
    }
    for domain in lease.search {
        assert!((1..=253).contains(&domain.len()));
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        assert!(domain.iter().all(is_part));
    }
}

/// The files of a disk, split at the first NUL, up to the plan and its text form, which
/// keeps one directive a line.
pub fn plan(bytes: &[u8]) {
    const DIRECTIVES: [&[u8]; 15] = [
        b"context ",
        b"hostname ",
        b"link ",
        b"address ",
        b"route ",
        b"dns ",
        b"search ",
        b"user ",
        b"shell ",
        b"sudo ",
        b"password ",
        b"key ",
        b"script ",
        b"note ",
        b"warning ",
    ];
    let mut text = Vector::new();
    BoundPlan::unbound(plan_of(bytes), DhcpClient::Alone).write(None, &mut text);
    let text = text.strip_suffix(b"\n").expect("a last newline");
    for line in text.split(|byte| *byte == b'\n') {
        let shown = String::from_utf8_lossy(line);
        assert!(
            DIRECTIVES.iter().any(|word| line.starts_with(word)),
            "{shown}"
        );
        let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        assert!(!line.iter().any(is_control), "{shown}");
    }
}

/// The plan of such files.
pub fn plan_of(bytes: &[u8]) -> &'static Plan {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let disk = Disk {
        context: parts.next().unwrap_or_default(),
        configuration: parts.next(),
    };
    let Ok(plan) = context::read(b"fuzz", &disk, Purpose::Run) else {
        panic!("refused");
    };
    plan
}

struct Disk<'a> {
    context: &'a [u8],
    configuration: Option<&'a [u8]>,
}

impl Files for Disk<'_> {
    fn read(&self, name: &[u8]) -> Result<Option<&'static mut [u8]>, Error> {
        let file = match name {
            b"context.sh" => Some(self.context),
            // And key files, under any name.
            _ => self.configuration,
        };
        Ok(file.map(memory::copy))
    }

    fn called(&self, name: &'static [u8]) -> &'static [u8] {
        name
    }

    fn has(&self, _: &[u8]) -> Result<bool, Error> {
        Ok(self.configuration.is_some())
    }
}
