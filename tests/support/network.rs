//! A network of the test's own: a network namespace for QEMU, with a tap device
//! for each of its NICs. QEMU's user network passes no ICMP inward, and has
//! servers that the test cannot change; here is only what the test starts.

use super::{command, run};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// What the server needs for anything, on a machine that is busy.
const SERVER: Duration = Duration::from_secs(300);

/// A network namespace. It is gone with the last process that is in it, and
/// the last of these.
#[derive(Clone)]
pub struct Namespace(Arc<File>);

impl Namespace {
    fn new() -> Result<Namespace, String> {
        // A thread that ends at once: it cannot go back.
        let thread = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let file = thread.join().unwrap();
        let file = file.map_err(|error| format!("a new network namespace: {error}"))?;
        Ok(Namespace(Arc::new(file)))
    }

    /// Lets a program run in it.
    pub fn around(&self, command: &mut Command) {
        let namespace = Arc::clone(&self.0);
        let enter = move || Ok(setns(&namespace, CloneFlags::CLONE_NEWNET)?);
        // SAFETY: one system call, and nothing that another thread may hold.
        unsafe { command.pre_exec(enter) };
    }

    /// A program that runs in it, and is killed with the tests.
    fn command(&self, program: &str) -> Command {
        let mut command = command(program);
        self.around(&mut command);
        let dies_with_us = || Ok(prctl::set_pdeathsig(Signal::SIGKILL)?);
        // SAFETY: as above.
        unsafe { command.pre_exec(dies_with_us) };
        command
    }
}

/// The namespace and the server in it, until this goes out of scope.
pub struct Network {
    pub namespace: Namespace,
    server: Option<(Child, File)>,
}

impl Network {
    /// A tap device for each of these networks, `tapN` for 10.18.N.0/24 and
    /// 2001:db8:N::/64, with the addresses that this host has in QEMU's own:
    /// 10.18.N.254, 2001:db8:N::ff, and fe80::ff.
    pub fn new(nets: &[u8]) -> Network {
        let namespace = Namespace::new().unwrap_or_else(|why| panic!("{why}; run as root"));
        let tun = File::options().read(true).write(true).open("/dev/net/tun");
        if let Err(error) = tun {
            panic!("/dev/net/tun: {error}; run as root");
        }
        let network = Network {
            namespace,
            server: None,
        };
        // One that does not forward says that it is no router.
        let mut sh = network.namespace.command("sh");
        let path = "/proc/sys/net/ipv6/conf/all/forwarding";
        run(sh.arg("-c").arg(format!("echo 1 >{path}")));
        nets.iter().for_each(|net| network.add_tap(*net));
        network
    }

    fn add_tap(&self, net: u8) {
        for arguments in [
            format!("tuntap add dev tap{net} mode tap"),
            format!("link set dev tap{net} addrgenmode none up"),
            format!("address add 10.18.{net}.254/24 dev tap{net}"),
            format!("address add 2001:db8:{net}::ff/64 dev tap{net} nodad"),
            format!("address add fe80::ff/64 dev tap{net} nodad"),
        ] {
            let mut ip = self.namespace.command("ip");
            run(ip.args(arguments.split(' ')));
        }
    }

    /// Starts dnsmasq (dnsmasq(8)) with these options: DHCP and router
    /// advertisements, no DNS, nothing read from or written to this host.
    pub fn serve(&mut self, options: &[&str]) {
        let log = File::from(memfd_create(c"dnsmasq", MFdFlags::MFD_CLOEXEC).unwrap());
        let mut dnsmasq = self.namespace.command("dnsmasq");
        dnsmasq
            // As another user or group it would outlive us: prctl(2),
            // PR_SET_PDEATHSIG. "no-daemon" leaves it who it is.
            .args(["--no-daemon", "--conf-file=/dev/null", "--leasefile-ro"])
            .args(["--port=0", "--no-ping", "--log-dhcp", "--log-facility=-"])
            .args(options)
            .stderr(log.try_clone().unwrap());
        self.server = Some((dnsmasq.spawn().unwrap(), log));
        self.wait_for("its start", |log| log.contains("started"));
    }

    /// Waits until the server has said something; returns all that it has.
    pub fn wait_for(&mut self, what: &str, said: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + SERVER;
        loop {
            let log = self.log();
            if said(&log) {
                return log;
            }
            assert!(Instant::now() < end, "dnsmasq, {what}: {log}");
            sleep(Duration::from_millis(50));
        }
    }

    /// What the server has said so far.
    pub fn log(&mut self) -> String {
        let (child, log) = self.server.as_mut().unwrap();
        let mut bytes = vec![0; log.metadata().unwrap().len() as usize];
        log.read_exact_at(&mut bytes, 0).unwrap();
        let log = String::from_utf8(bytes).unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            panic!("dnsmasq: {status}\n{log}");
        }
        log
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.server {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Pings an address five times a second, until it is stopped.
pub struct Ping {
    ping: Child,
    answers: JoinHandle<Vec<Reply>>,
    qemu: u32,
}

/// That an answer came.
#[derive(Clone, Copy)]
struct Reply {
    at: Instant,
    /// For how long QEMU has waited for a processor of this host until then.
    waited: Duration,
}

impl Reply {
    fn now(qemu: u32) -> Reply {
        Reply {
            at: Instant::now(),
            waited: waited(qemu),
        }
    }
}

impl Ping {
    /// `qemu` is the process whose answers these are.
    pub fn start(namespace: &Namespace, qemu: u32, address: &str) -> Ping {
        let mut ping = namespace
            .command("ping")
            .args(["-n", "-i", "0.2", address])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(ping.stdout.take().unwrap()).lines();
        let answers = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .filter(|line| line.contains(" bytes from "))
                .map(|_| Reply::now(qemu))
                .collect()
        });
        Ping {
            ping,
            answers,
            qemu,
        }
    }

    /// Ends it. What comes late, because the network was away or because the
    /// machine was busy, counts as not there until it comes; only the time in
    /// which this host did not let QEMU run is not the machine's.
    pub fn stop(mut self) -> Reached {
        let end = Reply::now(self.qemu);
        assert_eq!(self.ping.try_wait().unwrap(), None, "ping has ended");
        self.ping.kill().unwrap();
        self.ping.wait().unwrap();
        let mut answers = self.answers.join().unwrap();
        let first = *answers.first().expect("no answer at all");
        answers.push(end);
        let gap = |pair: &[Reply]| {
            let waited = pair[1].waited.saturating_sub(pair[0].waited);
            (pair[1].at - pair[0].at).saturating_sub(waited)
        };
        let longest = answers.windows(2).max_by_key(|pair| gap(pair)).unwrap();
        Reached {
            first: first.at,
            answers: answers.len() - 1,
            gap: gap(longest),
            gap_after: longest[0].at - first.at,
        }
    }
}

/// When an address could be reached.
pub struct Reached {
    pub first: Instant,
    answers: usize,
    /// The longest time without an answer, from the first one to the end.
    pub gap: Duration,
    /// When that was, from the first answer.
    gap_after: Duration,
}

impl Display for Reached {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(
            f,
            "{} answers; the longest time without one was {:.2?}, {:.1?} after the first",
            self.answers, self.gap, self.gap_after
        )
    }
}

/// For how long the busiest thread of a process, that is QEMU's processor, was
/// ready to run and did not (proc_pid_schedstat(5)). Nothing where the kernel
/// does not tell.
fn waited(process: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Duration::ZERO;
    };
    let numbers = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let (ran, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some((ran, waited))
    });
    let (_, waited) = numbers.max().unwrap_or_default();
    Duration::from_nanos(waited)
}
