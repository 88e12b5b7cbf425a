//! SSH public keys: which lines are keys, and for which user.
use ufmt::uwrite;

use super::assignments::Assigned;
use super::base64::{Decoder, digit};
use super::state::Context;
use super::values::is_user;
use super::variables::Variable::{self, *};
use crate::base::memory::Vector;
use crate::base::set::Set;
use crate::base::text::{find, format, lines, position, span, split};
use crate::plan::{Dialect, Key};

/// The variables with keys, in the order of the plan.
const WITH_KEYS: &[Variable] = &[
    SSH_PUBLIC_KEY,
    EC2_PUBLIC_KEY,
    SSH_KEY,
    PUBLIC_KEY,
    STRATUSLAB_REMOTE_KEY,
];

/// The logins of a context.
pub struct LoginKeys {
    /// USERNAME, if it is set and the dialect knows it.
    pub user: Option<&'static [u8]>,
    /// The user who gets the keys and the password: USERNAME or root. `None`: USERNAME is
    /// not a valid login name.
    pub owner: Option<&'static [u8]>,
    /// The keys. No user has a line twice.
    pub keys: &'static [Key],
}

/// Reads the keys of all variables and of the key files that they name.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn read(context: &mut Context, dialect: Dialect) -> LoginKeys {
    let machine = context.assignments.machine();
    let mut keys = Keys {
        list: Vector::new(),
        seen: Set::new(),
    };
    let named = match dialect {
        Dialect::OpenNebula => machine.get(USERNAME),
        // StratusLab's scripts know only root.
        Dialect::StratusLab => None,
    };
    let user = match named {
        Some(variable) if !is_user(variable.value) => {
            context.warn_showing(
                variable,
                "not a login name, keys and password are given to nobody",
            );
            None
        }
        Some(variable) => Some(variable.value),
        None => Some(&b"root"[..]),
    };
    for variable in machine.each(WITH_KEYS) {
        keys.add_lines(context, user, variable, variable.value);
    }
    // In OpenNebula's first sample scripts these variables name files on the disk.
    if let Some(variable) = machine.get(ROOT_PUBKEY) {
        keys.add_file(context, Some(b"root"), variable);
    }
    if let Some(variable) = machine.get(USER_PUBKEY) {
        match named {
            Some(_) => keys.add_file(context, user, variable),
            None => context.warn(&variable, "no USERNAME says whose keys these are"),
        }
    }
    let owner = user;
    let user = if named.is_some() { user } else { None };
    LoginKeys {
        user,
        owner,
        keys: keys.list.finish(),
    }
}

struct Keys {
    list: Vector<Key>,
    /// The lines of each user; the number is that of the user.
    seen: Set,
}

impl Keys {
    /// Adds the keys of the file that the variable names.
    fn add_file(&mut self, context: &mut Context, user: Option<&'static [u8]>, variable: Assigned) {
        // A name with a slash could lead out of the disk.
        let content = match variable.value.contains(&b'/') {
            true => Ok(None),
            false => context.files.read(variable.value),
        };
        match content {
            Ok(Some(text)) => self.add_lines(context, user, variable, text),
            // The value is not shown: it may be the key itself.
            Ok(None) => context.warn(&variable, "no such key file on the disk"),
            Err(reason) => {
                context.warn_with(&variable, "cannot read the key file", format(&reason));
            }
        }
    }

    /// Adds the lines of `text` that are keys. The other lines are reported by their
    /// numbers only, since they may be secret.
    fn add_lines(
        &mut self,
        context: &mut Context,
        user: Option<&'static [u8]>,
        variable: Assigned,
        text: &'static [u8],
    ) {
        let mut reader = LineReader {
            keys: self,
            user,
            in_reported: false,
            several: false,
        };
        for (number, whole) in (1u32..).zip(lines(text)) {
            for line in split(whole, |byte| byte == b'\r').map(<[u8]>::trim_ascii) {
                if let Err(reason) = reader.read(line) {
                    let mut found = Vector::new();
                    uwrite!(found, "line {}", number);
                    context.warn_with(&variable, reason.text(), found.finish());
                }
            }
        }
        if reader.several {
            let what = "several SSH keys on one line are told apart, write each on its own line";
            context.warn(&variable, what);
        }
    }

    /// Adds a key, unless the user has it already.
    fn add(&mut self, user: Option<&'static [u8]>, line: &'static [u8]) {
        if let Some(user) = user
            && self.seen.insert(u32::from(user != b"root"), line)
        {
            self.list.push(Key { user, line });
        }
    }
}

/// Reads the lines of one variable or file.
struct LineReader<'k> {
    keys: &'k mut Keys,
    /// Who gets the keys; `None`: nobody.
    user: Option<&'static [u8]>,
    /// The line before was reported, and more lines of the same key may follow: of a key
    /// in another format, or of one that was wrapped. They are not reported again.
    in_reported: bool,
    /// A line had several keys.
    several: bool,
}

impl LineReader<'_> {
    /// Adds the keys of a line. An error is to be reported.
    fn read(&mut self, line: &'static [u8]) -> Result<(), NoKey> {
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        if self.in_reported && ends_block(line) {
            self.in_reported = false;
            return Ok(());
        }
        let result = match begins_block(line) {
            Some(reason) => Err(reason),
            None => self.add_keys(line),
        };
        self.in_reported = match result {
            Err(NoKey::NotAKey) if self.in_reported => return Ok(()),
            Err(NoKey::Private | NoKey::OtherFormat) => !ends_block(line),
            Err(NoKey::Damaged) => true,
            _ => false,
        };
        result
    }

    /// Adds each key of a line; usually there is one. The error is that of the last key
    /// that has one.
    fn add_keys(&mut self, line: &'static [u8]) -> Result<(), NoKey> {
        let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        if line.iter().any(is_control) {
            return Err(NoKey::Control);
        }
        let mut result = Ok(());
        // Whether the options of this key may be in the comment of the one before.
        let mut options_before = false;
        let mut rest = Some(line);
        while let Some(text) = rest {
            let (mut key, mut found) = (text, parse(text));
            rest = None;
            let next = next_key(text, &found);
            if let Some((first, others)) = next.and_then(|at| text.split_at_checked(at)) {
                (key, rest) = (first, Some(others));
                self.several = true;
            }
            if self.several || found.is_err() {
                key = without_separator(key);
                found = parse(key);
            }
            let comment = match &found {
                Ok(found) => key.get(found.padded..).unwrap_or_default(),
                Err(_) => key,
            };
            match found {
                Ok(_) if options_before => result = Err(NoKey::Options),
                Ok(found) => self.keys.add(self.user, found.repaired(key)),
                Err(reason) => result = Err(reason),
            }
            options_before = has_options(comment);
        }
        result
    }
}

/// Why a line, or a part of it, gives nobody a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NoKey {
    /// It does not look like a key.
    NotAKey,
    /// A part of a key: the rest is missing or on the next line.
    Damaged,
    /// A private key begins here.
    Private,
    /// A public key in a format that is not OpenSSH's begins here.
    OtherFormat,
    /// Its options may be in the comment of the key before it.
    Options,
    /// It has a control character.
    Control,
}

impl NoKey {
    /// What to report.
    const fn text(self) -> &'static str {
        match self {
            Self::NotAKey => "not an SSH public key, left out",
            Self::Damaged => {
                "a damaged or wrapped SSH public key, left out, write the whole key on one line"
            }
            Self::Private => {
                "a private key, left out, the public one of the .pub file belongs here"
            }
            Self::OtherFormat => {
                "not the format of OpenSSH, left out, `ssh-keygen -i -f FILE` converts it"
            }
            Self::Options => {
                "an SSH key with options behind another one, left out, write each key on its own line"
            }
            Self::Control => "a control character in an SSH public key, left out",
        }
    }
}

/// What to report if a key of several lines begins here: in PEM format, which includes
/// OpenSSH's private keys, in SSH2 format (RFC 4716) or in PuTTY's.
fn begins_block(line: &[u8]) -> Option<NoKey> {
    if line.starts_with(b"PuTTY-User-Key-File") {
        return Some(NoKey::Private);
    }
    if !line.starts_with(b"--") || !has(line, b"BEGIN ") {
        return None;
    }
    Some(match has(line, b"PRIVATE") {
        true => NoKey::Private,
        false => NoKey::OtherFormat,
    })
}

/// Whether such a key ends on this line.
fn ends_block(line: &[u8]) -> bool {
    has(line, b"-END ") || has(line, b"- END ")
}

fn has(text: &[u8], word: &[u8]) -> bool {
    position(text, word).is_some()
}

/// An escaped newline, which some tools write between keys.
const NEWLINE: &[u8] = b"\\n";

/// Where the next key on the line begins: a known type and a blob after a blank, a comma
/// or a [`NEWLINE`]. `first` is the result of [`parse`] for the first key on the line.
fn next_key(line: &[u8], first: &Result<KeyText, NoKey>) -> Option<usize> {
    let behind = |mut at: usize| {
        loop {
            at += 1 + find(line.get(at..)?, |byte| {
                matches!(byte, b' ' | b'\t' | b',' | b'n')
            })?;
            let (before, text) = line.split_at_checked(at)?;
            if before.ends_with(NEWLINE) {
                // Options may come first, as at the start of a line.
                let end = position(text, NEWLINE);
                let text = text.get(..end.unwrap_or(text.len()))?;
                if begins_key(text.get(options(text)..)?) {
                    return Some(at);
                }
            } else if before.ends_with(b"n") {
                continue;
            }
            if begins_key(text) {
                return Some(at);
            }
        }
    };
    match first {
        Ok(found) => behind(found.padded),
        // Perhaps only the separator before the next key damages it.
        Err(_) if begins_key(line) => behind(0),
        Err(_) => behind(behind(0)?),
    }
}

/// Whether a key of a known type begins here, perhaps a damaged one.
fn begins_key(text: &[u8]) -> bool {
    let (kind, rest) = span(text, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'@' | b'.')
    });
    let blank = rest.first().is_some_and(|byte| is_blank(*byte));
    blank && is_known(kind) && key_at(text, 0).err() != Some(NoKey::NotAKey)
}

/// Whether OpenSSH knows this key type today.
fn is_known(kind: &[u8]) -> bool {
    PLAIN.contains(&kind) || FAMILIES.iter().any(|start| kind.starts_with(start))
}
const PLAIN: [&[u8]; 3] = [b"ssh-ed25519", b"ssh-rsa", b"ssh-dss"];
/// The prefixes of families of types.
const FAMILIES: [&[u8]; 3] = [b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-"];

/// A key without the separator after it.
fn without_separator(mut key: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t' | b','] | [rest @ .., b'\\', b'n'] = key {
        key = rest;
    }
    key
}

/// Whether a comment may contain the options of the next key. Without its options, that
/// key would allow more than it should.
fn has_options(comment: &[u8]) -> bool {
    const WORDS: [&[u8]; 5] = [
        b"\"",
        b"no-",
        b"restrict",
        b"cert-authority",
        b"verify-required",
    ];
    WORDS.iter().any(|word| has(comment, word))
}

/// Where the base64 text of a key ends in its line, and the padding that it needs.
struct KeyText {
    /// The position after the last base64 character, without padding.
    end: usize,
    /// The position after the existing padding.
    padded: usize,
    /// The number of `=` that belong at `end`.
    padding: usize,
}

impl KeyText {
    /// The line with correct padding.
    fn repaired(&self, line: &'static [u8]) -> &'static [u8] {
        let padding: &[u8] = match self.padding {
            0 => b"",
            1 => b"=",
            _ => b"==",
        };
        if line.get(self.end..self.padded) == Some(padding) {
            return line;
        }
        let mut fixed = Vector::new();
        fixed.extend(line.get(..self.end).unwrap_or_default());
        fixed.extend(padding);
        fixed.extend(line.get(self.padded..).unwrap_or_default());
        fixed.finish()
    }
}

/// Parses `[options] type blob [comment]` (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
fn parse(line: &[u8]) -> Result<KeyText, NoKey> {
    match key_at(line, 0) {
        Err(NoKey::NotAKey) => match key_at(line, options(line)) {
            // It begins like a key, so it is a damaged one.
            Err(_) if is_known(span(line, |byte| !is_blank(byte)).0) => Err(NoKey::Damaged),
            found => found,
        },
        found => found,
    }
}

/// The options before the type of a key that [`read`] has accepted.
pub fn options_of(line: &[u8]) -> &[u8] {
    let end = match key_at(line, 0) {
        Ok(_) => 0,
        Err(_) => options(line),
    };
    line.get(..end).unwrap_or_default().trim_ascii_end()
}

/// The length of the options and the blanks after them. Double quotes may contain blanks,
/// and `\"` is a quote inside them.
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

/// Parses a key whose type begins at `start`.
fn key_at(line: &[u8], start: usize) -> Result<KeyText, NoKey> {
    let text = line.get(start..).unwrap_or_default();
    let (kind, rest) = span(text, |byte| !is_blank(byte));
    let (_, blob) = span(rest, is_blank);
    let (digits, tail) = span(blob, |byte| digit(byte).is_some());
    let (marks, tail) = span(tail, |byte| matches!(byte, b'=' | b'#'));
    // After the padding there is a blank or the end; anything else is not base64.
    let ends = tail.first().is_none_or(|byte| is_blank(*byte));
    let mut bytes = Decoder::new(digits);
    let same_type =
        bytes.length() == Some(kind.len()) && kind.iter().all(|byte| bytes.next() == Some(*byte));
    if !same_type || kind.is_empty() {
        return Err(NoKey::NotAKey);
    }
    let padding = match digits.len() % 4 {
        0 => 0,
        2 => 2,
        3 => 1,
        _ => return Err(NoKey::Damaged),
    };
    let plain = PLAIN.contains(&kind)
        || kind.starts_with(b"ecdsa-sha2-") && !kind.ends_with(b"-cert-v01@openssh.com");
    if !ends || plain && !Decoder::new(digits).only_strings() {
        return Err(NoKey::Damaged);
    }
    Ok(KeyText {
        end: line.len() - tail.len() - marks.len(),
        padded: line.len() - tail.len(),
        padding,
    })
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

    /// What is said of a value of a key variable, and the number of keys.
    fn said(value: &str) -> (usize, Vec<String>) {
        let text = plan(&format!("SSH_PUBLIC_KEY='{value}'"));
        let warnings = text
            .lines()
            .filter_map(|line| line.strip_prefix("warning context.sh:1 SSH_PUBLIC_KEY: "))
            .map(String::from)
            .collect();
        (
            text.lines().filter(|line| line.starts_with("key ")).count(),
            warnings,
        )
    }

    #[test]
    fn keys_on_one_line_are_told_apart() {
        let rsa = format!("ssh-rsa {}", blob("ssh-rsa", &[&[1, 0, 1], &[7; 257]]));
        let sk = "sk-ssh-ed25519@openssh.com";
        let sk = format!("{sk} {}", blob(sk, &[&[3; 32], b"ssh:"]));
        for (text, expected) in [
            (format!("{ED25519} {rsa}"), vec![ED25519, &rsa]),
            (format!("{ED25519},{rsa}"), vec![ED25519, &rsa]),
            (format!("{ED25519}\\n{rsa}"), vec![ED25519, &rsa]),
            (format!("{ED25519} , {rsa}\\n"), vec![ED25519, &rsa]),
            (
                format!("{rsa} a b\\n{ED25519} c,{sk} d\\n\\n{ED25519}"),
                vec![
                    &format!("{rsa} a b"),
                    &format!("{ED25519} c"),
                    &format!("{sk} d"),
                    ED25519,
                ],
            ),
            (
                format!("from=\"10.0.0.0/8\",no-pty {ED25519},{rsa}"),
                vec![&format!("from=\"10.0.0.0/8\",no-pty {ED25519}"), &rsa],
            ),
        ] {
            let (found, warnings) = keys(&format!("SSH_PUBLIC_KEY='{text}'"));
            let expected: Vec<_> = expected.iter().map(|key| format!("root {key}")).collect();
            assert_eq!(found, expected, "{text}");
            assert_eq!(warnings, 1, "{text}");
        }
        // Words of a comment, and of a command, are no keys.
        for text in [
            format!("{ED25519} my ssh-rsa key, ssh-ed25519 too"),
            format!("{ED25519} ssh-rsa {}", blob("ssh-dss", &[&[1], &[2]])),
            format!("command=\"x {rsa} y\" {ED25519}"),
        ] {
            let found = keys(&format!("SSH_PUBLIC_KEY='{text}'"));
            assert_eq!(found, (vec![format!("root {text}")], 0), "{text}");
        }
    }

    #[test]
    fn no_key_loses_its_options_on_a_line_of_several() {
        for options in [
            "no-pty",
            "restrict,pty",
            "from=\"10.0.0.1\"",
            "command=\"a b\"",
        ] {
            for separator in ["\\n", " alice\\n", "\\n\\n"] {
                let key = format!("{options} {ED25519} b");
                let text = format!("{ED25519}{separator}{key}{separator}{ED25519} c");
                let (found, warnings) = keys(&format!("SSH_PUBLIC_KEY='{text}'"));
                assert_eq!((found.len(), warnings), (3, 1), "{text}");
                assert!(found[1].starts_with(&format!("root {key}")), "{found:?}");
            }
            for separator in [" ", " alice ", ","] {
                let text = format!("{ED25519} a{separator}{options} {ED25519} b");
                let (count, warnings) = said(&text);
                assert_eq!((count, warnings.len()), (1, 2), "{text}: {warnings:?}");
                assert!(
                    warnings[0].contains("options behind another one, left out"),
                    "{text}: {warnings:?}"
                );
            }
        }
    }

    #[test]
    fn a_key_of_many_lines_is_one_warning() {
        let body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE\nbm9uZQAAAAAAAAABAAAA+/==\n";
        let rsa = format!("ssh-rsa {}", blob("ssh-rsa", &[&[1, 0, 1], &[7; 257]]));
        let mut wrapped = rsa.clone();
        for place in [70, 140, 210] {
            wrapped.insert(place, '\n');
        }
        for (text, word) in [
            (
                format!(
                    "-----BEGIN OPENSSH PRIVATE KEY-----\n{body}-----END OPENSSH PRIVATE KEY-----"
                ),
                "a private key",
            ),
            (
                format!("-----BEGIN RSA PRIVATE KEY-----\n{body}"),
                "a private key",
            ),
            (
                format!(
                    "-----BEGIN PRIVATE KEY----- {} -----END PRIVATE KEY-----",
                    body.replace('\n', " ")
                ),
                "a private key",
            ),
            (
                format!("PuTTY-User-Key-File-3: ssh-ed25519\nComment: x\nPrivate-Lines: 2\n{body}"),
                "a private key",
            ),
            (
                format!(
                    "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"x\"\n{body}---- END SSH2 PUBLIC KEY ----"
                ),
                "ssh-keygen -i -f FILE",
            ),
            (format!("{wrapped} a b"), "wrapped"),
            (rsa.replacen(' ', "\n", 1), "wrapped"),
        ] {
            for (text, line) in [
                (format!("{text}\n{ED25519}"), "line 1"),
                (format!("{ED25519}\n{text}"), "line 2"),
            ] {
                let (count, warnings) = said(&text);
                assert_eq!((count, warnings.len()), (1, 1), "{text}: {warnings:?}");
                assert!(
                    warnings[0].contains(word) && warnings[0].ends_with(line),
                    "{warnings:?}"
                );
            }
        }
    }

    #[test]
    fn users() {
        let text = plan(&format!("USERNAME=alice\nSSH_PUBLIC_KEY='{ED25519}'"));
        assert!(
            text.contains(&format!("\nuser alice\nsudo alice\nkey alice {ED25519}\n")),
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
