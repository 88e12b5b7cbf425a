//! The results of `make install`, `make packages` and `make dist`: they have the same
//! files, they are byte for byte the same wherever they are built, and Debian's and
//! Fedora's checkers find no fault.
//!
//! Tests that need those checkers, or the two programs that make packages, are
//! `#[ignore]`d: `make test-packages`.
#[path = "support/release.rs"]
mod release;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program of the initramfs, and the one for the command line.
const PROGRAMS: [&str; 2] = ["usr/lib/onecontext/onecontext", "usr/bin/onecontext"];
/// Files that only packages have.
const DOCUMENTS: [&str; 3] = [
    "usr/share/doc/",
    "usr/share/licenses/",
    "usr/share/lintian/",
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let template = std::env::temp_dir().join("onecontext-packages-XXXXXX");
        Folder(nix::unistd::mkdtemp(&template).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn output(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    command
        .output()
        .unwrap_or_else(|error| panic!("{shown}: {error}; run `make test-packages`"))
}

/// The output of a command that has to succeed.
fn run(command: &mut Command) -> String {
    let output = output(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What must be the same in each package: the mode and content of each file.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// The files below a directory.
fn files(top: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![top.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(top).unwrap().display().to_string();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            found.insert(name, (mode, fs::read(&path).unwrap()));
        }
    }
    found
}

fn install(script: &Path, variables: &[(&str, &str)]) -> Files {
    let folder = Folder::new();
    let mut command = Command::new(script);
    command.env("DESTDIR", &folder.0).envs(variables.to_vec());
    run(&mut command);
    files(&folder.0)
}

/// The files that `make install` installs.
fn installed() -> Files {
    let source = top().to_str().unwrap();
    let binaries = release::binary().parent().unwrap().to_str().unwrap();
    let variables = [("SOURCE", source), ("BINARIES", binaries)];
    install(&top().join("packaging/install.sh"), &variables)
}

#[test]
fn each_file_of_the_folders_is_installed() {
    let installed = installed();
    let mut expected = Files::new();
    for (from, to) in [
        ("dracut", "usr/lib/dracut/modules.d"),
        ("initramfs-tools", "usr/share/initramfs-tools"),
        ("man", "usr/share/man/man8"),
    ] {
        for (name, (mode, content)) in files(&top().join(from)) {
            // The mode that git keeps, whatever the umask.
            let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
            expected.insert(format!("{to}/{name}"), (mode, content));
        }
    }
    assert!(expected.len() >= 6, "{:?}", expected.keys());
    let programs = [release::initramfs(), release::binary()];
    for (name, program) in PROGRAMS.iter().zip(programs) {
        let content = fs::read(program).unwrap();
        expected.insert(name.to_string(), (0o755, content));
    }
    assert_same(&installed, &expected);
}

/// The two programs, and no directories beside them.
#[test]
fn an_incomplete_source_is_not_installed_in_silence() {
    let (source, to) = (Folder::new(), Folder::new());
    for name in ["onecontext", "onecontext-initramfs", "a.8"] {
        let path = source.0.join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(source.0.join("man")).unwrap();
    fs::rename(source.0.join("a.8"), source.0.join("man/a.8")).unwrap();
    let mut install = Command::new(top().join("packaging/install.sh"));
    let install = install.env("SOURCE", &source.0).env("BINARIES", &source.0);
    let output = output(install.env("DESTDIR", &to.0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("dracut"), "{said}");
}

fn assert_same(these: &Files, those: &Files) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(these), names(those));
    for (name, (mode, content)) in these {
        let (other, bytes) = &those[name];
        assert_eq!(mode, other, "{name}: mode");
        assert!(content == bytes, "{name}: content");
    }
}

/// The MIT licence wants its notice in each copy.
#[test]
fn the_copyright_names_each_crate_that_is_in_the_program() {
    let tree = run(Command::new(env!("CARGO")).current_dir(top()).args([
        "tree",
        "--locked",
        "--offline",
        "--edges=normal,no-proc-macro",
        "--prefix=none",
        "--format={lib}",
    ]));
    let copyright = fs::read_to_string(top().join("packaging/copyright")).unwrap();
    let crates: Vec<_> = tree.lines().filter(|name| !name.is_empty()).collect();
    assert!(crates.contains(&"rustix"), "{crates:?}");
    for name in crates.iter().filter(|name| **name != "onecontext") {
        // The names that packages use.
        let named = [name.to_string(), name.replace('_', "-")]
            .iter()
            .any(|name| copyright.contains(&format!("vendor/{name}/*")));
        assert!(named, "{name}");
    }
}

// ---------------------------------------------------------------------------
// The oldest Rust

fn metadata() -> Value {
    let json = run(Command::new(env!("CARGO")).current_dir(top()).args([
        "metadata",
        "--locked",
        "--offline",
        "--filter-platform=x86_64-unknown-linux-gnu",
        "--format-version=1",
    ]));
    serde_json::from_str(&json).unwrap()
}

/// Our own, of Cargo.toml.
fn rust_version(metadata: &Value) -> String {
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages
        .iter()
        .find(|package| package["name"] == "onecontext");
    ours.unwrap()["rust_version"].as_str().unwrap().to_string()
}

#[test]
fn no_crate_wants_a_later_rust_than_we_say() {
    let numbers = |version: &str| -> Vec<u32> {
        let mut numbers: Vec<_> = version.split('.').map(|n| n.parse().unwrap()).collect();
        numbers.resize(3, 0);
        numbers
    };
    let metadata = metadata();
    let ours = numbers(&rust_version(&metadata));
    let mut count = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if let Some(version) = package["rust_version"].as_str() {
            assert!(numbers(version) <= ours, "{}: {version}", package["name"]);
            count += 1;
        }
    }
    assert!(count > 5, "{count}");
}

/// `make` prints this first.
#[test]
fn without_cargo_or_with_an_old_one_it_is_said_what_to_install() {
    let folder = Folder::new();
    let program = |name: &str, line: &str| {
        let path = folder.0.join(name);
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let new = program("new", "echo 'cargo 1.200.0-nightly (0 2030-01-01)'");
    let old = program("old", "echo 'rustc 1.85.1 (0 2025-03-15)'");
    let broken = program("broken", "echo 'no toolchain' >&2; exit 1");
    let missing = folder.0.join("missing");
    for (cargo, rustc, says) in [
        (&new, &new, None),
        (&missing, &new, Some("there is no ")),
        (&new, &missing, Some("there is no ")),
        (&broken, &new, Some("does not run: no toolchain")),
        (&old, &new, Some("is version 1.85.1")),
        (&new, &old, Some("is version 1.85.1")),
    ] {
        let mut command = Command::new(top().join("packaging/rust-version"));
        let output = output(command.env("CARGO", cargo).env("RUSTC", rustc));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), says.is_none(), "{said}");
        if let Some(says) = says {
            assert!(said.contains(says), "{said}");
            assert!(
                said.contains("Rust 1.88") && said.contains("rustup"),
                "{said}"
            );
        }
    }
}

/// The message of tests/setup.sh on a machine of another family.
#[test]
fn without_apt_it_is_said_what_the_tests_need() {
    let folder = Folder::new();
    for name in ["sh", "sort", "tr"] {
        let path = Path::new("/usr/bin").join(name);
        std::os::unix::fs::symlink(path, folder.0.join(name)).unwrap();
    }
    let mut setup = Command::new(top().join("tests/setup.sh"));
    let output = output(setup.arg("packages").env("PATH", &folder.0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for package in ["qemu-system-x86", "mmdebstrap", "rpmlint"] {
        assert!(said.contains(package), "{package}: {said}");
    }
}

/// On a machine where rustup can download it.
#[test]
#[ignore = "downloads a toolchain"]
fn it_is_built_by_the_oldest_rust_that_we_say() {
    let version = rust_version(&metadata()) + ".0";
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", &version, "--profile=minimal"]);
    match rustup.output() {
        Ok(output) if output.status.success() => {}
        said => {
            eprintln!("skipped: rustup has no Rust {version}: {said:?}");
            return;
        }
    }
    let mut cargo = Command::new("rustup");
    cargo
        .args(["run", &version, "cargo", "build", "--quiet", "--release"])
        .args(["--locked", "--target-dir", "target/oldest-rust"])
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .current_dir(top());
    run(&mut cargo);
}

// ---------------------------------------------------------------------------
// The packages

/// The time of the last commit, which other directories with the same source do not
/// know.
fn date() -> String {
    let mut git = Command::new("git");
    let date = run(git.current_dir(top()).args(["log", "-1", "--format=%ct"]));
    date.trim().to_string()
}

/// Builds packages of the source in `top`; returns their paths.
fn build(top: &Path, kinds: &[&str]) -> Vec<PathBuf> {
    let mut build = Command::new(top.join("packaging/build"));
    build.args(kinds).env("SOURCE_DATE_EPOCH", date());
    let said = run(build.current_dir(top));
    let mut paths: Vec<_> = said.lines().map(|path| top.join(path)).collect();
    paths.sort();
    assert_eq!(paths.len(), kinds.len(), "{said}");
    paths
}

/// The package of this tree whose name has this end, built once a run.
fn package(end: &str) -> &'static Path {
    static PACKAGES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let packages = PACKAGES.get_or_init(|| {
        release::binary();
        build(top(), &["deb", "rpm", "tar"])
    });
    let named = |path: &&PathBuf| path.to_str().unwrap().ends_with(end);
    packages.iter().find(named).unwrap()
}

/// As installed: without the files that only packages have, and with the man page
/// unpacked.
fn as_installed(mut files: Files) -> Files {
    files.retain(|name, _| !DOCUMENTS.iter().any(|folder| name.starts_with(folder)));
    let page = files.remove("usr/share/man/man8/onecontext.8.gz");
    let (mode, packed) = page.expect("a man page");
    let folder = Folder::new();
    let path = folder.0.join("page.gz");
    fs::write(&path, packed).unwrap();
    let page = run(Command::new("gzip").arg("-dc").arg(path));
    let name = "usr/share/man/man8/onecontext.8".to_string();
    files.insert(name, (mode, page.into_bytes()));
    files
}

#[test]
#[ignore = "makes packages"]
fn the_deb_holds_what_is_installed() {
    let folder = Folder::new();
    let mut unpack = Command::new("dpkg-deb");
    run(unpack.arg("-x").arg(package(".deb")).arg(&folder.0));
    let files = files(&folder.0);
    for name in [
        "copyright",
        "changelog.gz",
        "changelog.Debian.gz",
        "README.md",
    ] {
        let name = format!("usr/share/doc/onecontext/{name}");
        assert!(files.contains_key(&name), "{name}");
    }
    assert_same(&as_installed(files), &installed());
}

#[test]
#[ignore = "makes packages"]
fn the_deb_depends_on_no_generator() {
    let field = |name: &str| {
        let mut dpkg = Command::new("dpkg-deb");
        run(dpkg.arg("-f").arg(package(".deb")).arg(name))
    };
    assert_eq!(field("Depends").trim(), "");
    assert_eq!(field("Recommends"), "dracut | initramfs-tools\n");
    let mut dpkg = Command::new("dpkg-deb");
    let triggers = run(dpkg.arg("-I").arg(package(".deb")).arg("triggers"));
    let lines: Vec<_> = triggers
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(lines, ["activate-noawait update-initramfs"]);
}

#[test]
#[ignore = "makes packages"]
fn the_rpm_holds_what_is_installed() {
    let folder = Folder::new();
    let mut unpack = Command::new("sh");
    unpack.arg("-c").arg("rpm2cpio \"$1\" | cpio -idm --quiet");
    run(unpack.arg("sh").arg(package(".rpm")).current_dir(&folder.0));
    let files = files(&folder.0);
    let license = "usr/share/licenses/onecontext/LICENSE";
    assert!(files.contains_key(license), "{:?}", files.keys());
    assert_same(&as_installed(files), &installed());

    let mut rpm = Command::new("rpm");
    rpm.args(["-qp", "--requires", "--recommends"]);
    let needs = run(rpm.arg(package(".rpm")));
    for need in needs.lines() {
        let known = ["/bin/sh", "dracut"].contains(&need) || need.starts_with("rpmlib(");
        assert!(known, "{need}");
    }
}

#[test]
#[ignore = "makes packages"]
fn the_tarball_installs_the_same() {
    let folder = Folder::new();
    let mut unpack = Command::new("tar");
    let unpack = unpack.args(["--strip-components=1", "-xf"]);
    run(unpack.arg(package(".tar.zst")).arg("-C").arg(&folder.0));
    for name in ["README.md", "LICENSE", "copyright", "CHANGELOG.md"] {
        assert!(folder.0.join(name).exists(), "{name}");
    }
    let tar_ball = install(&folder.0.join("install.sh"), &[]);
    assert_same(&tar_ball, &installed());
    // The program runs on its own, too.
    let version = run(Command::new(folder.0.join("onecontext")).arg("--version"));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
#[ignore = "makes packages"]
fn lintian_and_rpmlint_object_to_nothing() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on=error,warning", "--no-cfg"]);
    let said = run(lintian.arg(package(".deb")));
    assert_eq!(said, "");
    let mut rpmlint = Command::new("rpmlint");
    rpmlint
        .arg("-c")
        .arg(top().join("packaging/rpm/rpmlint.toml"));
    let said = run(rpmlint.arg(package(".rpm")));
    assert!(said.contains(" 0 errors, 0 warnings"), "{said}");
}

/// Another directory, with a longer name, and a build from scratch.
#[test]
#[ignore = "makes packages"]
fn the_same_source_gives_the_same_bytes_elsewhere() {
    let folder = Folder::new();
    let other = folder.0.join("another folder/with a longer name");
    fs::create_dir_all(&other).unwrap();
    let mut copy = Command::new("sh");
    copy.arg("-c").arg(
        "git ls-files -z --cached --others --exclude-standard | \
         tar --null -T - -c | tar -x -C \"$1\"",
    );
    run(copy.arg("sh").arg(&other).current_dir(top()));
    let mut cargo = Command::new(env!("CARGO"));
    let cargo = cargo.args(["build", "--quiet", "--release", "--locked"]);
    run(cargo.current_dir(&other).env_remove("CARGO_TARGET_DIR"));

    let theirs = build(&other, &["deb", "rpm", "tar"]);
    for path in theirs {
        let name = path.file_name().unwrap().to_str().unwrap();
        let ours = fs::read(package(name)).unwrap();
        assert!(ours == fs::read(&path).unwrap(), "{name}");
    }
}
