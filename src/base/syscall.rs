//! The system calls that rustix has not, or not without more.
use core::arch::asm;
use core::slice;

use linux_raw_sys::general::{
    __NR_clock_gettime, __NR_clone, __NR_exit_group, __NR_getdents64, __NR_setsockopt,
    CLOCK_MONOTONIC, CLOCK_REALTIME, SIGCHLD,
};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{self, Errno, retry_on_intr};
use rustix::process::Pid;

/// `exit_group(2)`: ends the program with this status.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: it touches no memory, and does not return.
        unsafe { call(__NR_exit_group, [status as usize, 0, 0, 0, 0]) };
    }
}

/// `fork(2)`: another process, which goes on from here with a copy of all memory
/// and gets `None`; this one gets its number.
///
/// # Safety
/// Of several threads only this one goes on in the other process; nothing there
/// may wait for another one.
pub unsafe fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: without flags but the signal at its end nothing is shared, and the
    // stack is a copy at the same place (clone(2)); the arguments behind it, whose
    // order differs from one architecture to another, are not looked at.
    let number = answer(unsafe { call(__NR_clone, [SIGCHLD as usize, 0, 0, 0, 0]) })?;
    Ok(Pid::from_raw(number as i32))
}

/// `getdents64(2)`: directory entries, as many as fit into the buffer; none at
/// the end. rustix' `RawDir` does the same with bounds checks that leave a
/// panic in the program.
pub fn getdents<'r>(directory: BorrowedFd, buffer: &'r mut [u64]) -> io::Result<&'r [u8]> {
    let directory = directory.as_raw_fd() as usize;
    let (place, size) = (buffer.as_mut_ptr() as usize, size_of_val(buffer));
    // SAFETY: the kernel writes to the buffer alone, at most its size.
    let filled =
        retry_on_intr(|| answer(unsafe { call(__NR_getdents64, [directory, place, size, 0, 0]) }))?;
    // SAFETY: so many bytes of the buffer are entries now.
    Ok(unsafe { slice::from_raw_parts(buffer.as_ptr().cast(), filled) })
}

/// `setsockopt(2)` for an option that is a number. rustix knows only some.
pub fn setsockopt(socket: BorrowedFd, level: u32, option: u32, value: u32) -> io::Result<usize> {
    let socket = socket.as_raw_fd() as usize;
    let (level, option) = (level as usize, option as usize);
    let (place, length) = (&raw const value as usize, size_of_val(&value));
    // SAFETY: the kernel reads the bytes of `value`.
    answer(unsafe { call(__NR_setsockopt, [socket, level, option, place, length]) })
}

/// A clock of the kernel.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Clock {
    /// Since some moment; nobody sets it.
    Monotonic = CLOCK_MONOTONIC,
    /// Since 1970.
    Real = CLOCK_REALTIME,
}

/// `clock_gettime(2)`: seconds, and nanoseconds besides. That of rustix looks for
/// the vDSO first, which is twenty times the code, and panics are in it.
pub fn clock(clock: Clock) -> io::Result<(u64, u64)> {
    let mut time = [0u64; 2];
    let place = time.as_mut_ptr() as usize;
    // SAFETY: the kernel writes the two numbers of a `__kernel_timespec`.
    answer(unsafe { call(__NR_clock_gettime, [clock as usize, place, 0, 0, 0]) })?;
    Ok((time[0], time[1]))
}

/// The time since some moment, in milliseconds.
pub fn milliseconds() -> io::Result<u64> {
    let (seconds, nanoseconds) = clock(Clock::Monotonic)?;
    Ok(seconds
        .wrapping_mul(1000)
        .wrapping_add(nanoseconds / 1_000_000))
}

/// Negative answers down to -4095 are errors; none of these calls gives
/// another negative one.
fn answer(answer: isize) -> io::Result<usize> {
    usize::try_from(answer).map_err(|_| checked_errno(answer.wrapping_neg() as i32))
}

/// The error of this number, as errno(3) has it. A number that none has is
/// EIO: rustix would panic.
pub fn checked_errno(number: i32) -> Errno {
    match number {
        1..=4095 => Errno::from_raw_os_error(number),
        _ => Errno::IO,
    }
}

#[cfg(test)]
#[test]
fn every_number_is_some_error() {
    assert_eq!(checked_errno(2), Errno::NOENT);
    assert_eq!(checked_errno(4095).raw_os_error(), 4095);
    for number in [0, -1, -2, 4096, 65_535, 1 << 16 | 2, i32::MAX, i32::MIN] {
        assert_eq!(checked_errno(number), Errno::IO, "{number}");
    }
    assert_eq!(answer(-2), Err(Errno::NOENT));
    assert_eq!(answer(isize::MIN), Err(Errno::IO));
    assert_eq!(answer(7), Ok(7));
}

/// One system call with up to five arguments.
///
/// # Safety
/// What the call itself demands of them.
#[inline(never)]
unsafe fn call(number: u32, [a, b, c, d, e]: [usize; 5]) -> isize {
    let answer;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's; the kernel changes these registers alone.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as usize => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _, options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number as usize,
            inlateout("x0") a => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, options(nostack),
        );
    }
    answer
}
