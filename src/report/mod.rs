//! What was done and what was not: the kernel log, so that it reaches the
//! console, `/run/onecontext/report`, and the banner above the login prompt.
pub mod banner;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use ufmt::{uDisplay, uwrite};

use crate::memory::{Arena, Table};
use crate::text::{Reason, Shown, Text};

/// Who should see a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Keeps somebody out, or was asked for and not done. Reaches the console
    /// also under `quiet`: its priority, 3, is below the console's 4.
    Problem,
    /// What was done.
    Note,
}

/// The lines so far. Each goes out at once, so that a machine that hangs
/// later has still said it.
pub struct Report<'a> {
    arena: &'a Arena,
    lines: Table<'a, (Level, &'a [u8])>,
    console: Console,
    /// Whether notes reach the console like problems.
    pub all: bool,
}

/// Where the lines go.
pub enum Console {
    /// A kernel log device, opened anew for each line: the kernel limits the
    /// lines of one open file to ten in five seconds (printk.c,
    /// `devkmsg_write`). Where there is none, this file descriptor.
    Kmsg(BorrowedFd<'static>),
    /// A file descriptor, such as standard error.
    File(BorrowedFd<'static>),
    /// Nowhere; the lines are only kept.
    Silent,
}

impl<'a> Report<'a> {
    /// An empty report.
    pub fn new(arena: &'a Arena, console: Console) -> Self {
        Self {
            arena,
            lines: arena.table(),
            console,
            all: false,
        }
    }

    /// A step failed: the step, its operand, the reason.
    pub fn problem(&mut self, step: &str, operand: &[u8], reason: impl Into<Reason>) {
        let text = failure(self.arena, step, operand, reason.into());
        self.say(Level::Problem, text);
    }

    /// An empty text, to be filled and then said.
    pub fn line(&self) -> Text<'a> {
        self.arena.table()
    }

    /// One line of free form.
    pub fn say(&mut self, level: Level, line: Text<'a>) {
        let line = line.finish();
        self.print(level, line);
        self.lines.push((level, line));
    }

    /// All lines, oldest first.
    pub fn lines(&self) -> &[(Level, &'a [u8])] {
        &self.lines
    }

    /// How many problems there were.
    pub fn problems(&self) -> usize {
        self.lines
            .iter()
            .filter(|(level, _)| *level == Level::Problem)
            .count()
    }

    fn print(&self, level: Level, line: &[u8]) {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let kmsg = match &self.console {
            Console::Kmsg(_) => openat(CWD, c"/dev/kmsg", flags, Mode::empty()).ok(),
            _ => None,
        };
        let (priority, file) = match (&self.console, &kmsg) {
            (Console::Silent, _) => return,
            (Console::Kmsg(_), Some(kmsg)) if level == Level::Problem || self.all => {
                ("<3>", kmsg.as_fd())
            }
            (Console::Kmsg(_), Some(kmsg)) => ("<6>", kmsg.as_fd()),
            (Console::Kmsg(file) | Console::File(file), _) => ("", *file),
        };
        let mut text = self.arena.table();
        uwrite!(text, "{}onecontext: ", priority);
        text.extend(line);
        text.push(b'\n');
        // A console that cannot be written leaves nobody to tell it.
        let _ = rustix::io::write(file, &text);
    }
}

/// The text of a step that failed: the step, its operand, the reason.
pub fn failure<'a>(arena: &'a Arena, step: &str, operand: &[u8], reason: Reason) -> Text<'a> {
    let mut text = arena.table();
    uwrite!(text, "{}: {}: {}", step, Shown(operand), reason);
    text
}

/// `value`, as bytes.
pub fn shown<'a>(arena: &'a Arena, value: &impl uDisplay) -> &'a [u8] {
    let mut text = arena.table();
    uwrite!(text, "{}", *value);
    text.finish()
}
