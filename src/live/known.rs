//! What the runs of a boot know: a text in /run that any user and any program may read.
//!
//! Its lines are:
//! - `runs NUMBER`: how many runs there were; more than two are not counted.
//! - `port NUMBER`: a port of sshd, and `doubt TEXT`: why it may have others.
//! - `added TIMES TEXT`: how often something of the plan was added.
//! - `row SINCE VERDICT CHECK`, a tab, what the plan says, a tab, what is true. SINCE is in
//!   seconds since 1970.
use ufmt::uwrite;

use super::compare::{Check, Class, Row, Verdict};
use crate::base::memory::Vector;
use crate::base::text::{Escaped, Text, as_str, lines, number, split_once};
use crate::image::ssh_ports::SshPorts;

/// Its path.
pub const PATH: &[u8] = b"/run/onecontext/live";

/// What is known.
#[derive(Clone, Copy)]
pub struct Known {
    /// How many runs there were.
    pub runs: u32,
    /// The ports of sshd.
    pub ssh: SshPorts,
    /// What was added, and how often.
    pub added: &'static [(u32, &'static [u8])],
    /// The rows, and since when they are so.
    pub rows: &'static [(u64, Row)],
}

impl Known {
    /// Nothing.
    pub const NOTHING: Self = Self {
        runs: 0,
        ssh: SshPorts::USUAL,
        added: &[],
        rows: &[],
    };

    /// Reads the text.
    pub fn read(text: &'static [u8]) -> Self {
        let mut known = Self::NOTHING;
        let (mut added, mut rows) = (Vector::new(), Vector::new());
        let mut ports = Vector::new();
        for line in lines(text) {
            let (kind, rest) = split_once(line, b' ').unwrap_or_default();
            match kind {
                b"runs" => known.runs = number(rest).unwrap_or(0),
                b"port" => ports.extend(number(rest).as_slice()),
                b"doubt" => known.ssh.doubt = rest,
                b"added" => {
                    let (times, what) = split_once(rest, b' ').unwrap_or_default();
                    added.push((number(times).unwrap_or(0), what));
                }
                b"row" => rows.extend(row(rest).as_slice()),
                _ => {}
            }
        }
        if !ports.is_empty() {
            known.ssh.ports = ports.finish();
        }
        known.added = added.finish();
        known.rows = rows.finish();
        known
    }

    /// Writes the text.
    pub fn write(&self) -> &'static [u8] {
        let mut text = Text::new();
        uwrite!(text, "runs {}\n", self.runs);
        for port in self.ssh.ports {
            uwrite!(text, "port {}\n", *port);
        }
        if !self.ssh.doubt.is_empty() {
            uwrite!(text, "doubt {}\n", Escaped(self.ssh.doubt));
        }
        for (times, what) in self.added {
            uwrite!(text, "added {} {}\n", *times, Escaped(what));
        }
        for (since, row) in self.rows {
            let (verdict, check) = (row.verdict.name(), row.check.name());
            uwrite!(text, "row {} {} {}", *since, verdict, check);
            for part in [row.plan, row.truth] {
                uwrite!(text, "\t{}", Escaped(part));
            }
            text.push(b'\n');
        }
        text.finish()
    }

    /// How often something was added.
    pub fn times(&self, what: &[u8]) -> u32 {
        let mut added = self.added.iter();
        let found = added.find(|(_, other)| *other == what);
        found.map_or(0, |(times, _)| *times)
    }

    /// Since when a row is as it is.
    pub fn since(&self, row: &Row) -> Option<u64> {
        let mut rows = self.rows.iter();
        let found = rows.find(|(_, old)| old.is_like(row))?;
        (found.1.verdict == row.verdict).then_some(found.0)
    }
}

fn row(text: &'static [u8]) -> Option<(u64, Row)> {
    let (head, rest) = split_once(text, b'\t')?;
    let (plan, truth) = split_once(rest, b'\t')?;
    let (since, head) = split_once(head, b' ')?;
    let (verdict, check) = split_once(head, b' ')?;
    let row = Row {
        check: Check::of(check)?,
        plan,
        truth,
        verdict: Verdict::of(verdict)?,
        missing: None,
    };
    Some((as_str(since).parse().ok()?, row))
}

/// The words of the verdicts.
const VERDICTS: [(Verdict, &str); 5] = [
    (Verdict::Same, "same"),
    (Verdict::Other(Class::Reach), "reach"),
    (Verdict::Other(Class::Differs), "differs"),
    (Verdict::Other(Class::Note), "note"),
    (Verdict::NotVerified, "unverified"),
];

impl Verdict {
    /// Its word.
    pub fn name(self) -> &'static str {
        let mut words = VERDICTS.iter();
        words
            .find(|(own, _)| *own == self)
            .map_or("", |(_, word)| word)
    }

    /// The verdict of this word.
    fn of(word: &[u8]) -> Option<Self> {
        let mut words = VERDICTS.iter();
        let found = words.find(|(_, own)| own.as_bytes() == word);
        found.map(|(verdict, _)| *verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory;

    #[test]
    fn what_is_written_is_read() {
        let row = |verdict, truth| Row {
            check: Check::Address,
            plan: b"ens3 10.18.1.1/24",
            truth,
            verdict,
            missing: None,
        };
        let known = Known {
            runs: 2,
            ssh: SshPorts {
                ports: memory::list(&[2222, 22]),
                doubt: b"odd\n",
            },
            added: memory::list(&[(3, &b"ens3 10.18.1.1/24"[..])]),
            rows: memory::list(&[
                (7, row(Verdict::Other(Class::Reach), b"missing\tx\ny")),
                (u64::MAX, row(Verdict::NotVerified, b"")),
            ]),
        };
        let text = known.write();
        let again = Known::read(text);
        assert_eq!(again.write(), Known::read(again.write()).write());
        assert_eq!((again.runs, again.ssh.ports), (2, &[2222, 22][..]));
        assert_eq!(again.ssh.doubt, b"odd\\n");
        assert_eq!(Known::read(b"runs 1\n").ssh, SshPorts::USUAL);
        assert_eq!(again.times(b"ens3 10.18.1.1/24"), 3);
        assert_eq!(again.times(b"ens3"), 0);
        assert_eq!((again.rows[0].0, again.rows[1].0), (7, u64::MAX));
        assert_eq!(again.rows[0].1.truth, b"missing\\tx\\ny");
        assert_eq!(again.since(&known.rows[0].1), Some(7));
        let other = row(Verdict::Same, b"");
        assert_eq!(again.since(&other), None);
        // A line of a newer version, and half a line.
        let odd = b"runs 1\nfuture 7\nrow 7 same\nrow 7 odd address\ta\tb\n";
        assert_eq!(Known::read(odd).rows.len(), 0);
    }
}
