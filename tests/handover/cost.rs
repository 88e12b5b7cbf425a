//! What a context costs at boot: from power-on to the SSH login, beside the
//! same image with everything baked in.

use crate::support::image::Image;
use crate::support::machine::Machine;
use crate::two_nics::*;
use std::fs;
use std::time::Duration;

/// Boots of each; the fastest counts.
const BOOTS: usize = 3;

/// The first NIC as `TWO_NICS` has it; of the second nobody waits.
const BAKED: &str = "[Match]\nMACAddress=02:00:0a:12:01:01\n\
    [Network]\nDHCP=no\nIPv6AcceptRA=no\nAddress=10.18.1.1/24\nGateway=10.18.1.254\n";

/// Prints the table. `make bench` runs it, on a machine that does nothing else.
#[test]
#[ignore = "a benchmark"]
fn power_on_to_login() {
    let mut fastest = [Duration::MAX; 3];
    for _ in 0..BOOTS {
        for (fastest, change) in fastest.iter_mut().zip([by_context, baked, no_disk]) {
            let (machine, key) = machine(Image::With("networkd"), &TWO_NICS);
            // Making host keys would cost more than all the rest.
            let host_key = fs::read_to_string(&key.file).unwrap();
            let machine = machine.write("/etc/ssh/ssh_host_ecdsa_key", &host_key);
            let mut running = change(machine, &key.public).start();
            *fastest = running.login("root", 1, &key).took.min(*fastest);
        }
    }
    let [by_context, baked, no_disk] = fastest.map(|time| time.as_secs_f64());
    println!("power-on to login, baked in and onecontext=off: {baked:.1} s");
    for (what, time) in [
        ("by a context:", by_context),
        ("baked in, no disk:", no_disk),
    ] {
        let ratio = time / baked;
        println!("power-on to login, {what:<28} {time:.1} s, ratio {ratio:.2}");
    }
}

fn by_context(machine: Machine, _: &str) -> Machine {
    machine
}

fn baked(machine: Machine, key: &str) -> Machine {
    no_disk(machine, key).kernel("onecontext=off")
}

/// The same, and the context disk is looked for.
fn no_disk(machine: Machine, key: &str) -> Machine {
    let file = "/etc/systemd/network/10-baked.network";
    machine
        .without_disks()
        .write(file, BAKED)
        // networkd is not root.
        .edit(&format!("set_inode_field {file} mode 0100644"))
        .write("/root/.ssh/authorized_keys", &format!("{key}\n"))
}
