//! What a libc's crt1.o would give: the entry point, the memory
//! functions LLVM calls, and a panic handler.
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod arch;
mod mem;

use core::ffi::{CStr, c_char};

use onecontext::base::fatal::fatal;
use onecontext::base::output::Streams;
use onecontext::base::syscall::exit;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio::{stderr, stdin, stdout};

/// The arguments that the kernel left on the stack, the program's name first.
pub struct Arguments {
    left: usize,
    next: *const *const c_char,
}

impl Iterator for Arguments {
    type Item = &'static CStr;
    fn next(&mut self) -> Option<&'static CStr> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: the kernel puts `left` pointers to NUL-terminated strings at
        // `next` and never takes them away (fs/binfmt_elf.c).
        unsafe {
            let argument = CStr::from_ptr(*self.next);
            self.next = self.next.add(1);
            Some(argument)
        }
    }
}

/// Standard output and error. Where the caller left one of the first three
/// descriptors closed, the next file opened would get its number and what is
/// said would land in that file: /dev/null takes the place.
pub fn streams() -> Streams {
    // SAFETY: they are open once this function is done, and nothing closes them.
    let standard = unsafe { [stdin(), stdout(), stderr()] };
    for stream in standard {
        if fcntl_getfd(stream) == Err(Errno::BADF)
            && let Ok(null) = openat(CWD, c"/dev/null", OFlags::RDWR, Mode::empty())
        {
            // The lowest free number is that of the stream.
            core::mem::forget(null);
        }
    }
    let [_, output, errors] = standard;
    Streams { output, errors }
}

/// # Safety
/// Called once by `_start` with the initial stack pointer.
unsafe extern "C" fn entry(sp: *const usize) -> ! {
    // SAFETY: the kernel puts the number of arguments there, and the pointers
    // to them behind it (fs/binfmt_elf.c, `create_elf_tables`).
    let (left, next) = unsafe { (*sp, sp.add(1).cast()) };
    exit(crate::main(Arguments { left, next }))
}

/// A defect of this program. Its place is not said: the texts of the places
/// are 5 KB of the binary, and who started it says the step.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fatal(b"<3>onecontext: internal error, please report it\n", 101)
}

/// Named by the prebuilt core's .eh_frame; kept only in a dev build.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
