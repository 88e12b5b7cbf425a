//! What the renderers share.
use ufmt::{Formatter, uDisplay, uWrite};

use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory;
use crate::base::text::{Text, format};
use crate::changeset::{Changes, Reason};
use crate::plan::bound::{BoundLink, BoundPlan};
use crate::plan::{Half, Link, LinkName, Method};

/// The first line of our files.
pub const HEAD: &str = "# Made by onecontext from the context of this machine.\n";

/// `fill!(text, TEMPLATE, values…)` appends a constant template, each `@` in it
/// replaced by the next of the values, which are bytes. A wrong number of values is a
/// compile error, since the array then has another type.
macro_rules! fill {
    ($text:expr, $template:expr) => {{
        const TEMPLATE: &str = $template;
        const { assert!($crate::handover::render::marks(TEMPLATE) == 0) };
        $crate::base::text::Text::extend($text, TEMPLATE.as_bytes());
    }};
    ($text:expr, $template:expr, $value:expr $(,)?) => {{
        const TEMPLATE: &str = $template;
        const { assert!($crate::handover::render::marks(TEMPLATE) == 1) };
        $crate::handover::render::append_one($text, TEMPLATE, $value);
    }};
    ($text:expr, $template:expr $(, $value:expr)* $(,)?) => {{
        const TEMPLATE: &str = $template;
        let values: [&[u8]; $crate::handover::render::marks(TEMPLATE)] = [$($value),*];
        $crate::handover::render::append($text, TEMPLATE, &values);
    }};
}
pub(super) use fill;

/// How many `@` a template has.
pub const fn marks(template: &str) -> usize {
    let mut rest = template.as_bytes();
    let mut count = 0;
    while let [byte, after @ ..] = rest {
        count += (*byte == b'@') as usize;
        rest = after;
    }
    count
}

/// The same for one value.
#[inline(never)]
pub fn append_one(text: &mut Text, template: &str, value: &[u8]) {
    append(text, template, &[value]);
}

/// The function behind [`fill!`]: as many values as there are `@`.
pub fn append(text: &mut Text, template: &str, values: &[&[u8]]) {
    let mut values = values.iter();
    for byte in template.as_bytes() {
        match byte {
            b'@' => text.extend(values.next().copied().unwrap_or_default()),
            byte => text.push(*byte),
        }
    }
}

/// The links that are handed over, in the plan's order.
pub fn links(bound: &BoundPlan) -> impl Iterator<Item = &'static BoundLink> {
    bound.links.iter().filter(|one| is_handed_over(one.link))
}

/// Whether the network managers get a configuration for a link. A NIC that the context
/// says to skip stays with the root's own configuration. A NIC of which the context has
/// only the name is handed over, so that nobody waits for DHCP on it. A link with a VLAN
/// is not: its addresses are not those of its device.
pub fn is_handed_over(link: &Link) -> bool {
    let is_managed = link.ipv4.is_managed() || link.ipv6.is_managed();
    let is_skipped = |half: &Half| half.method == Some(Method::Skip);
    link.vlan.is_none() && (is_managed || !is_skipped(&link.ipv4) && !is_skipped(&link.ipv6))
}

/// The kernel name of a link's device, for managers that identify NICs only by name.
pub fn device(
    bound_link: &BoundLink,
    manager: &[u8],
    changes: &mut Changes,
) -> Option<&'static [u8]> {
    if bound_link.device.is_none() {
        changes.note(&[
            manager,
            b" goes by names, and no device was found for ",
            format(&bound_link.link.name),
        ]);
    }
    bound_link.device
}

/// The name of our files for a link: `onecontext-eth0`.
pub struct Id(pub LinkName);

impl uDisplay for Id {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let (kind, number) = match self.0 {
            LinkName::Eth(number) => ("onecontext-eth", number),
            LinkName::Pci(number) => ("onecontext-pci", number),
        };
        f.write_str(kind)?;
        number.fmt(f)
    }
}

/// The reason if a file of the root is neither there nor can be written.
pub fn missing(path: &'static [u8]) -> &'static Reason {
    memory::place(Reason {
        level: Level::Problem,
        step: c"hand over".into(),
        operand: path,
        error: Error::new(
            c"it cannot be written, and there is no such file to mount over: \
              add an empty one to the image",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_replaced_in_order() {
        let mut text = Text::new();
        fill!(&mut text, "a@b@@", b"1", b"", b"@");
        fill!(&mut text, "\n");
        assert_eq!(&*text, b"a1b@\n");
        assert_eq!([marks(""), marks("@"), marks("a@b@@")], [0, 1, 3]);
    }
}
