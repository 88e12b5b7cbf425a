//! The list of `make test-pairs` has the properties that it is described with.
#[path = "support/pairs.rs"]
#[allow(dead_code, reason = "tests/handover boots the list")]
mod pairs;
#[path = "support/random.rs"]
mod random;

use pairs::{COLUMNS, SEED, possible_rows, rows};
use std::collections::BTreeSet;

#[test]
fn every_pair_that_can_be_is_there() {
    let pairs_of =
        |rows: Vec<pairs::Row>| -> BTreeSet<_> { rows.iter().flat_map(pairs::pairs).collect() };
    assert_eq!(pairs_of(rows(SEED)), pairs_of(possible_rows()));
    // The impossible pairs: a cloud kernel with USB and with three NICs.
    let all: usize = (0..COLUMNS.len())
        .flat_map(|one| (0..one).map(move |other| COLUMNS[one].1.len() * COLUMNS[other].1.len()))
        .sum();
    assert_eq!(pairs_of(possible_rows()).len(), all - 4);
}

#[test]
fn every_value_is_there_twice() {
    let rows = rows(SEED);
    for (column, (_, values)) in COLUMNS.iter().enumerate() {
        for value in *values {
            let count = rows
                .iter()
                .filter(|row| row.values()[column] == *value)
                .count();
            assert!(count >= 2, "{value}: {count}");
        }
    }
}

#[test]
fn the_seed_alone_decides() {
    let list = rows(SEED);
    assert_eq!(list, rows(SEED));
    assert_ne!(list, rows(SEED + 1));
    assert!(list.iter().all(pairs::Row::is_possible));
    for (index, row) in list.iter().enumerate() {
        println!(
            "{} {} ({})",
            index + 1,
            row.values().join(" | "),
            row.image()
        );
    }
}
