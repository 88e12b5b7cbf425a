//! The lines that a run reports: what it did, and what it could not do. They go to the
//! kernel log, and so to the console; to `/run/onecontext/report`; and to the banner
//! above the login prompt.
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use ufmt::uwrite;

use super::error::Error;
use super::memory::Vector;
use crate::base::progress::Progress;
use crate::base::text::{Escaped, Str, Text};

/// The longest message that every kernel's log accepts in one write, in bytes
/// (kernel/printk/printk.c: `LOG_LINE_MAX` is 1024 less a prefix of 48; since 6.3 it is
/// 1024). The kernel refuses a longer one as a whole.
const LONGEST: usize = 976;
/// Lines that one open file of the kernel log accepts in five seconds; the kernel drops
/// the rest (printk.c, `devkmsg_write`; linux/ratelimit_types.h).
const BURST: u8 = 10;
/// The most problems that go to the console and to the login banner. Hundreds of lines
/// would hide the first ones, and take seconds on a serial line.
pub const SHOWN: usize = 40;
/// The path of the report in the booted system.
pub const REPORT: &str = "/run/onecontext/report";
/// The most problems that are kept for the report.
pub const KEPT: usize = 1000;

/// Who should see a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something asked for was not done, or somebody cannot log in. The console shows
    /// it under `quiet` too: its priority, 3, is below the console's level, 4.
    Problem,
    /// No problem, but needed by somebody at the console, so also shown under `quiet`.
    Notice,
    /// What was done.
    Note,
}

/// The lines so far. Each is printed at once, so that it is not lost if the machine
/// hangs later.
pub struct Report {
    lines: Vector<(Level, &'static [u8])>,
    problems: usize,
    console: Console,
    /// The open kernel log, and how many lines it has taken.
    kmsg: Option<(OwnedFd, u8)>,
    /// Whether notes reach the console like problems.
    pub verbose: bool,
    /// Where the current step is recorded, for the supervising process.
    pub progress: Option<&'static Progress>,
}

/// Where the lines go.
pub enum Console {
    /// The kernel log. Where there is none, or it refuses a line, this file
    /// descriptor.
    Kmsg(BorrowedFd<'static>),
    /// A file descriptor, such as standard error.
    File(BorrowedFd<'static>),
    /// Nowhere; the lines are only kept.
    Silent,
}

impl Console {
    /// Where `apply` prints: in a dry run to `errors`, else to the kernel log.
    pub fn of_apply(dry_run: bool, errors: BorrowedFd<'static>) -> Self {
        match dry_run {
            true => Self::File(errors),
            false => Self::Kmsg(errors),
        }
    }
}

impl Report {
    /// An empty report.
    pub fn new(console: Console) -> Self {
        Self {
            lines: Vector::new(),
            problems: 0,
            console,
            kmsg: None,
            verbose: false,
            progress: None,
        }
    }

    /// Records the begin of a step that may never end, since it waits for a device or a
    /// file system.
    #[inline(always)]
    pub fn begin(&self, step: impl Into<Str>, operand: &[u8]) {
        self.begin_(step.into(), operand)
    }
    #[inline(never)]
    fn begin_(&self, step: Str, operand: &[u8]) {
        if let Some(progress) = self.progress {
            progress.set_step(&[&step, b" ", operand]);
        }
    }

    /// Reports a problem: a step, its operand, and why it failed.
    #[inline(always)]
    pub fn problem(&mut self, step: impl Into<Str>, operand: &[u8], reason: impl Into<Error>) {
        self.problem_(step.into(), operand, reason.into())
    }
    #[inline(never)]
    fn problem_(&mut self, step: Str, operand: &[u8], reason: Error) {
        let text = failure(step, operand, reason);
        self.say(Level::Problem, text);
    }

    /// An empty text for a line, to be passed to [`Report::say`].
    pub fn line(&self) -> Text {
        Vector::new()
    }

    /// A note of fixed text.
    pub fn note(&mut self, text: &'static [u8]) {
        self.add(Level::Note, text);
    }

    /// Adds a line of any text.
    pub fn say(&mut self, level: Level, line: Text) {
        self.add(level, line.finish());
    }

    /// Adds a line. All problems are counted, but only the first [`KEPT`] are kept and,
    /// on the console, only the first [`SHOWN`] printed.
    #[inline(never)]
    pub fn add(&mut self, level: Level, line: &'static [u8]) {
        let (mut is_printed, mut is_kept) = (true, true);
        if level == Level::Problem {
            self.problems += 1;
            // On standard error nothing is left out.
            is_printed = self.problems <= SHOWN || matches!(self.console, Console::File(_));
            is_kept = self.problems <= KEPT;
        }
        if is_printed {
            self.print(level, line);
        }
        if is_kept {
            self.lines.push((level, line));
        }
    }

    /// Prints how many problems the console has not shown.
    pub fn finish(&mut self) {
        if let (Some(more @ 1..), Console::Kmsg(_)) =
            (self.problems.checked_sub(SHOWN), &self.console)
        {
            let mut line = self.line();
            uwrite!(line, "{} more problems are in {}", more, REPORT);
            self.print(Level::Problem, line.finish());
        }
    }

    /// All lines that were kept, oldest first.
    pub fn lines(&self) -> &[(Level, &'static [u8])] {
        &self.lines
    }

    /// Whether a line was kept.
    pub fn has_said(&self, line: &[u8]) -> bool {
        self.lines.iter().any(|(_, said)| *said == line)
    }

    /// How many problems there were.
    pub fn problems(&self) -> usize {
        self.problems
    }

    fn print(&mut self, level: Level, line: &[u8]) {
        let other = match self.console {
            Console::Silent => return,
            Console::File(file) => file,
            Console::Kmsg(file) => {
                let priority = match level {
                    Level::Note if !self.verbose => "<6>",
                    _ => "<3>",
                };
                if self.log(priority, line) {
                    return;
                }
                file
            }
        };
        let mut text = self.line();
        uwrite!(text, "onecontext: ");
        text.extend(line);
        text.push(b'\n');
        // If this fails, there is nowhere to report it.
        let _ = rustix::io::write(other, &text);
    }

    /// Writes a line to the kernel log. `false`: it could not be written.
    fn log(&mut self, priority: &str, line: &[u8]) -> bool {
        let (kmsg, lines) = match self.kmsg.take() {
            Some((kmsg, lines)) if lines < BURST => (kmsg, lines),
            _ => {
                // `NONBLOCK`: the write never waits, whatever the file is.
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                match openat(CWD, c"/dev/kmsg", flags, Mode::empty()) {
                    Ok(kmsg) => (kmsg, 0),
                    Err(_) => return false,
                }
            }
        };
        let record = record(priority, line);
        let is_written = rustix::io::write(&kmsg, &record).is_ok();
        self.kmsg = Some((kmsg, lines + 1));
        is_written
    }
}

/// The record of a line for the kernel log, cut to [`LONGEST`] bytes.
fn record(priority: &str, line: &[u8]) -> Text {
    const MORE: &str = "…";
    let mut text = Text::new();
    uwrite!(text, "{}onecontext: ", priority);
    text.extend(line);
    if text.len() >= LONGEST {
        let mut end = LONGEST - MORE.len() - 1;
        // Do not cut within a character: its continuation bytes are 10xxxxxx (RFC 3629,
        // 3).
        while text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        text.truncate(end);
        text.extend(MORE.as_bytes());
    }
    text.push(b'\n');
    text
}

/// The text of a step that failed: the step, its operand, the reason.
pub fn failure(step: Str, operand: &[u8], reason: Error) -> Text {
    let mut text = Text::new();
    uwrite!(text, "{}: {}: {}", step, Escaped(operand), reason);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let whole = "x".repeat(LONGEST - "<3>onecontext: \n".len());
        let text = record("<3>", whole.as_bytes());
        assert_eq!(text.len(), LONGEST);
        assert!(!text.ends_with("…\n".as_bytes()));
        for character in ["x", "é", "€", "🦀"] {
            let line = character.repeat(LONGEST);
            let text = record("<3>", line.as_bytes());
            let text = std::str::from_utf8(&text).unwrap();
            assert!(text.ends_with(&format!("{character}…\n")), "{text}");
            assert!((LONGEST - 3..=LONGEST).contains(&text.len()));
        }
    }
}
