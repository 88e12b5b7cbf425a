//! The files that tell people in the booted system what was done:
//! `/run/onecontext/report`, and `/run/issue.d/50-onecontext.issue`, which
//! agetty(8) prints above the login prompt.
use ufmt::uwrite;

use super::{Level, Report, SHOWN};
use crate::memory::Arena;
use crate::plan::Plan;
use crate::text::{Text, split};

/// The paths in the booted system.
pub const REPORT: &str = "/run/onecontext/report";
const ISSUE: &[u8] = b"/run/issue.d/50-onecontext.issue";

/// A path in the booted system, and what belongs there.
pub type File<'a> = (&'static [u8], &'a [u8]);

/// Both files. `plan` is `None` if there was none to apply.
pub fn files<'a>(arena: &'a Arena, plan: Option<&Plan<'a>>, report: &Report<'a>) -> [File<'a>; 2] {
    let mut lines = arena.table();
    for (level, line) in report.lines() {
        let kind = match level {
            Level::Problem => "problem: ",
            Level::Note => "",
        };
        uwrite!(lines, "{}", kind);
        lines.extend(line);
        lines.push(b'\n');
    }
    if let more @ 1.. = report.problems().saturating_sub(super::KEPT) {
        uwrite!(lines, "problem: {} more problems are left out here\n", more);
    }
    let mut text = arena.table();
    issue(&mut text, plan, report);
    [(REPORT.as_bytes(), lines.finish()), (ISSUE, text.finish())]
}

fn issue(out: &mut Text, plan: Option<&Plan>, report: &Report) {
    if let Some(plan) = plan {
        uwrite!(out, "onecontext: {}", Issue(plan.source));
        for link in plan.links {
            let device = link.device.unwrap_or(b"no device");
            uwrite!(out, "\n  {} {}:", link.name, Issue(device));
            for prefix in link.addresses {
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
            // The lines of a report are shown already; this keeps them whole.
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
