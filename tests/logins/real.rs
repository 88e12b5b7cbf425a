//! Logins with a key at the sshd of a Debian release, compared with what `check --root`
//! says of the same root.
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::cases::Case;
use crate::release;

const NONE: Option<&str> = None;
const ADDRESS: &str = "192.0.2.10";
/// What ssh-keygen is asked for.
const KEYS: [&[&str]; 4] = [
    &["-t", "ed25519"],
    &["-t", "rsa", "-b", "2048"],
    &["-t", "rsa", "-b", "1024"],
    &["-t", "ecdsa", "-b", "256"],
];
/// The longest time for a login, and for sshd until it listens.
const LONGEST: Duration = Duration::from_secs(30);

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
}

/// A root of a release over which each case writes, in namespaces of this thread.
struct Machine {
    top: PathBuf,
    root: PathBuf,
    keys: Vec<String>,
    /// What `check` says of the usual machine: it is not booted, so some of that is right.
    usual: Vec<String>,
}

impl Machine {
    fn new(suite: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logins/root");
        let output = Command::new(script)
            .arg(suite)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{script} {suite}");
        let lower = String::from_utf8(output.stdout).unwrap();
        // The script needs this machine's network.
        let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
        unshare(flags).unwrap();
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        mount(Some("tmpfs"), &top, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
        for name in ["upper", "work", "root"] {
            fs::create_dir(top.join(name)).unwrap();
        }
        let show = |name: &str| top.join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.trim(),
            show("upper"),
            show("work")
        );
        let root = top.join("root");
        mount(
            Some("overlay"),
            &root,
            Some("overlay"),
            MsFlags::empty(),
            Some(&*options),
        )
        .unwrap();
        mount(
            Some("proc"),
            &root.join("proc"),
            Some("proc"),
            MsFlags::empty(),
            NONE,
        )
        .unwrap();
        mount(
            Some("tmpfs"),
            &root.join("dev"),
            Some("tmpfs"),
            MsFlags::empty(),
            NONE,
        )
        .unwrap();
        for device in ["null", "zero", "random", "urandom", "tty"] {
            let path = root.join("dev").join(device);
            fs::write(&path, "").unwrap();
            let host = format!("/dev/{device}");
            mount(Some(&*host), &path, NONE, MsFlags::MS_BIND, NONE).unwrap();
        }
        // These need what a namespace does not have.
        let pam = root.join("etc/pam.d/sshd");
        let text = fs::read_to_string(&pam).unwrap();
        let needless = ["pam_loginuid", "pam_selinux", "pam_keyinit"];
        let keep = |line: &&str| !needless.iter().any(|name| line.contains(name));
        let text: Vec<&str> = text.lines().filter(keep).collect();
        fs::write(&pam, text.join("\n") + "\n").unwrap();
        for folder in ["run/sshd", "etc/keys", "srv"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        run("ip", &["link", "set", "lo", "up"]);
        run(
            "ip",
            &["link", "add", "nic", "type", "veth", "peer", "name", "far"],
        );
        run(
            "ip",
            &["address", "add", &format!("{ADDRESS}/24"), "dev", "nic"],
        );
        run("ip", &["link", "set", "nic", "up"]);
        let keys = (0..KEYS.len()).map(|kind| {
            let file = top.join(format!("key-{kind}")).display().to_string();
            run(
                "ssh-keygen",
                &[KEYS[kind], &["-q", "-N", "", "-f", &file]].concat(),
            );
            fs::read_to_string(format!("{file}.pub")).unwrap()
        });
        let keys = keys.collect();
        let mut machine = Self {
            top,
            root,
            keys,
            usual: vec![],
        };
        machine.set_up(&Case::usual());
        machine.usual = machine.check();
        assert!(machine.logs_in(&Case::usual()), "{}", machine.log());
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn access(&self, path: &str, mode: u32, owner: u32) {
        let path = self.root.join(path);
        nix::unistd::chown(&path, Some(owner.into()), Some(owner.into())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Makes the root what a case says.
    fn set_up(&self, case: &Case) {
        let key = &self.keys[case.key];
        let shell = |user| {
            if user == case.user {
                case.shell
            } else {
                "/bin/sh"
            }
        };
        self.write("etc/ssh/sshd_config", &case.config);
        self.write("etc/plain", "no program\n");
        self.write(
            "etc/passwd",
            &format!(
                "root:x:0:0:root:/root:{}\nalice:x:1000:1000::/home/alice:{}\n\
                 sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n\
                 nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
                shell("root"),
                shell("alice")
            ),
        );
        let mut shadow = String::new();
        for user in ["root", "alice"] {
            let usual = Some("*:19000:0:99999:7:::".to_string());
            let line = if user == case.user {
                &case.shadow
            } else {
                &usual
            };
            if let Some(line) = line {
                shadow += &format!("{user}:{line}\n");
            }
        }
        self.write("etc/shadow", &shadow);
        let wheel = case.wheel;
        let group = format!("root:x:0:\nwheel:x:10:{wheel}\nalice:x:1000:\nnogroup:x:65534:\n");
        self.write("etc/group", &group);
        let nologin = self.root.join("etc/nologin");
        let _ = fs::remove_file(&nologin);
        if case.nologin {
            fs::write(&nologin, "").unwrap();
        }
        for (home, owner) in [("root", 0), ("home/alice", 1000)] {
            let ssh = format!("{home}/.ssh");
            let file = format!("{ssh}/authorized_keys");
            self.write(&file, key);
            self.access(&file, 0o600, owner);
            self.access(&ssh, 0o700, owner);
            let (mode, is_root) = case.home;
            let (mode, owner) = match home.ends_with(case.user) {
                true => (mode, if is_root { 0 } else { owner }),
                false => (0o755, owner),
            };
            self.access(home, mode, owner);
        }
        let user = match case.user {
            "root" => "",
            _ => "USERNAME='alice'\nUSERNAME_SUDO='NO'\n",
        };
        let context = format!(
            "ETH0_MAC='02:00:c0:00:02:0a'\nETH0_IP='{ADDRESS}'\n{user}SSH_PUBLIC_KEY='{}'\n",
            key.trim()
        );
        fs::write(self.top.join("context.sh"), context).unwrap();
    }

    fn check(&self) -> Vec<String> {
        let mut command = Command::new(release::binary());
        command.arg("check").arg(self.top.join("context.sh"));
        let output = command.arg("--root").arg(&self.root).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let is_new = |line: &&str| !self.usual.iter().any(|usual| usual == line);
        text.lines().filter(is_new).map(String::from).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.top.join("log")).unwrap()
    }

    /// Starts sshd, logs in, ends sshd.
    fn logs_in(&self, case: &Case) -> bool {
        let log = fs::File::create(self.top.join("log")).unwrap();
        let mut sshd = Command::new("chroot")
            .arg(&self.root)
            .args(["/usr/sbin/sshd", "-D", "-e"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let is_heard = listens(&mut sshd, case.port);
        let is_in = is_heard && self.client(case);
        let pid = nix::unistd::Pid::from_raw(sshd.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM);
        sshd.wait().unwrap();
        is_in
    }

    fn client(&self, case: &Case) -> bool {
        let seconds = LONGEST.as_secs().to_string();
        let key = self
            .top
            .join(format!("key-{}", case.key))
            .display()
            .to_string();
        let port = case.port.to_string();
        let to = format!("{}@{ADDRESS}", case.user);
        let options = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            // Old keys and algorithms: the server decides.
            "PubkeyAcceptedAlgorithms=+ssh-rsa",
            "RequiredRSASize=1024",
        ];
        let mut client = Command::new("timeout");
        client.args([&seconds, "ssh", "-F", "none", "-q", "-i", &key, "-p", &port]);
        for option in options {
            client.args(["-o", option]);
        }
        let output = client
            .args([&to, "echo logged-in"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).contains("logged-in")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let flags = nix::mount::MntFlags::MNT_DETACH;
        let _ = nix::mount::umount2(&self.top, flags);
        let _ = fs::remove_dir(&self.top);
    }
}

/// Waits until sshd listens; `false`: it has ended, or not where the machine is reached.
fn listens(sshd: &mut Child, port: u16) -> bool {
    let start = Instant::now();
    let mut elsewhere = false;
    while start.elapsed() < LONGEST {
        if let Ok(mut stream) = TcpStream::connect((ADDRESS, port)) {
            // Its greeting.
            stream.set_read_timeout(Some(LONGEST)).unwrap();
            return stream.read(&mut [0; 4]).is_ok_and(|length| length > 0);
        }
        if elsewhere || sshd.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
        // It listens at all of its addresses before it answers at one: then once more.
        elsewhere = ["127.0.0.1", "::1"].iter().any(|other| {
            TcpStream::connect((*other, port)).is_ok_and(|mut stream| {
                stream.set_read_timeout(Some(LONGEST)).unwrap();
                stream.read(&mut [0; 4]).is_ok_and(|length| length > 0)
            })
        });
    }
    false
}

/// Compares this many cases, from the first number on.
fn compare(suite: &str, first: u64, count: u64) {
    let machine = Machine::new(suite);
    let (mut wrong, mut tally) = (vec![], [0; 3]);
    for number in first..first + count {
        let case = Case::of(number);
        machine.set_up(&case);
        let said = machine.check();
        let is_in = machine.logs_in(&case);
        let is_unknown =
            |line: &String| line.contains("cannot be known") || line.contains(", unless Match ");
        let surely = said.iter().any(|line| !is_unknown(line));
        let perhaps = said.iter().any(is_unknown);
        tally[usize::from(surely) + 2 * usize::from(perhaps && !surely)] += 1;
        let is_right = match (surely, perhaps) {
            (true, _) => !is_in,
            (false, true) => true,
            (false, false) => is_in,
        };
        if !is_right {
            wrong.push(format!(
                "case {number} of {suite}: logs in: {is_in}; check: {said:#?}\nuser {}, key {:?}, \
                 shell {}, shadow {:?}, wheel {}, home {:?}, nologin {}\n{}{}",
                case.user,
                KEYS[case.key],
                case.shell,
                case.shadow,
                case.wheel,
                case.home,
                case.nologin,
                case.config,
                machine.log()
            ));
        }
    }
    let [good, bad, unknown] = tally;
    eprintln!("{suite}: {good} without a problem, {bad} with one, {unknown} cannot be known");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // Neither is rare.
    let rare = count as usize / 6;
    assert!(good > rare && bad > rare, "{tally:?}");
}

/// The release of this machine, or else Debian 12.
fn own_suite() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    match name {
        Some(name @ ("bookworm" | "trixie")) => name.into(),
        _ => "bookworm".into(),
    }
}

/// useradd(8) is killed before each of its renames, and so is the script that called it.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_user_that_is_half_made_is_completed_by_the_next_boot() {
    const SCRIPT: &str = include_str!("../../src/login/users.sh");
    let machine = Machine::new(&own_suite());
    let run_script = |calls: &str, kill: Option<u32>| {
        machine.write("script", &format!("{SCRIPT}{calls}finish\n"));
        let mut command = Command::new("timeout");
        command.arg("60");
        if let Some(when) = kill {
            let inject = format!("inject=rename:signal=KILL:when={when}");
            command.args([
                "strace",
                "-f",
                "-o",
                "/dev/null",
                "-e",
                "trace=rename",
                "-e",
                &inject,
            ]);
        }
        command
            .arg("chroot")
            .arg(&machine.root)
            .args(["sh", "-e", "/script"]);
        command.output().unwrap().status.success()
    };
    let make = "make_user_by_useradd 'bob' '/home/bob' '/bin/sh' '--user-group'\n";
    let files = ["passwd", "shadow", "group", "gshadow", "subuid", "subgid"];
    let path = |name: &str| machine.root.join("etc").join(name);
    let before = files.map(|name| fs::read(path(name)).unwrap_or_default());
    let mut half_made = 0;
    for when in 1..=8 {
        for (name, content) in files.iter().zip(&before) {
            fs::write(path(name), content).unwrap();
        }
        let _ = fs::remove_dir_all(machine.root.join("home/bob"));
        let is_made = run_script(make, Some(when));
        // A dead process's locks are taken over, but its number may be in use again.
        for name in files {
            let _ = fs::remove_file(path(&format!("{name}.lock")));
        }
        let passwd = fs::read_to_string(path("passwd")).unwrap();
        if passwd.contains("\nbob:") && !is_made {
            half_made += 1;
            assert!(path(".onecontext-user").exists(), "{when}");
            // The initramfs finds the user in passwd(5), and the mark.
            assert!(run_script("complete_user\n", None), "{when}");
        }
        assert!(run_script(make, None), "{when}");
        assert!(!path(".onecontext-user").exists());
        let text = |name: &str| fs::read_to_string(path(name)).unwrap();
        assert_eq!(
            text("shadow").matches("\nbob:*:").count(),
            1,
            "{when}: {}",
            text("shadow")
        );
        for name in ["passwd", "group", "gshadow"] {
            assert_eq!(text(name).matches("\nbob:").count(), 1, "{when}: {name}");
        }
    }
    assert!(half_made >= 2, "{half_made}");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn check_decides_as_sshd_does() {
    compare(&own_suite(), 1, 30);
}

mod suites {
    use super::compare;

    #[test]
    #[ignore = "takes minutes: make test-logins"]
    fn check_decides_as_sshd_of_debian12_does() {
        compare("bookworm", 1000, 300);
    }

    #[test]
    #[ignore = "takes minutes: make test-logins"]
    fn check_decides_as_sshd_of_debian13_does() {
        compare("trixie", 2000, 300);
    }

    #[test]
    #[ignore = "takes minutes: make test-logins"]
    fn check_decides_as_sshd_of_sid_does() {
        compare("sid", 3000, 300);
    }
}
