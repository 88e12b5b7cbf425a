//! Names that nothing reads and that resemble one that is read.
//!
//! A context may contain variables of other programs, so an unknown name alone is not a
//! mistake. It must differ from a known name by a typical typing mistake, and it must not
//! look like a name of another program.
use super::nic::CheckedNic;
use crate::base::memory::Vector;
use ufmt::uwrite;

use crate::base::text::{number, position, span, words};
use crate::context::assignments::Entry;
use crate::context::state::Context;
use crate::context::values::is_yes;
use crate::context::variables::Variable::{self, *};
use crate::context::variables::{IGNORED, Reader, Scope};
use crate::plan::{Dialect, LinkName};

/// Wrong fields of a NIC and what they mean: words of other programs, of the templates of
/// virtual networks, and old words.
const FOR_A_NIC: [(&str, Variable); 14] = [
    ("NETMASK NETWORK_MASK SUBNET_MASK SUBNET PREFIX CIDR", MASK),
    ("GW DEFAULT_GATEWAY", GATEWAY),
    ("ADDRESS ADDR IPADDR IP_ADDRESS IP4 IPV4", IP),
    ("GW6 GATEWAY_IP6", IP6_GATEWAY),
    ("IP6ADDR IP6_ADDRESS IP6_GLOBAL", IP6),
    ("ULA", IP6_ULA),
    ("PREFIX_LENGTH IP6_PREFIX IP6_MASK", IP6_PREFIX_LENGTH),
    ("NAMESERVER DNS_SERVER", DNS),
    ("SEARCH DOMAIN DNS_SEARCH", SEARCH_DOMAIN),
    ("HWADDR MACADDR MAC_ADDRESS", MAC),
    ("GUEST_MTU", MTU),
    ("VLAN", VLAN_ID),
    ("STATIC_ROUTES", ROUTES),
    ("BOOTPROTO PROTO TYPE MODE DHCP", METHOD),
];

/// Names without a NIC for values that belong to a NIC.
const MISPLACED: &str = "IP IPADDR IP_ADDRESS IP6 MASK NETMASK GATEWAY GATEWAY6 IP6_GATEWAY MTU \
    ROUTES ROUTE STATIC_ROUTES";

/// Wrong names for the whole machine and what they mean.
const FOR_THE_MACHINE: [(&str, Variable); 5] = [
    ("GATEWAY_INTERFACE GATEWAY_NIC GATEWAY_ETH", GATEWAY_IFACE),
    ("NAMESERVER NAMESERVERS DNS_SERVER DNS_SERVERS", DNS),
    ("DNS_SEARCH", SEARCH_DOMAIN),
    (
        "SSH_PUBKEY SSH_PUB_KEY AUTHORIZED_KEYS SSH_AUTHORIZED_KEYS",
        SSH_PUBLIC_KEY,
    ),
    ("STARTUP_SCRIPT", START_SCRIPT),
];

/// The variable of a template that has the server write those of the NICs.
const NETWORK: &[u8] = b"NETWORK";

/// Names of other programs that are one character away from a known name.
const OF_OTHERS: &str = "SSL_KEY SSL_PUBLIC_KEY NET_HOSTNAME";

/// Warns of each name that looks mistyped. `all` are the assignments that count.
pub fn check(
    context: &mut Context,
    dialect: Dialect,
    all: &'static [Entry],
    nics: &[CheckedNic<'_>],
) {
    let first = nics.first().and_then(|nic| nic.variables.first()?.link());
    let first = first.unwrap_or(LinkName::Eth(0));
    for entry in all.iter().take_while(|entry| entry.link().is_none()) {
        let mut meant = Vector::new();
        if dialect == Dialect::OpenNebula {
            misplaced(entry, all, first, &mut meant);
            if meant.is_empty() {
                with_prefix(entry.name, first, &mut meant);
            }
        }
        if meant.is_empty() {
            meant.extend(misspelt(context, dialect, entry.name).unwrap_or_default());
        }
        // With NETWORK='YES' in its template the server writes the variables of the NICs.
        let is_network = within(entry.name, NETWORK, 1) && !within(entry.name, NETWORK, 0);
        if meant.is_empty() && nics.is_empty() && is_network && is_yes(entry.value) {
            meant.extend(NETWORK);
        }
        advise(context, entry, meant);
    }
    for nic in nics {
        if !nic.variables.iter().any(is_known) {
            continue;
        }
        for entry in nic.variables.iter().filter(|entry| !is_known(entry)) {
            let mut meant = Vector::new();
            match nearest(entry.field) {
                Some(field) => {
                    let start = entry.name.strip_suffix(entry.field);
                    meant.extend(start.unwrap_or_default());
                    meant.extend(field);
                }
                None => context.warn(entry, "nothing reads this variable of a NIC"),
            }
            advise(context, entry, meant);
        }
    }
}

/// Warns of a variable and names the one that was probably meant.
fn advise(context: &mut Context, entry: &Entry, mut meant: Vector<u8>) {
    if !meant.is_empty() {
        let what = "nothing reads this variable, did you mean";
        meant.push(b'?');
        context.warn_with(entry, what, meant.finish());
    }
}

/// Whether the table has this variable of a NIC.
fn is_known(entry: &Entry) -> bool {
    let is_pci = matches!(entry.link(), Some(LinkName::Pci(_)));
    let is = |name: &[u8]| match name.strip_suffix(b"*") {
        Some(start) => entry.field.starts_with(start),
        None => entry.field == name,
    };
    of_a_nic().any(is) || is_pci && entry.is(ADDRESS)
}

/// The names in the table that a NIC or an alias may have.
fn of_a_nic() -> impl Iterator<Item = &'static [u8]> {
    let read = Variable::ALL.iter().copied();
    let read = read.filter(|variable| !matches!(variable.scope(), Scope::Machine | Scope::Pci));
    let ignored = IGNORED.iter().filter_map(|name| name.strip_prefix("ETHn_"));
    let ignored = ignored.filter(|name| !name.starts_with("ALIASm_"));
    read.map(|variable| variable.name().bytes())
        .chain(ignored.map(str::as_bytes))
}

/// Whether a word of a list is within `edits` edits of this one.
fn has_like(list: &str, word: &[u8], edits: usize) -> bool {
    words(list.as_bytes()).any(|known| within(word, known, edits))
}

/// What the first wrong name within `edits` edits of this one means.
#[inline(never)]
fn meaning(wrong: &[(&str, Variable)], name: &[u8], edits: usize) -> Option<&'static [u8]> {
    let mut wrong = wrong.iter();
    let (_, variable) = wrong.find(|(names, _)| has_like(names, name, edits))?;
    Some(variable.name().bytes())
}

/// The field that was probably meant: the nearest known field, or the right field for
/// the nearest wrong one.
fn nearest(field: &[u8]) -> Option<&'static [u8]> {
    let most = if field.len() < 5 { 1 } else { 2 };
    (0..=most).find_map(|edits| {
        let mut whole = of_a_nic().filter(|known| !known.ends_with(b"*"));
        let known = whole.find(|known| within(field, known, edits));
        known.or_else(|| meaning(&FOR_A_NIC, field, edits))
    })
}

/// A machine-wide name for a value that belongs to a NIC, or a wrong machine-wide name.
/// It is no mistake if the right variable has the same value.
fn misplaced(entry: &Entry, all: &[Entry], first: LinkName, meant: &mut Vector<u8>) {
    let name = entry.name;
    let is_of_a_nic = has_like(MISPLACED, name, 0);
    let field = match is_of_a_nic {
        true => nearest(name),
        false => meaning(&FOR_THE_MACHINE, name, 0),
    };
    let Some(field) = field else {
        return;
    };
    // `IP='auto'` may be a variable of another program.
    let other = is_of_a_nic && !entry.value.iter().any(u8::is_ascii_digit);
    let written = all.iter().any(|right| {
        let twice = right.field == field && right.value == entry.value && right.name != name;
        // NETMASK is read together with IP_PUBLIC (OpenNebula 1.4).
        twice || entry.is(NETMASK) && right.is(IP_PUBLIC)
    });
    if !other && !written {
        if is_of_a_nic {
            uwrite!(meant, "{}_", first);
        }
        meant.extend(field);
    }
}

/// A name like `ETHO_IP`, `EHT0_IP`, `ETH_IP` or `ETH0IP`: one mistake in the prefix, and
/// a correct field.
fn with_prefix(name: &[u8], first: LinkName, meant: &mut Vector<u8>) {
    for field in of_a_nic() {
        let start = name.len().saturating_sub(field.len());
        let (start, end) = name.split_at_checked(start).unwrap_or_default();
        let whole = position(start, b"_ALIAS").map_or(start.len(), |alias| alias + 1);
        let (nic, alias) = start.split_at_checked(whole).unwrap_or_default();
        // The longest prefix, `ETH4294967295_`, has 14 characters; one more is a mistake.
        if !within(end, field, 0) || nic.len() > 15 {
            continue;
        }
        let (_, digits) = span(nic, |byte| !byte.is_ascii_digit());
        let (digits, _) = span(digits, |byte| byte.is_ascii_digit());
        let right = number(digits).map_or(first, LinkName::Eth);
        uwrite!(meant, "{}_", right);
        if within(nic, meant, 1) {
            meant.extend(alias);
            meant.extend(field);
            return;
        }
        meant.clear();
    }
}

/// The variable of the machine that was meant: one typing mistake away, or two for a name
/// of twelve letters. None for a short name, for a numbered name (`USERNAME2`) and for a name
/// with the prefix of a program.
fn misspelt(context: &Context, dialect: Dialect, name: &[u8]) -> Option<&'static [u8]> {
    const SHORTEST: usize = 6;
    const LONG: usize = 12;
    let theirs: [&[u8]; 3] = [b"ONEAPP_", b"ONEGATE_", b"VROUTER_"];
    if theirs.iter().any(|start| name.starts_with(start)) || has_like(OF_OTHERS, name, 0) {
        return None;
    }
    let count = |name: &[u8], kind: fn(&u8) -> bool| name.iter().filter(|byte| kind(byte)).count();
    let is_meant = |variable: Variable, edits| {
        let known = variable.name().bytes();
        let is_read = variable.reader() != Reader::StratusLab || dialect == Dialect::StratusLab;
        // With two mistakes the first letter is usually right: RSA_PUBLIC_KEY is no mistake.
        let is_long =
            count(known, u8::is_ascii_alphabetic) >= LONG && known.first() == name.first();
        is_read
            && matches!(variable.scope(), Scope::Machine | Scope::MachineOrNic)
            && known.len() >= SHORTEST
            && (edits < 2 || is_long)
            && within(name, known, edits)
    };
    let variable = (0..=2).find_map(|edits| {
        let mut all = Variable::ALL.iter().copied();
        all.find(|variable| is_meant(*variable, edits))
    })?;
    let known = variable.name().bytes();
    let digits = |name| count(name, u8::is_ascii_digit);
    let further = digits(name) > digits(known) && name.len() != known.len();
    let is_set = context.assignments.machine().get(variable).is_some();
    (name != known && !further && !is_set).then_some(known)
}

/// Whether the restricted Damerau-Levenshtein distance of two words is at most `edits`:
/// insertions, deletions, substitutions and swaps of neighbours. Letter case is ignored.
fn within(one: &[u8], other: &[u8], edits: usize) -> bool {
    if one.len().abs_diff(other.len()) > edits {
        return false;
    }
    let pairs = one.iter().zip(other);
    let same = pairs.take_while(|(one, other)| one.eq_ignore_ascii_case(other));
    let same = same.count();
    let rest = |text, count| <[u8]>::get(text, count..).unwrap_or_default();
    let (one, other) = (rest(one, same), rest(other, same));
    let Some(left) = edits.checked_sub(1) else {
        return one.is_empty() && other.is_empty();
    };
    let swapped = match (one, other) {
        ([a, b, one @ ..], [c, d, other @ ..]) => {
            a.eq_ignore_ascii_case(d) && b.eq_ignore_ascii_case(c) && within(one, other, left)
        }
        _ => false,
    };
    swapped
        || within(rest(one, 1), rest(other, 1), left)
        || within(rest(one, 1), other, left)
        || within(one, rest(other, 1), left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::lint::tests::said;

    #[test]
    fn edits_are_counted() {
        for (one, other, edits) in [
            ("", "", 0),
            ("MASK", "mask", 0),
            ("MASK", "MAKS", 1),
            ("MASK", "MAS", 1),
            ("MASK", "AMASK", 1),
            ("MASK", "MUSK", 1),
            ("MASK", "AMKS", 2),
            ("MASK", "", 4),
            ("GATEWAY", "GAETAWY", 2),
        ] {
            let (one, other) = (one.as_bytes(), other.as_bytes());
            for most in 0..6 {
                assert_eq!(within(one, other, most), most >= edits, "{most}");
                assert_eq!(within(other, one, most), most >= edits, "{most}");
            }
        }
    }

    /// The distance by its table, as in the literature.
    fn distance(one: &[u8], other: &[u8]) -> usize {
        let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
        for i in 0..=one.len() {
            for j in 0..=other.len() {
                if i == 0 || j == 0 {
                    table[i][j] = i + j;
                    continue;
                }
                let wrong = usize::from(one[i - 1] != other[j - 1]);
                let mut least = table[i - 1][j - 1] + wrong;
                least = least.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                    least = least.min(table[i - 2][j - 2] + 1);
                }
                table[i][j] = least;
            }
        }
        table[one.len()][other.len()]
    }

    #[test]
    fn the_distance_is_that_of_the_table() {
        let words: Vec<Vec<u8>> = (1..5_u32)
            .flat_map(|length| {
                (0..3_u32.pow(length)).map(move |mut number| {
                    let digit = |_| {
                        let sign = b'A' + (number % 3) as u8;
                        number /= 3;
                        sign
                    };
                    (0..length).map(digit).collect()
                })
            })
            .collect();
        for one in &words {
            for other in &words {
                for most in 0..4 {
                    let expected = distance(one, other) <= most;
                    assert_eq!(
                        within(one, other, most),
                        expected,
                        "{one:?} {other:?} {most}"
                    );
                }
            }
        }
    }

    /// The names of all variables, as docs/variables.md writes them.
    fn all_names() -> impl Iterator<Item = String> {
        let read = Variable::ALL.iter().flat_map(|variable| {
            let prefixes = variable.scope().prefixes().iter();
            prefixes.map(move |prefix| format!("{prefix}{variable:?}"))
        });
        read.chain(IGNORED.iter().map(|name| name.to_string()))
    }

    #[test]
    fn wrong_names_are_not_those_of_variables() {
        let has = |name: &str| all_names().any(|known| known == name);
        for (names, right) in FOR_A_NIC {
            assert!(has(&format!("ETHn_{right:?}")), "{right:?}");
            for name in names.split_ascii_whitespace() {
                assert!(!has(&format!("ETHn_{name}")), "{name}");
            }
        }
        for (names, right) in FOR_THE_MACHINE {
            assert!(has(&format!("{right:?}")), "{right:?}");
            for name in names.split_ascii_whitespace() {
                assert!(!has(name), "{name}");
            }
        }
        for name in MISPLACED.split_ascii_whitespace() {
            assert!(!has(name) || name == "NETMASK", "{name}");
        }
    }

    #[test]
    fn no_name_of_a_variable_looks_mistyped() {
        for name in all_names() {
            let name = name.replace("n_", "0_").replace("ALIASm", "ALIAS0");
            let name = name.replace('*', "X1");
            // Alone, it is meant for a NIC.
            if name == "NETMASK" {
                continue;
            }
            let opennebula = "ETH0_MAC='02:00:00:00:00:01'\nETH0_IP='10.0.0.1'\n\
                PCI0_MAC='02:00:00:00:00:02'\nPCI0_IP='10.0.1.1'\n";
            let stratuslab = "IP_PRIVATE='10.0.0.1'\n";
            for others in [opennebula, stratuslab] {
                let mut lines = said(&format!("{name}='1'\n{others}"));
                lines.retain(|line| line.contains("nothing reads"));
                assert_eq!(lines, [""; 0]);
            }
        }
    }

    #[test]
    fn what_is_written_twice_is_no_mistake() {
        let good = "ETH0_MAC='02:00:00:00:00:01'\nETH0_IP='10.0.0.1'\nDNS='10.0.0.2'\n";
        for (more, lines) in [
            ("IP='10.0.0.1'", 0),
            ("IP='10.0.0.2'", 1),
            ("IP='yes'", 0),
            ("DNS_SERVER='10.0.0.2'", 0),
            ("DNS_SERVER='10.0.0.3'", 1),
            // No value, no matter.
            ("ETH0_GATWAY=''", 0),
            ("ETH0_GATWAY='10.0.0.2'", 1),
            ("ETH0_GATWAY='10.0.0.2'\nETH0_GATWAY=''", 0),
            // Of a NIC that nothing is known of.
            ("ETH7_FOO='1'", 0),
            ("ETH0_FOO='1'", 1),
            ("ETH0_VROUTER_FOO='1'", 0),
            ("ETH0_ALIAS0_MAC='1'", 0),
            // The right one is there.
            ("SET_HOSTNAME='a'\nSET_HOSTNAM='b'", 0),
            ("SET_HOSTNAME=''\nSET_HOSTNAM='b'", 1),
            ("USERNAME2='b'", 0),
            ("ONEAPP_HOSTNAME='b'\nONEGATE_ENDPONT='c'", 0),
            ("SSL_KEY='b'\nRSA_PUBLIC_KEY='c'\nWEB_HOSTNAME='d'", 0),
            (
                "ETCD_PUBLIC_KEY='b'\nSSL_PUBLIC_KEY='c'\nNET_HOSTNAME='d'",
                0,
            ),
        ] {
            let said = said(&format!("{good}{more}\n"));
            assert_eq!(said.len(), lines, "{more}: {said:?}");
        }
        // The mask of OpenNebula 1.4.
        let old = "IP_PUBLIC='10.0.0.1'\nNETMASK='255.255.0.0'\n";
        assert_eq!(said(old), [""; 0]);
    }

    #[test]
    fn an_advice_names_a_nic_that_is_there() {
        let text = "ETH3_MAC='02:00:00:00:00:01'\nETH3_IP='10.0.0.1'\nGATEWAY='10.0.0.2'\n\
            ETHO_MASK='24'\nEHT5_DNS='10.0.0.2'\n";
        assert_eq!(
            said(text),
            [
                "context.sh:3 GATEWAY: nothing reads this variable, did you mean: ETH3_GATEWAY?",
                "context.sh:4 ETHO_MASK: nothing reads this variable, did you mean: ETH3_MASK?",
                "context.sh:5 EHT5_DNS: nothing reads this variable, did you mean: ETH5_DNS?",
            ]
        );
    }

    #[test]
    fn stratuslabs_names_are_compared_where_stratuslab_wrote() {
        let text = "IP_PRIVATE='10.0.0.1'\nNETMASK_PRIVTE='/24'\nGATEWAY='10.0.0.2'\n";
        let line = "context.sh:2 NETMASK_PRIVTE: nothing reads this variable, \
            did you mean: NETMASK_PRIVATE?";
        assert_eq!(said(text), [line]);
        let other = "ETH0_IP='10.0.0.1'\nNETMASK_PRIVTE='/24'\n";
        assert_eq!(said(other), [""; 0]);
    }
}
