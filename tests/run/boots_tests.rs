//! `tests/run/boots` with a stand-in for cargo: which boots pass, which are tried again,
//! and what is printed at the end.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Records its arguments, and gives the answer that the test prepared for each call.
const CARGO: &str = "#!/bin/sh
echo \"$*\" >>calls
number=$(wc -l <calls)
cat answer-$number
exit $(cat status-$number)
";

const LIST: &str = "one: test\nby::two: test\n\n2 tests, 0 benchmarks\n";
const BOTH: &str = "running 2 tests\ntest one ... ok\ntest by::two ... ok\n";
/// Output of libtest, and of cargo, which names the failed test program on stderr.
const TWO_FAILS: &str = "running 2 tests
test one ... ok
test by::two ... FAILED

failures:

---- by::two stdout ----

thread 'by::two' panicked at tests/machines/two.rs:7:5:
no address
the console's last lines:
[    1.0] Linux

failures:
    by::two

test result: FAILED. 1 passed; 1 failed
";
const TWO_PASSES: &str = "running 1 test\ntest by::two ... ok\n";

struct Scene(PathBuf);

impl Scene {
    /// A scene in which cargo gives these answers, each with an exit status, one after
    /// the other.
    fn new(answers: &[(&str, i32)]) -> Scene {
        let template = std::env::temp_dir().join("onecontext-XXXXXX");
        let top = nix::unistd::mkdtemp(&template).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(top.join("tests/run")).unwrap();
        fs::create_dir_all(top.join("target/boot-logs")).unwrap();
        for script in ["tests/run/boots", "tests/run/boots.sh"] {
            fs::copy(source.join(script), top.join(script)).unwrap();
        }
        fs::write(top.join("cargo"), CARGO).unwrap();
        fs::set_permissions(top.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        for (index, (answer, status)) in answers.iter().enumerate() {
            fs::write(top.join(format!("answer-{}", index + 1)), answer).unwrap();
            fs::write(
                top.join(format!("status-{}", index + 1)),
                status.to_string(),
            )
            .unwrap();
        }
        Scene(top)
    }

    /// Runs the script; returns whether it passed, its output, and cargo's arguments.
    fn run(&self) -> (bool, String, Vec<String>) {
        let output = Command::new(self.0.join("tests/run/boots"))
            .args(["first", "one", "by::two"])
            .env("CARGO", "./cargo")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let calls = fs::read_to_string(self.0.join("calls")).unwrap();
        let calls = calls.lines().map(|line| {
            let (_, arguments) = line.split_once(" -- --ignored ").unwrap();
            arguments.to_string()
        });
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        (output.status.success(), printed, calls.collect())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LISTS: &str = "--test-threads=1 --exact one by::two --list";
const RUNS: &str = "--test-threads=2 --exact one by::two";
const AGAIN: &str = "--test-threads=1 --exact by::two";

#[test]
fn what_passes_is_run_once() {
    let (passed, printed, calls) = Scene::new(&[(LIST, 0), (BOTH, 0)]).run();
    assert!(passed, "{printed}");
    assert_eq!(printed, BOTH);
    assert_eq!(calls, [LISTS, RUNS]);
}

#[test]
fn what_passes_alone_has_passed_and_is_named() {
    let scene = Scene::new(&[(LIST, 0), (TWO_FAILS, 101), (TWO_PASSES, 0)]);
    let log = scene.0.join("target/boot-logs/by-two.log");
    fs::write(&log, "the first console").unwrap();
    let (passed, printed, calls) = scene.run();
    assert!(passed, "{printed}");
    assert_eq!(calls, [LISTS, RUNS, AGAIN]);
    assert_eq!(
        printed.lines().last().unwrap(),
        "boots: by::two FAILED BESIDE ANOTHER ONE, passed alone; \
         its console is in target/boot-logs/by-two.first.log"
    );
    let kept = fs::read_to_string(log.with_extension("first.log")).unwrap();
    assert_eq!(kept, "the first console");
    // .ci/run prints it again.
    let summary = fs::read_to_string(scene.0.join("target/boots/first/summary")).unwrap();
    assert!(printed.ends_with(&summary), "{summary}");
}

#[test]
fn what_fails_twice_fails_and_is_shown_last() {
    let alone = TWO_FAILS.replace("test one ... ok\n", "");
    let (passed, printed, calls) = Scene::new(&[(LIST, 0), (TWO_FAILS, 101), (&alone, 101)]).run();
    assert!(!passed, "{printed}");
    assert_eq!(calls, [LISTS, RUNS, AGAIN]);
    let (_, end) = printed.rsplit_once("---- by::two stdout ----").unwrap();
    assert!(end.contains("\nno address\n"), "{end}");
    assert!(end.contains("] Linux\n"), "{end}");
    assert!(
        end.ends_with(
            "boots: by::two FAILED; all that it said is in target/boots/first/output-alone\n"
        ),
        "{end}"
    );
}

/// The program of the tests was killed.
#[test]
fn what_has_no_result_is_tried_again() {
    let killed = "running 2 tests\ntest one ... ok\n";
    let (passed, printed, calls) = Scene::new(&[(LIST, 0), (killed, 101), (TWO_PASSES, 0)]).run();
    assert!(passed, "{printed}");
    assert_eq!(calls, [LISTS, RUNS, AGAIN]);
    assert!(
        printed.ends_with("target/boots/first/output\n"),
        "{printed}"
    );

    let (passed, printed, _) = Scene::new(&[(LIST, 0), (killed, 101), ("", 101)]).run();
    assert!(!passed, "{printed}");
    assert!(printed.contains("boots: by::two FAILED"), "{printed}");
}

#[test]
fn a_run_of_no_boots_is_none() {
    // The tests do not compile.
    let (passed, printed, calls) = Scene::new(&[("", 101)]).run();
    assert!(!passed, "{printed}");
    assert_eq!(calls, [LISTS]);

    let (passed, printed, calls) = Scene::new(&[("\n0 tests, 0 benchmarks\n", 0)]).run();
    assert!(!passed, "{printed}");
    assert!(printed.contains("no boot is selected"), "{printed}");
    assert_eq!(calls, [LISTS]);
}

#[test]
fn cargo_has_the_last_word() {
    let (passed, printed, _) = Scene::new(&[(LIST, 0), (BOTH, 101)]).run();
    assert!(!passed, "{printed}");
    let scene = Scene::new(&[(LIST, 0), (TWO_FAILS, 101), (TWO_PASSES, 101)]);
    let (passed, printed, _) = scene.run();
    assert!(!passed, "{printed}");
}

#[test]
fn many_failures_are_no_busy_host() {
    let names = ["a", "b", "c", "d", "e"];
    let list: String = names.map(|name| format!("{name}: test\n")).concat();
    let run: String = names
        .map(|name| format!("test {name} ... FAILED\n"))
        .concat();
    let (passed, printed, calls) = Scene::new(&[(&list, 0), (&run, 101)]).run();
    assert!(!passed, "{printed}");
    assert_eq!(calls, [LISTS, RUNS]);
    assert!(printed.contains("boots: e FAILED"), "{printed}");
}
