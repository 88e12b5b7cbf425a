//! The assignments of a context, sorted so that those of each NIC are together.
use core::cmp::Ordering;

use super::shell::Assignment;
use crate::base::memory::Vector;
use crate::base::sort::sort;
use crate::base::text::{number, span, split_once, words};
use crate::plan::{LinkName, SourceLocation};

/// What a variable is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Machine,
    /// A NIC (0), or one of its aliases (the alias's number and 1 more).
    Link(LinkName, u32),
}

/// One assignment, with its name parsed: `ETHn_ALIASm_…`. `ETH1_ALIAS0_IP` is the field
/// `IP` of an alias of the link `ETH1`.
#[derive(Clone, Copy)]
pub struct Variable {
    scope: Scope,
    order: u32,
    /// The name without the prefix of its NIC or alias.
    pub field: &'static [u8],
    /// The whole name.
    pub name: &'static [u8],
    /// The value, without the blanks and newlines around it.
    pub value: &'static [u8],
    /// The value as it is: blanks may belong to a password.
    pub whole: &'static [u8],
    /// Where it was assigned.
    pub place: SourceLocation,
}

impl Variable {
    fn new(assignment: &Assignment, order: u32) -> Self {
        let (scope, field) = parse(assignment.name).unwrap_or((Scope::Machine, assignment.name));
        let Assignment { name, value, place } = *assignment;
        Self {
            scope,
            field,
            order,
            name,
            value: value.trim_ascii(),
            whole: value,
            place,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let key = |variable: &Self| (variable.scope, variable.order);
        key(self)
            .0
            .cmp(&key(other).0)
            .then_with(|| self.field.cmp(other.field))
            .then(self.order.cmp(&other.order))
    }
}

/// Parses `ETHn_FIELD`, `ETHn_ALIASm_FIELD` and `PCIn_…`. `None`: a variable of the
/// machine.
fn parse(name: &[u8]) -> Option<(Scope, &[u8])> {
    let (kind, rest): (fn(u32) -> LinkName, _) =
        match (name.strip_prefix(b"ETH"), name.strip_prefix(b"PCI")) {
            (Some(rest), _) => (LinkName::Eth, rest),
            (_, Some(rest)) => (LinkName::Pci, rest),
            _ => return None,
        };
    let (number, rest) = leading_number(rest)?;
    let field = rest.strip_prefix(b"_")?;
    let alias = field.strip_prefix(b"ALIAS").and_then(leading_number);
    if let Some((alias, rest)) = alias
        && let Some(field) = rest.strip_prefix(b"_")
    {
        return Some((Scope::Link(kind(number), alias.checked_add(1)?), field));
    }
    Some((Scope::Link(kind(number), 0), field))
}

/// Splits off a decimal number without leading zeros.
fn leading_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = span(text, |byte| byte.is_ascii_digit());
    if digits.len() > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    Some((number(digits)?, rest))
}

/// Variables of one scope: of the machine, of a NIC, or of an alias.
#[derive(Clone, Copy)]
pub struct Group(&'static [Variable]);

impl Group {
    /// Those of `fields`, a list separated by blanks, that are set: the last assignment
    /// of each, unless it is empty.
    pub fn each<'f>(&self, fields: &'f str) -> impl Iterator<Item = &'static Variable> + use<'f> {
        let group = *self;
        words(fields.as_bytes())
            .filter_map(move |field| group.named(field))
            .filter(|variable| !variable.value.is_empty())
    }

    /// The first of `fields` that is set.
    #[inline(never)]
    pub fn get(&self, fields: &str) -> Option<&'static Variable> {
        self.each(fields).next()
    }

    /// The last assignment of `field`, empty or not.
    pub fn named(&self, field: &[u8]) -> Option<&'static Variable> {
        self.all(field).last()
    }

    /// Every assignment of `field`, in their order.
    pub fn all(&self, field: &[u8]) -> &'static [Variable] {
        let first = self.0.partition_point(|variable| variable.field < field);
        let rest = self.0.get(first..).unwrap_or_default();
        let count = rest.partition_point(|variable| variable.field == field);
        rest.get(..count).unwrap_or_default()
    }

    /// Whether a variable begins with `prefix`.
    pub fn has_prefix(&self, prefix: &[u8]) -> bool {
        self.0
            .iter()
            .any(|variable| variable.field.starts_with(prefix))
    }
}

/// A NIC's own variables, and those of each of its aliases.
#[derive(Clone, Copy)]
pub struct Nic {
    /// The context's name of it.
    pub name: LinkName,
    /// Its own variables; none if it has only aliases.
    pub own: Group,
    aliases: &'static [Variable],
}

impl Nic {
    /// Its aliases in numeric order.
    pub fn aliases(&self) -> impl Iterator<Item = Group> + use<> {
        self.aliases
            .chunk_by(|one, other| one.scope == other.scope)
            .map(Group)
    }
}

/// All variables of a context.
#[derive(Clone, Copy)]
pub struct Variables {
    machine: Group,
    links: &'static [Variable],
}

impl Variables {
    /// Groups the assignments.
    pub fn new(assignments: &[Assignment]) -> Self {
        let mut variables = Vector::new();
        for (order, assignment) in (0..).zip(assignments) {
            variables.push(Variable::new(assignment, order));
        }
        let variables = variables.finish();
        sort(variables, |one, other| one.cmp(other).is_lt());
        let variables = &*variables;
        let machine = variables.partition_point(|variable| variable.scope == Scope::Machine);
        let (machine, links) = variables.split_at_checked(machine).unwrap_or_default();
        Self {
            machine: Group(machine),
            links,
        }
    }

    /// Every variable that is set, once: the machine's, then those of each NIC
    /// with its aliases.
    pub fn set(&self) -> &'static [Variable] {
        let mut set = Vector::new();
        for all in [self.machine.0, self.links] {
            for (position, variable) in all.iter().enumerate() {
                let next = all.get(position + 1);
                let last = next.is_none_or(|next| next.name != variable.name);
                if last && !variable.value.is_empty() {
                    set.push(*variable);
                }
            }
        }
        set.finish()
    }

    /// The variables of the machine, which belong to no NIC.
    pub fn machine(&self) -> Group {
        self.machine
    }

    /// The NICs in numeric order, `ETHn` before `PCIn`.
    pub fn nics(&self) -> impl Iterator<Item = Nic> + use<> {
        let of_nics = self.links.chunk_by(|one, other| one.link() == other.link());
        of_nics.filter_map(|all| {
            let name = all.first()?.link()?;
            let own = all.partition_point(|variable| variable.scope == Scope::Link(name, 0));
            let (own, aliases) = all.split_at_checked(own)?;
            Some(Nic {
                name,
                own: Group(own),
                aliases,
            })
        })
    }
}

impl Variable {
    /// The part of the value that may be shown: up to the first word that contains a
    /// `=`. No value that is shown has a `=`; if there is one, a closing quote is
    /// missing, and other variables follow.
    pub fn printable(&self) -> &'static [u8] {
        let Some((head, _)) = split_once(self.value, b'=') else {
            return self.value;
        };
        let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let end = head.iter().rposition(|byte| !name(byte)).unwrap_or(0);
        head.get(..end).unwrap_or_default().trim_ascii()
    }

    /// Whether it belongs to no alias.
    pub fn is_own(&self) -> bool {
        !matches!(self.scope, Scope::Link(_, 1..))
    }

    /// The NIC that it is about.
    pub fn link(&self) -> Option<LinkName> {
        match self.scope {
            Scope::Machine => None,
            Scope::Link(name, _) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: LinkName, alias: u32) -> Scope {
        Scope::Link(name, alias)
    }

    #[test]
    fn names_are_taken_apart() {
        use LinkName::{Eth, Pci};
        let cases: [(&str, Option<(Scope, &str)>); 12] = [
            ("ETH0_IP", Some((link(Eth(0), 0), "IP"))),
            ("ETH10_IP6_ULA", Some((link(Eth(10), 0), "IP6_ULA"))),
            ("PCI2_ADDRESS", Some((link(Pci(2), 0), "ADDRESS"))),
            ("ETH0_ALIAS0_IP", Some((link(Eth(0), 1), "IP"))),
            ("ETH1_ALIAS12_DETACH", Some((link(Eth(1), 13), "DETACH"))),
            ("ETH1_ALIASES", Some((link(Eth(1), 0), "ALIASES"))),
            ("ETH01_IP", None),
            ("ETH_IP", None),
            ("ETH99999999999_IP", None),
            ("ETHER", None),
            ("DNS", None),
            ("ETH0", None),
        ];
        for (name, expected) in cases {
            let expected = expected.map(|(scope, field)| (scope, field.as_bytes()));
            assert_eq!(parse(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn each_nic_has_its_own() {
        let place = SourceLocation {
            file: b"context.sh",
            line: 1,
        };
        let assignments: Vec<_> = [
            ("ETH10_IP", "a"),
            ("ETH2_ALIAS10_IP", "b"),
            ("ETH2_ALIAS2_IP", "c"),
            ("DNS", " d "),
            ("ETH2_IP", "e"),
            ("PCI0_IP", "f"),
            ("ETH2_IP", "g"),
            ("DNS", ""),
        ]
        .map(|(name, value)| Assignment {
            name: name.as_bytes(),
            value: value.as_bytes(),
            place,
        })
        .into();
        let variables = Variables::new(&assignments);
        assert!(variables.machine().get("DNS").is_none());
        assert!(variables.machine().named(b"DNS").is_some());
        assert_eq!(variables.machine().all(b"DNS").len(), 2);
        let nics: Vec<_> = variables.nics().collect();
        let names: Vec<_> = nics.iter().map(|nic| nic.name).collect();
        assert_eq!(
            names,
            [LinkName::Eth(2), LinkName::Eth(10), LinkName::Pci(0)]
        );
        assert_eq!(nics[0].own.get("IP").unwrap().value, b"g");
        let aliases: Vec<_> = nics[0]
            .aliases()
            .map(|alias| alias.get("IP").unwrap().value)
            .collect();
        assert_eq!(aliases, [b"c", b"b"]);
        assert_eq!(nics[1].aliases().count(), 0);
    }
}
