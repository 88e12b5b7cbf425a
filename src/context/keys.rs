//! SSH public keys: which lines are keys, and for whom.
use super::Context;
use super::values::is_user;
use super::variables::Variable;
use crate::memory::{Set, Table};
use crate::plan::{Dialect, Key};
use crate::report::shown;
use crate::text::{span, split, trim};

/// Where keys may stand, in the order in which they are listed.
const VARIABLES: &str = "SSH_PUBLIC_KEY EC2_PUBLIC_KEY SSH_KEY PUBLIC_KEY STRATUSLAB_REMOTE_KEY";

/// What the context says about logins.
pub struct Logins<'a> {
    /// USERNAME, where it counts.
    pub user: Option<&'a [u8]>,
    /// Every key, each line once a user.
    pub keys: &'a [Key<'a>],
}

/// Reads the keys of all variables and of the key files they name.
pub fn read<'a>(
    context: &mut Context<'a>,
    dialect: Dialect,
    files: &impl super::Files<'a>,
) -> Logins<'a> {
    let machine = context.variables.machine();
    let mut keys = Keys {
        list: context.arena.table(),
        seen: Set::new(context.arena),
    };
    let named = match dialect {
        Dialect::OpenNebula => machine.get("USERNAME"),
        // Its scripts know root alone.
        Dialect::StratusLab => None,
    };
    let user = match named {
        Some(variable) if !is_user(variable.value) => {
            context.complain(variable, "not a login name, the keys are given to nobody");
            None
        }
        Some(variable) => Some(variable.value),
        None => Some(&b"root"[..]),
    };
    for variable in machine.each(VARIABLES) {
        keys.add_lines(context, user, variable, variable.value);
    }
    // OpenNebula's first sample scripts: variables name files on the disk.
    if let Some(variable) = machine.get("ROOT_PUBKEY") {
        keys.add_file(context, Some(b"root"), variable, files);
    }
    if let Some(variable) = machine.get("USER_PUBKEY") {
        match named {
            Some(_) => keys.add_file(context, user, variable, files),
            None => context.complain(variable, "no USERNAME says whose keys these are"),
        }
    }
    let user = if named.is_some() { user } else { None };
    Logins {
        user,
        keys: keys.list.finish(),
    }
}

struct Keys<'a> {
    list: Table<'a, Key<'a>>,
    /// A number for each user, with its lines.
    seen: Set<'a>,
}

impl<'a> Keys<'a> {
    /// Adds the keys of the file on the disk that the variable names.
    fn add_file(
        &mut self,
        context: &mut Context<'a>,
        user: Option<&'a [u8]>,
        variable: &Variable<'a>,
        files: &impl super::Files<'a>,
    ) {
        // A name with a directory could leave the disk.
        let content = match variable.value.contains(&b'/') {
            true => Ok(None),
            false => files.read(variable.value),
        };
        match content {
            Ok(Some(text)) => self.add_lines(context, user, variable, text),
            Ok(None) => context.complain(variable, "no such key file on the disk"),
            Err(reason) => {
                let (place, name) = (variable.place, variable.name);
                let reason = shown(context.arena, &reason);
                let what = "cannot read the key file";
                context.warnings.at(place, name, what, reason);
            }
        }
    }

    /// Adds the lines of `text` that are keys, reports the others.
    fn add_lines(
        &mut self,
        context: &mut Context<'a>,
        user: Option<&'a [u8]>,
        variable: &Variable<'a>,
        text: &'a [u8],
    ) {
        for line in split(text, |byte| matches!(byte, b'\n' | b'\r')).map(trim) {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let line = match parse(line) {
                Ok(found) => found.repaired(context, line),
                Err(what) => {
                    context
                        .warnings
                        .at(variable.place, variable.name, what, line);
                    continue;
                }
            };
            if let Some(user) = user
                && self.seen.insert(u32::from(user != b"root"), line)
            {
                self.list.push(Key { user, line });
            }
        }
    }
}

/// Where the base64 text of a key ends in its line, and what it lacks.
struct Found {
    /// Position behind the last base64 character, padding not counted.
    end: usize,
    /// Position behind the padding that is there.
    padded: usize,
    /// How many `=` belong at `end`.
    padding: usize,
}

impl Found {
    /// The line with its padding as it should be.
    fn repaired<'a>(&self, context: &Context<'a>, line: &'a [u8]) -> &'a [u8] {
        let padding: &[u8] = match self.padding {
            0 => b"",
            1 => b"=",
            _ => b"==",
        };
        if line.get(self.end..self.padded) == Some(padding) {
            return line;
        }
        let mut fixed = context.arena.table();
        fixed.extend(line.get(..self.end).unwrap_or_default());
        fixed.extend(padding);
        fixed.extend(line.get(self.padded..).unwrap_or_default());
        fixed.finish()
    }
}

const NOT_A_KEY: &str = "not an SSH public key, left out";
const DAMAGED: &str = "a damaged SSH public key, left out";

/// Takes `[options] type blob [comment]` apart (sshd(8), AUTHORIZED_KEYS FILE
/// FORMAT).
fn parse(line: &[u8]) -> Result<Found, &'static str> {
    if line
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err("a control character in an SSH public key, left out");
    }
    match key_at(line, 0) {
        Err(NOT_A_KEY) => key_at(line, options(line)),
        found => found,
    }
}

/// Length of the options and the blanks behind them. Blanks may stand inside
/// double quotes, and `\"` is a quote inside those.
fn options(line: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    let end = line.iter().position(|byte| {
        let literal = escaped;
        escaped = *byte == b'\\' && !literal;
        quoted ^= *byte == b'"' && !literal;
        is_blank(*byte) && !quoted
    });
    let end = end.unwrap_or(line.len());
    end + span(line.get(end..).unwrap_or_default(), is_blank).0.len()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A key whose type stands at `start`.
fn key_at(line: &[u8], start: usize) -> Result<Found, &'static str> {
    let text = line.get(start..).unwrap_or_default();
    let (kind, rest) = span(text, |byte| !is_blank(byte));
    let (_, blob) = span(rest, is_blank);
    let (digits, tail) = span(blob, |byte| digit(byte).is_some());
    let (marks, tail) = span(tail, |byte| matches!(byte, b'=' | b'#'));
    // Padding, then a blank or the end: anything else is no base64.
    let ends = tail.first().is_none_or(|byte| is_blank(*byte));
    let mut bytes = Decoder::new(digits);
    let same_type =
        bytes.length() == Some(kind.len()) && kind.iter().all(|byte| bytes.next() == Some(*byte));
    if !same_type || kind.is_empty() {
        return Err(NOT_A_KEY);
    }
    let padding = match digits.len() % 4 {
        0 => 0,
        2 => 2,
        3 => 1,
        _ => return Err(DAMAGED),
    };
    let plain = [&b"ssh-ed25519"[..], b"ssh-rsa", b"ssh-dss"].contains(&kind)
        || kind.starts_with(b"ecdsa-sha2-") && !kind.ends_with(b"-cert-v01@openssh.com");
    if !ends || plain && !Decoder::new(digits).only_strings() {
        return Err(DAMAGED);
    }
    Ok(Found {
        end: line.len() - tail.len() - marks.len(),
        padded: line.len() - tail.len(),
        padding,
    })
}

/// The value of a base64 character (RFC 4648 4).
fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// The bytes of a base64 text without padding.
struct Decoder<'a> {
    digits: &'a [u8],
    /// Bits read and not given out yet, `count` of them.
    bits: u32,
    count: usize,
}

impl<'a> Decoder<'a> {
    fn new(digits: &'a [u8]) -> Self {
        Self {
            digits,
            bits: 0,
            count: 0,
        }
    }

    /// A big-endian length, as SSH writes before a string (RFC 4251 5).
    fn length(&mut self) -> Option<usize> {
        let mut length = 0u32;
        for _ in 0..4 {
            length = length << 8 | u32::from(self.next()?);
        }
        usize::try_from(length).ok()
    }

    /// Whether the whole is nothing but SSH strings, two at least.
    fn only_strings(mut self) -> bool {
        let mut strings = 0;
        while self.digits.len() * 6 + self.count >= 8 {
            let Some(length) = self.length() else {
                return false;
            };
            for _ in 0..length {
                if self.next().is_none() {
                    return false;
                }
            }
            strings += 1;
        }
        strings >= 2
    }
}

impl Iterator for Decoder<'_> {
    type Item = u8;
    fn next(&mut self) -> Option<u8> {
        while self.count < 8 {
            let (first, rest) = self.digits.split_first()?;
            self.bits = self.bits << 6 | u32::from(digit(*first)?);
            self.count += 6;
            self.digits = rest;
        }
        self.count -= 8;
        Some((self.bits >> self.count) as u8)
    }
}

#[cfg(test)]
mod tests {
    use crate::context::tests::plan;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    /// A blob of `strings` behind its type; not a real key, but formed so.
    fn blob(kind: &str, strings: &[&[u8]]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = Vec::new();
        for string in std::iter::once(&kind.as_bytes()).chain(strings) {
            bytes.extend((string.len() as u32).to_be_bytes());
            bytes.extend(*string);
        }
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let word = group
                .iter()
                .chain([&0; 2])
                .take(3)
                .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
            for position in 0..4 {
                let digit = DIGITS[(word >> (18 - 6 * position) & 63) as usize];
                text.push(if position <= group.len() {
                    digit.into()
                } else {
                    '='
                });
            }
        }
        text
    }

    fn keys(context: &str) -> (Vec<String>, usize) {
        let text = plan(context);
        let keys = text
            .lines()
            .filter_map(|line| line.strip_prefix("key "))
            .map(String::from)
            .collect();
        (
            keys,
            text.lines()
                .filter(|line| line.starts_with("warning context.sh") && line.contains("KEY"))
                .count(),
        )
    }

    #[test]
    fn all_variables_in_order_each_line_once() {
        let (found, warnings) = keys(&format!(
            "STRATUS=1\nEC2_PUBLIC_KEY='{ED25519} two\n\n# comment\n  {ED25519} one \r\n'\nSSH_PUBLIC_KEY='{ED25519} one'\nSSH_KEY='{ED25519} two\r'"
        ));
        assert_eq!(
            found,
            [format!("root {ED25519} one"), format!("root {ED25519} two")]
        );
        assert_eq!(warnings, 0);
    }

    #[test]
    fn options_types_and_comments() {
        let rsa = blob("ssh-rsa", &[&[1, 0, 1], &[7; 257]]);
        let future = blob("sk-new-type@example.org", &[&[9; 31]]);
        for line in [
            ED25519.to_string(),
            format!("ssh-rsa {rsa} a comment with blanks"),
            format!("from=\"10.0.0.0/8\",command=\"echo \\\"a b\\\"\" {ED25519} x"),
            format!("no-pty,restrict  {ED25519}"),
            format!("sk-new-type@example.org {future}"),
        ] {
            let quoted = line.replace('\'', "'\\''");
            assert_eq!(
                keys(&format!("SSH_PUBLIC_KEY='{quoted}'")),
                (vec![format!("root {line}")], 0)
            );
        }
    }

    #[test]
    fn padding_is_repaired() {
        for (strings, padding) in [
            (vec![&[5u8; 32][..]], 0),
            (vec![&[5; 33]], 2),
            (vec![&[5; 34]], 1),
        ] {
            let whole = format!("ssh-ed25519 {}", blob("ssh-ed25519", &strings));
            let bare = whole.trim_end_matches('=');
            assert_eq!(whole.len() - bare.len(), padding);
            for marks in ["", "=", "==", "#", "##"] {
                let (found, warnings) = keys(&format!("PUBLIC_KEY=\"{bare}{marks} a b\""));
                assert_eq!(
                    (found, warnings),
                    (vec![format!("root {whole} a b")], 0),
                    "{marks}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_key_is_reported_and_left_out() {
        let cut = &ED25519[..ED25519.len() - 4];
        for bad in [
            "hello",
            "ssh-ed25519",
            "ssh-ed25519 hello",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
            cut,
            "---- BEGIN SSH2 PUBLIC KEY ----",
            "command=\"x ssh-ed25519 AAAA",
            &format!("{ED25519}*"),
            &format!("{ED25519}\x1b[2J"),
            &ED25519[..ED25519.len() - 3],
        ] {
            assert_eq!(
                keys(&format!("SSH_PUBLIC_KEY='{bad}\n{ED25519}'")),
                (vec![format!("root {ED25519}")], 1),
                "{bad}"
            );
        }
    }

    #[test]
    fn users() {
        let text = plan(&format!("USERNAME=alice\nSSH_PUBLIC_KEY='{ED25519}'"));
        assert!(
            text.contains(&format!("\nuser alice\nkey alice {ED25519}\n")),
            "{text}"
        );
        let text = plan(&format!("USERNAME='a b'\nSSH_PUBLIC_KEY='{ED25519}'"));
        assert!(
            !text.contains("\nuser") && !text.contains("\nkey"),
            "{text}"
        );
        assert!(
            text.contains("context.sh:1 USERNAME: not a login name"),
            "{text}"
        );
    }
}
