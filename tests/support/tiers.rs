//! The tiers of the boots: `tests/tiers` names those of the first tier and of the
//! matrix; every other one is in `make test-boots`.

use super::progress::tests_of_this_program;

const TIERS: &str = include_str!("../tiers");

/// The tiers that the file lists.
const LISTED: [&str; 3] = ["first", "matrix", "bench"];

/// The program that holds a test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Boot,
    Handover,
}

impl Program {
    fn of_name(name: &str) -> Option<Program> {
        match name {
            "boot" => Some(Program::Boot),
            "handover" => Some(Program::Handover),
            _ => None,
        }
    }
}

/// Checks that every name in `tests/tiers` is a test of its program and occurs once, so
/// each test is in exactly one tier. And that every test but this one is `#[ignore]`d:
/// plain `cargo test` boots nothing, and reports no boot as passed that did not run.
pub fn assert_each_boot_has_one_tier(program: Program) {
    let arguments = |list: &[&str]| list.iter().map(|one| one.to_string()).collect::<Vec<_>>();
    let ignored = tests_of_this_program(arguments(&["--ignored"]).into_iter());
    let all = tests_of_this_program(arguments(&[]).into_iter());
    assert_eq!(all.len(), ignored.len() + 1, "{all:#?}");

    let mut names = Vec::new();
    for line in TIERS.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        let [tier, of, name] = words[..] else {
            panic!("not `TIER PROGRAM NAME`: {line}");
        };
        assert!(LISTED.contains(&tier), "{line}");
        let of = Program::of_name(of).unwrap_or_else(|| panic!("no such program: {line}"));
        if of == program {
            assert!(ignored.contains(&name.to_string()), "no such test: {line}");
            assert!(!names.contains(&name), "twice: {name}");
            names.push(name);
        }
    }
}
