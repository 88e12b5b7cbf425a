//! Bounded waiting, measured by a clock. Counting sleeps would miss the time between
//! them: an empty drive takes long to answer.
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
    /// Waits at most `seconds` in total.
    pub fn seconds(seconds: u32) -> Self {
        Self { seconds, end: None }
    }

    /// Sleeps 100 ms. Returns `false`, without a sleep, when the time is over.
    pub fn sleep(&mut self) -> bool {
        // CLOCK_MONOTONIC always exists (clock_gettime(2)).
        let Ok(now) = milliseconds() else {
            return false;
        };
        let length = u64::from(self.seconds) * 1000;
        if now >= *self.end.get_or_insert(now.saturating_add(length)) {
            return false;
        }
        // A signal may end the sleep early, which does no harm.
        let _ = nanosleep(&SLEEP);
        true
    }
}
