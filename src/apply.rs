//! `onecontext apply`: a boot, from the disk to the report.
use crate::banner;
use crate::base::log::{Console, Report};
use crate::base::output::Streams;
use crate::base::progress::Progress;
use crate::base::wait::Wait;
use crate::changeset::{Changes, Writer};
use crate::cli::{Apply, Status};
use crate::context::Purpose;
use crate::disk::{Search, SystemPaths};
use crate::handover;
use crate::image::Root;
use crate::image::facts::Facts;
use crate::image::managers::Managers;
use crate::inspect::{self, DryRun};
use crate::kernel::{self, Machine};
use crate::load;
use crate::login;
use crate::parameters::{Mode, Parameters, ScriptMode};
use crate::plan::Plan;
use crate::plan::bound::{BoundPlan, DhcpClient};
use crate::plan::early::EarlyDevice;

/// Applies the context to the running kernel and to a root, or in a dry run writes what
/// would be done. Each step is recorded in `progress`.
pub fn apply(
    options: &Apply,
    streams: Streams,
    progress: Option<&'static Progress>,
    dry_run: Option<DryRun<'_>>,
) -> Status {
    let is_dry = dry_run.is_some();
    let console = Console::of_apply(is_dry, streams.errors);
    let mut report = Report::new(console);
    report.progress = progress;
    let parameters = Parameters::of_kernel(&mut report);
    if parameters.mode == Mode::Off {
        return Status::Done;
    }
    report.verbose = parameters.debug;
    let search = Search {
        device: parameters.device,
        wait: parameters.longest_wait(),
        required: parameters.mode == Mode::Require,
        paths: SystemPaths::SYSTEM,
    };
    let purpose = match parameters.scripts {
        ScriptMode::Run => Purpose::Run,
        ScriptMode::Off => Purpose::Plan,
    };
    let plan = load::plan(options.context, &search, purpose, &mut report);
    if plan.is_none() && report.problems() == 0 {
        report.note(b"no context disk, nothing to do");
        return Status::Done;
    }
    // Opened before the context's own problems are reported: the console shows only the
    // first problems.
    report.begin(c"look at", options.root.to_bytes());
    let root = open_root(options, &mut report);
    let Some(plan) = plan else {
        if let Some(root) = root.filter(|_| !is_dry) {
            write_report(None, &root, &parameters, &mut report);
            report.finish();
        }
        let is_named = options.context.is_some() || search.device.is_some() || search.required;
        return match is_named {
            true => Status::Unreadable,
            false => Status::Wrong,
        };
    };
    let Some(root) = root else {
        // The kernel's network needs no root.
        load::say_warnings(plan, &mut report);
        let machine = Machine::open(handover::dhcp::client(plan, None), false, &[], &mut report);
        set_up_network(plan, &machine, &parameters, is_dry, &mut report);
        return Status::Wrong;
    };
    let facts = load::facts(&root, plan, parameters.network.handover());
    load::drop_user_data_warnings(plan, &facts);
    let plan = &*plan;
    let early = load::early_devices(&root, &mut report);
    load::say_warnings(plan, &mut report);
    let dhcp = handover::dhcp::client(plan, facts.network);
    let managers = facts.network.map(|network| &network.managers);
    let routers = managers.is_some_and(Managers::handle_router_advertisements);
    let machine = Machine::open(dhcp, routers, early, &mut report);
    let bound = set_up_network(plan, &machine, &parameters, is_dry, &mut report);
    if let Some(DryRun { write, out }) = dry_run {
        let changes = inspect::decide(&bound, &root, &facts);
        write(&bound, Some(&changes), out);
        return Status::of(report.problems());
    }
    write_files(&bound, &root, &facts, early, &parameters, &mut report);
    write_report(Some(&bound), &root, &parameters, &mut report);
    report.finish();
    Status::of(report.problems())
}

fn open_root(options: &Apply, report: &mut Report) -> Option<Root> {
    Root::open(options.root, Some(options.run))
        .map_err(|(path, errno)| report.problem(c"open", path, errno))
        .ok()
}

/// Sets up the kernel's network and host name, as far as the parameters say so,
/// and finds the devices of the links.
fn set_up_network(
    plan: &'static Plan,
    machine: &Machine,
    parameters: &Parameters,
    dry_run: bool,
    report: &mut Report,
) -> BoundPlan {
    report.begin(c"set up", b"the network");
    if dry_run {
        return kernel::find(plan, machine, report);
    }
    kernel::set_hostname(plan, report);
    if parameters.network.kernel() {
        let mut wait = Wait::seconds(parameters.longest_wait());
        let mut wait = || SystemPaths::SYSTEM.udev_is_busy() && wait.sleep();
        kernel::apply(plan, machine, &mut wait, report)
    } else if machine.dhcp != DhcpClient::Alone {
        kernel::find(plan, machine, report)
    } else {
        BoundPlan::unbound(plan)
    }
}

/// Writes what the booted system reads: keys, and the files of its own tools.
fn write_files(
    bound: &BoundPlan,
    root: &Root,
    facts: &Facts,
    early: &[EarlyDevice],
    parameters: &Parameters,
    report: &mut Report,
) {
    let mut writer = Writer::new(root, parameters.root);
    report.begin(c"look for users in", root.mount_point().to_bytes());
    let logins = load::login_facts(root, bound.plan);
    let mut changes = Changes::new();
    login::decide(bound.plan, logins, &mut changes);
    writer.apply(&changes, report);
    let mut changes = Changes::new();
    handover::render(bound, facts, &mut changes);
    handover::clear_early(early, &mut changes);
    writer.apply(&changes, report);
    writer.finish(report);
}

/// Writes what people read in the booted system.
fn write_report(
    bound: Option<&BoundPlan>,
    root: &Root,
    parameters: &Parameters,
    report: &mut Report,
) {
    let files = banner::files(bound, report);
    let mut changes = Changes::new();
    for (path, content) in files {
        if let Err(error) = changes.run_file(path, content) {
            changes.problem(c"write", path, error);
        }
    }
    Writer::new(root, parameters.root).apply(&changes, report);
}
