//! Bounded waiting, measured by a clock: counting sleeps would leave out how long
//! an empty drive takes to say so.
use rustix::thread::{Timespec, nanosleep};

use super::syscall::milliseconds;

/// How long one sleep lasts.
const SLEEP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// A wait of limited length, which begins with the first sleep.
pub struct Wait {
    seconds: u32,
    /// In milliseconds of the clock; `None` before the first sleep.
    end: Option<u64>,
}

impl Wait {
    /// At most so many seconds in total.
    pub fn seconds(seconds: u32) -> Self {
        Self { seconds, end: None }
    }

    /// Sleeps 100 ms, or says `false` when the time is over.
    pub fn sleep(&mut self) -> bool {
        // This clock is never missing (clock_gettime(2)).
        let Ok(now) = milliseconds() else {
            return false;
        };
        let length = u64::from(self.seconds) * 1000;
        if now >= *self.end.get_or_insert(now.saturating_add(length)) {
            return false;
        }
        // Interrupted, it was shorter.
        let _ = nanosleep(&SLEEP);
        true
    }
}
