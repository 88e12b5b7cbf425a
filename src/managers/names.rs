//! The names of our files.
use crate::base::memory;
use crate::base::text::format;
use crate::plan::LinkName;

/// What our file or profile for a link is called: `onecontext-eth0`.
pub fn name_of(link: LinkName) -> &'static [u8] {
    let (kind, number): (&[u8], _) = match link {
        LinkName::Eth(number) => (b"onecontext-eth", number),
        LinkName::Pci(number) => (b"onecontext-pci", number),
    };
    memory::concat(&[kind, format(&number)])
}
