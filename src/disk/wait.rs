//! Bounded waiting, counted in sleeps: reading a clock would bring the vDSO's
//! parser into the binary.
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

/// Sleeps in a second.
const PER_SECOND: u32 = 10;

/// What is left of a wait.
pub struct Wait {
    sleeps: u32,
}

impl Wait {
    /// At most so many seconds in total.
    pub fn seconds(seconds: u32) -> Self {
        Self {
            sleeps: seconds.saturating_mul(PER_SECOND),
        }
    }

    /// Sleeps 100 ms, or says `false` when the time is over.
    pub fn sleep(&mut self) -> bool {
        let Some(left) = self.sleeps.checked_sub(1) else {
            return false;
        };
        self.sleeps = left;
        let mut rest = Timespec {
            tv_sec: 0,
            tv_nsec: 1_000_000_000 / i64::from(PER_SECOND),
        };
        while let NanosleepRelativeResult::Interrupted(left) = nanosleep(&rest) {
            rest = left;
        }
        true
    }
}
