//! The units of the package after the boot, on a machine where nothing else sets up the
//! network.

use super::*;

/// The timer's run comes when the test asks for it.
const LATER: &str = "[Timer]\nOnActiveSec=\nOnActiveSec=2h\n";

#[test]
#[ignore = "boots a machine"]
fn after_the_boot() {
    let _boot = Boot::begin();
    let (machine, key) = machine(Image::With("package"));
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    let mut running = machine
        .nic(MAC1, 1)
        .disk(&disk, Drive::Cdrom)
        .edit("mkdir /etc/systemd/system/onecontext-live.timer.d")
        .write(
            "/etc/systemd/system/onecontext-live.timer.d/later.conf",
            LATER,
        )
        .start();
    let mut login = running.login("root", 1, &key);
    let wait = "for second in $(seq 300); do grep -q '^runs 1' /run/onecontext/live && break; \
                sleep 1; done";
    login.run(wait);

    let units = "onecontext-live.service onecontext-live.timer";
    assert_eq!(
        login.run(&format!(
            "cd /usr/lib/systemd/system && systemd-analyze verify --man=no {units} 2>&1 | \
             grep onecontext; systemctl is-enabled {units}; systemctl is-active {units}"
        )),
        "static\nstatic\ninactive\nactive\n"
    );
    assert_eq!(
        login.run(
            "systemctl is-system-running --wait; journalctl -b | grep -i 'ordering cycle' | wc -l"
        ),
        "running\n0\n"
    );
    let status = |login: &mut Login| login.run("onecontext status; echo exit $?");
    let first = status(&mut login);
    eprintln!("{first}");
    assert!(
        first.starts_with("all is as the context says\n") && first.ends_with("exit 0\n"),
        "{first}"
    );
    let said = "journalctl -b -o cat -t onecontext | grep 'after the boot' | wc -l";
    assert_eq!(login.run(said), "0\n");
    // Who is nobody sees the same, and what he must not read is not in the text.
    let of_nobody =
        "setpriv --reuid=65534 --regid=65534 --clear-groups onecontext status; echo exit $?";
    assert_eq!(login.run(of_nobody), first);

    // The second run adds what somebody took away, and leaves what is not ours.
    login.run("ip address del 2001:db8:1::a/64 dev ens3; ip address add 192.0.2.7/24 dev ens3");
    let second = status(&mut login);
    assert!(
        second.contains("WRONG    address   ens3 2001:db8:1::a/64") && second.ends_with("exit 1\n"),
        "{second}"
    );
    login.run("systemctl start onecontext-live.service");
    assert_eq!(addresses(&mut login, "-6", "ens3"), ["2001:db8:1::a/64"]);
    assert_eq!(
        addresses(&mut login, "-4", "ens3"),
        ["10.18.1.1/24", "192.0.2.7/24"]
    );
    let journal = login.run("journalctl -b -o cat -t onecontext | grep 'after the boot'");
    assert!(
        journal.contains("address ens3 2001:db8:1::a/64 was missing; added"),
        "{journal}"
    );

    // A later run adds nothing, and says what is wrong.
    login.run("ip address del 2001:db8:1::a/64 dev ens3; systemctl stop ssh.socket ssh.service");
    let run = "systemctl start onecontext-live.service; echo exit $?; \
               systemctl show -P Result onecontext-live.service";
    assert!(login.run(run).ends_with("exit 1\nexit-code\n"));
    assert_eq!(addresses(&mut login, "-6", "ens3"), [""; 0]);
    let journal = login.run("journalctl -b -o cat -t onecontext | grep 'after the boot'");
    for line in [
        "after the boot: address ens3 2001:db8:1::a/64: missing",
        "after the boot: ssh port 22: nothing listens",
    ] {
        assert!(journal.contains(line), "{line}: {journal}");
    }
    let third = status(&mut login);
    assert!(
        third.contains("nothing listens") && third.ends_with("exit 1\n"),
        "{third}"
    );
    eprintln!("{third}");

    // Where sshd runs on another port than its configuration has, nothing is wrong.
    login.run("mkdir -p /run/sshd; /usr/sbin/sshd -p 2222");
    let fourth = status(&mut login);
    assert!(
        fourth.contains("?        ssh       port 22") && fourth.contains("but sshd runs"),
        "{fourth}"
    );
}
