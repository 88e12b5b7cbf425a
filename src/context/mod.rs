//! From the text of a context disk to a plan.
//!
//! [`shell`] reads the shell syntax, [`assignments`] groups what it found by NIC.
//! [`opennebula`] and [`stratuslab`] interpret the variables, which have a table in
//! [`variables`]; [`network`] collects what they say about NICs; [`keys`], [`users`],
//! [`scripts`] and [`hostname`] read the rest.
//! [`lint`] finds likely mistakes, for `check`.
mod assignments;
pub mod base64;
mod hostname;
mod keys;
mod lint;
mod network;
mod opennebula;
mod scripts;
pub mod shell;
mod state;
mod stratuslab;
mod users;
mod values;
pub mod variables;

use crate::base::context_files::{CONFIGURATION, CONTEXT, Files};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::sort::sort;
use crate::base::text::same;
use crate::plan::{Dialect, Plan, Warning, Warnings};
use assignments::Assignments;
use network::{Finished, Network};
use shell::Assignment;
use state::Context;
use variables::Variable::{NETCFG_TYPE, USER_DATA, USERDATA};

/// A file of the disk that could not be read.
pub struct Unreadable {
    /// Its name.
    pub file: &'static [u8],
    /// Why.
    pub reason: Error,
}

/// What a context is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be applied or shown.
    Plan,
    /// To be applied, and its scripts are to be run: their files are read too.
    Run,
    /// To be checked: likely mistakes are reported too.
    Check,
}

/// Reads the files of a disk. `source` names the disk in the plan.
pub fn read(
    source: &'static [u8],
    files: &dyn Files,
    purpose: Purpose,
) -> Result<&'static mut Plan, Unreadable> {
    let unreadable = |file| move |reason| Unreadable { file, reason };
    let text = files.read(CONTEXT).map_err(unreadable(CONTEXT))?;
    let text = text
        .ok_or(Error::new(c"No such file or directory"))
        .map_err(unreadable(CONTEXT))?;
    let configuration = files
        .read(CONFIGURATION)
        .map_err(unreadable(CONFIGURATION))?;
    Ok(plan(source, text, configuration, files, purpose))
}

// Not inlined, as `boot::Boot::read`.
#[inline(never)]
fn plan(
    source: &'static [u8],
    text: &'static mut [u8],
    configuration: Option<&'static mut [u8]>,
    files: &dyn Files,
    purpose: Purpose,
) -> &'static mut Plan {
    let is_configured = configuration.is_some();
    let (assignments, warnings) = read_assignments(files.called(CONTEXT), text, configuration);
    let mut context = Context {
        files,
        assignments: Assignments::new(&assignments),
        warnings,
    };
    let has_eth = opennebula::has_nics(&context.assignments);
    let dialect = match !has_eth && (is_configured || stratuslab::wrote(&context.assignments)) {
        true => Dialect::StratusLab,
        false => Dialect::OpenNebula,
    };
    let hostname = hostname::read(&mut context);
    let is_managed = is_managed(&mut context);
    let network = match is_managed {
        true => network(&mut context, dialect),
        false => Finished::default(),
    };
    let logins = keys::read(&mut context, dialect);
    let login = users::read(&mut context, logins.user, logins.owner);
    let on_disk = scripts::find(&mut context, has_eth);
    let assignments = (purpose == Purpose::Run).then_some(&*assignments);
    let scripts = scripts::read(&mut context, &on_disk, assignments);
    // StratusLab's disks have no NICs since October 2010: DHCP is meant.
    let by_dhcp = dialect == Dialect::StratusLab || on_disk.stock;
    if is_managed && network.links.is_empty() && !by_dhcp {
        let what = "no NIC in the context, the network is left alone";
        context.warnings.general(None, what, None);
    }
    if logins.keys.is_empty() && !users::has_password(&login) {
        let what = "no SSH key in the context, nobody is let in by this program";
        context.warnings.general(None, what, None);
    }
    if purpose == Purpose::Check {
        lint::check(&mut context, dialect, network.links, logins.keys);
    }
    memory::place(Plan {
        dialect,
        source,
        hostname,
        links: network.links,
        dns: network.dns,
        search: network.search,
        user: logins.user,
        login,
        keys: logins.keys,
        scripts,
        user_data: user_data(&context),
        warnings: sorted_by_place(context.warnings),
    })
}

/// The assignments of both files, in their order. `name` is that of the first.
fn read_assignments(
    name: &'static [u8],
    text: &'static mut [u8],
    configuration: Option<&'static mut [u8]>,
) -> (Vector<Assignment>, Warnings) {
    let (mut assignments, mut warnings) = (Vector::new(), Warnings(Vector::new()));
    shell::read(name, text, &mut assignments, &mut warnings);
    if let Some(text) = configuration {
        shell::read(CONFIGURATION, text, &mut assignments, &mut warnings);
    }
    (assignments, warnings)
}

/// Whether the context configures the network. NETCFG_TYPE is a variable of one-apps
/// (netcfg).
fn is_managed(context: &mut Context) -> bool {
    let variable = context.assignments.machine().get(NETCFG_TYPE);
    match variable.filter(|variable| same(variable.value, b"none")) {
        Some(variable) => {
            context.warn(&variable, "is none, the network is left alone");
            false
        }
        None => true,
    }
}

fn network(context: &mut Context, dialect: Dialect) -> Finished {
    let mut network = Network::default();
    if dialect == Dialect::StratusLab && stratuslab::has_nics(&context.assignments) {
        stratuslab::network(context, &mut network);
    } else {
        opennebula::network(context, &mut network);
    }
    network.finish(context)
}

/// The warnings about user data, for roots where nothing reads it.
fn user_data(context: &Context) -> &'static [Warning] {
    let mut warnings = Vector::new();
    for variable in context.assignments.machine().each(&[USER_DATA, USERDATA]) {
        warnings.push(Warning {
            place: Some(variable.place),
            subject: Some(variable.name),
            what: scripts::NEVER_RUN,
            found: None,
            is_note: false,
        });
    }
    warnings.finish()
}

/// The warnings in the order of the files' lines, the general ones last.
fn sorted_by_place(warnings: Warnings) -> &'static [Warning] {
    let warnings = warnings.0.finish();
    let mut numbered = Vector::new();
    for (number, warning) in (0u32..).zip(warnings.iter()) {
        let key = match warning.place {
            Some(place) => (u8::from(place.file == CONFIGURATION), place.line, number),
            None => (2, 0, number),
        };
        numbered.push((key, *warning));
    }
    sort(&mut numbered, |one, other| one.0 < other.0);
    for (slot, (_, warning)) in warnings.iter_mut().zip(numbered.iter()) {
        *slot = *warning;
    }
    warnings
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::bound::{BoundPlan, DhcpClient};

    /// A disk with these files.
    pub struct Memory {
        pub files: Vec<(String, Vec<u8>)>,
    }

    impl Files for Memory {
        fn read(&self, name: &[u8]) -> Result<Option<&'static mut [u8]>, Error> {
            let file = self.files.iter().find(|file| file.0.as_bytes() == name);
            Ok(file.map(|file| memory::copy(&file.1)))
        }
        fn called(&self, name: &'static [u8]) -> &'static [u8] {
            name
        }
        fn has(&self, name: &[u8]) -> Result<bool, Error> {
            Ok(self.files.iter().any(|file| file.0.as_bytes() == name))
        }
    }

    /// The text form of the plan for a disk with these files.
    pub fn plan_of(files: &[(&str, &str)]) -> String {
        let files = files
            .iter()
            .map(|(name, text)| (name.to_string(), text.as_bytes().into()))
            .collect();
        let disk = Memory { files };
        let plan = read(b"context.sh", &disk, Purpose::Plan).ok().unwrap();
        let mut text = Vector::new();
        BoundPlan::unbound(plan, DhcpClient::Alone).write(None, &mut text);
        String::from_utf8(text.to_vec()).unwrap()
    }

    /// The text form of the plan for this `context.sh`.
    pub fn plan(text: &str) -> String {
        plan_of(&[("context.sh", text)])
    }
}
