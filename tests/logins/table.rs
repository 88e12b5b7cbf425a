//! Images that keep somebody out, and their fine neighbours, one setting at a time.
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use crate::release;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

/// An image of Debian's kind in which root and alice can log in.
struct Image(PathBuf);

impl Image {
    fn new() -> Self {
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        let image = Self(top);
        image.context(KEY, "");
        image.write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nsshd:x:9:9::/:/bin/sh\n",
        );
        image.write("etc/shadow", "root:*:19000:0:99999:7:::\n");
        image.write("etc/group", "root:x:0:\nwheel:x:10:admin\n");
        image.write("etc/ssh/ssh_host_ed25519_key", "a key");
        image.write("etc/ssh/sshd_config", "UsePAM yes\n");
        image.write("root/.profile", "");
        image.write("usr/lib/systemd/systemd", "");
        image.write(
            "usr/lib/systemd/system/ssh.service",
            "[Service]\nExecStart=/usr/sbin/sshd\n",
        );
        for program in ["usr/sbin/sshd", "usr/bin/sudo", "usr/sbin/visudo", "bin/sh"] {
            image.write(program, "");
            image.mode(program, 0o755);
        }
        fs::create_dir(image.path("sbin")).unwrap();
        symlink("/usr/lib/systemd/systemd", image.path("sbin/init")).unwrap();
        image.mode("root", 0o700);
        image
    }
    fn path(&self, path: &str) -> PathBuf {
        self.0.join("image").join(path)
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    fn context(&self, key: &str, more: &str) {
        let text = format!(
            "ETH0_MAC='02:00:0a:12:01:01'\nETH0_IP='192.0.2.10'\n{more}SSH_PUBLIC_KEY='{key}'\n"
        );
        fs::write(self.0.join("context.sh"), text).unwrap();
    }
    fn check(&self) -> Vec<String> {
        let mut command = Command::new(release::binary());
        command.arg("check").arg(self.0.join("context.sh"));
        let output = command
            .arg("--root")
            .arg(self.0.join("image"))
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{:?}", output.stderr);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(String::from).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asserts that one line is said, which contains all of this; nothing is empty.
fn assert_said(image: &Image, wanted: &str, case: &str) {
    let lines = image.check();
    let is_right = match wanted {
        "" => lines.is_empty(),
        _ => lines.len() == 1 && wanted.split('|').all(|part| lines[0].contains(part)),
    };
    assert!(is_right, "{case}: {lines:#?}");
}

/// A setting, and what is said of it: the subject, the place that decides, the reason.
const SETTINGS: &[(&str, &str)] = &[
    ("", ""),
    (
        "AllowGroups wheel",
        "login of user: root: AllowGroups in /etc/ssh/sshd_config:2: keeps it out",
    ),
    ("AllowGroups wheel root", ""),
    ("AllowGroups wheel\nAllowGroups ro*", ""),
    (
        "DenyGroups root",
        "root: DenyGroups in /etc/ssh/sshd_config:2: keeps it out",
    ),
    ("DenyGroups wheel", ""),
    (
        "AllowUsers alice",
        "root: AllowUsers in /etc/ssh/sshd_config:2: keeps it out",
    ),
    ("AllowUsers alice r??t", ""),
    (
        "AllowUsers root@192.0.2.*",
        "cannot be known: AllowUsers|from some hosts only",
    ),
    ("AllowUsers root@*", ""),
    ("DenyUsers alice *", "root: DenyUsers in"),
    ("DenyUsers alice@*", ""),
    (
        "AuthenticationMethods publickey,password",
        "AuthenticationMethods in|a key alone",
    ),
    ("AuthenticationMethods publickey,password publickey", ""),
    ("AuthenticationMethods any", ""),
    (
        "PubkeyAuthentication no",
        "PubkeyAuthentication in|takes no key",
    ),
    (
        "PubkeyAcceptedAlgorithms rsa-sha2-512",
        "PubkeyAcceptedAlgorithms in|leaves a key",
    ),
    (
        "PubkeyAcceptedKeyTypes -ssh-ed25519",
        "PubkeyAcceptedKeyTypes in|leaves a key",
    ),
    ("PubkeyAcceptedAlgorithms +ssh-rsa", ""),
    ("PubkeyAcceptedAlgorithms ssh-*", ""),
    ("RequiredRSASize 4096", ""),
    (
        "PermitRootLogin no",
        "PermitRootLogin in /etc/ssh/sshd_config:2: says no to root",
    ),
    (
        "PermitRootLogin forced-commands-only",
        "PermitRootLogin in|no shell",
    ),
    ("PermitRootLogin without-password", ""),
    ("PermitRootLogin yes\nPermitRootLogin no", ""),
    (
        "ForceCommand /bin/backup",
        "ForceCommand in|another program",
    ),
    ("ForceCommand none", ""),
    (
        "ChrootDirectory /srv/jail",
        "ChrootDirectory in|that directory alone",
    ),
    ("ChrootDirectory none", ""),
    ("MaxSessions 0", "MaxSessions in"),
    (
        "ListenAddress 127.0.0.1",
        "SSH server: /etc/ssh/sshd_config:2: ListenAddress: no NIC",
    ),
    ("ListenAddress 127.0.0.1\nListenAddress 192.0.2.10:22", ""),
    ("ListenAddress 0.0.0.0", ""),
    ("ListenAddress [2001:db8::1]:22", "ListenAddress: no NIC"),
    ("AddressFamily inet6", "AddressFamily: no NIC"),
    ("AddressFamily inet", ""),
    (
        "AuthorizedKeysFile /etc/keys/%u",
        "AuthorizedKeysFile in|does not name .ssh/authorized_keys",
    ),
    (
        "AuthorizedKeysFile /etc/keys/%u %h/.ssh/authorized_keys",
        "",
    ),
    (
        "AuthorizedKeysCommand /usr/bin/keys",
        "sshd_config:2|AuthorizedKeysCommand",
    ),
    ("AuthorizedKeysCommand none", ""),
    ("Match User alice\nPermitRootLogin no", ""),
    (
        "Match User *,!alice\nPermitRootLogin no",
        "PermitRootLogin in /etc/ssh/sshd_config:3",
    ),
    (
        "Match Group root LocalPort 22\nPubkeyAuthentication no",
        "PubkeyAuthentication in",
    ),
    (
        "Match Group root LocalPort 2222\nPubkeyAuthentication no",
        "",
    ),
    (
        "Match LocalAddress 192.0.2.0/24\nPermitRootLogin no",
        "PermitRootLogin in",
    ),
    ("Match LocalAddress 198.51.100.0/24\nPermitRootLogin no", ""),
    ("PermitRootLogin no\nMatch all\nPermitRootLogin yes", ""),
    (
        "Match Address 198.51.100.0/24\nPermitRootLogin no",
        "cannot be known: if Match in /etc/ssh/sshd_config:2 holds: PermitRootLogin in",
    ),
    ("Match Address 198.51.100.0/24\nX11Forwarding no", ""),
    (
        "Match User alice Address 198.51.100.0/24\nPermitRootLogin no",
        "",
    ),
    (
        "PermitRootLogin no\nMatch Address 198.51.100.0/24\nPermitRootLogin yes",
        "PermitRootLogin in|unless Match in /etc/ssh/sshd_config:3 holds",
    ),
    ("AllowUsers alice\nMatch Host *\nAllowUsers root", ""),
];

#[test]
fn each_setting_of_sshd() {
    for (text, wanted) in SETTINGS {
        let image = Image::new();
        image.write("etc/ssh/sshd_config", &format!("UsePAM yes\n{text}\n"));
        assert_said(&image, wanted, text);
    }
}

#[test]
fn includes_come_in_their_order() {
    let image = Image::new();
    image.write(
        "etc/ssh/sshd_config",
        "Include sshd_config.d/*.conf\nPermitRootLogin yes\n",
    );
    image.write("etc/ssh/sshd_config.d/50-b.conf", "PermitRootLogin no\n");
    assert_said(
        &image,
        "PermitRootLogin in /etc/ssh/sshd_config.d/50-b.conf:1",
        "one file",
    );
    image.write(
        "etc/ssh/sshd_config.d/10-a.conf",
        "Match User alice\nPermitRootLogin no\n",
    );
    assert_said(
        &image,
        "sshd_config.d/50-b.conf:1",
        "a block ends with its file",
    );
    image.write(
        "etc/ssh/sshd_config.d/10-a.conf",
        "PermitRootLogin prohibit-password\n",
    );
    assert_said(&image, "", "the first value counts");
    image.write(
        "etc/ssh/sshd_config",
        "Match User alice\nInclude sshd_config.d/50-b.conf\n",
    );
    assert_said(&image, "", "included below a block");
}

/// The fields of shadow(5), and what is said with UsePAM yes and no.
#[test]
fn accounts_that_are_locked_or_have_ended() {
    const LOCKED: &str = "login of user: root: its password is locked";
    const ENDED: &str = "login of user: root: /etc/shadow: the account has expired";
    const OLD: &str = "login of user: root: /etc/shadow: its password has expired";
    for (shadow, with_pam, without) in [
        ("root:*:19000:0:99999:7:::", "", ""),
        ("root:!:19000:0:99999:7:::", "", LOCKED),
        ("root:!*:19000:0:99999:7:::", "", LOCKED),
        ("root:!!:19000:0:99999:7:::", "", LOCKED),
        ("root:$6$a$b:19000::::::", "", ""),
        ("root:*:19000:0:99999:7::1:", ENDED, ENDED),
        ("root:*:19000:0:99999:7::999999:", "", ""),
        ("root:*:0:0:99999:7:::", OLD, ""),
        ("root:*:10000:0:90:7:::", OLD, ""),
        ("root:*:10000:0::7:::", "", ""),
        (
            "other:*:10000:0::7:::",
            "login of user: root: it has no line in /etc/shadow",
            "",
        ),
    ] {
        let image = Image::new();
        image.write("etc/shadow", &format!("{shadow}\n"));
        assert_said(&image, with_pam, shadow);
        image.write("etc/ssh/sshd_config", "UsePAM no\n");
        assert_said(&image, without, shadow);
    }
    // The context's password takes the place of a locked one.
    let image = Image::new();
    image.write("usr/sbin/chpasswd", "");
    image.write("etc/shadow", "root:!:19000:0:99999:7:::\n");
    image.write("etc/ssh/sshd_config", "UsePAM no\n");
    image.context(KEY, "PASSWORD='secret'\n");
    let lines = image.check();
    assert!(
        lines.iter().all(|line| !line.contains("locked")),
        "{lines:?}"
    );
}

#[test]
fn shells() {
    let image = Image::new();
    image.write("etc/passwd", "root:x:0:0:root:/root:/bin/zsh\n");
    assert_said(
        &image,
        "root: its shell in /etc/passwd is no file of this image",
        "no shell",
    );
    image.write("bin/zsh", "");
    assert_said(
        &image,
        "root: its shell in /etc/passwd cannot be executed",
        "no mode",
    );
    image.mode("bin/zsh", 0o755);
    assert_said(&image, "", "a shell");
    image.write("bin/false", "");
    image.write("etc/passwd", "root:x:0:0:root:/root:/bin/false\n");
    assert_said(&image, "root: its shell lets nobody in", "false");
    image.write("etc/passwd", "root:x:0:0:root:/root:/bin/zsh\n");
    // nologin(5) is for all but root.
    image.write("etc/nologin", "");
    image.write("etc/pam.d/sshd", "account required pam_nologin.so\n");
    assert_said(&image, "", "root may log in");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn nologin_and_homes_of_a_user() {
    let image = Image::new();
    image.write("etc/nologin", "");
    image.write("etc/pam.d/sshd", "account required pam_nologin.so\n");
    image.context(KEY, "USERNAME='alice'\nUSERNAME_SUDO='NO'\n");
    image.write(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nalice:x:7:7::/home/alice:/bin/sh\n",
    );
    image.write("etc/shadow", "alice:*:19000::::::\n");
    image.write("home/alice/.profile", "");
    nix::unistd::chown(&image.path("home/alice"), Some(7.into()), Some(7.into())).unwrap();
    assert_said(&image, "alice: /etc/nologin is in the image", "PAM");
    image.write("etc/pam.d/sshd", "# account required pam_nologin.so\n");
    assert_said(&image, "", "PAM does not ask");
    image.write("etc/ssh/sshd_config", "UsePAM no\n");
    assert_said(&image, "alice: /etc/nologin is in the image", "sshd itself");
    fs::remove_file(image.path("etc/nologin")).unwrap();
    image.mode("home/alice", 0o775);
    assert_said(&image, "alice: its home can be written by others", "lax");
    image.write("etc/ssh/sshd_config", "StrictModes no\n");
    assert_said(&image, "", "not strict");
    image.mode("home", 0o700);
    assert_said(&image, "alice: it cannot enter its home", "above it");
}

#[test]
fn keys_that_sshd_does_not_take() {
    // An RSA key of 1016 bits: its size is what counts.
    let rsa = |bytes: usize| {
        let mut blob = vec![0, 0, 0, 7];
        blob.extend(b"ssh-rsa\0\0\0\x03\x01\0\x01");
        blob.extend((bytes as u32).to_be_bytes());
        blob.extend(std::iter::repeat_n(0x7f, bytes));
        format!("ssh-rsa {}", base64(&blob))
    };
    let typed = |kind: &str, rest: &[u8]| {
        let mut blob = (kind.len() as u32).to_be_bytes().to_vec();
        blob.extend(kind.as_bytes());
        blob.extend((rest.len() as u32).to_be_bytes());
        blob.extend(rest);
        format!("{kind} {}", base64(&blob))
    };
    let cert = typed("ssh-ed25519-cert-v01@openssh.com", &[1; 200]);
    for (key, config, wanted) in [
        (rsa(256), "", ""),
        (
            rsa(256),
            "RequiredRSASize 3072",
            "RequiredRSASize in /etc/ssh/sshd_config:2",
        ),
        (rsa(512), "RequiredRSASize 3072", ""),
        (
            rsa(127),
            "",
            "login of user: root: an RSA key of the context has too few bits",
        ),
        (rsa(256), "PubkeyAcceptedAlgorithms rsa-sha2-512", ""),
        (
            rsa(256),
            "PubkeyAcceptedAlgorithms rsa-sha2-256",
            "cannot be known: PubkeyAcceptedAlgorithms in",
        ),
        (
            rsa(256),
            "PubkeyAcceptedAlgorithms ssh-ed25519",
            "PubkeyAcceptedAlgorithms in",
        ),
        (
            typed("ssh-dss", &[1; 128]),
            "",
            "login of user: root: a key of the context|ssh-dss",
        ),
        (
            typed("ssh-ed448", &[1; 57]),
            "",
            "login of user: root: a key of the context|type",
        ),
        (
            cert,
            "",
            "login of user: root: a key of the context is a certificate",
        ),
    ] {
        let image = Image::new();
        image.context(&key, "");
        image.write("etc/ssh/sshd_config", &format!("UsePAM yes\n{config}\n"));
        assert_said(&image, wanted, &format!("{key} {config}"));
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            text.push(match place <= group.len() {
                true => DIGITS[(bits >> (18 - 6 * place) & 63) as usize] as char,
                false => '=',
            });
        }
    }
    text
}

/// Keys of the image that sshd finds before those of the context.
#[test]
fn lines_that_come_before_ours() {
    let image = Image::new();
    let restricted = format!("command=\"echo no\",no-pty {KEY}\n");
    // Below ours, since ours come first.
    image.write("root/.ssh/authorized_keys", &restricted);
    image.mode("root/.ssh", 0o700);
    assert_said(&image, "", "the file in the home");
    image.write(
        "etc/ssh/sshd_config",
        "UsePAM yes\nAuthorizedKeysFile /etc/keys/%u .ssh/authorized_keys\n",
    );
    assert_said(&image, "", "no file before");
    image.write("etc/keys/root", &format!("{KEY} image\n"));
    assert_said(&image, "", "without options");
    image.write("etc/keys/root", &restricted);
    assert_said(
        &image,
        "root: /etc/keys/root comes before|command=,no-pty",
        "before",
    );
    image.write(
        "etc/ssh/sshd_config",
        "UsePAM yes\nAuthorizedKeysFile .ssh/authorized_keys /etc/keys/%u\n",
    );
    assert_said(&image, "", "after");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn rules_of_sudo_that_come_after_ours() {
    const USERS: &str = "root:x:0:0::/root:/bin/sh\nalice:x:7:7::/home/alice:/bin/sh\n";
    for (file, text, wanted) in [
        ("etc/sudoers.d/90-admins", "alice ALL=(ALL) ALL\n", ""),
        (
            "etc/sudoers.d/zzz-local",
            "alice ALL=(ALL) ALL\n",
            "alice: /etc/sudoers.d/zzz-local",
        ),
        (
            "etc/sudoers.d/zzz-local",
            "Defaults requiretty\nbob ALL=(ALL) ALL\n",
            "",
        ),
        (
            "etc/sudoers.d/zzz-local",
            "%wheel ALL=\\\n(ALL) ALL\n",
            "zzz-local comes after",
        ),
        ("etc/sudoers.d/zzz.off", "alice ALL=(ALL) ALL\n", ""),
        ("etc/sudoers", "@includedir /etc/sudoers.d\n", ""),
        (
            "etc/sudoers",
            "%wheel ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n",
            "",
        ),
        (
            "etc/sudoers",
            "#includedir /etc/sudoers.d\n%wheel ALL=(ALL) ALL\n",
            "sudo for user: alice: /etc/sudoers comes after /etc/sudoers.d/zz-onecontext",
        ),
    ] {
        let image = Image::new();
        image.context(KEY, "USERNAME='alice'\n");
        image.write("etc/passwd", USERS);
        image.write("etc/shadow", "alice:*:19000::::::\n");
        image.write("etc/group", "wheel:x:10:bob,alice\n");
        image.write("etc/sudoers", "@includedir /etc/sudoers.d\n");
        image.write("home/alice/.profile", "");
        nix::unistd::chown(&image.path("home/alice"), Some(7.into()), Some(7.into())).unwrap();
        image.write(file, text);
        assert_said(&image, wanted, &format!("{file}: {text}"));
    }
}

/// A root whose /etc is made at boot.
#[test]
fn no_passwd_yet() {
    let image = Image::new();
    fs::remove_file(image.path("etc/passwd")).unwrap();
    fs::remove_file(image.path("etc/shadow")).unwrap();
    assert_said(
        &image,
        "/etc/passwd: No such file or directory",
        "nothing makes it",
    );
    image.write(
        "usr/lib/sysusers.d/basic.conf",
        "# x\nu root 0 - \"Super User\" /root /bin/sh\n",
    );
    assert_said(&image, "", "systemd-sysusers makes it");
    fs::remove_dir_all(image.path("root")).unwrap();
    assert_said(&image, "", "its home, too");
}
