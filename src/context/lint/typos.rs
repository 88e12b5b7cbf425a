//! Names that nothing reads and that resemble one that is read.
//!
//! A context may contain variables of other programs, so an unknown name alone is not a
//! mistake. It must differ from a known name by a typical typing mistake, and it must not
//! look like a name of another program.
use super::nic::CheckedNic;
use crate::base::memory::Vector;
use ufmt::uwrite;

use crate::base::text::{number, position, span, split_once, words};
use crate::context::state::Context;
use crate::context::variables::Variable;
use crate::plan::{Dialect, LinkName};

/// The fields of a NIC or an alias in docs/variables.md. Also known are the fields that
/// begin with `VROUTER_`, and `ADDRESS` of a PCI device.
const OF_A_NIC: &str = "IP MASK GATEWAY MAC DNS MTU METHOD NETWORK SEARCH_DOMAIN ROUTES METRIC \
    IP6 IPV6 IP6_PREFIX_LENGTH IP6_ULA IP6_GATEWAY IP6_METHOD IP6_METRIC GATEWAY6 METRIC6 \
    VLAN_ID EXTERNAL DETACH CONTEXT_FORCE_IPV4";

/// Wrong fields and the right ones: words of other programs, of the templates of virtual
/// networks, and old words.
const FOR_A_NIC: &str = "NETMASK=MASK NETWORK_MASK=MASK SUBNET_MASK=MASK SUBNET=MASK \
    PREFIX=MASK CIDR=MASK GW=GATEWAY DEFAULT_GATEWAY=GATEWAY ADDRESS=IP ADDR=IP IPADDR=IP \
    IP_ADDRESS=IP IP4=IP IPV4=IP GW6=IP6_GATEWAY GATEWAY_IP6=IP6_GATEWAY IP6ADDR=IP6 \
    IP6_ADDRESS=IP6 IP6_GLOBAL=IP6 ULA=IP6_ULA PREFIX_LENGTH=IP6_PREFIX_LENGTH \
    IP6_PREFIX=IP6_PREFIX_LENGTH IP6_MASK=IP6_PREFIX_LENGTH NAMESERVER=DNS DNS_SERVER=DNS \
    SEARCH=SEARCH_DOMAIN DOMAIN=SEARCH_DOMAIN DNS_SEARCH=SEARCH_DOMAIN HWADDR=MAC MACADDR=MAC \
    MAC_ADDRESS=MAC GUEST_MTU=MTU VLAN=VLAN_ID STATIC_ROUTES=ROUTES BOOTPROTO=METHOD \
    PROTO=METHOD TYPE=METHOD MODE=METHOD DHCP=METHOD";

/// The machine-wide names of at least six letters that are applied, read or reported:
/// names of at least twelve letters here, the others below. No name that is ignored on
/// purpose resembles one of them.
const LONG: &str = "SSH_PUBLIC_KEY SEARCH_DOMAIN GATEWAY_IFACE ONEGATE_ENDPOINT \
    START_SCRIPT_BASE64 USERNAME_SHELL USERNAME_SUDO USERNAME_PASSWORD_RESET \
    CRYPTED_PASSWORD CRYPTED_PASSWORD_BASE64 PASSWORD_BASE64";
const SHORT: &str = "EC2_PUBLIC_KEY SSH_KEY PUBLIC_KEY SET_HOSTNAME HOSTNAME USERNAME \
    NETCFG_TYPE START_SCRIPT INIT_SCRIPTS USER_DATA USERDATA ROOT_PUBKEY USER_PUBKEY \
    GRANT_SUDO PASSWORD";

/// The names of StratusLab.
const OF_STRATUSLAB: &str = "IP_PRIVATE IP_PUBLIC IP_EXTRA NETMASK_PRIVATE NETMASK_PUBLIC \
    NETMASK_EXTRA DEFAULT_GATEWAY GLOBAL_NETWORK GLOBAL_NETMASK STRATUSLAB_REMOTE_KEY \
    SCRIPT_EXEC CLOUD_INIT_USER_DATA";

/// Names without a NIC for values that belong to a NIC.
const MISPLACED: &str = "IP IPADDR IP_ADDRESS IP6 MASK NETMASK GATEWAY GATEWAY6 IP6_GATEWAY MTU \
    ROUTES ROUTE STATIC_ROUTES";

/// Wrong machine-wide names and the right ones.
const FOR_THE_MACHINE: &str = "NAMESERVER=DNS NAMESERVERS=DNS DNS_SERVER=DNS DNS_SERVERS=DNS \
    DNS_SEARCH=SEARCH_DOMAIN SSH_PUBKEY=SSH_PUBLIC_KEY SSH_PUB_KEY=SSH_PUBLIC_KEY \
    AUTHORIZED_KEYS=SSH_PUBLIC_KEY SSH_AUTHORIZED_KEYS=SSH_PUBLIC_KEY \
    STARTUP_SCRIPT=START_SCRIPT";

/// Names of other programs that are one character away from a known name.
const OF_OTHERS: &str = "SSL_KEY SSL_PUBLIC_KEY NET_HOSTNAME";

/// Warns of each name that looks mistyped. `all` are the variables that are set.
pub fn check(
    context: &mut Context,
    dialect: Dialect,
    all: &'static [Variable],
    nics: &[CheckedNic<'_>],
) {
    let first = nics.first().and_then(|nic| nic.variables.first()?.link());
    let first = first.unwrap_or(LinkName::Eth(0));
    for variable in all.iter().take_while(|variable| variable.link().is_none()) {
        let mut meant = Vector::new();
        if dialect == Dialect::OpenNebula {
            misplaced(variable, all, first, &mut meant);
            if meant.is_empty() {
                with_prefix(variable.name, first, &mut meant);
            }
        }
        if meant.is_empty() {
            meant.extend(misspelt(context, dialect, variable.name));
        }
        advise(context, variable, meant);
    }
    for nic in nics {
        if !nic.variables.iter().any(is_known) {
            continue;
        }
        for variable in nic.variables.iter().filter(|variable| !is_known(variable)) {
            let mut meant = Vector::new();
            match nearest(variable.field) {
                Some(field) => {
                    let start = variable.name.strip_suffix(variable.field);
                    meant.extend(start.unwrap_or_default());
                    meant.extend(field);
                }
                None => context.remark(variable, "nothing reads this variable of a NIC"),
            }
            advise(context, variable, meant);
        }
    }
}

/// Warns of a variable and names the one that was probably meant.
fn advise(context: &mut Context, variable: &Variable, mut meant: Vector<u8>) {
    if !meant.is_empty() {
        let what = "nothing reads this variable, did you mean";
        meant.push(b'?');
        context
            .warnings
            .at(variable.place, variable.name, what, meant.finish());
    }
}

/// Whether docs/variables.md has this variable of a NIC.
fn is_known(variable: &Variable) -> bool {
    let field = variable.field;
    let pci = matches!(variable.link(), Some(LinkName::Pci(_)));
    listed(OF_A_NIC, field, 0).is_some_and(|known| known == field)
        || field.starts_with(b"VROUTER_")
        || pci && field == b"ADDRESS"
}

/// Finds the first entry of a list within `edits` edits of a word. Returns the entry, or
/// the part after its `=`.
#[inline(never)]
fn listed(list: &'static str, word: &[u8], edits: usize) -> Option<&'static [u8]> {
    let mut entries =
        words(list.as_bytes()).map(|entry| split_once(entry, b'=').unwrap_or((entry, entry)));
    let (_, meant) = entries.find(|(known, _)| within(word, known, edits))?;
    Some(meant)
}

/// The field that was probably meant: the nearest known field, or the right field for
/// the nearest wrong one.
fn nearest(field: &[u8]) -> Option<&'static [u8]> {
    let most = if field.len() < 5 { 1 } else { 2 };
    (0..=most).find_map(|edits| {
        listed(OF_A_NIC, field, edits).or_else(|| listed(FOR_A_NIC, field, edits))
    })
}

/// A machine-wide name for a value that belongs to a NIC, or a wrong machine-wide name.
/// It is no mistake if the right variable has the same value.
fn misplaced(variable: &Variable, all: &[Variable], first: LinkName, meant: &mut Vector<u8>) {
    let name = variable.name;
    let of_a_nic = listed(MISPLACED, name, 0).and_then(nearest);
    let Some(field) = of_a_nic.or_else(|| listed(FOR_THE_MACHINE, name, 0)) else {
        return;
    };
    // `IP='auto'` may be a variable of another program.
    let other = of_a_nic.is_some() && !variable.value.iter().any(u8::is_ascii_digit);
    let written = all.iter().any(|right| {
        let twice = right.field == field && right.value == variable.value && right.name != name;
        // NETMASK is read together with IP_PUBLIC (OpenNebula 1.4).
        twice || name == b"NETMASK" && right.name == b"IP_PUBLIC"
    });
    if !other && !written {
        if of_a_nic.is_some() {
            uwrite!(meant, "{}_", first);
        }
        meant.extend(field);
    }
}

/// A name like `ETHO_IP`, `EHT0_IP`, `ETH_IP` or `ETH0IP`: one mistake in the prefix, and
/// a correct field.
fn with_prefix(name: &[u8], first: LinkName, meant: &mut Vector<u8>) {
    for field in words(OF_A_NIC.as_bytes()) {
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

/// The machine-wide name that was meant: one typing mistake away, or two for a long name.
/// Empty for a numbered name (`USERNAME2`) and for a name with the prefix of a program.
fn misspelt(context: &Context, dialect: Dialect, name: &[u8]) -> &'static [u8] {
    let theirs: [&[u8]; 3] = [b"ONEAPP_", b"ONEGATE_", b"VROUTER_"];
    if theirs.iter().any(|start| name.starts_with(start)) || listed(OF_OTHERS, name, 0).is_some() {
        return b"";
    }
    let known = (0..=2).find_map(|edits| {
        // With two mistakes the first letter is usually right: RSA_PUBLIC_KEY is no mistake.
        let long = listed(LONG, name, edits);
        let long = long.filter(|known| edits < 2 || known.first() == name.first());
        let short = |list| listed(list, name, edits).filter(|_| edits < 2);
        let known = long.or_else(|| short(SHORT));
        match dialect {
            Dialect::OpenNebula => known,
            Dialect::StratusLab => known.or_else(|| short(OF_STRATUSLAB)),
        }
    });
    let Some(known) = known else {
        return b"";
    };
    let digits = |name: &[u8]| name.iter().filter(|byte| byte.is_ascii_digit()).count();
    let further = digits(name) > digits(known) && name.len() != known.len();
    let right = context.variables.machine().named(known);
    let is_set = right.is_some_and(|right| !right.value.is_empty());
    match name == known || further || is_set {
        true => b"",
        false => known,
    }
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

    /// The names of a row of docs/variables.md, and what becomes of them.
    fn documented() -> Vec<(String, String)> {
        let text = include_str!("../../../docs/variables.md");
        let mut names = Vec::new();
        for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
            let (cell, rest) = row.split_once(" | ").unwrap();
            let fate = rest.split([':', ',', ';', ' ']).next().unwrap();
            let mut start = String::new();
            for word in cell.split('`').step_by(2) {
                let word = word.trim();
                match word.strip_prefix('_') {
                    // `_MASK` behind `ETHn_ALIASm_IP`, `_BASE64` behind `PASSWORD`.
                    Some(end) => names.push((format!("{start}_{end}"), fate.into())),
                    None => {
                        start = word.trim_end_matches("_IP").into();
                        names.push((word.into(), fate.into()));
                    }
                }
            }
        }
        assert!(names.len() > 100, "{}", names.len());
        names
    }

    fn list(words: &'static str) -> impl Iterator<Item = &'static str> {
        words.split_ascii_whitespace()
    }

    #[test]
    fn the_names_of_the_documents_are_those_that_are_known() {
        let documented = documented();
        let has = |name: &str| documented.iter().any(|(other, _)| other == name);
        for field in list(OF_A_NIC) {
            let of_a_nic = has(&format!("ETHn_{field}")) || has(&format!("PCIn_{field}"));
            assert!(of_a_nic || has(&format!("ETHn_ALIASm_{field}")), "{field}");
        }
        let of_the_machine = || [LONG, SHORT, OF_STRATUSLAB].into_iter().flat_map(list);
        for name in of_the_machine() {
            assert!(has(name) && name.len() >= 6, "{name}");
        }
        let letters = |name: &str| name.bytes().filter(u8::is_ascii_alphabetic).count();
        assert!(list(LONG).all(|name| letters(name) >= 12));
        assert!(list(SHORT).all(|name| letters(name) < 12));
        for entry in list(FOR_A_NIC) {
            let (word, meant) = entry.split_once('=').unwrap();
            assert!(list(OF_A_NIC).any(|name| name == meant), "{entry}");
            assert!(list(OF_A_NIC).all(|name| name != word), "{entry}");
        }
        for entry in list(FOR_THE_MACHINE) {
            let (word, meant) = entry.split_once('=').unwrap();
            assert!(has(meant) && !has(word), "{entry}");
        }
        for word in list(MISPLACED) {
            assert!(!has(word) || word == "NETMASK", "{word}");
        }
        for (name, fate) in &documented {
            let field = ["ETHn_ALIASm_", "ETHn_", "PCIn_"];
            let field = field.iter().find_map(|start| name.strip_prefix(start));
            let name = name.as_str();
            match field {
                Some("VROUTER_*" | "*" | "ADDRESS") => {}
                Some(field) => assert!(list(OF_A_NIC).any(|known| known == field), "{name}"),
                // Too short to be like another, or a value of FOR_THE_MACHINE.
                None if fate == "ignored" || name.len() < 6 || name == "NETMASK" => {}
                None => assert!(
                    of_the_machine().any(|known| known == name),
                    "{name}: {fate}, and has no place in a list of this file"
                ),
            }
        }
    }

    #[test]
    fn no_name_of_the_documents_looks_mistyped() {
        for (name, _) in documented() {
            let name = name.replace("ETHn", "ETH0").replace("PCIn", "PCI0");
            let name = name.replace("ALIASm", "ALIAS0").replace("DISKn", "DISK0");
            let name = name.replace('*', "X1");
            if name.contains("ALIAS0_X1") || name == "NETMASK" {
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
