//! The progress of a child process, for its parent.
//!
//! Both processes share the memory, and it is never unmapped. It holds the current step,
//! what is to be put back if the child is killed and, at the end, the exit status.
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering::Relaxed};

use rustix::io;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use static_assertions::const_assert;

use super::text::Text;

/// The longest text of a step, in bytes, with its NUL. The rest is left out.
const LONGEST: usize = 1024;

/// The shared memory. Its fields are atomic: the child may write while the parent
/// reads.
pub struct Progress {
    /// The exit status plus 1. New memory is 0, which means not finished.
    finished: AtomicU16,
    /// The flags that put the root back as it was mounted; 0 while it is.
    remount: AtomicU32,
    /// The text of the step, NUL-terminated.
    step: [AtomicU8; LONGEST],
}
const_assert!(size_of::<Progress>() < 4096);

impl Progress {
    /// New shared memory.
    ///
    /// # Errors
    /// The kernel gives no memory.
    pub fn share() -> io::Result<&'static Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let size = size_of::<Self>();
        // SAFETY: a new mapping at a place of the kernel's choice.
        let place = unsafe { mmap_anonymous(ptr::null_mut(), size, access, MapFlags::SHARED) }?;
        // SAFETY: it is zeroed, aligned to a page, large enough, never unmapped,
        // and atomics may be all zero.
        Ok(unsafe { &*place.cast::<Self>() })
    }

    /// Sets the text of the step to the concatenation of `parts`.
    pub fn set_step(&self, parts: &[&[u8]]) {
        // The last byte stays NUL.
        let mut places = self.step.iter().take(LONGEST - 1);
        for part in parts {
            for (byte, place) in part.iter().zip(&mut places) {
                place.store(*byte, Relaxed);
            }
        }
        if let Some(place) = places.next() {
            place.store(0, Relaxed);
        }
    }

    /// Appends the text of the step to `out`.
    pub fn step(&self, out: &mut Text) {
        for place in &self.step {
            match place.load(Relaxed) {
                0 => return,
                byte => out.push(byte),
            }
        }
    }

    /// Sets the flags that put the root back as it was mounted (mount(2)), before it is
    /// remounted; 0 if it was not.
    pub fn set_remount(&self, flags: u32) {
        self.remount.store(flags, Relaxed);
    }

    /// The flags of [`Self::set_remount`], at first 0.
    pub fn remount(&self) -> u32 {
        self.remount.load(Relaxed)
    }

    /// Records the exit status: the work is finished.
    pub fn finish(&self, status: u8) {
        self.finished.store(u16::from(status) + 1, Relaxed);
    }

    /// The exit status; `None` while the work is not finished.
    pub fn status(&self) -> Option<u8> {
        let finished = self.finished.load(Relaxed).checked_sub(1)?;
        u8::try_from(finished).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_and_the_status() {
        let progress = Progress::share().unwrap();
        let step = || {
            let mut text = Text::new();
            progress.step(&mut text);
            text.to_vec()
        };
        assert_eq!((step(), progress.status()), (vec![], None));
        progress.set_step(&[b"read ", b"/dev/vdb"]);
        assert_eq!(step(), b"read /dev/vdb");
        progress.set_step(&[b"x"]);
        assert_eq!((step(), progress.status()), (b"x".to_vec(), None));
        progress.set_step(&[&[b'a'; 600], &[b'b'; 600]]);
        assert_eq!(step(), [[b'a'; 600].as_slice(), &[b'b'; 423]].concat());
        for status in [0, 1, 255] {
            progress.finish(status);
            assert_eq!(progress.status(), Some(status));
        }
    }
}
