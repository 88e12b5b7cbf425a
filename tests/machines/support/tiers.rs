//! The tiers of the boots: `tests/run/tiers` names those of all tiers but the second,
//! which has every other one.

use super::progress::tests_of_this_program;

const TIERS: &str = include_str!("../../run/tiers");

/// The tiers that the file lists.
const LISTED: [&str; 5] = ["first", "matrix", "unreleased", "aarch64", "bench"];

/// Checks that every name in `tests/run/tiers` is a test and occurs once, so each test
/// is in exactly one tier. And that every test but those of the lists is `#[ignore]`d:
/// plain `cargo test` boots nothing, and reports no boot as passed that did not run.
pub fn assert_each_boot_has_one_tier() {
    let arguments = |list: &[&str]| list.iter().map(|one| one.to_string()).collect::<Vec<_>>();
    let ignored = tests_of_this_program(arguments(&["--ignored"]).into_iter());
    let all = tests_of_this_program(arguments(&[]).into_iter());
    for name in all.iter().filter(|name| !ignored.contains(name)) {
        let lists = ["each_boot_has_one_tier", "pairs::each_row_has_its_boot"];
        let of_lists = lists.contains(&name.as_str()) || name.starts_with("support::");
        assert!(of_lists, "{name} is not #[ignore]d");
    }

    let mut names = Vec::new();
    for line in TIERS.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        let [tier, name] = words[..] else {
            panic!("not `TIER NAME`: {line}");
        };
        assert!(LISTED.contains(&tier), "{line}");
        assert!(ignored.contains(&name.to_string()), "no such test: {line}");
        assert!(!names.contains(&name), "twice: {name}");
        names.push(name);
    }
}
