//! The results of `make install`, `make packages` and `make dist`: they have the same
//! files, they are byte for byte the same wherever they are built, Debian's and Fedora's
//! checkers find no fault, and systemd finds the same units in each.
//!
//! Tests that need those checkers, or the programs that make packages, are `#[ignore]`d:
//! `make test-packages`.

use crate::release;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program of the initramfs, and the one for the command line.
const PROGRAMS: [&str; 2] = ["usr/lib/onecontext/onecontext", "usr/bin/onecontext"];
/// Where units and udev rules are installed.
const UNITS: &str = "usr/lib/systemd/system";
const RULES: &str = "usr/lib/udev/rules.d";
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

/// What must be the same in each package: the mode (type included) and the content of
/// each file, or the target of each link.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// The modes of the files and links in packages.
const PLAIN: u32 = 0o100644;
const PROGRAM: u32 = 0o100755;
const LINK: u32 = 0o120777;

/// The files below a directory, which may be missing.
fn files(top: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = Vec::from_iter(top.exists().then(|| top.to_path_buf()));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                folders.push(path);
                continue;
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                target.into_os_string().into_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let name = path.strip_prefix(top).unwrap().display().to_string();
            found.insert(name, (metadata.mode(), content));
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
        ("systemd", UNITS),
    ] {
        for (name, (mode, content)) in files(&top().join(from)) {
            let to = if name.ends_with(".rules") { RULES } else { to };
            // The mode that git keeps, whatever the umask.
            let mode = match mode {
                LINK => LINK,
                mode if mode & 0o100 == 0 => PLAIN,
                _ => PROGRAM,
            };
            expected.insert(format!("{to}/{name}"), (mode, content));
        }
    }
    assert!(expected.len() >= 6, "{:?}", expected.keys());
    let programs = [release::initramfs(), release::binary()];
    for (name, program) in PROGRAMS.iter().zip(programs) {
        let content = fs::read(program).unwrap();
        expected.insert(name.to_string(), (PROGRAM, content));
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
        assert_eq!(format!("{mode:o}"), format!("{other:o}"), "{name}: mode");
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
    let copyright = fs::read_to_string(top().join("packaging/debian/copyright")).unwrap();
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

#[test]
fn the_packages_have_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    let read = |name: &str| fs::read_to_string(top().join("packaging").join(name)).unwrap();
    let debian = read("debian/changelog");
    let entry = format!("onecontext ({version}-1) ");
    assert!(debian.starts_with(&entry), "{debian}");
    let spec = read("onecontext.spec");
    assert!(spec.contains(&format!("\nVersion: {version}\n")), "{spec}");
    let (_, changes) = spec.split_once("\n%changelog\n").unwrap();
    let entry = changes.lines().next().unwrap();
    assert!(entry.ends_with(&format!(" - {version}-1")), "{entry}");
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

/// The message of tests/run/setup.sh on a machine of another family.
#[test]
fn without_apt_it_is_said_what_the_tests_need() {
    let folder = Folder::new();
    for name in ["sh", "sort", "tr"] {
        let path = Path::new("/usr/bin").join(name);
        symlink(path, folder.0.join(name)).unwrap();
    }
    let mut setup = Command::new(top().join("tests/run/setup.sh"));
    let output = output(setup.args(["demo", "packages"]).env("PATH", &folder.0));
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
    run(&mut rustup);
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

/// A copy of this tree, of what git would commit.
fn copy_tree(to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut copy = Command::new("sh");
    copy.arg("-c").arg(
        "git ls-files -z --cached --others --exclude-standard | \
         tar --null -T - -c | tar -x -C \"$1\"",
    );
    run(copy.arg("sh").arg(to).current_dir(top()));
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

fn unpack_deb(package: &Path) -> Files {
    let folder = Folder::new();
    let mut unpack = Command::new("dpkg-deb");
    run(unpack.arg("-x").arg(package).arg(&folder.0));
    files(&folder.0)
}

fn unpack_rpm(package: &Path) -> Files {
    let folder = Folder::new();
    let mut unpack = Command::new("sh");
    unpack.arg("-c").arg("rpm2cpio \"$1\" | cpio -idm --quiet");
    run(unpack.arg("sh").arg(package).current_dir(&folder.0));
    files(&folder.0)
}

/// The tarball, without its own folder.
fn unpack_tar(package: &Path, to: &Path) {
    let mut unpack = Command::new("tar");
    let unpack = unpack.args(["--strip-components=1", "-xf"]);
    run(unpack.arg(package).arg("-C").arg(to));
}

#[test]
#[ignore = "makes packages"]
fn the_deb_holds_what_is_installed() {
    let files = unpack_deb(package(".deb"));
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
    let files = unpack_rpm(package(".rpm"));
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
    unpack_tar(package(".tar.zst"), &folder.0);
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
    lint(package(".deb"), package(".rpm"));
}

/// These, and the file that the .rpm is made from.
fn lint(deb: &Path, rpm: &Path) {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on=error,warning", "--no-cfg"]);
    let said = run(lintian.arg(deb));
    assert_eq!(said, "");
    let mut rpmlint = Command::new("rpmlint");
    let rpmlint = rpmlint.current_dir(top()).arg("-c");
    let rpmlint = rpmlint.args(["packaging/rpmlint.toml", "packaging/onecontext.spec"]);
    let said = run(rpmlint.arg(rpm));
    assert!(said.contains("1 packages and 1 specfiles"), "{said}");
    assert!(said.contains(" 0 errors, 0 warnings"), "{said}");
}

#[test]
#[ignore = "makes packages"]
fn shellcheck_objects_to_no_scriptlet() {
    for scriptlet in ["POSTIN", "POSTTRANS", "POSTUN"] {
        let mut rpm = Command::new("rpm");
        rpm.args(["-qp", "--queryformat", &format!("%{{{scriptlet}}}")]);
        let script = run(rpm.arg(package(".rpm")));
        assert!(script.ends_with("exit 0"), "{scriptlet}: {script}");
        let folder = Folder::new();
        let path = folder.0.join(scriptlet);
        fs::write(&path, script + "\n").unwrap();
        run(Command::new("shellcheck").arg("--shell=sh").arg(path));
    }
}

/// `make AARCH64=1 packages dist`.
#[test]
#[ignore = "makes packages"]
fn the_packages_of_aarch64_hold_its_programs() {
    let mut make = Command::new("make");
    make.args(["--silent", "AARCH64=1", "packages", "dist"]);
    let said = run(make.env("SOURCE_DATE_EPOCH", date()).current_dir(top()));
    let paths: Vec<_> = said.lines().map(|path| top().join(path)).collect();
    let [deb, rpm, tar] = &paths[..] else {
        panic!("{said}");
    };
    lint(deb, rpm);
    let query = |program: &str, arguments: &[&str], package: &Path| {
        run(Command::new(program).args(arguments).arg(package))
    };
    let fields = query("dpkg-deb", &["--field"], deb);
    assert!(fields.contains("\nArchitecture: arm64\n"), "{fields}");
    let arch = query("rpm", &["-qp", "--queryformat", "%{ARCH}"], rpm);
    assert_eq!(arch, "aarch64");

    let built = top().join("target/aarch64-unknown-linux-gnu/release");
    let variables = [
        ("SOURCE", top().to_str().unwrap()),
        ("BINARIES", built.to_str().unwrap()),
    ];
    let expected = install(&top().join("packaging/install.sh"), &variables);
    for program in PROGRAMS {
        // e_machine, EM_AARCH64 (elf.h)
        assert_eq!(expected[program].1[18..20], 183_u16.to_le_bytes());
    }
    assert_same(&as_installed(unpack_deb(deb)), &expected);
    assert_same(&as_installed(unpack_rpm(rpm)), &expected);
    let folder = Folder::new();
    unpack_tar(tar, &folder.0);
    assert_same(&install(&folder.0.join("install.sh"), &[]), &expected);
}

/// Another directory, with a longer name, and a build from scratch.
#[test]
#[ignore = "makes packages"]
fn the_same_source_gives_the_same_bytes_elsewhere() {
    let folder = Folder::new();
    let other = folder.0.join("another folder/with a longer name");
    copy_tree(&other);
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

// ---------------------------------------------------------------------------
// Units and udev rules

/// Units of this test, beside those of the folder `systemd`.
const OWN: [(&str, &str); 4] = [
    (
        "onecontext-test.service",
        "[Unit]\n\
         Description=a test\n\
         Documentation=man:onecontext(8)\n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/onecontext --version\n",
    ),
    (
        "onecontext-test@.service",
        "[Unit]\n\
         Description=a test of %I\n\
         Documentation=man:onecontext(8)\n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/onecontext --version\n",
    ),
    (
        "onecontext-test.timer",
        "[Unit]\n\
         Description=a test, later\n\
         [Timer]\n\
         OnActiveSec=30s\n\
         Unit=onecontext-test@timer.service\n",
    ),
    (
        "90-onecontext-test.rules",
        "ACTION==\"change\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}=\"onecontext-test@0.service\"\n",
    ),
];
/// The links that enable them.
const OWN_LINKS: [(&str, &str); 2] = [
    (
        "multi-user.target.wants/onecontext-test.service",
        "../onecontext-test.service",
    ),
    (
        "timers.target.wants/onecontext-test.timer",
        "../onecontext-test.timer",
    ),
];

/// `make install DESTDIR=`, the tarball, `dpkg --root` and `rpm --root` install the same
/// units and rules. systemd starts the same units, an administrator masks them, and a
/// package that is removed leaves none.
#[test]
#[ignore = "makes packages"]
fn each_way_of_installing_enables_the_same_units() {
    let folder = Folder::new();
    let source = folder.0.join("source");
    let packages = packages_with_own_units(&source);
    let package = |end: &str| {
        let mut packages = packages.iter();
        packages.find(|path| path.to_str().unwrap().ends_with(end))
    };
    let [Some(deb), Some(rpm), Some(tar)] = [".deb", ".rpm", ".tar.zst"].map(package) else {
        panic!("{packages:?}");
    };
    lint(deb, rpm);

    let expected = units(&source.join("systemd"), &source.join("systemd"));
    assert!(expected.len() >= OWN.len() + OWN_LINKS.len());
    let root = |name: &str| folder.0.join("root of ".to_string() + name);
    let assert_enabled = |root: &Path| {
        let found = units(&root.join(UNITS), &root.join(RULES));
        assert_same(&found, &expected);
        assert_units_start(root);
    };

    let destination = root("make");
    let mut make = Command::new("make");
    make.args(["--silent", "install"]).current_dir(&source);
    run(make.arg(format!("DESTDIR={}", destination.display())));
    assert_enabled(&destination);

    let unpacked = folder.0.join("tarball");
    fs::create_dir(&unpacked).unwrap();
    unpack_tar(tar, &unpacked);
    let destination = root("tarball");
    run(Command::new(unpacked.join("install.sh")).env("DESTDIR", &destination));
    assert_enabled(&destination);

    let destination = root("dpkg");
    let database = destination.join("var/lib/dpkg");
    fs::create_dir_all(database.join("updates")).unwrap();
    fs::create_dir(database.join("info")).unwrap();
    fs::write(database.join("status"), "").unwrap();
    let dpkg = || {
        let mut dpkg = as_root("dpkg");
        dpkg.arg(format!("--root={}", destination.display()));
        dpkg.args(["--log=/dev/null", "--force-not-root", "--force-bad-path"]);
        dpkg
    };
    run(dpkg().arg("--install").arg(deb));
    assert_enabled(&destination);
    run(dpkg().args(["--purge", "onecontext"]));
    assert_empty(&destination);

    // An empty root has no shell for the scriptlets.
    let destination = root("rpm");
    fs::create_dir(&destination).unwrap();
    let rpm_root = |arguments: &[&str]| {
        let mut rpm = as_root("rpm");
        rpm.arg("--root").arg(&destination);
        rpm.args(["--dbpath", "/var/lib/rpm", "--nodeps", "--noscripts"]);
        rpm.args(arguments);
        rpm
    };
    run(rpm_root(&["--install"]).arg(rpm));
    assert_enabled(&destination);
    run(&mut rpm_root(&["--erase", "onecontext"]));
    assert_empty(&destination);
}

/// The packages of a copy of this tree with units of this test.
fn packages_with_own_units(source: &Path) -> Vec<PathBuf> {
    copy_tree(source);
    let release = source.join("target/release");
    fs::create_dir_all(&release).unwrap();
    for program in [release::binary(), release::initramfs()] {
        fs::copy(program, release.join(program.file_name().unwrap())).unwrap();
    }
    let folder = source.join("systemd");
    for (name, text) in OWN {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }
    for (link, target) in OWN_LINKS {
        let link = folder.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }
    build(source, &["deb", "rpm", "tar"])
}

/// The units and links in one folder, and the rules in another, which may be the same.
fn units(units: &Path, rules: &Path) -> Files {
    let mut found = files(units);
    found.extend(files(rules));
    found
}

/// systemctl knows each unit, and systemd would start those that have a link.
fn assert_units_start(root: &Path) {
    let folder = root.join(UNITS);
    let systemctl = |command: &str, unit: &str| {
        let mut systemctl = Command::new("systemctl");
        systemctl.arg(format!("--root={}", root.display()));
        output(systemctl.args([command, unit]))
    };
    let state = |unit: &str| {
        let said = String::from_utf8(systemctl("is-enabled", unit).stdout).unwrap();
        said.trim_end().to_string()
    };
    let mut wanted = Vec::new();
    for name in files(&folder).keys() {
        match name.split_once(".wants/") {
            Some((_, unit)) => wanted.push(unit.to_string()),
            None => assert_eq!(state(name), "static", "{name}"),
        }
    }
    let jobs = jobs_of_a_boot(root);
    for unit in &wanted {
        assert!(jobs.contains(unit), "{unit}: {jobs:?}");
    }

    for unit in &wanted {
        assert!(systemctl("mask", unit).status.success(), "{unit}");
        assert_eq!(state(unit), "masked", "{unit}");
    }
    let jobs = jobs_of_a_boot(root);
    for unit in &wanted {
        assert!(!jobs.contains(unit), "{unit}: {jobs:?}");
        assert!(systemctl("unmask", unit).status.success(), "{unit}");
    }
}

/// The units that systemd would start with the units of this root and two targets.
/// systemd's test mode wants an ordinary user.
fn jobs_of_a_boot(root: &Path) -> Vec<String> {
    let own = Folder::new();
    for (name, text) in [
        (
            "test.target",
            "[Unit]\nWants=multi-user.target timers.target\n",
        ),
        ("multi-user.target", "[Unit]\n"),
        ("timers.target", "[Unit]\n"),
    ] {
        fs::write(own.0.join(name), text).unwrap();
    }
    let folders = [&own.0, &root.join("etc/systemd/system"), &root.join(UNITS)];
    let path = std::env::join_paths(folders).unwrap();
    let runtime = own.0.join("runtime");
    fs::create_dir(&runtime).unwrap();
    // For that user.
    for (folder, mode) in [
        (&*own.0, 0o755),
        (&runtime, 0o777),
        (root.parent().unwrap(), 0o755),
    ] {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut systemd = Command::new("timeout");
    systemd.arg("60");
    if nix::unistd::geteuid().is_root() {
        systemd.args(["setpriv", "--reuid=65534", "--clear-groups"]);
    }
    systemd.args(["/lib/systemd/systemd", "--test", "--user"]);
    systemd.args(["--unit=test.target", "--no-pager"]);
    systemd.env("SYSTEMD_UNIT_PATH", path);
    systemd.envs([("HOME", &own.0), ("XDG_RUNTIME_DIR", &runtime)]);
    let said = run(&mut systemd);
    let (_, jobs) = said.split_once("-> By jobs:").expect(&said);
    jobs.lines()
        .filter_map(|line| line.trim().strip_prefix("Action: "))
        .filter_map(|job| job.strip_suffix(" -> start"))
        .map(str::to_string)
        .collect()
}

/// Nothing of the package is left.
fn assert_empty(root: &Path) {
    let left: Vec<_> = files(&root.join("usr")).into_keys().collect();
    assert_eq!(left, [""; 0]);
}

/// A command that may change the owners of files, of which an ordinary user has only
/// one.
fn as_root(program: &str) -> Command {
    if nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", program]);
    command
}
