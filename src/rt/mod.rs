//! What libc provides elsewhere: the entry point (crt1.o) and the memory functions that
//! LLVM calls. Also the panic handler.
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

/// Standard output and standard error. Opens /dev/null for each of the descriptors 0, 1
/// and 2 that the caller left closed. Otherwise the next opened file would get that
/// number, and messages would be written into that file.
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

/// A panic is a defect of this program. Its source location is not printed: the texts
/// of all locations are 5 KB of the binary. The supervising process reports the step.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fatal(b"<3>onecontext: internal error, please report it\n", 101)
}

/// The .eh_frame section of the prebuilt core refers to this symbol. Only dev builds
/// keep it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
