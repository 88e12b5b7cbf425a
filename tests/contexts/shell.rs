//! The reader of shell assignments, compared with dash and bash: thousands of generated
//! texts, from a seed that a failure names.
//!
//! If a shell reads a text without expanding or running anything, every value must
//! equal the shell's, byte for byte. If the shell would expand or run something, the
//! reader does not, and a warning names the line.

use crate::one_thread::Test;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use onecontext::base::memory::{self, Vector};
use onecontext::context::shell;
use onecontext::plan::Warnings;

type Values = BTreeMap<String, Vec<u8>>;

/// A generator of numbers (PCG, 64 bits of state).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % limit
    }
    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }
}

/// Reads a text with our reader: the values, and the lines that were reported.
fn ours(text: &[u8]) -> (Values, Vec<u32>) {
    let mut list = Vector::new();
    let mut warnings = Warnings(Vector::new());
    shell::read(b"context.sh", memory::copy(text), &mut list, &mut warnings);
    let values = list.iter().map(|found| {
        (
            String::from_utf8(found.name.into()).unwrap(),
            found.value.into(),
        )
    });
    (
        values.collect(),
        warnings
            .0
            .iter()
            .map(|warning| warning.place.unwrap().line)
            .collect(),
    )
}

/// Reads texts with a shell, all in one process. Each is sourced in a subshell of its
/// own with an empty environment, which then prints its variables `A` to `F`, each
/// ended by a NUL. For a text that the shell refuses, nothing is printed.
fn theirs(shell: &str, texts: &[Vec<u8>]) -> Vec<Option<Values>> {
    let folder = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
    for (number, text) in texts.iter().enumerate() {
        std::fs::write(folder.join(number.to_string()), text).unwrap();
    }
    // PATH is empty: a text that runs a command only fails.
    let script = r#"
        PATH=/nonexistent
        number=0
        while [ $number -lt $1 ]; do
            (
                unset A B C D E F
                set +e
                exec 2>/dev/null
                . "$2/$number" || :
                printf 'ok\0'
                for name in A B C D E F; do
                    eval "if [ \"\${$name+set}\" ]; then printf '%s=%s\0' $name \"\$$name\"; fi"
                done
            )
            printf '.\0'
            number=$((number + 1))
        done"#;
    let mut child = Command::new(shell)
        .args([
            "-c",
            script,
            shell,
            &texts.len().to_string(),
            folder.to_str().unwrap(),
        ])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let mut results = vec![];
    let mut current: Option<Values> = None;
    for field in output.stdout.split(|byte| *byte == 0) {
        match field {
            b"ok" => current = Some(Values::new()),
            b"." => results.push(current.take()),
            _ => {
                let equals = field.iter().position(|byte| *byte == b'=');
                if let (Some(values), Some(equals)) = (&mut current, equals) {
                    let name = String::from_utf8(field[..equals].into()).unwrap();
                    values.insert(name, field[equals + 1..].into());
                }
            }
        }
    }
    assert_eq!(results.len(), texts.len(), "{shell} lost some");
    results
}

const SHELLS: [&str; 2] = ["dash", "bash"];

/// Compares our values with each shell's.
fn agree(texts: &[Vec<u8>]) {
    for shell in SHELLS {
        for (text, theirs) in texts.iter().zip(theirs(shell, texts)) {
            let (ours, warnings) = ours(text);
            let shown = String::from_utf8_lossy(text);
            assert!(
                warnings.is_empty(),
                "{shell}: {shown:?}: warnings on lines {warnings:?}"
            );
            let theirs = theirs.unwrap_or_else(|| panic!("{shell} refuses {shown:?}"));
            assert_eq!(ours, theirs, "{shell}: {shown:?}");
        }
    }
}

/// A piece of a word that no shell expands, quoted in one of the ways.
fn piece(random: &mut Random) -> String {
    const PLAIN: [&str; 22] = [
        "a",
        "B7",
        "_",
        "-",
        "=",
        "/",
        ".",
        ":",
        ",",
        "@",
        "%",
        "+",
        "é",
        "\u{1f600}",
        "[x]",
        "{a}",
        "]",
        "!",
        "^",
        "#",
        "x#y",
        "=~",
    ];
    const SINGLE: [&str; 14] = [
        "a",
        " ",
        "\n",
        "\t",
        "\"",
        "\\",
        "$HOME",
        "`id`",
        "$(id)",
        "#",
        "\\\n",
        "ETH1_MAC=",
        "é",
        "\r\n",
    ];
    const DOUBLE: [&str; 17] = [
        "a", " ", "\n", "\t", "'", "\\\\", "\\\"", "\\$", "\\`", "\\a", "\\\n", "#", "~", "é",
        "\r\n", "$ ", "\\'",
    ];
    const ESCAPED: [&str; 10] = [
        "\\ ", "\\\"", "\\'", "\\$", "\\`", "\\\\", "\\#", "\\;", "\\a", "\\\nx",
    ];
    let many = |random: &mut Random, of: &[&str]| {
        (0..random.below(4))
            .map(|_| random.one(of))
            .collect::<String>()
    };
    match random.below(4) {
        // A bare piece must not begin with a comment, and a tilde must not stand where
        // it is expanded. The lists ensure this everywhere but in the first place.
        0 => many(random, &PLAIN),
        1 => format!("'{}'", many(random, &SINGLE)),
        2 => format!("\"{}\"", many(random, &DOUBLE)),
        _ => many(random, &ESCAPED),
    }
}

fn generated_assignments_have_the_shells_values() {
    const CASES: usize = 6000;
    let mut random = Random(20260722);
    let mut texts = vec![];
    for _ in 0..CASES {
        let mut text = String::new();
        let mut begins = true;
        for _ in 0..1 + random.below(4) {
            let lead = random.one(&[
                "",
                "",
                "",
                " ",
                "\t",
                "export ",
                "\n",
                "# it's a comment\n",
                "  \n",
            ]);
            // In `A=1 export B=2` export is a command, and A is set for it alone.
            let lead = if begins { lead } else { "" };
            let name = random.one(&["A", "B", "C", "D", "E", "F"]);
            let value: String = (0..random.below(5)).map(|_| piece(&mut random)).collect();
            let end = random.one(&[
                "\n",
                "\n",
                "\n",
                "\r\n",
                ";",
                " ; ",
                " ",
                " # comment 'x\n",
                "\n\n",
                "\t\n",
            ]);
            begins = end.contains(['\n', ';']);
            text += &format!("{lead}{name}={value}{end}");
        }
        // Without the last newline; dash and bash differ on a last backslash.
        if random.below(3) == 0 && !text.trim_end_matches('\n').ends_with('\\') {
            text.truncate(text.trim_end_matches('\n').len());
        }
        texts.push(text.into_bytes());
    }
    agree(&texts);
}

fn what_each_server_writes_is_read_back() {
    // src/vm/VirtualMachineContext.cc since 4.2: every ' becomes '\'' .
    let new = |value: &str| format!("A='{}'\n", value.replace('\'', "'\\''"));
    // Up to 4.0.1 nothing was escaped, so only these values come through.
    let old = |value: &str| format!("A=\"{value}\"\n");
    let mut random = Random(42);
    let mut texts = vec![];
    let mut expected = vec![];
    const PARTS: [&str; 16] = [
        "'",
        "''",
        "\"",
        "\\",
        "\n",
        "\r\n",
        "$HOME",
        "`id`",
        "$(reboot)",
        " ",
        "=",
        "#",
        "ssh-rsa AAAA==",
        "é",
        "\t",
        "!",
    ];
    for _ in 0..1500 {
        let value: String = (0..random.below(8)).map(|_| random.one(&PARTS)).collect();
        texts.push(
            format!(
                "# Context variables generated by OpenNebula\n{}B='x'\n",
                new(&value)
            )
            .into_bytes(),
        );
        expected.push(value);
    }
    for _ in 0..500 {
        let value: String = (0..random.below(8))
            .map(|_| random.one(&PARTS))
            .filter(|part| !part.contains(['"', '\\', '$', '`']))
            .collect();
        texts.push(old(&value).into_bytes());
        expected.push(value);
    }
    agree(&texts);
    for (text, expected) in texts.iter().zip(&expected) {
        assert_eq!(
            ours(text).0["A"],
            expected.as_bytes(),
            "{:?}",
            String::from_utf8_lossy(text)
        );
    }
}

fn what_a_shell_would_expand_or_run_is_reported_on_its_line() {
    const DANGEROUS: [&str; 22] = [
        "A=$HOME",
        "A=${HOME}",
        "A=\"$HOME\"",
        "A=$(touch x)",
        "A=`touch x`",
        "A=\"`touch x`\"",
        "A=\"$(touch x)\"",
        "A=~",
        "A=~root",
        "A=x:~",
        "A=$$",
        "A=\"$?\"",
        "A=$((1+1))",
        "touch x",
        "A=1 touch x",
        "A=1 & touch x",
        "A=1 | touch x",
        "(touch x)",
        "A=1 && touch x",
        "{ touch x; }",
        "A+=x",
        "if :; then A=1; fi",
    ];
    let mut random = Random(7);
    for _ in 0..2000 {
        let before = random.below(4);
        let dangerous = random.one(&DANGEROUS);
        let mut text: String = (0..before).map(|n| format!("B='line\n{n}'\n")).collect();
        text += &format!("{dangerous}\nC=after\n");
        let (values, warnings) = ours(text.as_bytes());
        assert_eq!(warnings, [2 * before as u32 + 1], "{text:?}");
        assert_eq!(values["C"], b"after", "{text:?}");
    }
}

/// The tests of this file, for `one_thread::run`.
pub const TESTS: &[Test] = &[
    (
        "shell::generated_assignments_have_the_shells_values",
        generated_assignments_have_the_shells_values,
    ),
    (
        "shell::what_each_server_writes_is_read_back",
        what_each_server_writes_is_read_back,
    ),
    (
        "shell::what_a_shell_would_expand_or_run_is_reported_on_its_line",
        what_a_shell_would_expand_or_run_is_reported_on_its_line,
    ),
];
