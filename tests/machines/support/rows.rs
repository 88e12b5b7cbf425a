//! Machines in which every pair of values of two columns occurs. The list is made by a
//! simple greedy search and is short; all combinations would be ten thousand machines.

use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};

/// The seed of the list; another seed gives another list.
pub const SEED: u64 = 14;

/// The columns. Each row has one value of each.
pub const COLUMNS: [(&str, &[&str]); 8] = [
    ("release", &["Debian 12", "Debian 13", "forky"]),
    (
        "initramfs",
        &["initramfs-tools", "dracut", "dracut without systemd"],
    ),
    (
        "manager",
        &[
            "none",
            "networkd, resolved",
            "networkd",
            "NetworkManager",
            "ifupdown",
            "netplan",
        ],
    ),
    ("kernel", &["generic", "cloud"]),
    ("machine", &["i440fx", "q35"]),
    (
        "context drive",
        &["IDE or SATA", "virtio-scsi", "virtio-blk", "USB"],
    ),
    (
        "NIC",
        &["virtio-net", "e1000", "e1000e", "rtl8139", "vmxnet3"],
    ),
    ("firmware", &["BIOS", "UEFI"]),
];

/// A machine: a value of each column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    pub release: &'static str,
    pub initramfs: &'static str,
    pub manager: &'static str,
    pub kernel: &'static str,
    pub machine: &'static str,
    pub drive: &'static str,
    pub nic: &'static str,
    pub firmware: &'static str,
}

impl Row {
    /// In the order of `COLUMNS`.
    pub fn values(&self) -> [&'static str; COLUMNS.len()] {
        [
            self.release,
            self.initramfs,
            self.manager,
            self.kernel,
            self.machine,
            self.drive,
            self.nic,
            self.firmware,
        ]
    }

    /// Whether there can be such a machine. Debian's cloud kernel has no USB drivers,
    /// and of these NICs drivers for virtio-net and vmxnet3 alone; in Debian 12 it has
    /// no AHCI driver either (`/boot/config-*`, CONFIG_USB_SUPPORT, CONFIG_E1000,
    /// CONFIG_E1000E, CONFIG_8139CP, CONFIG_8139TOO, CONFIG_SATA_AHCI).
    pub fn is_possible(&self) -> bool {
        if self.kernel != "cloud" {
            return true;
        }
        let is_sata = self.machine == "q35" && self.drive == "IDE or SATA";
        self.drive != "USB"
            && ["virtio-net", "vmxnet3"].contains(&self.nic)
            && !(is_sata && self.release == "Debian 12")
    }

    pub fn is_released(&self) -> bool {
        self.release != "forky"
    }

    /// The name of its image, as tests/images/build has it.
    pub fn image(&self) -> String {
        let suite = match self.release {
            "Debian 12" => "",
            "Debian 13" => "trixie-",
            other => &format!("{other}-"),
        };
        let manager = match self.manager {
            "none" => "",
            // Both use the same image; one of them removes resolved.
            "networkd, resolved" | "networkd" => "networkd",
            "NetworkManager" => "network-manager",
            // forky has no isc-dhcp-client any more.
            "ifupdown" if self.release == "Debian 12" => "ifupdown",
            "ifupdown" => "ifupdown-dhcpcd",
            _ => "netplan-networkd",
        };
        let kind = match (self.initramfs, manager) {
            ("initramfs-tools", "") => "initramfs-tools",
            ("initramfs-tools", _) => manager,
            (_, "") => "dracut",
            _ => &format!("{manager}-dracut"),
        };
        let kernel = match self.kernel {
            "cloud" => "-cloud",
            _ => "",
        };
        format!("{suite}{kind}{kernel}")
    }
}

/// Two columns and a value of each.
pub type Pair = [(usize, &'static str); 2];

/// The pairs that a row has.
pub fn pairs(row: &Row) -> Vec<Pair> {
    let values = row.values();
    let columns = 0..COLUMNS.len();
    let firsts = columns.clone();
    firsts
        .flat_map(|one| {
            columns
                .clone()
                .skip(one + 1)
                .map(move |other| [(one, values[one]), (other, values[other])])
        })
        .collect()
}

/// All possible machines.
pub fn possible_rows() -> Vec<Row> {
    let [a, b, c, d, e, f, g, h] = COLUMNS.map(|(_, values)| values);
    let mut rows = Vec::new();
    let count: usize = COLUMNS.iter().map(|(_, values)| values.len()).product();
    for mut number in 0..count {
        let mut pick = |values: &[&'static str]| {
            let value = values[number % values.len()];
            number /= values.len();
            value
        };
        let row = Row {
            release: pick(a),
            initramfs: pick(b),
            manager: pick(c),
            kernel: pick(d),
            machine: pick(e),
            drive: pick(f),
            nic: pick(g),
            firmware: pick(h),
        };
        if row.is_possible() {
            rows.push(row);
        }
    }
    rows
}

/// The list. The next machine is always the one with the most new pairs; among equals
/// one whose image the list already has, since images take long to make; then the seed
/// decides.
pub fn rows(seed: u64) -> Vec<Row> {
    let rows = possible_rows();
    let numbers: BTreeMap<Pair, usize> = rows
        .iter()
        .flat_map(pairs)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .enumerate()
        .map(|(number, pair)| (pair, number))
        .collect();
    let mut random = Random(seed);
    let mut candidates: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let its: Vec<usize> = pairs(&row).iter().map(|pair| numbers[pair]).collect();
            (random.next(), its, row.image(), row)
        })
        .collect();
    candidates.sort_by_key(|(order, ..)| *order);

    let mut is_missing = vec![true; numbers.len()];
    let mut images = BTreeSet::new();
    let mut chosen = Vec::new();
    while is_missing.contains(&true) {
        let (_, its, image, best) = candidates
            .iter()
            .max_by_key(|(_, its, image, _)| {
                let news = its.iter().filter(|number| is_missing[**number]).count();
                (news, images.contains(image))
            })
            .expect("there are machines");
        for number in its {
            is_missing[*number] = false;
        }
        images.insert(image);
        chosen.push(*best);
    }
    chosen
}

#[test]
fn every_pair_that_can_be_is_there() {
    let pairs_of = |rows: Vec<Row>| -> BTreeSet<_> { rows.iter().flat_map(pairs).collect() };
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
    assert!(list.iter().all(Row::is_possible));
    for (index, row) in list.iter().enumerate() {
        println!(
            "{} {} ({})",
            index + 1,
            row.values().join(" | "),
            row.image()
        );
    }
}
