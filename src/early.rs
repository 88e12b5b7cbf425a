//! `onecontext apply --early`: makes the initramfs itself reachable before there is a
//! root, so that somebody can unlock an encrypted root, or find out why it is missing.
use ufmt::uwrite;

use crate::base::log::{Console, Level, Report};
use crate::base::output::Streams;
use crate::base::progress::Progress;
use crate::base::text::Ip;
use crate::base::wait::Wait;
use crate::changeset::{Changes, Policy, Writer};
use crate::cli::{ApplyEarly, Status};
use crate::context::Purpose;
use crate::disk::{Search, SystemPaths};
use crate::handover;
use crate::image::Root;
use crate::image::initramfs::InitramfsFacts;
use crate::inspect::DryRun;
use crate::kernel::{self, Machine};
use crate::load;
use crate::login;
use crate::parameters::{Early, LONGEST_WAIT, Mode, Parameters};
use crate::plan::Plan;
use crate::plan::bound::{BoundPlan, DhcpClient};

/// Applies the context to the running kernel and to the initramfs, or in a dry run
/// writes what would be done. Each step is recorded in `progress`.
pub fn apply(
    options: &ApplyEarly,
    streams: Streams,
    progress: Option<&'static Progress>,
    dry_run: Option<DryRun<'_>>,
) -> Status {
    let console = Console::of_apply(dry_run.is_some(), streams.errors);
    let mut report = Report::new(console);
    report.progress = progress;
    let parameters = Parameters::of_kernel(&mut report);
    report.verbose = parameters.debug;
    let root = match Root::open(c"/", Some(c"/run")) {
        Ok(root) => root,
        Err((path, errno)) => {
            report.problem(c"open", path, errno);
            return Status::Wrong;
        }
    };
    let facts = InitramfsFacts::read(&root);
    let has_ssh_server = facts.ssh_server.unwrap_or_else(|error| {
        report.problem(c"look for an SSH server in", b"the initramfs", error);
        false
    });
    let early = wanted(&parameters, has_ssh_server);
    if early == Early::Off {
        return Status::of(report.problems());
    }
    let search = Search {
        device: parameters.device,
        // A machine that waits for a passphrase can wait for a drive.
        wait: parameters.wait.unwrap_or(LONGEST_WAIT),
        required: parameters.mode == Mode::Require,
        paths: SystemPaths::SYSTEM,
    };
    let Some(plan) = load::plan(options.context, &search, Purpose::Plan, &mut report) else {
        if report.problems() == 0 {
            report.note(b"no context disk, nothing to do before there is a root");
            return Status::Done;
        }
        return Status::Unreadable;
    };
    load::say_warnings(plan, &mut report);
    let is_network_ours = is_network_ours(&parameters, options, &mut report);
    let bound = match is_network_ours {
        true => set_up_network(plan, &parameters, dry_run.is_some(), &mut report),
        false => BoundPlan::unbound(plan),
    };
    let logins = (early == Early::Keys).then(|| load::early_login_facts(&root));
    let mut changes = Changes::new();
    if is_network_ours {
        handover::render_early(&bound, &facts, &mut changes);
    }
    if let Some(logins) = logins {
        login::decide_early(plan, logins, &mut changes);
    }
    if let Some(DryRun { write, out }) = dry_run {
        write(&bound, Some(&changes.place(&root)), out);
        return Status::of(report.problems());
    }
    // The policy is for the real root; this is the initramfs.
    let mut writer = Writer::new(&root, Policy::Auto);
    writer.apply(&changes, &mut report);
    writer.finish(&mut report);
    if has_ssh_server {
        invite(&bound, &mut report);
    }
    report.finish();
    Status::of(report.problems())
}

/// What is to be done. Without `onecontext.early=` it depends on whether there is an
/// SSH server.
fn wanted(parameters: &Parameters, has_ssh_server: bool) -> Early {
    match (parameters.mode, parameters.early) {
        (Mode::Off, _) => Early::Off,
        (_, Some(early)) => early,
        (_, None) if has_ssh_server => Early::Network,
        (_, None) => Early::Off,
    }
}

/// Whether this program sets up the network before there is a root. If the initramfs's
/// own tools were told to do it, that is reported.
fn is_network_ours(parameters: &Parameters, options: &ApplyEarly, report: &mut Report) -> bool {
    if parameters.network_by_initramfs || options.ip.is_some() {
        let mut line = report.line();
        uwrite!(
            line,
            "the network before there is a root is not the context's: ip=, rd.neednet or a root \
             on the network gives it to the initramfs's own tools"
        );
        report.say(Level::Notice, line);
        return false;
    }
    parameters.network.kernel()
}

/// Sets up the kernel's network and host name.
fn set_up_network(
    plan: &'static Plan,
    parameters: &Parameters,
    dry_run: bool,
    report: &mut Report,
) -> BoundPlan {
    report.begin(c"set up", b"the network");
    let machine = Machine::open(DhcpClient::Early, false, &[], report);
    if dry_run {
        return kernel::find(plan, &machine, report);
    }
    kernel::set_hostname(plan, report);
    let mut wait = Wait::seconds(parameters.longest_wait());
    let mut wait = || SystemPaths::SYSTEM.udev_is_busy() && wait.sleep();
    // Wait for udev to rename the NICs: before Linux 6.2 a NIC that is up cannot be
    // renamed.
    while wait() {}
    kernel::apply(plan, &machine, &mut wait, report)
}

/// Reports where somebody can log in.
fn invite(bound: &BoundPlan, report: &mut Report) {
    let mut line = report.line();
    let mut before = "no root yet; ssh root@";
    for bound_link in bound.links.iter().filter(|one| one.is_set_up()) {
        let link = bound_link.link;
        let leased = bound_link.lease.map(|lease| &lease.address);
        let ipv4 = link.ipv4.addresses.first().or(leased);
        let ipv6 = link.ipv6.addresses.first();
        for prefix in ipv4.into_iter().chain(ipv6) {
            uwrite!(line, "{}{}", before, Ip(prefix.address));
            before = ", root@";
        }
    }
    if !line.is_empty() {
        report.say(Level::Notice, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_is_done_where_it_serves() {
        let quiet = Parameters::default();
        assert_eq!(wanted(&quiet, true), Early::Network);
        assert_eq!(wanted(&quiet, false), Early::Off);
        let asked = |early| Parameters {
            early: Some(early),
            ..quiet
        };
        for early in [Early::Off, Early::Network, Early::Keys] {
            for has_ssh_server in [true, false] {
                assert_eq!(wanted(&asked(early), has_ssh_server), early);
            }
        }
        let off = Parameters {
            mode: Mode::Off,
            ..asked(Early::Keys)
        };
        assert_eq!(wanted(&off, true), Early::Off);
    }
}
