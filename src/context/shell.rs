//! Shell assignments, read without a shell.
//!
//! `context.sh` is never executed. What is read is what servers write: names with
//! values in single quotes (OpenNebula 4.2 and later), in double quotes (older servers
//! and StratusLab), or bare, and any concatenation of these, as `A='it'\''s'`. If a
//! POSIX shell accepts a text without expanding or running anything, the values here
//! equal the shell's, byte for byte (XCU 2.2, 2.9.1). What a shell would expand stays
//! literal text and is reported. Warnings name the place and the variable, never a
//! value: it may be a secret.
use core::mem;

use crate::base::memory::Vector;
use crate::base::text::span;
use crate::plan::{SourceLocation, Warnings};

/// `NAME=value`, unquoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Letters, digits and underscores.
    pub name: &'static [u8],
    /// The value's bytes; it may span lines.
    pub value: &'static [u8],
    /// Where the assignment starts.
    pub place: SourceLocation,
}

/// Appends every assignment in `text` to `out`, in their order. Values are unquoted in
/// place, so `text` is consumed.
pub fn read(
    file: &'static [u8],
    text: &'static mut [u8],
    out: &mut Vector<Assignment>,
    warnings: &mut Warnings,
) {
    const BYTE_ORDER_MARK: usize = 3;
    let text = match text.starts_with(b"\xef\xbb\xbf") {
        true => text.get_mut(BYTE_ORDER_MARK..).unwrap_or_default(),
        false => text,
    };
    let mut parser = Parser {
        file,
        rest: text,
        at: 0,
        line: 1,
        expanded: false,
        bare: false,
        out,
        warnings,
    };
    while parser.command() {}
}

/// Whether a name may begin with a byte, and whether it may contain it.
fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}
fn continues_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How a word ended.
enum Word {
    /// At a blank, a newline, a semicolon or the end of the text.
    Whole,
    /// At an operator that a line of assignments cannot have.
    Operator,
    /// A quote that is never closed.
    Unterminated,
}

struct Parser<'t, 'w> {
    file: &'static [u8],
    /// The text that no assignment has taken yet, and the current place in it.
    rest: &'static mut [u8],
    at: usize,
    line: u32,
    /// A shell would expand a part of the current word.
    expanded: bool,
    /// Nothing followed the `=` of the last assignment, not even quotes.
    bare: bool,
    out: &'t mut Vector<Assignment>,
    warnings: &'w mut Warnings,
}

impl Parser<'_, '_> {
    /// Reads one command, up to a newline or semicolon. `false`: the end.
    fn command(&mut self) -> bool {
        self.blanks();
        let line = self.line;
        let before = self.out.len();
        match self.byte(0) {
            None => return false,
            Some(b'\n') => {
                self.newline();
                return true;
            }
            // There is no command before it.
            Some(b';') => return self.skip(line, None),
            // The blank lines of a file with CR LF.
            Some(b'\r') if matches!(self.byte(1), Some(b'\n') | None) => {
                self.at += 1;
                return true;
            }
            Some(_) => {}
        }
        self.take();
        let export = self.export();
        loop {
            self.blanks();
            if self.ends() {
                return true;
            }
            let name = self.name();
            let assigns = name > 0 && self.byte(name) == Some(b'=');
            // `export NAME` marks a variable and changes no value.
            let marks = export
                && name > 0
                && matches!(self.byte(name), None | Some(b' ' | b'\t' | b'\n' | b';'));
            if assigns {
                match self.assignment(name) {
                    Word::Whole => continue,
                    Word::Operator => {}
                    Word::Unterminated => return self.unterminated(line),
                }
            } else if marks {
                self.at += name;
                continue;
            }
            let spaced = self.spaced(before, if assigns { 0 } else { name });
            // In `A=1 command` the shell sets A for the command alone.
            self.out.truncate(before);
            return self.skip(line, spaced);
        }
    }

    /// Whether a command ends here. Takes what ends it, but for a newline.
    fn ends(&mut self) -> bool {
        match self.byte(0) {
            None | Some(b'\n') => true,
            Some(b';') => {
                self.at += 1;
                true
            }
            Some(b'#') => {
                while self.byte(0).is_some_and(|byte| byte != b'\n') {
                    self.at += 1;
                }
                true
            }
            Some(_) => false,
        }
    }

    /// The variable in `NAME = value`, `NAME =value` or `NAME= value`; `None` for any
    /// other command. `before`: how many assignments precede the command; `name`: the
    /// length of the name at the current place, or 0. Only a name without lower case
    /// letters, as servers write them: in the remains of a broken value any word may
    /// precede a `=`.
    fn spaced(&mut self, before: usize, name: usize) -> Option<&'static [u8]> {
        let found = match self.out.get(before..) {
            Some([]) if name > 0 => {
                self.take();
                self.at = name;
                let name = self.take();
                self.blanks();
                (self.byte(0) == Some(b'=')).then_some(name)
            }
            Some([only]) if self.bare => Some(only.name),
            _ => None,
        };
        found.filter(|name| !name.iter().any(u8::is_ascii_lowercase))
    }

    /// Skips a command that is no assignment, with its quoted parts. `spaced` is its
    /// variable, if blanks around the `=` are all that is wrong.
    fn skip(&mut self, line: u32, spaced: Option<&'static [u8]>) -> bool {
        let word = loop {
            match self.word().0 {
                Word::Whole => match self.byte(0) {
                    None | Some(b'\n') => break Word::Whole,
                    Some(_) => self.at += 1,
                },
                Word::Operator => self.at += 1,
                Word::Unterminated => break Word::Unterminated,
            }
        };
        self.take();
        let place = SourceLocation {
            file: self.file,
            line,
        };
        let what = match spaced {
            None => "not an assignment, skipped",
            Some(_) => "not an assignment, skipped: no blank may stand around the =",
        };
        self.warnings.at(place, spaced, what, None);
        match word {
            Word::Unterminated => self.unterminated(line),
            _ => true,
        }
    }

    fn unterminated(&mut self, line: u32) -> bool {
        let place = SourceLocation {
            file: self.file,
            line,
        };
        let name = self.name();
        self.at = self.rest.len();
        let text = self.take();
        let subject = text.get(..name).filter(|name| !name.is_empty());
        let what = "a quote that is opened here is never closed, nothing after this line is read";
        self.warnings.at(place, subject, what, None);
        false
    }

    /// Reads `NAME=word` with a name of `name` bytes at the current place.
    fn assignment(&mut self, name: usize) -> Word {
        self.take();
        let place = SourceLocation {
            file: self.file,
            line: self.line,
        };
        self.at = name + 1;
        self.expanded = false;
        let (word, value) = self.word();
        match word {
            Word::Whole => self.bare = self.at == name + 1,
            Word::Operator => return word,
            Word::Unterminated => {
                // `unterminated` reads the name again, for the warning.
                self.at = 0;
                return word;
            }
        }
        let text = self.take();
        let value = text.get(value.0..value.1).unwrap_or_default();
        let name = text.get(..name).unwrap_or_default();
        self.out.push(Assignment { name, value, place });
        if self.expanded {
            let what = "a shell would expand this, it is taken as literal text";
            self.warnings.at(place, Some(name), what, None);
        }
        Word::Whole
    }

    /// Unquotes one word in place and stops behind it. Returns the range of the value,
    /// and sets `expanded` if a shell would expand anything.
    fn word(&mut self) -> (Word, (usize, usize)) {
        let start = self.at;
        let mut end = start;
        // A shell expands a tilde at the start and behind an unquoted colon.
        let mut tilde = true;
        loop {
            let Some(byte) = self.byte(0) else {
                return (Word::Whole, (start, end));
            };
            let first = mem::replace(&mut tilde, byte == b':');
            let closed = match byte {
                b' ' | b'\t' | b'\n' | b';' => return (Word::Whole, (start, end)),
                b'&' | b'|' | b'<' | b'>' | b'(' | b')' => return (Word::Operator, (start, end)),
                b'\'' => self.single(&mut end),
                b'"' => self.double(&mut end),
                b'\\' => {
                    self.escaped(&mut end);
                    true
                }
                b'$' => {
                    self.expanded |= self.expands() || matches!(self.byte(1), Some(b'\'' | b'"'));
                    match self.byte(1) {
                        Some(b'(') => self.nested(&mut end, b'(', b')'),
                        Some(b'{') => self.nested(&mut end, b'{', b'}'),
                        _ => self.keep(&mut end),
                    }
                }
                b'`' => {
                    self.expanded = true;
                    self.keep(&mut end);
                    self.until(&mut end, b'`', true)
                }
                b'~' => {
                    self.expanded |= first;
                    self.keep(&mut end)
                }
                _ => self.keep(&mut end),
            };
            if !closed {
                return (Word::Unterminated, (start, end));
            }
        }
    }

    /// `'…'`: everything is literal.
    fn single(&mut self, end: &mut usize) -> bool {
        self.at += 1;
        self.until(end, b'\'', false)
    }

    /// `"…"`: a backslash escapes `$`, a back-tick, `"`, itself and a newline.
    fn double(&mut self, end: &mut usize) -> bool {
        self.at += 1;
        loop {
            let Some(byte) = self.byte(0) else {
                return false;
            };
            match (byte, self.byte(1)) {
                (b'"', _) => {
                    self.at += 1;
                    return true;
                }
                (b'\\', Some(b'$' | b'`' | b'"' | b'\\' | b'\n')) => self.escaped(end),
                (b'$', _) => {
                    self.expanded |= self.expands();
                    self.keep(end);
                }
                (b'`', _) => {
                    self.expanded = true;
                    self.keep(end);
                }
                _ => {
                    self.keep(end);
                }
            }
        }
    }

    /// A backslash and what it escapes; one before a newline joins the lines.
    fn escaped(&mut self, end: &mut usize) {
        match self.byte(1) {
            Some(b'\n') => {
                self.at += 1;
                self.newline();
            }
            Some(_) => {
                self.at += 1;
                self.keep(end);
            }
            None => {
                self.keep(end);
            }
        }
    }

    /// `$(…)` or `${…}` outside quotes, as literal text.
    fn nested(&mut self, end: &mut usize, open: u8, close: u8) -> bool {
        let mut depth = 0u32;
        self.keep(end);
        loop {
            let Some(byte) = self.byte(0) else {
                return false;
            };
            self.keep(end);
            match byte {
                b'\\' => {
                    self.keep(end);
                }
                b'\'' | b'"' if !self.until(end, byte, true) => return false,
                _ if byte == open => depth += 1,
                _ if byte == close => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
    }

    /// Copies up to the byte `last`, and steps over it; it is part of the value if
    /// `with_last`. `false`: there is no such byte.
    fn until(&mut self, end: &mut usize, last: u8, with_last: bool) -> bool {
        while let Some(byte) = self.byte(0) {
            if byte != last {
                self.keep(end);
                continue;
            }
            if with_last {
                self.keep(end);
            } else {
                self.at += 1;
            }
            return true;
        }
        false
    }

    /// Copies the current byte to the value's end. Always `true`.
    fn keep(&mut self, end: &mut usize) -> bool {
        if let Some(byte) = self.byte(0) {
            self.line += u32::from(byte == b'\n');
            self.at += 1;
            if let Some(slot) = self.rest.get_mut(*end) {
                *slot = byte;
                *end += 1;
            }
        }
        true
    }

    /// Whether a shell expands the `$` at the current place.
    fn expands(&self) -> bool {
        self.byte(1)
            .is_some_and(|byte| continues_name(byte) || b"{(@*#?-$!".contains(&byte))
    }

    /// Length of the name at the current place.
    fn name(&self) -> usize {
        let text = self.rest.get(self.at..).unwrap_or_default();
        match text.first() {
            Some(first) if starts_name(*first) => span(text, continues_name).0.len(),
            _ => 0,
        }
    }

    /// Steps over `export` and the blank behind it.
    fn export(&mut self) -> bool {
        const WORD: &[u8] = b"export";
        let found = self
            .rest
            .get(self.at..)
            .is_some_and(|text| text.starts_with(WORD))
            && matches!(self.byte(WORD.len()), Some(b' ' | b'\t'));
        if found {
            self.at += WORD.len();
        }
        found
    }

    fn blanks(&mut self) {
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b' ' | b'\t'), _) => self.at += 1,
                (Some(b'\\'), Some(b'\n')) => {
                    self.at += 1;
                    self.newline();
                }
                _ => return,
            }
        }
    }

    fn newline(&mut self) {
        self.at += 1;
        self.line += 1;
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.rest.get(self.at + ahead).copied()
    }

    /// Splits off the text before the current place.
    fn take(&mut self) -> &'static [u8] {
        let rest = mem::take(&mut self.rest);
        let middle = mem::take(&mut self.at).min(rest.len());
        let (done, rest) = rest.split_at_mut_checked(middle).unwrap_or_default();
        self.rest = rest;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Vec<(String, String)>, Vec<String>);

    fn lossy(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into()
    }

    fn read_all(text: &str) -> Read {
        let mut out = Vector::new();
        let mut warnings = Warnings(Vector::new());
        read(
            b"context.sh",
            crate::base::memory::copy(text.as_bytes()),
            &mut out,
            &mut warnings,
        );
        let values = out
            .iter()
            .map(|found| (lossy(found.name), lossy(found.value)))
            .collect();
        let warnings = warnings
            .0
            .iter()
            .map(|warning| {
                let line = warning.place.unwrap().line;
                format!(
                    "{line} {} {} {}",
                    lossy(warning.subject.unwrap_or_default()),
                    warning.what,
                    lossy(warning.found.unwrap_or_default())
                )
            })
            .collect();
        (values, warnings)
    }

    #[track_caller]
    fn values(text: &str, expected: &[(&str, &str)]) {
        let (found, warnings) = read_all(text);
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert_eq!(found, expected, "{text:?}");
        assert!(warnings.is_empty(), "{text:?}: {warnings:?}");
    }

    #[track_caller]
    fn complains(text: &str, expected: &[(&str, &str)], warning: &str) {
        let (found, warnings) = read_all(text);
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert_eq!(found, expected, "{text:?}");
        assert!(
            warnings.len() == 1 && warnings[0].starts_with(warning),
            "{text:?}: {warnings:?}"
        );
    }

    #[test]
    fn both_quotings_and_their_concatenations() {
        values(
            "A='it'\\''s'\nB=''\\'''\nC=\"a \\\"b\\\" \\\\ \\$x \\`\"\n",
            &[("A", "it's"), ("B", "'"), ("C", "a \"b\" \\ $x `")],
        );
        values("A='a'\"b\"c\\ d''", &[("A", "abc d")]);
        values("A=\"a\\\nb\"\nB='a\\\nb'", &[("A", "ab"), ("B", "a\\\nb")]);
        values("A=\"\\a\"", &[("A", "\\a")]);
        values(
            "A=\nB= C='' ; D=1;E=2",
            &[("A", ""), ("B", ""), ("C", ""), ("D", "1"), ("E", "2")],
        );
    }

    #[test]
    fn a_line_inside_a_value_is_no_assignment() {
        values(
            "A='x\nETH1_MAC=y\n# z'\nB=1",
            &[("A", "x\nETH1_MAC=y\n# z"), ("B", "1")],
        );
    }

    #[test]
    fn what_else_a_file_may_have() {
        values(
            "\u{feff}# comment it's\n\n  export A='1' B=2 # c\n\tC=a#b\nexport A\n",
            &[("A", "1"), ("B", "2"), ("C", "a#b")],
        );
        values("A='1'\r\n\r\nB=\"2\"\r\n", &[("A", "1\r"), ("B", "2\r")]);
        values(
            "PATH='/nonexistent'\nÜ=1\n".split('Ü').next().unwrap(),
            &[("PATH", "/nonexistent")],
        );
        values("A='ü \u{1f600}'\n", &[("A", "ü \u{1f600}")]);
        values(
            "A=$ B=\"$\" C=a$% D='$X `y`'",
            &[("A", "$"), ("B", "$"), ("C", "a$%"), ("D", "$X `y`")],
        );
    }

    #[test]
    fn what_a_shell_would_expand_is_literal_and_reported() {
        for (text, value) in [
            ("A=\"$HOME/x\"", "$HOME/x"),
            ("A=$(id -u)x", "$(id -u)x"),
            ("A=${B:-c d}", "${B:-c d}"),
            ("A=`id -u`", "`id -u`"),
            ("A=\"`id`\"", "`id`"),
            ("A=~root", "~root"),
            ("A=x:~root", "x:~root"),
            ("A=$'x'", "$x"),
            ("A=$1", "$1"),
            ("A=\"$$\"", "$$"),
        ] {
            complains(
                &format!("{text}\nB=1\n"),
                &[("A", value), ("B", "1")],
                "1 A a shell would expand",
            );
        }
    }

    #[test]
    fn what_is_no_assignment_is_skipped_whole() {
        for text in [
            "1A='x\nB=2'",
            "echo 'x\nB=2'",
            "A=1 cmd",
            "A=1 & C=2",
            "A=(1 2)",
            "A+=1",
            "A[0]=1",
            "a =1",
            "a= 1",
            "A='' 1",
            "A=1 = 2",
            "A B= 1",
            "A= B= 1",
            ";",
            "; A=1",
            "-",
            "A=1|B=2",
            "export -p",
            "if true; then",
            "A=x>/dev/null",
        ] {
            complains(
                &format!("\n{text}\nZ=1\n"),
                &[("Z", "1")],
                "2  not an assignment, skipped",
            );
        }
    }

    #[test]
    fn blanks_around_the_equals_sign_are_named() {
        for text in [
            "A =1",
            "A = 1",
            "A= 1",
            "A = \"x\\\ny\" z",
            "A\t= 'x\nB=2'",
            "A= \"x\"",
            "A \\\n = 1",
        ] {
            complains(
                &format!("\n{text}\nZ=1\n"),
                &[("Z", "1")],
                "2 A not an assignment, skipped: no blank may stand around the = ",
            );
        }
    }

    #[test]
    fn a_semicolon_ends_a_command_and_is_none() {
        values(
            "A=1; B=2;C=3 ; D=4;\nE=5; # comment\nF=6 ;\r\n",
            &[
                ("A", "1"),
                ("B", "2"),
                ("C", "3"),
                ("D", "4"),
                ("E", "5"),
                ("F", "6"),
            ],
        );
        complains("A=1;;B=2\nC=3\n", &[("A", "1"), ("C", "3")], "1  not an");
        complains("A=1\n ;\nC=3\n", &[("A", "1"), ("C", "3")], "2  not an");
    }

    #[test]
    fn an_unterminated_quote_ends_the_reading() {
        for text in [
            "B='x",
            "B=\"x",
            "B=\"x\\\"",
            "B='a'\\''",
            "B=$(x",
            "B=`x",
            "B=${x",
        ] {
            complains(
                &format!("A=1\n{text}\nC=3\n"),
                &[("A", "1")],
                "2 B a quote that is opened here is never closed",
            );
        }
    }

    #[test]
    fn lines_are_counted_through_values() {
        complains(
            "A='1\n2\n3'\nB=\"4\\\n5\"\nnonsense\n",
            &[("A", "1\n2\n3"), ("B", "45")],
            "6  not an assignment, skipped ",
        );
    }
}
