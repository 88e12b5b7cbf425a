//! What a libc's crt1.o would give: the entry point, the memory
//! functions LLVM calls, and a panic handler.
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod arch;
mod mem;

use core::ffi::{CStr, c_char};

/// The arguments the kernel left on the stack.
pub struct Args {
    argc: usize,
    argv: *const *const c_char,
}
impl Args {
    pub fn get(&self, i: usize) -> Option<&'static CStr> {
        // SAFETY: the kernel puts argc NUL-terminated strings at argv.
        (i < self.argc).then(|| unsafe { CStr::from_ptr(*self.argv.add(i)) })
    }
}

/// SAFETY: called once by `_start` with the initial stack pointer.
unsafe extern "C" fn entry(sp: *const usize) -> ! {
    unsafe {
        let args = Args {
            argc: *sp,
            argv: sp.add(1).cast(),
        };
        arch::exit(crate::main(args))
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    arch::exit(101)
}

/// Named by the prebuilt core's .eh_frame; kept only in a dev build.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
