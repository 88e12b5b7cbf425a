//! The assignments of a context, sorted so that those of each NIC are together.
use core::cmp::Ordering;
use core::ops::Deref;

use super::shell::Assignment;
use super::variables::Variable;
use crate::base::memory::Vector;
use crate::base::sort::sort;
use crate::base::text::{number, span, split_once};
use crate::plan::{LinkName, SourceLocation};

/// Whose variable is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Machine,
    /// A NIC (0), or one of its aliases (the alias's number and 1 more).
    Link(LinkName, u32),
}

/// One assignment, with its name parsed: `ETHn_ALIASm_…`. `ETH1_ALIAS0_IP` is the field
/// `IP` of an alias of the link `ETH1`.
#[derive(Clone, Copy)]
pub struct Entry {
    owner: Owner,
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

impl Entry {
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    fn new(assignment: &Assignment, order: u32) -> Self {
        let (owner, field) = parse(assignment.name).unwrap_or((Owner::Machine, assignment.name));
        let Assignment { name, value, place } = *assignment;
        Self {
            owner,
            field,
            order,
            name,
            value: value.trim_ascii(),
            whole: value,
            place,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        (self.owner)
            .cmp(&other.owner)
            .then_with(|| self.field.cmp(other.field))
            .then(self.order.cmp(&other.order))
    }

    /// Whether it assigns this variable.
    pub fn is(&self, variable: Variable) -> bool {
        self.field == variable.name().bytes()
    }

    /// The one of `variables` that it assigns.
    pub fn one_of(&'static self, variables: &[Variable]) -> Option<Assigned> {
        let mut variables = variables.iter().copied();
        let id = variables.find(|variable| self.is(*variable))?;
        Some(Assigned { id, entry: self })
    }

    /// Whether it belongs to no alias.
    pub fn is_own(&self) -> bool {
        !matches!(self.owner, Owner::Link(_, 1..))
    }

    /// The NIC that it is about.
    pub fn link(&self) -> Option<LinkName> {
        match self.owner {
            Owner::Machine => None,
            Owner::Link(name, _) => Some(name),
        }
    }
}

/// Parses `ETHn_FIELD`, `ETHn_ALIASm_FIELD` and `PCIn_…`. `None`: a variable of the
/// machine.
fn parse(name: &[u8]) -> Option<(Owner, &[u8])> {
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
        return Some((Owner::Link(kind(number), alias.checked_add(1)?), field));
    }
    Some((Owner::Link(kind(number), 0), field))
}

/// Splits off a decimal number without leading zeros.
fn leading_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = span(text, |byte| byte.is_ascii_digit());
    if digits.len() > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    Some((number(digits)?, rest))
}

/// A variable of the table that is assigned.
#[derive(Clone, Copy)]
pub struct Assigned {
    /// Which variable it is.
    pub id: Variable,
    entry: &'static Entry,
}

impl Deref for Assigned {
    type Target = Entry;
    fn deref(&self) -> &Entry {
        self.entry
    }
}

impl Assigned {
    /// The part of the value that may be shown: nothing of a value that may be a secret,
    /// see [`Variable::is_shown`]; else up to the first word that contains a `=`. No value that
    /// is shown has a `=`; if there is one, a closing quote is missing, and other variables
    /// follow.
    pub fn printable(&self) -> &'static [u8] {
        if !self.id.is_shown() {
            return b"";
        }
        let Some((head, _)) = split_once(self.value, b'=') else {
            return self.value;
        };
        let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let end = head.iter().rposition(|byte| !name(byte)).unwrap_or(0);
        head.get(..end).unwrap_or_default().trim_ascii()
    }
}

/// The assignments to variables of the machine, of a NIC, or of an alias.
#[derive(Clone, Copy)]
pub struct Group(&'static [Entry]);

impl Group {
    /// Those of `variables` that are set: the last assignment of each, unless it is empty.
    pub fn each<'v>(&self, variables: &'v [Variable]) -> impl Iterator<Item = Assigned> + use<'v> {
        let group = *self;
        (variables.iter()).filter_map(move |variable| group.get(*variable))
    }

    /// The first of `variables` that is set.
    #[inline(never)]
    pub fn first(&self, variables: &[Variable]) -> Option<Assigned> {
        self.each(variables).next()
    }

    /// The last assignment of a variable, unless it is empty.
    #[inline(never)]
    pub fn get(&self, variable: Variable) -> Option<Assigned> {
        self.named(variable).filter(|last| !last.value.is_empty())
    }

    /// The last assignment of a variable, empty or not.
    pub fn named(&self, variable: Variable) -> Option<Assigned> {
        self.all(variable).next_back()
    }

    /// Every assignment of a variable, in their order.
    pub fn all(&self, id: Variable) -> impl DoubleEndedIterator<Item = Assigned> + Clone + use<> {
        let name = id.name().bytes();
        let first = self.0.partition_point(|entry| entry.field < name);
        let rest = self.0.get(first..).unwrap_or_default();
        let count = rest.partition_point(|entry| entry.field == name);
        let entries = rest.get(..count).unwrap_or_default();
        entries.iter().map(move |entry| Assigned { id, entry })
    }

    /// Whether the name of a variable begins with `prefix`.
    pub fn has_prefix(&self, prefix: &[u8]) -> bool {
        self.0.iter().any(|entry| entry.field.starts_with(prefix))
    }
}

/// A NIC's own variables, and those of each of its aliases.
#[derive(Clone, Copy)]
pub struct Nic {
    /// The context's name of it.
    pub name: LinkName,
    /// Its own variables; none if it has only aliases.
    pub own: Group,
    aliases: &'static [Entry],
}

impl Nic {
    /// Its aliases in numeric order.
    pub fn aliases(&self) -> impl Iterator<Item = Group> + use<> {
        self.aliases
            .chunk_by(|one, other| one.owner == other.owner)
            .map(Group)
    }
}

/// All assignments of a context.
#[derive(Clone, Copy)]
pub struct Assignments {
    machine: Group,
    links: &'static [Entry],
}

impl Assignments {
    /// Groups the assignments.
    pub fn new(assignments: &[Assignment]) -> Self {
        let mut entries = Vector::new();
        for (order, assignment) in (0..).zip(assignments) {
            entries.push(Entry::new(assignment, order));
        }
        let entries = entries.finish();
        sort(entries, |one, other| one.cmp(other).is_lt());
        let entries = &*entries;
        let machine = entries.partition_point(|entry| entry.owner == Owner::Machine);
        let (machine, links) = entries.split_at_checked(machine).unwrap_or_default();
        Self {
            machine: Group(machine),
            links,
        }
    }

    /// Every variable that is set, once: the machine's, then those of each NIC
    /// with its aliases.
    pub fn set(&self) -> &'static [Entry] {
        let mut set = Vector::new();
        for all in [self.machine.0, self.links] {
            for (position, entry) in all.iter().enumerate() {
                let next = all.get(position + 1);
                let last = next.is_none_or(|next| next.name != entry.name);
                if last && !entry.value.is_empty() {
                    set.push(*entry);
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
            let own = all.partition_point(|entry| entry.owner == Owner::Link(name, 0));
            let (own, aliases) = all.split_at_checked(own)?;
            Some(Nic {
                name,
                own: Group(own),
                aliases,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::variables::Variable::{DNS, IP};

    fn link(name: LinkName, alias: u32) -> Owner {
        Owner::Link(name, alias)
    }

    #[test]
    fn names_are_taken_apart() {
        use LinkName::{Eth, Pci};
        let cases: [(&str, Option<(Owner, &str)>); 12] = [
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
        let assignments = Assignments::new(&assignments);
        assert!(assignments.machine().get(DNS).is_none());
        assert!(assignments.machine().named(DNS).is_some());
        assert_eq!(assignments.machine().all(DNS).count(), 2);
        let nics: Vec<_> = assignments.nics().collect();
        let names: Vec<_> = nics.iter().map(|nic| nic.name).collect();
        assert_eq!(
            names,
            [LinkName::Eth(2), LinkName::Eth(10), LinkName::Pci(0)]
        );
        assert_eq!(nics[0].own.get(IP).unwrap().value, b"g");
        let aliases: Vec<_> = nics[0]
            .aliases()
            .map(|alias| alias.get(IP).unwrap().value)
            .collect();
        assert_eq!(aliases, [b"c", b"b"]);
        assert_eq!(nics[1].aliases().count(), 0);
    }
}
