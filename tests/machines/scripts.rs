//! Scripts of a context in a machine whose image allows them.

use super::*;

/// A value that the shell of a script must get byte for byte. It is compared in hex,
/// because a newline at the end does not survive ssh.
const ODD: &str = "\nit's \"$(touch /root/x)\" `touch /root/x`\\n $HOME \\\t ü €\n ";

/// Records where and how it runs, and waits for a signal to go on: the boot must not
/// wait for it.
const START: &str = r#"#!/bin/bash
exec >> /root/ran
echo "START_SCRIPT in $PWD as $(id -u): $(systemctl is-active \
    ssh.service multi-user.target network-online.target | xargs)"
ip -4 -o address show dev ens3 | grep -o 10.18.1.1/24
printf %s "$ODD" | od -An -v -t x1 | tr -d ' \n'
echo
[ "$PATH" != /nonexistent ] && echo a path
cmp context.sh "$MOUNT_DIR/context.sh" && grep -q SECRET context.sh && echo SECRET:
until [ -e /root/go ]; do sleep 1; done
sleep 3000 &
"#;

/// Boots a machine that runs scripts, and logs in.
fn boot(image: Image, text: &str, others: &[(&str, &str)]) -> (Running, Login) {
    let (machine, key) = machine(image);
    let path = machine.folder().join("context.iso");
    let text = text.replace("@KEY@", &key.public);
    let mut files = vec![("context.sh", text.as_str())];
    files.extend(others);
    iso(&path, Writer::Genisoimage, Some("CONTEXT"), &files);
    let mut running = machine
        .nic(MAC1, 1)
        .disk(&path, Drive::Cdrom)
        .kernel("onecontext.scripts=run")
        .start();
    let login = running.login("root", 1, &key);
    (running, login)
}

/// START_SCRIPT with a shell of its own, and two files of the disk; the first fails and
/// the second names no interpreter.
fn opennebula_scripts(image: Image) -> (Running, Login) {
    let text = opennebula(&[
        ("ETH0_IP", "10.18.1.1"),
        ("ETH0_MAC", MAC1),
        ("INIT_SCRIPTS", "first.sh  second.sh"),
        ("NOTE", "SECRET"),
        ("ODD", ODD),
        ("PATH", "/nonexistent"),
        ("SSH_PUBLIC_KEY", "@KEY@"),
        ("START_SCRIPT", START),
    ]);
    let files = [
        (
            "first.sh",
            "#!/bin/sh\necho first.sh >> /root/ran\nexit 7\n",
        ),
        (
            "second.sh",
            "echo \"second.sh $ETH0_IP\" >> /root/ran\necho said\nmkdir /run/mounted\n\
             mount -t tmpfs none /run/mounted\n",
        ),
        ("init.sh", "#!/bin/sh\necho init.sh >> /root/ran\n"),
    ];
    let (running, mut login) = boot(image, &text, &files);

    // The whole boot without the scripts.
    let state = "systemctl is-active multi-user.target onecontext-scripts.service || true";
    login.wait("until systemctl --quiet is-active multi-user.target; do sleep 1; done");
    login.wait("until grep -q SECRET: /root/ran; do sleep 1; done");
    assert_eq!(login.run(state), "active\nactivating\n");
    login.run("touch /root/go");
    assert_eq!(login.booted(), "degraded\n");

    let odd: String = ODD.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        login.run("cat /root/ran; ls /root/x 2>/dev/null || true"),
        format!(
            "START_SCRIPT in /run/onecontext/scripts/disk as 0: active active active\n\
             10.18.1.1/24\n{odd}\na path\nSECRET:\n\
             first.sh\nsecond.sh 10.18.1.1\n"
        )
    );
    let failed = login.run("systemctl --failed --plain --no-legend | cut -d ' ' -f 1");
    assert_eq!(failed, "onecontext-scripts.service\n");
    let journal = login.run("journalctl -o cat -t onecontext-scripts");
    assert_eq!(
        journal,
        "run START_SCRIPT\nrun first.sh\nfirst.sh: exit status 7\nrun second.sh\nsaid\n\
         failed: first.sh\n"
    );
    // The files that a script left are there, though the unit has failed.
    assert_eq!(
        login.run("pgrep -fc '[s]leep 3000'; findmnt -n -o FSTYPE /run/mounted"),
        "1\ntmpfs\n"
    );
    let modes = "cd /run/onecontext/scripts; stat -c '%a %U %n' . * disk/*";
    assert_eq!(
        login.run(modes),
        "700 root .\n700 root START_SCRIPT\n700 root disk\n600 root environment\n\
         700 root run\n600 root disk/context.sh\n700 root disk/first.sh\n\
         700 root disk/second.sh\n"
    );
    let told = login.run("cat /run/onecontext/report /run/issue.d/*; dmesg");
    assert!(
        !told.contains("SECRET") && told.contains("run after the boot by"),
        "{told}"
    );
    (running, login)
}

/// Whether /run is mounted noexec. Our directory allows execution in both cases.
fn assert_noexec(login: &mut Login, expected: bool) {
    let options = login.run("findmnt -n -o OPTIONS /run");
    assert_eq!(options.contains("noexec"), expected, "{options}");
}

#[test]
#[ignore = "boots a machine"]
fn opennebula_initramfs_tools() {
    let (_running, mut login) = opennebula_scripts(Image::InitramfsTools);
    assert_noexec(&mut login, true);
}

#[test]
#[ignore = "boots a machine"]
fn opennebula_dracut() {
    let (_running, mut login) = opennebula_scripts(Image::Dracut);
    assert_noexec(&mut login, false);
}

#[test]
#[ignore = "boots a machine"]
fn opennebula_debian13() {
    opennebula_scripts(Image::Debian13Dracut);
}

/// A site's own init.sh, which reads the files beside it, and gets the variables of
/// both.
fn stratuslab_changed_init(image: Image) -> (Running, Login) {
    let context = stratuslab(&[
        ("IP_PRIVATE", "10.18.1.1"),
        ("NETMASK_PRIVATE", "/24"),
        ("PUBLIC_KEY", "@KEY@"),
        ("SCRIPT_EXEC", "echo exec $IP_PRIVATE >> /root/ran"),
    ]);
    let init = "#!/bin/sh -e\n. ./context.sh\n. ./configuration.sh\n\
                echo init $IP_PRIVATE $NETMASK_PRIVATE >> /root/ran\n";
    let files = [
        ("configuration.sh", "NETMASK_PRIVATE=\"/16\""),
        ("init.sh", init),
    ];
    let (running, mut login) = boot(image, &context, &files);
    assert_nothing_failed(&mut login);
    assert_eq!(
        login.run("cat /root/ran; systemctl is-active onecontext-scripts"),
        "init 10.18.1.1 /16\nexec 10.18.1.1\nactive\n"
    );
    (running, login)
}

#[test]
#[ignore = "boots a machine"]
fn stratuslab_dracut_without_systemd() {
    let (_running, mut login) = stratuslab_changed_init(Image::DracutWithoutSystemd);
    assert_noexec(&mut login, true);
}
