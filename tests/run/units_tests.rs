//! `tests/run/units`, which verifies units and drop-ins, with ones that have a fault.
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// What the script says about a file.
fn verify(file: &Path) -> (ExitStatus, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run/units");
    let output = Command::new(script).arg(file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status, said)
}

#[test]
fn a_fault_in_a_unit_is_found() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
    fs::create_dir_all(&folder).unwrap();
    for (file, right, wrong, said) in [
        (
            "dracut/50onecontext/onecontext.service",
            "TimeoutStopSec=",
            "TimeoutStop=",
            "Unknown key",
        ),
        (
            "dracut/50onecontext/onecontext.service",
            "/usr/lib/onecontext/",
            "/usr/libexec/onecontext/",
            "is not executable",
        ),
        (
            "src/login/onecontext-users.service",
            "=oneshot",
            "=onceshot",
            "Failed to parse",
        ),
        (
            "src/system/cloud-init.conf",
            "[Service]",
            "[Services]",
            "Unknown section",
        ),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let (status, nothing) = verify(&path);
        assert!(status.success() && nothing.is_empty(), "{file}: {nothing}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(right), "{file}");
        let copy = folder.join(path.file_name().unwrap());
        fs::write(&copy, text.replace(right, wrong)).unwrap();
        let (status, message) = verify(&copy);
        assert!(!status.success(), "{file} with {wrong}");
        assert!(message.contains(said), "{file} with {wrong}: {message}");
    }
}
