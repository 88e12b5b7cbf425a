//! Bounded waiting. A timer of the kernel says when the time is over: reading
//! a clock would bring a parser of the vDSO into the binary, and counting
//! sleeps would leave out how long an empty drive takes to say so.
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// How long one sleep lasts.
const SLEEP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
const NEVER: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// A wait of limited length, which begins with the first sleep.
pub struct Wait {
    seconds: u32,
    timer: Option<OwnedFd>,
}

impl Wait {
    /// At most so many seconds in total.
    pub fn seconds(seconds: u32) -> Self {
        Self {
            seconds,
            timer: None,
        }
    }

    /// Sleeps 100 ms, or says `false` when the time is over.
    pub fn sleep(&mut self) -> bool {
        let timer = match &self.timer {
            Some(timer) => timer,
            None => match self.start() {
                Some(timer) => self.timer.insert(timer),
                None => return false,
            },
        };
        let mut timers = [PollFd::new(timer, PollFlags::IN)];
        // Interrupted, it was shorter; any other error would be for ever.
        matches!(
            poll(&mut timers, Some(&SLEEP)),
            Ok(0) | Err(rustix::io::Errno::INTR)
        )
    }

    fn start(&self) -> Option<OwnedFd> {
        if self.seconds == 0 {
            return None;
        }
        let once = Itimerspec {
            it_interval: NEVER,
            it_value: Timespec {
                tv_sec: self.seconds.into(),
                tv_nsec: 0,
            },
        };
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).ok()?;
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once).ok()?;
        Some(timer)
    }
}
