//! Link arguments of the freestanding binary. They are here and not in
//! .cargo/config.toml: a RUSTFLAGS in the environment (Debian and Fedora set one)
//! replaces the config's rustflags, +crt-static breaks proc-macro dependencies, and
//! the lib's tests must link normally.
use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/rt/discard.ld");
    let script = format!(
        "-Wl,-T,{}/src/rt/discard.ld",
        var("CARGO_MANIFEST_DIR").unwrap()
    );
    let mut args = vec![
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,-z,noexecstack",
        "-Wl,--build-id=none",
        "-Wl,--no-eh-frame-hdr",
        &script,
    ];
    // A dynamic linker applies RELRO, and there is none here. With it GNU ld would
    // align the end of the segment to a page, on aarch64 up to 64 KiB of the file.
    args.push("-Wl,-z,norelro");
    if var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        // aarch64 kernels may have 64 KiB pages, so keep the default there. GNU ld
        // would pad each segment to a page in the file.
        args.extend(["-Wl,-z,max-page-size=4096", "-Wl,-z,noseparate-code"]);
    }
    for arg in args {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
