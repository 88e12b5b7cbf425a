//! `slice` with a stand-in for cargo: which boots it takes, and what it leaves out.
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Lists or runs the boots that it is asked for; the file "failing" has one line for
/// each time that a boot fails.
const CARGO: &str = r#"#!/bin/sh
list=
names=
for word in "$@"; do
	case $word in
	--list) list=yes ;;
	-* | test | machines) ;;
	*) names="$names $word" ;;
	esac
done
status=0
for name in $names; do
	if [ "$list" ]; then
		echo "$name: test"
		continue
	fi
	echo "$name" >>calls
	if grep -qx "$name" failing 2>/dev/null; then
		sed -i "0,/^$name\$/{/^$name\$/d}" failing
		echo "test $name ... FAILED"
		status=101
	else
		echo "test $name ... ok"
	fi
done
exit $status
"#;

/// What a run has printed and booted.
struct Run {
    passed: bool,
    printed: String,
    booted: Vec<String>,
}

/// A source tree with twenty boots of the matrix.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Tree {
        let template = std::env::temp_dir().join("onecontext-XXXXXX");
        let tree = Tree(nix::unistd::mkdtemp(&template).unwrap());
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(tree.0.join("tests/run")).unwrap();
        for script in ["tests/run/slice", "tests/run/boots", "tests/run/boots.sh"] {
            fs::copy(source.join(script), tree.0.join(script)).unwrap();
        }
        let released: String = (0..20).map(|n| format!("matrix a::b_{n}\n")).collect();
        let tiers = format!("first one\n{released}unreleased of_sid\naarch64 far\n");
        tree.write("tests/run/tiers", &tiers);
        tree
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Runs it in the given minute of CI's run.
    fn run(&self, minute: u64) -> Run {
        // Not in the tree, of which every file counts.
        let folder = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        let cargo = folder.join("cargo");
        let failing = self.0.join("target/failing");
        let script = CARGO
            .replace("failing", failing.to_str().unwrap())
            .replace("calls", folder.join("calls").to_str().unwrap());
        fs::write(&cargo, script).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();

        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let output = Command::new(self.0.join("tests/run/slice"))
            .arg((now.as_secs() - minute * 60).to_string())
            .env("CARGO", &cargo)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let calls = fs::read_to_string(folder.join("calls")).unwrap_or_default();
        fs::remove_dir_all(folder).unwrap();
        Run {
            passed: output.status.success(),
            printed: String::from_utf8(printed).unwrap(),
            booted: calls.lines().map(str::to_string).collect(),
        }
    }

    fn fail(&self, names: &[&str]) {
        fs::create_dir_all(self.0.join("target")).unwrap();
        self.write("target/failing", &format!("{}\n", names.join("\n")));
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Eight different boots of the matrix.
fn assert_is_a_slice(run: &Run) {
    let Run {
        passed,
        printed,
        booted,
    } = run;
    assert!(passed, "{printed}");
    assert_eq!(booted.len(), 8, "{printed}");
    assert!(booted.iter().all(|name| name.starts_with("a::b_")));
    assert_eq!(booted.iter().collect::<BTreeSet<_>>().len(), 8);
    assert!(printed.starts_with("slice: 8 of 20 boots, chosen by the "));
    let named: Vec<_> = printed.lines().skip(1).take(8).collect();
    assert_eq!(named, *booted);
}

#[test]
fn the_commit_chooses() {
    let tree = Tree::new();
    let mut slices = BTreeSet::new();
    for subject in ["one", "two"] {
        tree.git(&["init", "-q"]);
        tree.git(&["add", "."]);
        tree.git(&["commit", "-q", "--allow-empty", "-m", subject]);
        let commit = tree.git(&["rev-parse", "HEAD"]);
        let run = tree.run(40);
        assert_is_a_slice(&run);
        let first = run.printed.lines().next().unwrap();
        assert!(first.contains(commit.trim()), "{first}");
        // What is built does not count.
        tree.fail(&[]);
        assert_eq!(tree.run(40).booted, run.booted);
        slices.insert(run.booted);
    }
    assert_eq!(slices.len(), 2);
}

#[test]
fn without_git_the_files_choose() {
    let tree = Tree::new();
    let run = tree.run(40);
    assert_is_a_slice(&run);
    let first = run.printed.lines().next().unwrap();
    assert!(
        first.contains("sum") && first.contains("no clone"),
        "{first}"
    );
    tree.fail(&[]);
    assert_eq!(tree.run(40).booted, run.booted);
    tree.write("another", "");
    assert_ne!(tree.run(40).booted, run.booted);
}

#[test]
fn a_boot_that_fails_twice_fails_the_slice_and_stops_no_other() {
    let tree = Tree::new();
    let all = tree.run(40).booted;
    tree.fail(&[&all[1]]);
    let run = tree.run(40);
    assert!(run.passed, "{}", run.printed);
    assert_eq!(run.booted.len(), 9);

    tree.fail(&[&all[1], &all[1]]);
    let run = tree.run(40);
    assert!(!run.passed, "{}", run.printed);
    assert!(run.printed.contains(&format!("boots: {} FAILED", all[1])));
    assert_eq!(run.booted.last(), all.last());
}

#[test]
fn it_starts_only_if_time_is_left() {
    let tree = Tree::new();
    let all = tree.run(74).booted;
    assert_eq!(all.len(), 8);
    let run = tree.run(76);
    assert!(run.passed);
    assert_eq!(run.booted, [""; 0]);
    let last = run.printed.lines().last().unwrap();
    assert!(
        last.starts_with("slice: 14 of 90 minutes are left"),
        "{last}"
    );
    assert!(
        last.ends_with(&format!("left out: {}", all.join(" "))),
        "{last}"
    );
}
