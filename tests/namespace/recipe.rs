//! The script that this program replaces, and one as OpenNebula's own package has it,
//! on the same context and in the same kind of machine: the results are equal, and the
//! costs are compared.

use crate::KEY;
use crate::cost::{Cost, compare};
use crate::figures;
use crate::guest::*;
use crate::release;
use std::fs;
use std::process::Command;

const CONTEXT: &str = "IP_PRIVATE=\"10.18.1.1\"\nNETMASK_PRIVATE=\"/24\"\n\
    IP_PUBLIC=\"10.18.2.1\"\nNETMASK_PUBLIC=\"/24\"\nIP_EXTRA=\"\"\n";
const CONFIGURATION: &str = "DEFAULT_GATEWAY=\"10.18.2.254\"\n\
    GLOBAL_NETWORK=\"192.168.0.0\"\nGLOBAL_NETMASK=\"16\"\n";

/// What StratusLab's init.sh does for two NICs, with the tools that it uses.
const SCRIPT: &str = "#!/bin/bash -e
. /mnt/context.sh
. /mnt/configuration.sh
ifconfig eth0 ${IP_PRIVATE}${NETMASK_PRIVATE}
route add -net ${GLOBAL_NETWORK}/${GLOBAL_NETMASK} dev eth0
if [ -n \"$IP_PUBLIC\" ]; then
    ifconfig eth1 ${IP_PUBLIC}${NETMASK_PUBLIC}
    route add default gw ${DEFAULT_GATEWAY} dev eth1
fi
mkdir -p /root/.ssh
echo \"$PUBLIC_KEY\" >> /root/.ssh/authorized_keys
chmod -R 600 /root/.ssh/
{
    echo nameserver 208.67.222.222
    echo nameserver 208.67.220.220
} > /etc/resolv.conf
";

/// The limit of system calls for what this test sets up without a manager: two NICs,
/// their routes, one key, and resolv.conf.
const SYSTEM_CALLS: usize = 200;

/// Prints the table with `--nocapture`.
#[test]
#[ignore = "needs root: make test-fast"]
fn the_recipe_ends_the_same_way() {
    let mut guest = Guest::new();
    let context = format!("{CONTEXT}PUBLIC_KEY=\"{KEY}\"");
    let files = [
        ("context.sh", &*context),
        ("configuration.sh", CONFIGURATION),
    ];
    let mut script = prepare(&mut guest, &files, SCRIPT);
    let names = ["the recipe's script", "onecontext"];
    let commands = [&mut script, &mut ours(&guest)];
    let [script, ours] = compare(names, commands, &mut guest, look, reset);
    keep("recipe", script);
    keep("onecontext beside the recipe", ours);
    assert!(ours.system_calls <= SYSTEM_CALLS, "{}", ours.system_calls);
}

/// What OpenNebula's own package does for two NICs in an image without a network
/// manager that it knows: a shell script that finds the devices by their MACs and runs
/// ip(8) once for all commands.
const BATCH: &str = "#!/bin/bash -e
. /mnt/context.sh
prefix() {
    local length=0 octet
    for octet in ${1//./ }; do
        case $octet in
        255) length=$((length + 8)) ;;
        254) length=$((length + 7)) ;;
        252) length=$((length + 6)) ;;
        248) length=$((length + 5)) ;;
        240) length=$((length + 4)) ;;
        224) length=$((length + 3)) ;;
        192) length=$((length + 2)) ;;
        128) length=$((length + 1)) ;;
        esac
    done
    echo $length
}
device() {
    ip -o link show | sed -n \"s|^[0-9]*: \\([^:@]*\\).*link/ether $1 .*|\\1|p\"
}
nics=$(env | sed -n 's/^\\(ETH[0-9]*\\)_MAC=.*/\\1/p' | sort)
metric=0
{
    for nic in $nics; do
        mac=${nic}_MAC ip=${nic}_IP mask=${nic}_MASK
        gateway=${nic}_GATEWAY routes=${nic}_ROUTES
        dev=$(device \"${!mac}\")
        echo \"link set dev $dev up\"
        echo \"address add ${!ip}/$(prefix \"${!mask}\") dev $dev\"
        if [ -n \"${!gateway}\" ]; then
            echo \"route add default via ${!gateway} dev $dev metric $metric\"
        fi
        if [ -n \"${!routes}\" ]; then
            echo \"route add ${!routes} dev $dev\"
        fi
        metric=$((metric + 1))
    done
} | ip -batch -
for server in $DNS; do
    echo nameserver $server
done > /etc/resolv.conf
mkdir -p -m 700 /root/.ssh
if ! grep -qxF \"$SSH_PUBLIC_KEY\" /root/.ssh/authorized_keys 2>/dev/null; then
    echo \"$SSH_PUBLIC_KEY\" >> /root/.ssh/authorized_keys
fi
chmod 600 /root/.ssh/authorized_keys
";

/// Prints the table with `--nocapture`.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_shell_with_ip_batch_ends_the_same_way() {
    let mut guest = Guest::new();
    let context = format!(
        "DNS='208.67.222.222 208.67.220.220'\n\
         ETH0_IP='10.18.1.1'\nETH0_MAC='02:00:0a:12:01:01'\nETH0_MASK='255.255.255.0'\n\
         ETH0_ROUTES='192.168.0.0/16 via 10.18.1.253'\n\
         ETH1_GATEWAY='10.18.2.254'\nETH1_IP='10.18.2.1'\nETH1_MAC='02:00:0a:12:02:01'\n\
         ETH1_MASK='255.255.255.0'\nSSH_PUBLIC_KEY='{KEY}'\n"
    );
    let mut script = prepare(&mut guest, &[("context.sh", &context)], BATCH);
    let names = ["a shell with ip -batch", "onecontext"];
    let commands = [&mut script, &mut ours(&guest)];
    let [script, ours] = compare(names, commands, &mut guest, look, reset);
    keep("ip -batch", script);
    keep("onecontext beside ip -batch", ours);
}

/// The program, as the initramfs starts it.
fn ours(guest: &Guest) -> Command {
    let mut ours = Command::new(release::initramfs());
    ours.args(["apply", "--context", "/mnt", "--root"])
        .arg(guest.top.join("root"))
        .arg("--run")
        .arg(guest.top.join("run"));
    ours
}

/// Two NICs, a disk with these files, and a script at a path where machines have one.
/// The program is built first, because cargo may be below /root.
fn prepare(guest: &mut Guest, files: &[(&str, &str)], script: &str) -> Command {
    let disk = guest.top.join("disk");
    fs::create_dir(&disk).unwrap();
    for (name, text) in files {
        fs::write(disk.join(name), text).unwrap();
    }
    let init = guest.top.join("init.sh");
    fs::write(&init, script).unwrap();
    release::initramfs();
    let root = guest.top.join("root");
    fs::write(root.join("etc/resolv.conf"), "").unwrap();
    bind(&disk, "/mnt");
    bind(&root.join("root"), "/root");
    bind(&root.join("etc"), "/etc");
    guest.nic("eth0", "02:00:0a:12:01:01");
    guest.nic("eth1", "02:00:0a:12:02:01");
    let mut command = Command::new("bash");
    command.args(["-e", "-a"]).arg(&init);
    command
}

fn keep(of: &str, cost: Cost) {
    figures::keep(of, "CPU time", cost.milliseconds);
    figures::keep(of, "system calls", cost.system_calls);
    for (figure, value) in [("memory", cost.kib), ("instructions", cost.instructions)] {
        if let Some(value) = value {
            figures::keep(of, figure, value);
        }
    }
}

/// Addresses, routes, name servers and keys, one a line.
fn look(guest: &Guest) -> Vec<String> {
    let mut all = Vec::new();
    for device in ["eth0", "eth1"] {
        let list = addresses(device);
        all.extend(list.iter().map(|address| format!("{device} {address}")));
    }
    // The script's routes have another protocol.
    for route in json("-4 route show table main").as_array().unwrap() {
        let [to, via, dev] = ["dst", "gateway", "dev"].map(|name| route[name].to_string());
        all.push(format!("{to} {via} {dev}"));
    }
    for (file, is_ours) in [
        ("etc/resolv.conf", "nameserver "),
        ("root/.ssh/authorized_keys", "ssh-"),
    ] {
        let text = fs::read_to_string(guest.top.join("root").join(file)).unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with(is_ours));
        all.extend(lines.map(str::to_string));
    }
    all.sort();
    all
}

/// Restores the machine to its state before the first run.
fn reset(guest: &Guest) {
    for device in ["eth0", "eth1"] {
        ip(&format!("address flush dev {device}"));
        ip(&format!("link set {device} down"));
    }
    // A run that failed may not have made it.
    let _ = fs::remove_dir_all(guest.top.join("root/root/.ssh"));
    fs::write(guest.top.join("root/etc/resolv.conf"), "").unwrap();
}
