//! System calls that rustix lacks, or has only with code that can panic.
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

/// `fork(2)`: starts a child process, which continues here with a copy of all memory.
/// Returns `None` in the child, and the child's process ID in the parent.
///
/// # Safety
/// Only the calling thread exists in the child. The child must not wait for another
/// thread.
pub unsafe fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the only flag is the signal that reports the child's end, so the
    // processes share no memory, and the child's stack is a copy at the same address
    // (clone(2)). Without further flags the kernel ignores the other arguments, whose
    // order depends on the architecture.
    let number = answer(unsafe { call(__NR_clone, [SIGCHLD as usize, 0, 0, 0, 0]) })?;
    Ok(Pid::from_raw(number as i32))
}

/// `getdents64(2)`: reads as many directory entries as fit into the buffer; none at the
/// end. rustix's `RawDir` does the same, but its bounds checks can panic.
pub fn getdents<'r>(directory: BorrowedFd, buffer: &'r mut [u64]) -> io::Result<&'r [u8]> {
    let directory = directory.as_raw_fd() as usize;
    let (place, size) = (buffer.as_mut_ptr() as usize, size_of_val(buffer));
    // SAFETY: the kernel writes to the buffer alone, at most its size.
    let filled =
        retry_on_intr(|| answer(unsafe { call(__NR_getdents64, [directory, place, size, 0, 0]) }))?;
    // SAFETY: the kernel has written the first `filled` bytes of the buffer.
    Ok(unsafe { slice::from_raw_parts(buffer.as_ptr().cast(), filled) })
}

/// `setsockopt(2)` for an option that is a number. rustix has only some of them.
pub fn setsockopt(socket: BorrowedFd, level: u32, option: u32, value: u32) -> io::Result<usize> {
    // SAFETY: a number.
    unsafe { set_option(socket, [level, option], &value) }
}

/// An instruction of a socket filter (linux/filter.h, `struct sock_filter`): its code, how
/// many instructions to skip if it is true and if it is false, and its constant.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Instruction(pub u16, pub u8, pub u8, pub u32);

/// Has the kernel drop the packets for which this filter returns 0 (socket(7),
/// `SO_ATTACH_FILTER`).
pub fn attach_filter(socket: BorrowedFd, filter: &[Instruction]) -> io::Result<usize> {
    /// asm-generic/socket.h.
    const SOL_SOCKET: u32 = 1;
    const SO_ATTACH_FILTER: u32 = 26;
    #[repr(C)]
    struct Program(u16, *const Instruction);
    let program = Program(filter.len() as u16, filter.as_ptr());
    // SAFETY: `struct sock_fprog` of linux/filter.h, with the length of the filter.
    unsafe { set_option(socket, [SOL_SOCKET, SO_ATTACH_FILTER], &program) }
}

/// Sets an option of a socket.
///
/// # Safety
/// `value` is what the kernel takes for this option.
unsafe fn set_option<T>(
    socket: BorrowedFd,
    [level, option]: [u32; 2],
    value: &T,
) -> io::Result<usize> {
    let socket = socket.as_raw_fd() as usize;
    let (level, option) = (level as usize, option as usize);
    let (place, length) = (&raw const *value as usize, size_of_val(value));
    // SAFETY: the kernel reads the bytes of `value`, which the caller guarantees.
    answer(unsafe { call(__NR_setsockopt, [socket, level, option, place, length]) })
}

/// A clock of the kernel.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Clock {
    /// Counts from an unspecified moment; it cannot be set.
    Monotonic = CLOCK_MONOTONIC,
    /// Counts from 1970.
    Real = CLOCK_REALTIME,
}

/// `clock_gettime(2)`: seconds and nanoseconds. The function of rustix looks for the
/// vDSO first: that is twenty times the code, and it can panic.
pub fn clock(clock: Clock) -> io::Result<(u64, u64)> {
    let mut time = [0u64; 2];
    let place = time.as_mut_ptr() as usize;
    // SAFETY: the kernel writes the two numbers of a `__kernel_timespec`.
    answer(unsafe { call(__NR_clock_gettime, [clock as usize, place, 0, 0, 0]) })?;
    Ok((time[0], time[1]))
}

/// The monotonic clock, in milliseconds.
pub fn milliseconds() -> io::Result<u64> {
    let (seconds, nanoseconds) = clock(Clock::Monotonic)?;
    Ok(seconds
        .wrapping_mul(1000)
        .wrapping_add(nanoseconds / 1_000_000))
}

/// Converts the result of a system call. Results from -[`MAX_ERRNO`] to -1 are errors;
/// these calls have no other negative result.
fn answer(answer: isize) -> io::Result<usize> {
    usize::try_from(answer).map_err(|_| checked_errno(answer.wrapping_neg() as i32))
}

/// The largest error number (linux/err.h).
pub const MAX_ERRNO: i32 = 4095;

/// The error with this number (errno(3)). A number outside of 1 to [`MAX_ERRNO`]
/// becomes `EIO`: rustix would panic.
pub fn checked_errno(number: i32) -> Errno {
    match number {
        1..=MAX_ERRNO => Errno::from_raw_os_error(number),
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
/// The arguments fulfil the contract of the call.
#[inline(never)]
unsafe fn call(number: u32, [a, b, c, d, e]: [usize; 5]) -> isize {
    let answer;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller guarantees the arguments; the kernel changes only these
    // registers.
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
