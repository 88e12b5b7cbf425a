//! A boot, as a table of contents, for both stages: the early stage sets up the initramfs
//! before there is a root; the other one sets up the machine and its mounted root.
use core::ffi::CStr;

use rustix::io::Errno;
use ufmt::uwrite;

use crate::banner;
use crate::base::error::Error;
use crate::base::log::{Console, Level, Report};
use crate::base::memory::{self, Vector};
use crate::base::output::Streams;
use crate::base::progress::Progress;
use crate::base::text::Escaped;
use crate::base::wait::Wait;
use crate::changeset::{Access, Change, Changes, File, Policy, What, Writer, uncover};
use crate::cli::{Apply, Stage, Status};
use crate::context::{self, Purpose, Unreadable};
use crate::disk::{Disk, Search, SystemPaths, search};
use crate::image::account::{self, AccountFacts, Init, NewUser, Sudo};
use crate::image::cloud_init::CloudInit;
use crate::image::facts::{Facts, LoginFacts, Names, NetworkFacts};
use crate::image::initramfs::InitramfsFacts;
use crate::image::later_mounts::LaterMounts;
use crate::image::logins::Logins;
use crate::image::managers::Managers;
use crate::image::networkd::{self, Networkd};
use crate::image::resolver::ResolvConf;
use crate::image::sshd::Sshd;
use crate::image::systemd::units::Systemd;
use crate::image::{Fact, FileContent, PathError, ResolvedPath, Root};
use crate::kernel::{self, Machine};
use crate::login;
use crate::managers;
use crate::parameters::{Early, LONGEST_WAIT, Mode, Parameters, ScriptMode};
use crate::plan::bound::{BoundPlan, DhcpClient};
use crate::plan::record::{self, RecordedDevice};
use crate::plan::{Link, Plan, SudoRule};
use crate::system;

/// Applies the context to the running kernel and to a root. Each step is recorded in
/// `progress`; an error there: nobody ends this in time.
pub fn apply(
    options: &Apply,
    streams: Streams,
    progress: Result<&'static Progress, Errno>,
) -> Status {
    let mut report = Report::new(Console::Kmsg(streams.errors));
    match progress {
        Ok(progress) => report.progress = Some(progress),
        Err(errno) => report.problem(c"go on without a time limit", b"fork", errno),
    }
    let boot = match Boot::read(options, &mut report) {
        Ok(boot) => boot,
        Err(NoBoot { status, root }) => {
            if let Some((root, policy)) = root {
                write_report(None, &root, policy, &mut report);
                report.finish();
            }
            return status;
        }
    };
    let bound = boot.set_up_network(&mut report);
    boot.write(&bound, &mut report);
    report.finish();
    Status::of(report.problems())
}

/// What a boot has read. Nothing is changed yet; but what an earlier run has mounted over
/// the root is taken off.
pub struct Boot {
    plan: &'static Plan,
    /// `None`: it cannot be opened. The kernel's network needs no root.
    root: Option<Root>,
    policy: Policy,
    facts: StageFacts,
    /// The record of what the earlier stages of this boot have set on network devices.
    record: Option<&'static FileContent>,
    /// Whether the network of the kernel is set up.
    sets_up_network: bool,
    /// How long a NIC that is still to appear is waited for, in seconds.
    longest_wait: u32,
    /// The kernel's command line says that the root is on the network.
    root_on_network: bool,
    /// What the kernel's command line has the booted system mount.
    mounts: &'static [u8],
}

/// What a stage knows of its root.
enum StageFacts {
    /// The facts of the initramfs, and its users if root is to get keys.
    Early(InitramfsFacts, Option<Result<Logins, Error>>),
    /// The mounted root as its image has it, and its facts.
    Root(Root, Facts),
    /// There is no root.
    None,
}

/// Why nothing is applied.
pub struct NoBoot {
    /// The exit status.
    pub status: Status,
    /// The root in which the reason is told.
    root: Option<(Root, Policy)>,
}

impl Boot {
    /// Reads the parameters, the context and the root.
    // Not inlined: a large stack frame makes every access to it longer.
    #[inline(never)]
    #[expect(
        clippy::too_many_lines,
        reason = "the steps of a boot, one after the other"
    )]
    pub fn read(options: &Apply, report: &mut Report) -> Result<Self, NoBoot> {
        let nothing = |status| NoBoot { status, root: None };
        let parameters = Parameters::of_kernel(report);
        report.verbose = parameters.debug;
        let root = options.stage.open_root();
        let initramfs = match (options.stage, &root) {
            (Stage::Early { .. }, Ok(root)) => Some(InitramfsFacts::read(root)),
            _ => None,
        };
        let early = match &initramfs {
            Some(facts) => early_task(&parameters, has_ssh_server(facts, report)),
            None => Early::Off,
        };
        let is_off = match options.stage {
            Stage::Early { .. } => early == Early::Off && root.is_ok(),
            Stage::Root { .. } => parameters.mode == Mode::Off,
        };
        if is_off {
            return Err(nothing(Status::of(report.problems())));
        }
        let search = options.stage.search(&parameters);
        let purpose = match (options.stage, parameters.scripts) {
            (Stage::Root { .. }, ScriptMode::Run) => Purpose::Run,
            _ => Purpose::Plan,
        };
        let plan = read_plan(options.context, &search, purpose, report);
        if plan.is_none() && report.problems() == 0 {
            report.note(b"no context disk, nothing to do");
            return Err(nothing(Status::Done));
        }
        // Before the context's own problems: the console shows only the first problems.
        let root = root
            .map_err(|(path, errno)| report.problem(c"open", path, errno))
            .ok();
        let Some(plan) = plan else {
            let is_named = options.context.is_some() || search.device.is_some() || search.required;
            return Err(NoBoot {
                status: match is_named {
                    true => Status::Unreadable,
                    false => Status::Wrong,
                },
                root: root
                    .filter(|_| initramfs.is_none())
                    .map(|root| (root, parameters.root)),
            });
        };
        let facts = match (initramfs, &root) {
            (Some(facts), Some(root)) => {
                let logins = (early == Early::Keys)
                    // root is the only user who counts.
                    .then(|| {
                        Logins::read(root, &LaterMounts::read(root, Ok(None), b""), &[b"root"])
                    });
                StageFacts::Early(facts, logins)
            }
            (None, Some(root)) => {
                report.begin(c"look at", root.mount_point().to_bytes());
                if !options.dry_run {
                    uncover(root, report);
                }
                match root.image() {
                    Ok(image) => {
                        let facts = read_facts(&image, plan, parameters.network.managers());
                        settle_warnings(plan, &facts);
                        StageFacts::Root(image, facts)
                    }
                    Err((path, errno)) => {
                        report.problem(c"open", path, errno);
                        StageFacts::None
                    }
                }
            }
            (_, None) => StageFacts::None,
        };
        say_warnings(plan, report);
        Ok(Self {
            sets_up_network: sets_up_network(options.stage, &parameters, report),
            longest_wait: parameters.longest_wait(),
            root_on_network: parameters.root_on_network,
            mounts: parameters.mounts,
            // The policy is for the mounted root; the initramfs is in memory.
            policy: match options.stage {
                Stage::Early { .. } => Policy::Auto,
                Stage::Root { .. } => parameters.root,
            },
            plan,
            record: root.as_ref().and_then(|root| read_record(root, report)),
            root,
            facts,
        })
    }

    /// Finds the devices of the links, and changes nothing.
    pub fn find_devices(&self, report: &mut Report) -> BoundPlan {
        kernel::find(self.plan, &self.machine(report), report)
    }

    /// Sets up the kernel's network and host name, as far as the parameters say so, and
    /// finds the devices of the links.
    fn set_up_network(&self, report: &mut Report) -> BoundPlan {
        report.begin(c"set up", b"the network");
        let machine = self.machine(report);
        let mut wait = Wait::seconds(self.longest_wait);
        let mut wait = || SystemPaths::SYSTEM.udev_is_busy() && wait.sleep();
        if let StageFacts::Early(..) = self.facts
            && self.sets_up_network
        {
            // Wait for udev to rename the NICs: before Linux 6.2 a NIC that is up cannot
            // be renamed.
            while wait() {}
        }
        if self.sets_up_network || !matches!(self.facts, StageFacts::Early(..)) {
            kernel::set_hostname(self.plan, report);
        }
        if self.sets_up_network {
            let mut record = |text, report: &mut Report| self.write_record(text, report);
            kernel::apply(
                self.plan,
                &machine,
                &mut wait,
                &mut record,
                &|| self.is_remote(),
                report,
            )
        } else if matches!(machine.dhcp, DhcpClient::Alone | DhcpClient::Early) {
            BoundPlan::unbound(self.plan, machine.dhcp)
        } else {
            kernel::find(self.plan, &machine, report)
        }
    }

    /// Whether the root is on the network; what is not known counts as such.
    fn is_remote(&self) -> bool {
        let has_remote = |root: &Root| root.is_remote(b"/") || root.is_remote(b"/usr");
        self.root_on_network || self.root.as_ref().is_none_or(has_remote)
    }

    fn machine(&self, report: &mut Report) -> Machine {
        let (dhcp, routers) = match &self.facts {
            StageFacts::Early(..) => (DhcpClient::Early, false),
            StageFacts::Root(_, facts) => {
                let managers = facts.network.map(|network| &network.managers);
                let routers = managers.is_some_and(Managers::handle_router_advertisements);
                (dhcp_client(self.plan, facts), routers)
            }
            StageFacts::None => (DhcpClient::Alone, false),
        };
        Machine::open(dhcp, routers, self.recorded(), report)
    }

    /// The network devices that the earlier stages have set up.
    fn recorded(&self) -> &'static [RecordedDevice] {
        self.record
            .map_or(&[], |record| record::read(record.content))
    }

    /// Writes the record of what is set on network devices.
    fn write_record(&self, text: &'static [u8], report: &mut Report) {
        let Some(root) = &self.root else {
            return;
        };
        let mut changes = Changes::new();
        changes.step(record::PATH, |changes| {
            let file = File {
                access: Access::ours(0o600),
                ..File::public(text)
            };
            let path = ResolvedPath::new(record::PATH)?;
            changes.push(Change {
                old: Some(self.record),
                ..Change::new(path, What::File(memory::place(file)))
            });
            Ok(())
        });
        Writer::new(root, self.policy).apply(&changes, report);
    }

    /// What the booted system, or the initramfs, shall see.
    // Not inlined, as `Self::read`.
    #[inline(never)]
    pub fn decide(&self, bound: &BoundPlan, report: &Report) -> Changes {
        let mut changes = Changes::new();
        match &self.facts {
            StageFacts::Early(initramfs, logins) => {
                if self.sets_up_network {
                    system::render_early(bound, initramfs, &mut changes);
                }
                if let Some(logins) = logins {
                    login::decide_early(self.plan, *logins, &mut changes);
                }
            }
            StageFacts::Root(image, facts) => {
                report.begin(c"look for users in", image.mount_point().to_bytes());
                let logins = read_login_facts(image, self.plan, facts.systemd, self.mounts);
                decide(bound, facts, logins, &mut changes);
            }
            StageFacts::None => {}
        }
        changes
    }

    /// The root, if it can be opened.
    pub fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// Writes what the root reads, and what people read.
    fn write(&self, bound: &BoundPlan, report: &mut Report) {
        let Some(root) = &self.root else {
            return;
        };
        let mut writer = Writer::new(root, self.policy);
        let changes = self.decide(bound, report);
        writer.apply(&changes, report);
        writer.finish(report);
        match &self.facts {
            StageFacts::Early(initramfs, _) => {
                if initramfs.ssh_server != Ok(true) {
                    return;
                }
                match initramfs.locks_root {
                    Ok(false) => banner::invite(bound, report),
                    Ok(true) => report.problem(
                        c"login of user",
                        b"root",
                        c"locked in the initramfs's /etc/shadow: sshd refuses its keys",
                    ),
                    Err((path, error)) => report.problem(c"read", path, error),
                }
            }
            _ => write_report(Some(bound), root, self.policy, report),
        }
    }
}

/// Reads what `plan` needs to know of a root, and nothing else, its users apart;
/// `network`: of its network, too.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn read_facts(root: &Root, plan: &Plan, network: bool) -> Facts {
    let systemd = Systemd::find(root);
    let network = network.then(|| &*memory::place(network_facts(root, plan, systemd)));
    Facts {
        systemd,
        names: plan.hostname.map(|_| Names::read(root)),
        cloud_init: CloudInit::find(root, systemd),
        network,
    }
}

/// Removes the warnings about user data from the plan for a root with cloud-init, which
/// reads the data.
pub fn settle_warnings(plan: &mut Plan, facts: &Facts) {
    if let Ok(Some(_)) = facts.cloud_init {
        plan.user_data = &[];
    }
}

/// Reads what `plan` needs to know of the users of a root, and nothing else.
/// `mounts`: what is mounted besides, in the form of fstab.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn read_login_facts(
    root: &Root,
    plan: &Plan,
    systemd: Fact<Systemd>,
    mounts: &[u8],
) -> &'static LoginFacts {
    let later_mounts = LaterMounts::read(root, systemd, mounts);
    let mut users = Vector::<&[u8]>::new();
    for name in plan.users() {
        users.push(memory::copy(name));
    }
    let logins = Logins::read(root, &later_mounts, &users).map(|logins| &*memory::place(logins));
    memory::place(LoginFacts {
        has_systemd: systemd.map(|systemd| systemd.is_some()),
        later_mounts,
        logins,
        account: match logins {
            Ok(logins) => account_facts(root, plan, systemd, &later_mounts, logins)
                .map(|account| Some(&*memory::place(account))),
            Err(_) => Ok(None),
        },
        sshd: match plan.keys {
            [] => Ok(None),
            _ => systemd.and_then(|systemd| Sshd::read(root, systemd).map(Some)),
        },
    })
}

// Not inlined, as `boot::Boot::read`.
#[inline(never)]
fn network_facts(root: &Root, plan: &Plan, systemd: Fact<Systemd>) -> NetworkFacts {
    let dhcp = plan.links.iter().any(Link::uses_dhcp);
    // A lease may bring name servers.
    let resolves = plan.has_name_servers() || plan.search_domains().next().is_some() || dhcp;
    let managers = Managers::of(root, systemd);
    let networkd = match dhcp {
        true => Networkd::find(root, systemd),
        false => Ok(None),
    };
    NetworkFacts {
        networkd_file: match managers.has(networkd::NAME) || matches!(networkd, Ok(Some(_))) {
            true => networkd::first_file(root),
            false => Ok(None),
        },
        managers,
        networkd,
        resolv_conf: match resolves {
            true => ResolvConf::read(root, systemd).map(Some),
            false => Ok(None),
        },
    }
}

fn account_facts(
    root: &Root,
    plan: &Plan,
    systemd: Fact<Systemd>,
    later_mounts: &LaterMounts,
    logins: &Logins,
) -> Result<AccountFacts, PathError> {
    let has_systemd = match systemd {
        Ok(systemd) => systemd.is_some(),
        Err(error) => return Err((b"/sbin/init", error)),
    };
    let login = plan.login;
    let new = match plan.user {
        Some(name) if logins.users.find(name).is_none() => Some(NewUser::read(
            root,
            later_mounts,
            logins,
            name,
            login.shell,
        )?),
        _ => None,
    };
    let sudo = login.sudo != SudoRule::None;
    let is_asked = new.is_some() || sudo || login.password.is_some();
    Ok(AccountFacts {
        sudo: match sudo {
            true => Some(Sudo::read(root)?),
            false => None,
        },
        is_unfinished: plan.user.is_some() && account::is_unfinished(root)?,
        sudoers: account::sudoers(root)?,
        chpasswd: is_asked && account::has_chpasswd(root)?,
        password: match login.password {
            Some((user, _)) => account::password(root, user)?,
            None => None,
        },
        init: match is_asked && !has_systemd {
            true => Init::read(root)?,
            false => None,
        },
        new,
    })
}

/// What the booted system shall see.
pub fn decide(
    bound: &BoundPlan,
    facts: &Facts,
    logins: &'static LoginFacts,
    changes: &mut Changes,
) {
    changes.mounts = Some(&logins.later_mounts);
    login::decide(bound.plan, logins, changes);
    system::render(bound, facts, changes);
    managers::render(bound, facts, changes);
}

/// Who asks for addresses by DHCP.
pub fn dhcp_client(plan: &Plan, facts: &Facts) -> DhcpClient {
    managers::dhcp::client(plan, facts.network)
}

impl Stage {
    fn open_root(self) -> Result<Root, (&'static [u8], Errno)> {
        let run = match self {
            Self::Early { .. } => c"/run",
            Self::Root { run, .. } => run,
        };
        Root::open(self.root(), Some(run))
    }

    fn search(self, parameters: &Parameters) -> Search<'static> {
        Search {
            device: parameters.device,
            wait: match self {
                // A machine that waits for a passphrase can wait for a drive.
                Self::Early { .. } => parameters.wait.unwrap_or(LONGEST_WAIT),
                Self::Root { .. } => parameters.longest_wait(),
            },
            required: parameters.mode == Mode::Require,
            paths: SystemPaths::SYSTEM,
        }
    }
}

fn has_ssh_server(facts: &InitramfsFacts, report: &mut Report) -> bool {
    facts.ssh_server.unwrap_or_else(|error| {
        report.problem(c"look for an SSH server in", b"the initramfs", error);
        false
    })
}

/// What the early stage is to do. Without `onecontext.early=` it depends on whether there
/// is an SSH server.
fn early_task(parameters: &Parameters, has_ssh_server: bool) -> Early {
    match (parameters.mode, parameters.early) {
        (Mode::Off, _) => Early::Off,
        (_, Some(early)) => early,
        (_, None) if has_ssh_server => Early::Network,
        (_, None) => Early::Off,
    }
}

/// Whether this program sets up the network. In the early stage the initramfs's own
/// tools may have been told to do it, which is reported.
fn sets_up_network(stage: Stage, parameters: &Parameters, report: &mut Report) -> bool {
    if let Stage::Early { ip } = stage
        && (parameters.network_by_initramfs || ip.is_some())
    {
        report.add(
            Level::Notice,
            b"the network before there is a root is not the context's: ip=, rd.neednet or a root \
              on the network gives it to the initramfs's own tools",
        );
        return false;
    }
    parameters.network.kernel()
}

/// Reads the context at `path`, or on the disk that is found. `None`: no context could
/// be read, and the report has the reason if it is a problem.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn read_plan(
    path: Option<&CStr>,
    options: &Search,
    purpose: Purpose,
    report: &mut Report,
) -> Option<&'static mut Plan> {
    if let Some(path) = path {
        report.begin(c"open", path.to_bytes());
    }
    let disk = match path {
        Some(path) => Disk::open(path).map(Some),
        None => search(report, options),
    };
    let disk = match disk {
        Ok(disk) => disk?,
        Err(error) => {
            let named = path
                .or(options.device)
                .map_or(&b"context disk"[..], CStr::to_bytes);
            report.problem(c"open", named, error);
            return None;
        }
    };
    report.begin(c"read", disk.source());
    match context::read(disk.source(), &disk, purpose) {
        Ok(plan) => Some(plan),
        Err(Unreadable { file, reason }) => {
            let mut line = report.line();
            let source = Escaped(disk.source());
            uwrite!(line, "read {} of {}: {}", Escaped(file), source, reason);
            report.say(Level::Problem, line);
            None
        }
    }
}

/// The record of an earlier stage of this boot.
fn read_record(root: &Root, report: &mut Report) -> Option<&'static FileContent> {
    root.read_if_there(record::PATH).unwrap_or_else(|error| {
        report.problem(c"read", record::PATH, error);
        None
    })
}

/// Reports the warnings of the plan.
fn say_warnings(plan: &Plan, report: &mut Report) {
    for warning in plan.warnings() {
        let mut line = report.line();
        uwrite!(line, "{}", *warning);
        let level = match warning.is_note {
            true => Level::Note,
            false => Level::Problem,
        };
        report.say(level, line);
    }
}

/// Writes what people read in the booted system.
fn write_report(bound: Option<&BoundPlan>, root: &Root, policy: Policy, report: &mut Report) {
    let mut changes = Changes::new();
    for (path, content) in banner::files(bound, report) {
        if let Err(error) = changes.run_file(path, content) {
            changes.problem(c"write", path, error);
        }
    }
    Writer::new(root, policy).apply(&changes, report);
}

#[cfg(test)]
mod twice_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_is_done_where_it_serves() {
        let quiet = Parameters::default();
        assert_eq!(early_task(&quiet, true), Early::Network);
        assert_eq!(early_task(&quiet, false), Early::Off);
        let asked = |early| Parameters {
            early: Some(early),
            ..quiet
        };
        for early in [Early::Off, Early::Network, Early::Keys] {
            for has_ssh_server in [true, false] {
                assert_eq!(early_task(&asked(early), has_ssh_server), early);
            }
        }
        let off = Parameters {
            mode: Mode::Off,
            ..asked(Early::Keys)
        };
        assert_eq!(early_task(&off, true), Early::Off);
    }
}
