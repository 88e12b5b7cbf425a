//! The files that tell people in the booted system what was done:
//! `/run/onecontext/report`, and `/run/issue.d/50-onecontext.issue`, which
//! agetty(8) prints above the login prompt.
use ufmt::uwrite;

use crate::base::log::{KEPT, Level, REPORT, Report, SHOWN};
use crate::base::memory::Vector;
use crate::base::text::{Ip, Text, split};
use crate::plan::bound::BoundPlan;

/// The path in the booted system.
const ISSUE: &[u8] = b"/run/issue.d/50-onecontext.issue";

/// A path in the booted system, and the content of that file.
pub type RunFile = (&'static [u8], &'static [u8]);

/// Makes both files. `bound` is `None` if there was no plan to apply.
pub fn files(bound: Option<&BoundPlan>, report: &Report) -> [RunFile; 2] {
    let mut lines = Vector::new();
    for (level, line) in report.lines() {
        let kind = match level {
            Level::Problem => "problem: ",
            Level::Notice | Level::Note => "",
        };
        uwrite!(lines, "{}", kind);
        lines.extend(line);
        lines.push(b'\n');
    }
    if let more @ 1.. = report.problems().saturating_sub(KEPT) {
        uwrite!(lines, "problem: {} more problems are left out here\n", more);
    }
    let mut text = Text::new();
    issue(&mut text, bound, report);
    [(REPORT.as_bytes(), lines.finish()), (ISSUE, text.finish())]
}

/// Reports where somebody can log in before there is a root.
pub fn invite(bound: &BoundPlan, report: &mut Report) {
    let mut line = report.line();
    let mut before = "no root yet; ssh root@";
    for bound_link in bound.links.iter().filter(|one| one.is_set_up()) {
        let link = bound_link.link;
        let leased = bound_link.lease.map(|lease| &lease.address);
        let ipv4 = link.ipv4.addresses.first().or(leased);
        let ipv6 = link.ipv6.addresses.first();
        for prefix in ipv4.into_iter().chain(ipv6) {
            uwrite!(line, "{}{}", before, Ip(prefix.address));
            before = ", root@";
        }
    }
    if !line.is_empty() {
        report.say(Level::Notice, line);
    }
}

fn issue(out: &mut Text, bound: Option<&BoundPlan>, report: &Report) {
    if let Some(bound) = bound {
        let plan = bound.plan;
        uwrite!(out, "onecontext: {}", Issue(plan.source));
        for bound_link in bound.links {
            let device = bound_link.device_name().unwrap_or(b"no device");
            uwrite!(out, "\n  {} {}:", bound_link.link.name, Issue(device));
            for prefix in bound_link.addresses() {
                uwrite!(out, " {}", *prefix);
            }
        }
        for user in plan.users() {
            let count = plan.keys.iter().filter(|key| key.user == user).count();
            uwrite!(out, "\n  {} SSH key(s) for {}", count, Issue(user));
        }
        if plan.keys.is_empty() {
            uwrite!(out, "\n  no SSH key");
        }
        out.push(b'\n');
    }
    for (_, line) in report
        .lines()
        .iter()
        .filter(|(level, _)| *level == Level::Problem)
        .take(SHOWN)
    {
        uwrite!(out, "onecontext: {}\n", Issue(line));
    }
    if let more @ 1.. = report.problems().saturating_sub(SHOWN) {
        uwrite!(
            out,
            "onecontext: {} more problems are in {}\n",
            more,
            REPORT
        );
    }
}

/// Text in an issue file, where a backslash begins an escape (agetty(8)).
struct Issue<'t>(&'t [u8]);

impl ufmt::uDisplay for Issue<'_> {
    fn fmt<W: ufmt::uWrite + ?Sized>(
        &self,
        f: &mut ufmt::Formatter<'_, W>,
    ) -> Result<(), W::Error> {
        for (position, part) in split(self.0, |byte| byte == b'\\').enumerate() {
            if position > 0 {
                f.write_str("\\\\")?;
            }
            // The lines of a report are escaped already. Here a backslash is doubled,
            // as agetty(8) needs it, and a control character cannot end the line.
            for chunk in part.utf8_chunks() {
                for character in chunk.valid().chars() {
                    let character = if character.is_control() {
                        '?'
                    } else {
                        character
                    };
                    f.write_char(character)?;
                }
                if !chunk.invalid().is_empty() {
                    f.write_char('?')?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::log::Console;

    #[test]
    fn of_very_many_problems_a_thousand_are_kept_and_all_are_counted() {
        let mut report = Report::new(Console::Silent);
        for _ in 0..40_000 {
            report.problem(c"read", b"x", c"not a number");
        }
        let mut note = report.line();
        note.push(b'n');
        report.say(Level::Note, note);
        assert_eq!(report.problems(), 40_000);
        assert_eq!(report.lines().len(), 1_001);
        let [(_, text), (_, issue)] = files(None, &report);
        let text = std::str::from_utf8(text).unwrap();
        assert_eq!(text.lines().count(), 1_002);
        assert!(text.ends_with("\nproblem: 39000 more problems are left out here\n"));
        let issue = std::str::from_utf8(issue).unwrap();
        assert_eq!(issue.lines().count(), 41);
        assert!(
            issue.ends_with("\nonecontext: 39960 more problems are in /run/onecontext/report\n")
        );
    }
}
