//! From a disk to a plan.
use core::ffi::CStr;

use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::memory::{self, Vector};
use crate::base::text::Escaped;
use crate::context::{self, Purpose, Unreadable};
use crate::disk::{Disk, Search, search};
use crate::image::Root;
use crate::image::config::CloudInit;
use crate::image::facts::{Facts, Wanted};
use crate::image::logins::LoginFacts;
use crate::image::users::WantedAccount;
use crate::plan::early::{self, EarlyDevice};
use crate::plan::{Link, Plan, SudoRule};

/// Reads the context at `path`, or on the disk that is found. `None`: no context could
/// be read, and the report has the reason if it is a problem.
pub fn plan(
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

/// The facts of a root that the plan needs; `network`: those of its network too.
// Not inlined, to keep the callers' stack frames and their offsets small.
#[inline(never)]
pub fn facts(root: &Root, plan: &Plan, network: bool) -> Facts {
    let dhcp = plan.links.iter().any(Link::uses_dhcp);
    let wanted = Wanted {
        hostname: plan.hostname.is_some(),
        // A lease may bring name servers.
        resolv_conf: plan.has_name_servers() || plan.search_domains().next().is_some() || dhcp,
        network,
        dhcp,
    };
    Facts::read(root, wanted)
}

/// The facts of a root that the logins of the plan need.
pub fn login_facts(root: &Root, plan: &Plan) -> Result<&'static LoginFacts, Error> {
    let mut names = Vector::<&[u8]>::new();
    for name in plan.users() {
        names.push(memory::copy(name));
    }
    let account = WantedAccount {
        user: plan.user,
        shell: plan.login.shell,
        sudo: plan.login.sudo != SudoRule::None,
        password: plan.login.password.map(|(user, _)| user),
    };
    LoginFacts::read(root, names.finish(), !plan.keys.is_empty(), &account)
}

/// The facts of the initramfs that root's login needs.
pub fn early_login_facts(root: &Root) -> Result<&'static LoginFacts, Error> {
    LoginFacts::read(root, &[b"root"], false, &WantedAccount::NONE)
}

/// What the early stage of this boot has set up.
pub fn early_devices(root: &Root, report: &mut Report) -> &'static [EarlyDevice] {
    match root.read_if_there(early::PATH) {
        Ok(Some(found)) => early::read(found.content),
        Ok(None) => &[],
        Err(error) => {
            report.problem(c"read", early::PATH, error);
            &[]
        }
    }
}

/// Reports the warnings of the plan.
pub fn say_warnings(plan: &Plan, report: &mut Report) {
    for warning in plan.warnings() {
        let mut line = report.line();
        uwrite!(line, "{}", *warning);
        report.say(Level::Problem, line);
    }
}

/// Removes the warnings about user data from the plan, if the root has cloud-init, which
/// reads the data.
pub fn drop_user_data_warnings(plan: &mut Plan, facts: &Facts) {
    if let Ok(CloudInit::Unit | CloudInit::Script) = facts.cloud_init {
        plan.user_data = &[];
    }
}
