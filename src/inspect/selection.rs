//! Which settings of sshd_config(5) hold for a login: what Match selects. Some conditions
//! cannot be known before somebody connects.
use core::net::IpAddr;

use crate::base::memory::Vector;
use crate::base::text::{format, ip, number, same, split, split_once};
use crate::image::glob::fnmatch;
use crate::image::shadow::Group;
use crate::image::sshd_settings::{Block, Setting, Settings};

/// A truth that may be unknown; the order is that of "and".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It does not hold.
    No,
    /// It depends on who connects.
    Unknown,
    /// It holds.
    Yes,
}

impl From<bool> for Truth {
    fn from(is: bool) -> Self {
        match is {
            true => Self::Yes,
            false => Self::No,
        }
    }
}

/// Who logs in, and where: what Match looks at.
#[derive(Clone, Copy)]
pub struct Connection {
    /// The login name.
    pub user: &'static [u8],
    /// The user's groups.
    pub groups: &'static [Group],
    /// The addresses of the machine; `None`: not all are known.
    pub addresses: Option<&'static [IpAddr]>,
}

/// The settings that hold for one connection.
#[derive(Clone, Copy)]
pub struct Selection<'s> {
    settings: &'s Settings,
    connection: &'s Connection,
    /// The blocks that may hold and are taken to do so.
    assumed: &'s [&'static Block],
}

impl<'s> Selection<'s> {
    /// The settings that surely hold.
    pub fn new(settings: &'s Settings, connection: &'s Connection) -> Self {
        Self {
            settings,
            connection,
            assumed: &[],
        }
    }

    /// The settings that hold if these blocks do.
    pub fn assuming(self, assumed: &'s [&'static Block]) -> Self {
        Self { assumed, ..self }
    }

    /// The blocks of which it is unknown whether they hold.
    pub fn unknown(&self) -> Vector<&'static Block> {
        let mut unknown = Vector::new();
        for block in self.settings.blocks {
            if self.holds(block) == Truth::Unknown {
                unknown.push(*block);
            }
        }
        unknown
    }

    /// All settings of a keyword that count. sshd reads what is outside of blocks first,
    /// and then once more what is in those that hold, which replaces that
    /// (openssh:servconf.c, `copy_set_server_options`).
    pub fn all(&self, keyword: &[u8]) -> Vector<&'static Setting> {
        let mut inside = Vector::new();
        let mut outside = Vector::new();
        for setting in self.settings.list {
            // The name before OpenSSH 8.5.
            let name: &[u8] = match same(setting.keyword, b"PubkeyAcceptedKeyTypes") {
                true => b"PubkeyAcceptedAlgorithms",
                false => setting.keyword,
            };
            if !same(name, keyword) {
                continue;
            }
            match setting.block {
                None => outside.push(setting),
                Some(block) if self.is_selected(block) => inside.push(setting),
                Some(_) => {}
            }
        }
        match inside.is_empty() {
            true => outside,
            false => inside,
        }
    }

    /// The setting of a keyword of which the first counts.
    pub fn first(&self, keyword: &[u8]) -> Option<&'static Setting> {
        self.all(keyword).first().copied()
    }

    /// The setting of a keyword if its first argument is one of these words.
    pub fn is(&self, keyword: &[u8], words: &[&[u8]]) -> Option<&'static Setting> {
        let setting = self.first(keyword)?;
        let value = setting.arguments.first()?;
        words
            .iter()
            .any(|word| same(word, value))
            .then_some(setting)
    }

    fn is_selected(&self, block: &'static Block) -> bool {
        match self.holds(block) {
            Truth::Yes => true,
            Truth::No => false,
            Truth::Unknown => (self.assumed.iter()).any(|other| other.place == block.place),
        }
    }

    fn holds(&self, block: &Block) -> Truth {
        let mut holds = block.outer.map_or(Truth::Yes, |outer| self.holds(outer));
        let mut criteria = block.criteria.iter();
        while let Some(name) = criteria.next() {
            if same(name, b"all") {
                continue;
            }
            let Some(patterns) = criteria.next() else {
                break;
            };
            holds = holds.min(self.criterion(name, patterns));
        }
        holds
    }

    fn criterion(&self, name: &[u8], patterns: &[u8]) -> Truth {
        let connection = self.connection;
        if same(name, b"User") {
            return in_list(patterns, |pattern| fnmatch(pattern, connection.user)).into();
        }
        if same(name, b"Group") {
            let mut groups = connection.groups.iter();
            // A pattern that keeps one group out keeps the user out.
            let any = |group: &Group| list(patterns, |pattern| fnmatch(pattern, group.name));
            let mut is_in = false;
            return match groups.all(|group| {
                let found = any(group);
                is_in |= found == Some(true);
                found != Some(false)
            }) {
                true => is_in.into(),
                false => Truth::No,
            };
        }
        if same(name, b"Invalid-User") {
            return Truth::No;
        }
        if same(name, b"LocalPort") {
            return self.local_port(patterns);
        }
        if same(name, b"LocalAddress")
            && let Some(addresses) = connection.addresses
            && let Some((first, rest)) = addresses.split_first()
        {
            let is_in = |address: &IpAddr| in_list(patterns, |one| is_address(one, *address));
            let first = is_in(first);
            if rest.iter().all(|address| is_in(address) == first) {
                return first.into();
            }
        }
        // Address, Host, RDomain and what later versions have.
        match patterns {
            b"*" => Truth::Yes,
            _ => Truth::Unknown,
        }
    }

    fn local_port(&self, port: &[u8]) -> Truth {
        let is_port = |setting: &Setting| setting.block.is_none() && same(setting.keyword, b"Port");
        let mut ports = self
            .settings
            .list
            .iter()
            .filter(|one| is_port(one))
            .peekable();
        if ports.peek().is_none() {
            return (port == b"22").into();
        }
        let is_it = |setting: &Setting| setting.arguments.first() == Some(&port);
        let (mut some, mut all) = (false, true);
        for setting in ports {
            some |= is_it(setting);
            all &= is_it(setting);
        }
        match (some, all) {
            (true, true) => Truth::Yes,
            (false, _) => Truth::No,
            _ => Truth::Unknown,
        }
    }
}

/// Whether a list of patterns, separated by commas, matches: `Some(false)` where a pattern
/// that does has a `!` before it (openssh:match.c, `match_pattern_list`).
fn list(patterns: &[u8], matches: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let mut found = None;
    for pattern in split(patterns, |byte| byte == b',') {
        match pattern.strip_prefix(b"!") {
            Some(pattern) if matches(pattern) => return Some(false),
            Some(_) => {}
            None if matches(pattern) => found = Some(true),
            None => {}
        }
    }
    found
}

/// Whether a list of patterns matches.
pub fn in_list(patterns: &[u8], matches: impl Fn(&[u8]) -> bool) -> bool {
    list(patterns, matches) == Some(true)
}

/// Whether an address is this one, fits this pattern, or is in this network.
fn is_address(pattern: &[u8], address: IpAddr) -> bool {
    let Some((network, length)) = split_once(pattern, b'/') else {
        return fnmatch(pattern, format(&address_text(address)));
    };
    let (Some(network), Some(length)) = (ip(network), number(length)) else {
        return false;
    };
    let shift = |bits: u32| bits.saturating_sub(length);
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let differ = u64::from(a.to_bits() ^ b.to_bits());
            differ >> shift(32) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differ = a.to_bits() ^ b.to_bits();
            differ.checked_shr(shift(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn address_text(address: IpAddr) -> crate::base::text::Ip {
    crate::base::text::Ip(address)
}
