//! The shape of `src`, checked in the source: imports point down the table of modules in
//! `src/lib.rs`, and there is no circle of imports between files; a file name stands for
//! one thing; few functions are long; what was removed does not come back. Tests are
//! exempt; from the rule for imports also `rt`, `main.rs` and `initramfs.rs`.
//!
//! And of all tests: none ends early, and make runs each that is ignored.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each module and what it may import: some of the modules in rows below it.
const LAW: &str = "
lib supervise boot cli base
supervise cli changeset base
inspect boot cli disk context login changeset image plan base
boot cli parameters disk context managers system login kernel banner changeset image plan base
cli base
parameters changeset base
disk base
context plan base
managers changeset image plan base
system changeset image plan base
login changeset image plan base
kernel plan base
banner plan base
changeset image base
image base
plan base
base";

/// The modules whose files do not import each other, but for one that all may import.
const APART: [(&str, &str); 2] = [("managers", "names"), ("system", "resolvers")];

#[test]
fn the_law_points_down_the_table() {
    let top = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    let is_row = |line: &&str| line.starts_with("//! | [`");
    let rows: Vec<_> = top.lines().filter(is_row).collect();
    let row = |module| {
        rows.iter()
            .position(|row| row.contains(&format!("[`{module}`]")))
    };
    for law in LAW.lines().skip(1) {
        let (module, allowed) = law.split_once(' ').unwrap_or((law, ""));
        assert!(row(module).is_some() || module == "lib", "{module}: no row");
        for name in allowed.split_terminator(' ') {
            assert!(row(name) > row(module), "{module}: {name} is not below it");
        }
    }
}

#[test]
fn imports_obey_the_law() {
    assert_eq!(mistakes(&sources()), [""; 0]);
}

/// Sources without a mistake: a file and a line of its code. `|` stands for a newline.
const GOOD: &str = "
lib: pub mod disk;|use base::log;
base: pub mod log;
base/log: use super::Arena;|use crate::base::log;
plan: use crate::base::log::Report as R;
disk: mod search;|pub use search::search;|// crate::plan::Plan
disk: #[cfg(test)]|mod tests {|    use crate::plan::Plan;|}
disk/search: use crate::base::{|    log::{self, Report},|};
disk/tests: use crate::plan::Plan;
managers: mod networkd;|fn f() {|    networkd::f();|}
managers/networkd: use super::names::name_of;|use crate::plan;
managers/names: use crate::base;
managers/dhcpcd: use super::names;
system/hosts: use crate::plan;
system/hostname: use crate::base;";

/// Lines that add one mistake, and what is said of it.
const BAD: &str = "
disk: use crate::plan::Plan; => disk: imports plan
disk: pub(crate) use crate::plan::*; => disk: imports plan
disk: use crate::{base, plan::{self, A}}; => disk: imports plan
disk/search: use super::super::plan; => disk/search: imports plan
disk/search: fn f(_: crate::plan::Plan) {} => disk/search: imports plan
disk/search:     $crate::plan::f(); => disk/search: imports plan
plan: use crate::disk; => plan: imports disk
base: use log::Report; => base, base/log: in a circle
disk/search: use super::Disk; => disk, disk/search: in a circle
managers/networkd: use super::dhcpcd::f; => managers/networkd: imports managers/dhcpcd
system/hosts: use super::hostname::f; => system/hosts: imports system/hostname
system/hosts: use crate::managers; => system/hosts: imports managers
new: fn f() {} => new: no row in the law";

#[test]
fn a_mistake_is_found() {
    let add = |files: &mut Files, line: &str| {
        let (file, code) = line.split_once(": ").unwrap();
        let text = files.entry(file.into()).or_default();
        *text += &format!("{}\n", code.replace('|', "\n"));
    };
    let mut good = Files::new();
    GOOD.lines().skip(1).for_each(|line| add(&mut good, line));
    assert_eq!(mistakes(&good), [""; 0]);
    for case in BAD.lines().skip(1) {
        let (line, mistake) = case.split_once(" => ").unwrap();
        let mut files = good.clone();
        add(&mut files, line);
        assert_eq!(mistakes(&files), [mistake], "{line}");
    }
}

/// Modules with the same name, and the one thing that they are about.
const SHARED_NAMES: &str = "
context/hostname system/hostname: the host name: what the context says, what is written
context/keys context/lint/keys login/keys: SSH keys: in the context, `check`'s advice, in the root
context/scripts system/scripts: scripts of a context: which there are, how they are run
context/shell base/text/shell: words of a shell: how they are read, how they are written
image/account login/account: an account: what the root has for it, what is done
image/cloud_init system/cloud_init: cloud-init: what starts it, what is written for it
image/ifupdown managers/ifupdown: ifupdown: its files, what is written for it
image/managers managers: network managers: which are enabled, what is written for them
image/networkd managers/networkd: systemd-networkd: what there is, what is written
image/sshd login/sshd: the SSH server: what there is, what it lacks
image/initramfs initramfs: the initramfs: what it is like, the program for it
kernel/dhcp managers/dhcp: DHCP without a network manager: the client, when it is used
base/text plan/text: text: the type, the values of a plan
base/description plan/description changeset/description: what both forms say: how, of each";

#[test]
fn a_file_name_stands_for_one_thing() {
    let files = sources();
    let mut modules: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files.keys().filter(|file| !is_test(file)) {
        let name = file.rsplit('/').next().unwrap();
        modules.entry(name).or_default().insert(file);
    }
    let shared: BTreeSet<_> = modules.into_values().filter(|all| all.len() > 1).collect();
    let lines = SHARED_NAMES.lines().skip(1);
    let known = lines.map(|line| line.split_once(": ").unwrap().0.split(' ').collect());
    assert_eq!(shared, known.collect());
}

/// clippy.toml says what is long.
#[test]
fn few_functions_are_long_and_each_has_a_reason() {
    const LINT: &str = "clippy::too_many_lines";
    let mut long = 0;
    for (file, text) in &sources() {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (at, _) in text.match_indices(LINT) {
            let is_expected = text[..at].ends_with("expect(") || text[..at].ends_with("expect( ");
            let has_reason = text[at + LINT.len()..].starts_with(", reason = \"");
            match file.as_str() {
                "lib" => assert!(text[..at].ends_with("cfg_attr(not(test), warn(")),
                _ => assert!(is_expected && has_reason, "{file}"),
            }
            long += usize::from(file != "lib");
        }
    }
    assert!(long <= 8, "{long} functions");
}

/// Types, fields and files that were removed for something simpler, and what it is.
const REMOVED: &str = "
RootAccess: changeset/place.rs alone knows whether the root can be written
WritableLater: with onecontext.root=ro the booted system does not write the root, either
Placement: changeset/place.rs alone knows how a change reaches the booted system
WantedAccount: the facts of a root are one tree, image/facts.rs
struct Wanted: the same
Inspector: main.rs calls what the initramfs lacks, by name
arena: &: memory is that of the process, base/memory.rs
load.rs: a boot is in boot.rs, for both stages
apply.rs: the same
MatchedLink: a link, its devices and its lease are one type, BoundLink of plan/bound.rs
DhcpLink: the same
struct Applied: the same
FoundDevice: the same
type Binding: the same
config.rs: image has a file for each subject";

#[test]
fn what_was_removed_does_not_come_back() {
    let files = sources();
    for line in REMOVED.lines().skip(1) {
        let (name, instead) = line.rsplit_once(": ").unwrap();
        for (file, text) in &files {
            let is_back = match name.strip_suffix(".rs") {
                Some(name) => file.split('/').any(|part| part == name),
                None => text.contains(name),
            };
            assert!(!is_back, "{file}: {name} is back: {instead}");
        }
    }
    // A change that cannot be made at its path is placed elsewhere, not decided again.
    let changes = files["changeset/change"].split_once("pub struct Changes {");
    let (fields, _) = changes.unwrap().1.split_once("\n}").unwrap();
    assert!(!fields.contains("refused:"), "{fields}");
}

/// A test that ends early passes without having run, and libtest hides its output. It
/// fails instead, or is `#[ignore]`d with the reason.
#[test]
fn no_test_ends_early() {
    let mut count = 0;
    for (file, text) in &all_tests() {
        for test in text.split("#[test]\n").skip(1) {
            let body = test.split("\n}\n").next().unwrap();
            let body = body.split("\n    }\n\n").next().unwrap();
            let ends_early = body.lines().any(|line| line.trim() == "return;");
            assert!(!ends_early, "{file}: a test ends early: {body}");
            count += 1;
        }
        for word in ["\"CI\"", "println!(\"skip"] {
            assert!(!text.contains(word), "{file}: {word}: a test may not run");
        }
    }
    assert!(count > 500, "{count} tests");
}

/// The reasons to ignore a test, and what in the Makefile runs those of a program.
const IGNORED: &str = "
needs root: make test-fast => as_root =
needs root and the kernel's module 8021q: make test-fast => as_root =
takes a minute: make faults => faults ::all::
takes minutes: make faults => faults ::all::
takes a minute: make test-hang => namespace hang::
takes a minute: make test-cost => release scale::cost
takes minutes: make test-logins => logins suites::
needs root, FUSE and loop devices: make powercut => faults powercut::
makes packages => release packages::
downloads a toolchain => release packages::
a part of make bench => release bench::
a benchmark => machines
boots a machine => tests/run/boots
makes images => tests/run/boots";

#[test]
fn make_runs_what_is_ignored() {
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile");
    let makefile = fs::read_to_string(makefile).unwrap();
    let mut known: BTreeSet<_> = IGNORED.lines().skip(1).collect();
    for (file, text) in &all_tests() {
        let program = file.split('/').nth(1).unwrap();
        for line in text.lines().map(str::trim) {
            let Some(rest) = line.strip_prefix("#[ignore") else {
                continue;
            };
            let reason = rest
                .strip_prefix(" = \"")
                .and_then(|rest| rest.strip_suffix("\"]"));
            let reason = reason.unwrap_or_else(|| panic!("{file}: ignored without a reason"));
            let row = format!("{reason} => ");
            let row = IGNORED.lines().find(|line| line.starts_with(&row));
            let row = row.unwrap_or_else(|| panic!("{file}: what runs it? {reason}"));
            known.remove(row);
            let how = row.split(" => ").nth(1).unwrap();
            let is_run = |line: &str| match how {
                "as_root =" => line.starts_with(how) && line.split(' ').any(|word| word == program),
                how => line.contains(how),
            };
            let is_of_library =
                file.starts_with("src/") && makefile.contains("--lib -- --include-ignored");
            assert!(
                is_of_library || makefile.lines().any(is_run),
                "{file}: {row}"
            );
        }
    }
    assert_eq!(known, BTreeSet::new());
}

/// The text of each file that has tests, of this package.
fn all_tests() -> Files {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Files::new();
    for folder in ["src", "tests"] {
        read(&top.join(folder), folder, &mut files);
    }
    // This file has the words that it looks for.
    files.remove("tests/release/shape");
    files.retain(|_, text| text.contains("#[test]\n"));
    files
}

/// `make lint` prints them.
#[test]
fn lines_of_code() {
    let files = sources();
    let files = files.iter().filter(|(file, _)| !is_test(file));
    let codes = files.map(|(_, text)| code(text));
    let lines = |code: String| code.lines().filter(|line| !line.trim().is_empty()).count();
    let all: usize = codes.map(lines).sum();
    println!("\nsrc: {all} lines of code, without tests, comments and blank lines; aim: 14500");
    assert!(all > 10_000, "the files were not found");
}

/// The text of each file by its module: `disk` for `disk/mod.rs`.
type Files = BTreeMap<String, String>;

/// All files of the program.
fn sources() -> Files {
    let mut files = Files::new();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read(&top, "", &mut files);
    assert!(files.len() > 40, "{} files", files.len());
    files
}

fn read(folder: &Path, module: &str, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner = format!("{module}/{name}")
            .trim_start_matches('/')
            .to_string();
        if path.is_dir() {
            read(&path, &inner, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = if name == "mod" { module.into() } else { inner };
            files.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// What is wrong, in the order of the files. Circles come last.
fn mistakes(files: &Files) -> Vec<String> {
    let top = |module: &str| module.split('/').next().unwrap().to_string();
    let mut found = Vec::new();
    let mut imports = BTreeMap::new();
    for (file, text) in files.iter().filter(|(file, _)| !is_exempt(file)) {
        let mut laws = LAW.lines().map(|law| law.split(' '));
        let Some(allowed) = laws.find(|law| law.clone().next() == Some(&top(file))) else {
            found.push(format!("{file}: no row in the law"));
            continue;
        };
        let paths = paths(&code(text));
        let imported = paths.iter().filter_map(|path| module(files, file, path));
        let imported: BTreeSet<_> = imported.filter(|module| module != file).collect();
        for other in &imported {
            let mut apart = APART.iter().filter(|(module, _)| *module == top(file));
            let is_lawful = match (file.split_once('/'), other.split_once('/')) {
                (Some((from, _)), Some((to, name))) if from == to => {
                    apart.all(|(_, shared)| *shared == name)
                }
                _ => allowed.clone().any(|name| name == top(other)),
            };
            if !is_lawful {
                found.push(format!("{file}: imports {other}"));
            }
        }
        imports.insert(file.as_str(), imported);
    }
    let files = imports.keys().copied();
    let circle: Vec<_> = files.filter(|file| reaches(&imports, file)).collect();
    if !circle.is_empty() {
        found.push(format!("{}: in a circle", circle.join(", ")));
    }
    found
}

/// Whether a file contains tests, or belongs to the start-up of a program.
fn is_exempt(file: &str) -> bool {
    matches!(file.split('/').next(), Some("main" | "initramfs" | "rt")) || is_test(file)
}

/// Whether a file contains tests.
fn is_test(file: &str) -> bool {
    let is_test = |name: &str| matches!(name, "tests" | "testing") || name.ends_with("_tests");
    file.split('/').any(is_test)
}

/// Whether a file imports itself through others.
fn reaches(imports: &BTreeMap<&str, BTreeSet<&str>>, file: &str) -> bool {
    let (mut found, mut left) = (BTreeSet::new(), vec![file]);
    while let Some(file) = left.pop() {
        let imported = imports.get(file).into_iter().flatten().copied();
        left.extend(imported.filter(|other| found.insert(*other)));
    }
    found.contains(file)
}

/// The module that a path in a file leads into, if it is one of this crate.
fn module<'f>(files: &'f Files, file: &str, path: &str) -> Option<&'f str> {
    let first = path.split("::").next()?;
    let is_anchored = matches!(first, "crate" | "self" | "super");
    let mut at: Vec<_> = file.split('/').filter(|name| *name != "lib").collect();
    if !is_anchored && !files.contains_key(&[&at[..], &[first]].concat().join("/")) {
        return None;
    }
    for name in path.split("::") {
        match name {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            _ => at.push(name),
        }
    }
    let mut ends = (1..=at.len()).rev();
    let found = ends.find_map(|end| files.get_key_value(&at[..end].join("/")));
    found.map_or(Some("lib"), |(module, _)| Some(module))
}

/// The text without comments and without modules of unit tests, as rustfmt writes them.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    let mut text = lines.collect::<Vec<_>>().join("\n") + "\n";
    for head in [
        "#[cfg(test)]\nmod tests {",
        "#[cfg(test)]\npub(crate) mod tests {",
    ] {
        if let Some(start) = text.find(head) {
            let length = text[start..].find("\n}\n").expect("the end of the module");
            text.replace_range(start..start + length + "\n}".len(), "");
        }
    }
    text
}

/// All paths in a text, and those that a `use` with braces stands for.
fn paths(code: &str) -> Vec<String> {
    let words = code.split(|sign: char| !sign.is_alphanumeric() && !"_:".contains(sign));
    let words = words.filter(|word| word.contains("::") && !word.ends_with(':'));
    let mut all: Vec<_> = words.map(String::from).collect();
    for (start, _) in code.match_indices("use ") {
        let before = code[..start].rsplit('\n').next().unwrap().trim_start();
        if before.is_empty() || before.starts_with("pub") {
            all.extend(leaves(code[start + 4..].split(';').next().unwrap()));
        }
    }
    all
}

/// `a::b` and `a::c::d` for `a::{b, c::d}`.
fn leaves(tree: &str) -> Vec<String> {
    let Some((start, rest)) = tree.split_once('{') else {
        return vec![tree.split(' ').next().unwrap().into()];
    };
    let (inner, _) = rest.rsplit_once('}').unwrap();
    let mut depth = 0;
    let parts = inner.split(|sign| {
        depth += i32::from(sign == '{') - i32::from(sign == '}');
        sign == ',' && depth == 0
    });
    parts
        .flat_map(|part| leaves(&format!("{start}{}", part.trim())))
        .collect()
}
