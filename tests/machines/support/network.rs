//! A network of the test's own: a network namespace for QEMU, with a tap device for
//! each of its NICs. QEMU's user network passes no ICMP inward, and has servers that
//! the test cannot change. Here the test starts everything itself.

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
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// The limit for any answer of the server, on a busy machine.
const SERVER: Duration = Duration::from_secs(300);

/// A network namespace. It ends with the last process in it and the last of these
/// values.
#[derive(Clone)]
pub struct Namespace(Arc<File>);

impl Namespace {
    fn new() -> Result<Namespace, String> {
        // A thread that ends at once, because it cannot return to the old namespace.
        let thread = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let file = thread.join().unwrap();
        let file = file.map_err(|error| format!("a new network namespace: {error}"))?;
        Ok(Namespace(Arc::new(file)))
    }

    /// Makes a program run in it.
    pub fn around(&self, command: &mut Command) {
        let namespace = Arc::clone(&self.0);
        let enter = move || Ok(setns(&namespace, CloneFlags::CLONE_NEWNET)?);
        // SAFETY: one system call, which takes no lock of another thread.
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

/// The namespace and the server in it, until this is dropped.
pub struct Network {
    pub namespace: Namespace,
    server: Option<(Child, File)>,
}

impl Network {
    /// Makes a tap device for each of these networks: `tapN` for 10.18.N.0/24 and
    /// 2001:db8:N::/64, with the addresses that this host has in QEMU's own networks:
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
        // A host that does not forward announces that it is no router.
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

    /// Starts dnsmasq(8) with these options: DHCP and router advertisements, DNS only
    /// if they name a port. It reads and writes no file of this host.
    pub fn serve(&mut self, options: &[&str]) {
        let log = File::from(memfd_create(c"dnsmasq", MFdFlags::MFD_CLOEXEC).unwrap());
        let mut dnsmasq = self.namespace.command("dnsmasq");
        dnsmasq
            // A change of user or group would clear the parent-death signal, and
            // dnsmasq would outlive us (prctl(2), PR_SET_PDEATHSIG). "no-daemon" keeps
            // both.
            .args(["--no-daemon", "--conf-file=/dev/null", "--leasefile-ro"])
            .args(["--no-ping", "--log-dhcp", "--log-facility=-"])
            .args(options)
            .stderr(log.try_clone().unwrap());
        if !options.iter().any(|option| option.starts_with("--port=")) {
            dnsmasq.arg("--port=0");
        }
        self.server = Some((dnsmasq.spawn().unwrap(), log));
        self.wait_for("its start", |log| log.contains("started"));
    }

    /// Waits until the server's log meets a condition; returns the whole log.
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

    /// The server's log so far.
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
    clock: Clock,
}

/// An answer that came.
#[derive(Clone, Copy)]
struct Reply {
    at: Instant,
    /// The same by QEMU's clock.
    time: Duration,
}

impl Ping {
    /// `qemu` is the process that answers.
    pub fn start(namespace: &Namespace, qemu: u32, address: &str) -> Ping {
        let mut ping = namespace
            .command("ping")
            .args(["-n", "-i", "0.2", address])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let clock = Clock::start(qemu);
        let of_answers = clock.clone();
        let lines = BufReader::new(ping.stdout.take().unwrap()).lines();
        let answers = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .filter(|line| line.contains(" bytes from "))
                .map(|_| of_answers.now())
                .collect()
        });
        Ping {
            ping,
            answers,
            clock,
        }
    }

    /// Ends it. An answer that comes late, because the network was down or the machine
    /// was busy, counts as missing until it comes. Only the time in which this host did
    /// not let QEMU work is subtracted.
    pub fn stop(mut self) -> Reached {
        let end = self.clock.now();
        assert_eq!(self.ping.try_wait().unwrap(), None, "ping has ended");
        self.ping.kill().unwrap();
        self.ping.wait().unwrap();
        let mut answers = self.answers.join().unwrap();
        let first = *answers.first().expect("no answer at all");
        answers.push(end);
        let gap = |pair: &[Reply]| pair[1].time.saturating_sub(pair[0].time);
        let longest = answers.windows(2).max_by_key(|pair| gap(pair)).unwrap();
        Reached {
            first: first.at,
            answers: answers.len() - 1,
            gap: gap(longest),
            gap_here: longest[1].at - longest[0].at,
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
    /// The same by this host's clock.
    gap_here: Duration,
    /// When that was, from the first answer.
    gap_after: Duration,
}

impl Display for Reached {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(
            f,
            "{} answers; the longest time without one was {:.2?}, here {:.2?}, \
             {:.1?} after the first",
            self.answers, self.gap, self.gap_here, self.gap_after
        )
    }
}

/// The time in which a QEMU could work. The clock stands still while one of the two
/// threads that an answer needs waits for a processor of this host, or in the kernel
/// for a disk or memory; and while the whole host stands still.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

/// How often it is set.
const TICK: Duration = Duration::from_millis(50);

impl Clock {
    fn start(qemu: u32) -> Clock {
        let clock = Clock(Arc::default());
        let nanoseconds = Arc::downgrade(&clock.0);
        std::thread::spawn(move || {
            let (mut last, mut threads) = (Instant::now(), HostThread::of(qemu));
            loop {
                sleep(TICK);
                let Some(nanoseconds) = nanoseconds.upgrade() else {
                    return;
                };
                let (now, then) = (Instant::now(), threads);
                threads = HostThread::of(qemu);
                let lost = threads.iter().map(|thread| thread.lost(&then));
                // A longer sleep means that this thread was not woken in time.
                let passed = (now - last).min(2 * TICK);
                let lost = lost.fold(Duration::ZERO, Duration::saturating_add);
                let worked = passed.saturating_sub(lost);
                nanoseconds.fetch_add(worked.as_nanos() as u64, Ordering::Relaxed);
                last = now;
            }
        });
        clock
    }

    fn now(&self) -> Reply {
        Reply {
            at: Instant::now(),
            time: Duration::from_nanos(self.0.load(Ordering::Relaxed)),
        }
    }
}

/// A thread, as this host's kernel sees it.
struct HostThread {
    id: u32,
    /// The time that it ran, and the time that it was ready but did not run
    /// (proc_pid_schedstat(5)).
    ran: Duration,
    waited: Duration,
    /// It is in an uninterruptible sleep (proc_pid_stat(5), state D).
    is_blocked: bool,
}

impl HostThread {
    /// The thread that passes packets, which is the first, and the processor's, which
    /// is the busiest of the others. None if the kernel does not say.
    fn of(qemu: u32) -> Vec<HostThread> {
        let threads = fs::read_dir(format!("/proc/{qemu}/task"));
        let threads = threads.into_iter().flatten().flatten();
        let threads = threads.filter_map(|entry| HostThread::read(&entry.path()));
        let (mut first, others): (Vec<_>, Vec<_>) = threads.partition(|one| one.id == qemu);
        first.extend(others.into_iter().max_by_key(|thread| thread.ran));
        first
    }

    fn read(folder: &Path) -> Option<HostThread> {
        let id = folder.file_name()?.to_str()?.parse().ok()?;
        let times = fs::read_to_string(folder.join("schedstat")).ok()?;
        let mut times = times.split_whitespace().map(str::parse);
        let mut next = || Some(Duration::from_nanos(times.next()?.ok()?));
        let (ran, waited) = (next()?, next()?);
        // Behind the name, which may have any character.
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let (_, stat) = stat.rsplit_once(") ")?;
        Some(HostThread {
            id,
            ran,
            waited,
            is_blocked: stat.starts_with('D'),
        })
    }

    /// The time that it lost since its entry in `before`.
    fn lost(&self, before: &[HostThread]) -> Duration {
        if self.is_blocked {
            return Duration::MAX;
        }
        let before = before.iter().find(|thread| thread.id == self.id);
        before.map_or(Duration::ZERO, |before| {
            self.waited.saturating_sub(before.waited)
        })
    }
}
