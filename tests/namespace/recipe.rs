//! The script that this program replaces, on the same context and in the same
//! kind of machine: it ends the same way, and what both cost.

use crate::KEY;
use crate::guest::*;
use crate::release;
use nix::libc;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

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

/// Times that each is run; the cheapest counts.
const RUNS: usize = 10;

/// The budget of system calls for one NIC and no manager. Here there are two
/// NICs, their routes, one key, and resolv.conf.
const SYSTEM_CALLS: usize = 200;

/// Prints the table with `--nocapture`.
#[test]
fn the_recipe_ends_the_same_way() {
    if Command::new("ifconfig").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "ifconfig is missing");
        eprintln!("skipped: net-tools is not installed");
        return;
    }
    let Some(mut guest) = Guest::new() else {
        return;
    };
    let disk = guest.top.join("disk");
    fs::create_dir(&disk).unwrap();
    let context = format!("{CONTEXT}PUBLIC_KEY=\"{KEY}\"");
    fs::write(disk.join("context.sh"), &context).unwrap();
    fs::write(disk.join("configuration.sh"), CONFIGURATION).unwrap();
    let init = guest.top.join("init.sh");
    fs::write(&init, SCRIPT).unwrap();
    // Where the script reads and writes; cargo is below /root, perhaps.
    let binary = release::initramfs();
    let root = guest.top.join("root");
    fs::write(root.join("etc/resolv.conf"), "").unwrap();
    bind(&disk, "/mnt");
    bind(&root.join("root"), "/root");
    bind(&root.join("etc"), "/etc");
    guest.nic("eth0", "02:00:0a:12:01:01");
    guest.nic("eth1", "02:00:0a:12:02:01");

    let mut script = Command::new("bash");
    script.arg("-e").arg(&init);
    let mut ours = Command::new(binary);
    ours.args(["apply", "--context", "/mnt", "--root"])
        .arg(&root)
        .arg("--run")
        .arg(guest.top.join("run"));

    let mut cheapest = [f64::MAX; 2];
    let mut looks = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (index, command) in [&mut script, &mut ours].into_iter().enumerate() {
            let (status, milliseconds) = cpu_time(command);
            assert!(status.success(), "{command:?}: {status} {}", guest.said());
            cheapest[index] = cheapest[index].min(milliseconds);
            looks[index] = look(&guest);
            reset(&guest);
        }
    }
    let trace = guest.top.join("trace");
    let calls = [&script, &ours].map(|command| {
        let calls = system_calls(command, &trace);
        reset(&guest);
        calls
    });
    let [script, ours] = looks;
    assert_eq!(ours, script);
    assert_eq!(ours.len(), 9, "{ours:?}");
    println!("                        CPU time   system calls");
    for (index, name) in ["the recipe's script", "onecontext"].iter().enumerate() {
        let (time, calls) = (cheapest[index], calls[index]);
        println!("{name:20} {time:8.2} ms {calls:14}");
    }
    println!("ratio                {:11.1}", cheapest[0] / cheapest[1]);
    assert!(calls[1] <= SYSTEM_CALLS, "{} system calls", calls[1]);
}

/// Addresses, routes, name servers and keys, one a line.
fn look(guest: &Guest) -> Vec<String> {
    let mut all = Vec::new();
    for device in ["eth0", "eth1"] {
        let list = addresses(device);
        all.extend(list.iter().map(|address| format!("{device} {address}")));
    }
    // The script's routes are of another protocol.
    for route in json("-4 route show table main").as_array().unwrap() {
        let [to, via, dev] = ["dst", "gateway", "dev"].map(|name| route[name].to_string());
        all.push(format!("{to} {via} {dev}"));
    }
    for (file, is_ours) in [
        ("etc/resolv.conf", "nameserver "),
        ("root/.ssh/authorized_keys", "ssh-"),
    ] {
        let text = fs::read_to_string(guest.top.join("root").join(file)).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(is_ours));
        all.extend(lines.map(str::to_string));
    }
    all.sort();
    all
}

/// As before the first of them.
fn reset(guest: &Guest) {
    for device in ["eth0", "eth1"] {
        ip(&format!("address flush dev {device}"));
        ip(&format!("link set {device} down"));
    }
    fs::remove_dir_all(guest.top.join("root/root/.ssh")).unwrap();
    fs::write(guest.top.join("root/etc/resolv.conf"), "").unwrap();
}

/// Runs a command; the system calls of it and of all that it starts (strace(1)).
fn system_calls(command: &Command, trace: &Path) -> usize {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(trace);
    strace.arg(command.get_program()).args(command.get_args());
    let status = strace.status().unwrap();
    assert!(status.success(), "{strace:?}: {status}");
    let trace = fs::read_to_string(trace).unwrap();
    // What another process interrupts is reported in two lines.
    let resumed = |line: &&str| line.contains("<... ");
    trace.lines().filter(|line| !resumed(line)).count()
}

/// Runs a command; the processor time, in milliseconds, of it and of all that
/// it has waited for.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
fn cpu_time(command: &mut Command) -> (ExitStatus, f64) {
    let child = command.spawn().unwrap();
    let mut status = 0;
    // SAFETY: all zero is a value of this plain structure.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both are ours, and the child is waited for once.
    let pid = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    assert_eq!(pid, child.id() as i32);
    let time = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    let milliseconds = time(usage.ru_utime) + time(usage.ru_stime);
    (ExitStatus::from_raw(status), milliseconds)
}
