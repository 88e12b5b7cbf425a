//! What a context costs at boot: the time from power-on to the SSH login, compared with
//! the same image with everything baked in, and with cloud-init, which reads the same
//! disk. Also what the early stage costs an image that has no use for it.

use crate::figures;
use crate::support::image::Image;
use crate::support::machine::{Inside, Machine};
use crate::two_nics::*;
use std::fs;
use std::time::Duration;

/// Boots of each, unless `BENCH_BOOTS` says otherwise; the fastest counts.
const BOOTS: u32 = 3;

/// The first NIC as in `TWO_NICS`; nothing waits for the second.
const BAKED: &str = "[Match]\nMACAddress=02:00:0a:12:01:01\n\
    [Network]\nDHCP=no\nIPv6AcceptRA=no\nAddress=10.18.1.1/24\nGateway=10.18.1.254\n";

/// Prints the table. `make bench` runs it, on a machine that does nothing else; the
/// fastest boot of each counts.
#[test]
#[ignore = "a benchmark"]
fn power_on_to_login() {
    let boots = match std::env::var("BENCH_BOOTS") {
        Ok(boots) => boots.parse().unwrap(),
        Err(_) => BOOTS,
    };
    let mut fastest = [Duration::MAX; WAYS.len()];
    for _ in 0..boots {
        for (fastest, way) in fastest.iter_mut().zip(WAYS) {
            let (machine, key) = machine(Image::With(way.image), &TWO_NICS);
            // Making host keys would cost more than everything else.
            let host_key = fs::read_to_string(&key.file).unwrap();
            let machine = machine.write("/etc/ssh/ssh_host_ecdsa_key", &host_key);
            let mut running = (way.change)(machine, &key.public).start();
            let mut login = running.login(way.user, 1, &key);
            *fastest = login.took.min(*fastest);
            if way.user != "root" {
                let version = "dpkg-query -W -f '${Version}' cloud-init";
                figures::keep("cloud-init", "version", login.run(version));
            }
        }
    }
    let baked = fastest[0].as_secs_f64();
    println!("power-on to login, the fastest of {boots}");
    figures::keep("boot", "boots", boots);
    for (way, time) in WAYS.iter().zip(fastest) {
        let time = time.as_secs_f64();
        let ratio = time / baked;
        println!("{:<52} {time:5.1} s, ratio {ratio:.2}", way.name);
        figures::keep(way.name, "power-on to login", time);
    }
}

/// A way to set up a login.
struct Way {
    name: &'static str,
    image: &'static str,
    change: fn(Machine, &str) -> Machine,
    /// The user that logs in.
    user: &'static str,
}

/// The first is what the others are compared with.
const WAYS: [Way; 6] = [
    Way {
        name: "everything baked in",
        image: "networkd",
        change: baked,
        user: "root",
    },
    Way {
        name: "everything baked in, onecontext finds no disk",
        image: "networkd",
        change: no_disk,
        user: "root",
    },
    Way {
        name: "onecontext",
        image: "networkd",
        change: by_context,
        user: "root",
    },
    Way {
        name: "cloud-init",
        image: "cloud-init-networkd",
        change: by_cloud_init,
        user: "debian",
    },
    Way {
        name: "an SSH server in the initramfs, everything baked in",
        image: "early-networkd",
        change: baked,
        user: "root",
    },
    Way {
        name: "the same, the early stage finds no disk",
        image: "early-networkd",
        change: no_disk,
        user: "root",
    },
];

fn by_context(machine: Machine, _: &str) -> Machine {
    machine
}

/// cloud-init alone, with its own default user, and with sudo, by which it reads the
/// context. It need not make host keys, and need not wait for a name that no server
/// resolves.
fn by_cloud_init(machine: Machine, _: &str) -> Machine {
    let keys = "ssh_deletekeys: false\nssh_genkeytypes: []\n";
    machine
        .kernel("onecontext=off")
        .write("/etc/hosts", "127.0.1.1 image web1\n")
        .write("/etc/cloud/cloud.cfg.d/20_keys.cfg", keys)
}

fn baked(machine: Machine, key: &str) -> Machine {
    no_disk(machine, key).kernel("onecontext=off")
}

/// The same, and it looks for a context disk in vain.
fn no_disk(machine: Machine, key: &str) -> Machine {
    let file = "/etc/systemd/network/10-baked.network";
    machine
        .without_disks()
        .write(file, BAKED)
        // The user of networkd must be able to read it.
        .edit(&format!("set_inode_field {file} mode 0100644"))
        .write("/root/.ssh/authorized_keys", &format!("{key}\n"))
}
