//! A user that the image lacks is created with keys, sudo and a password before the SSH
//! server accepts connections; a second boot repeats nothing.

use super::*;
use support::machine::Running;

const USER: &str = "bob";
/// It has every character that is special to a shell, to chpasswd(8) or to C.
const PASSWORD: &str = " it's a: \"$5\" \\n secret ";
/// A part of it that no log may have.
const SECRET: &str = "\"$5\"";

/// The state that decides who may log in and become root: names, access, times of the
/// last change, and content.
const ACCOUNTS: &str = "cd /; for f in etc/passwd* etc/shadow* etc/group* etc/gshadow* etc/sub?id* \
    etc/sudoers.d etc/sudoers.d/* home home/* home/bob/.ssh home/bob/.ssh/*; do \
    stat -c '%n %a %U:%G %y %z' $f; [ -d $f ] || md5sum $f; done";

/// A context with one NIC and every variable of a user.
fn with_account(image: Image) -> (Machine, Key) {
    let (machine, key) = machine(image);
    let text = one_nic(&key.public)
        + &opennebula(&[
            ("USERNAME", USER),
            ("USERNAME_SHELL", "/bin/dash"),
            ("USERNAME_SUDO", "YES"),
            ("PASSWORD", PASSWORD),
        ]);
    let disk = disk(&machine, Writer::Genisoimage, &text);
    // The last rule counts: this one of the image asks for a password.
    let rule = format!("{USER} ALL=(ALL) ALL\n");
    let machine = machine
        .write("/etc/sudoers.d/90-image", &rule)
        // visudo(8) complains of any other mode.
        .edit("set_inode_field /etc/sudoers.d/90-image mode 0100440");
    (machine.nic(MAC1, 1).disk(&disk, Drive::Cdrom), key)
}

fn account(image: Image) {
    let (machine, key) = with_account(image);
    let mut running = machine.reboots().start();
    let mut login = running.login(USER, 1, &key);
    assert_one_nic(&mut login, "ens3");
    assert_account(&mut login);
    assert_unit(&mut login);
    let accounts = root(&mut login, ACCOUNTS);

    login.run("sudo -n systemctl reboot --no-block");
    drop(login);
    let starts = |running: &Running| running.console().matches("Linux version ").count();
    for _ in 0..600 {
        if starts(&running) > 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    assert_eq!(starts(&running), 2);
    let mut login = running.login(USER, 1, &key);
    assert_account(&mut login);
    assert_unit(&mut login);
    assert_eq!(root(&mut login, ACCOUNTS), accounts);
}

/// The output of commands that run through sudo(8), which logs them.
fn root(login: &mut impl Inside, commands: &str) -> String {
    assert!(!commands.contains(SECRET));
    let commands = commands.replace('\'', r"'\''");
    login.run(&format!("sudo -n sh -c '{commands}'"))
}

/// Checks everything that the context says of the user.
fn assert_account(login: &mut impl Inside) {
    assert_eq!(
        login.run("id -un; id -gn; pwd; echo $SHELL"),
        "bob\nbob\n/home/bob\n/bin/dash\n"
    );
    assert_eq!(
        login.run("stat -c '%U %G' .; stat -c '%a %U %G' .ssh .ssh/authorized_keys; ls .profile"),
        "bob bob\n700 bob bob\n600 bob bob\n.profile\n"
    );
    assert_eq!(root(login, "id -un"), "root\n");
    assert_eq!(
        root(
            login,
            "stat -c '%a %U %G' /etc/sudoers.d/zz-onecontext; ls /etc/sudoers.d"
        ),
        "440 root root\n90-image\nREADME\nzz-onecontext\n"
    );
    root(login, "visudo -c");
    // The warnings that -q leaves out are about Debian's own users.
    root(login, "pwck -q -r && grpck -r");
    assert_eq!(
        root(login, "ls /run/onecontext | grep -c passwords || true"),
        "0\n"
    );
    // crypt(3) must agree. The check gets the password on standard input.
    let check = "perl -e '$h = (getpwnam(\"bob\"))[1]; \
        print substr($h, 0, 3), crypt(join(\"\", <STDIN>), $h) eq $h ? \" is right\" : \" is wrong\"'";
    let [check, password] = [check, PASSWORD].map(|text| text.replace('\'', r"'\''"));
    assert_eq!(
        login.run(&format!("printf %s '{password}' | sudo -n sh -c '{check}'")),
        "$y$ is right"
    );
}

/// A unit made the user, in time and without output.
fn assert_unit(login: &mut impl Inside) {
    assert_nothing_failed(login);
    // The server listens only after the user exists.
    let before_sshd = "u=$(systemctl show -P ExecMainExitTimestampMonotonic onecontext-users); \
        s=$(systemctl show -P ExecMainStartTimestampMonotonic ssh); \
        systemctl is-active onecontext-users; [ $u -le $s ] && echo before";
    assert_eq!(login.run(before_sshd), "active\nbefore\n");

    // The password is in no log, in no unit, and in no command line.
    let text = root(
        login,
        "{ journalctl -b -o verbose --no-pager; systemctl cat onecontext-users; \
         cat /run/onecontext/users /run/onecontext/report; cat /proc/[0-9]*/cmdline; } \
         2>/dev/null | tr -c -d '[:print:]\\n'",
    );
    assert!(
        text.contains("bob: its password becomes that of the context"),
        "{text}"
    );
    assert!(!text.contains(SECRET), "{text}");
}

boots! {
    account_initramfs_tools = account(Image::InitramfsTools);
    account_debian13_initramfs_tools = account(Image::Debian13InitramfsTools);
}

/// Another init runs the same script, by its own table.
#[test]
#[ignore = "boots a machine"]
fn account_sysvinit() {
    let (machine, key) = with_account(Image::With("sysvinit"));
    let host = Key::new(machine.folder().join("host"));
    let host = std::fs::read_to_string(host.file).unwrap();
    let machine = machine.write("/etc/ssh/ssh_host_ecdsa_key", &host);
    let mut running = machine.start();
    let mut login = running.login(USER, 1, &key);
    assert_eq!(login.run("cat /proc/1/comm"), "init\n");
    assert_account(&mut login);
}
