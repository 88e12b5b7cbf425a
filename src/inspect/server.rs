//! Whether the SSH server starts in the booted system: the runlevels of another init than
//! systemd, and what a unit needs to start.
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{digits, lines, same, split, split_once, split_path, words};
use crate::image::systemd::units::{Systemd, Unit};
use crate::image::{Fact, Root};

/// The names of servers' scripts and services.
const NAMES: [&[u8]; 3] = [b"ssh", b"sshd", b"dropbear"];
/// The units that start a server at boot, those of its own before the sockets.
const UNITS: [&[u8]; 6] = [
    b"ssh.service",
    b"sshd.service",
    b"dropbear.service",
    b"ssh.socket",
    b"sshd.socket",
    b"dropbear.socket",
];

/// The file that says so, and why the server does not start.
pub type Problem = (&'static [u8], &'static [u8]);

/// Why the server of a root does not start, and the file that says so.
pub fn obstacle(root: &Root, systemd: Option<Systemd>) -> Fact<Problem> {
    match systemd {
        Some(systemd) => of_systemd(root, systemd),
        None => of_runlevels(root),
    }
}

/// What starts services where the init is not systemd, and does not start the server.
fn of_runlevels(root: &Root) -> Fact<Problem> {
    const INITTAB: &[u8] = b"/etc/inittab";
    let inittab = root.read_if_there(INITTAB)?;
    let inittab = inittab.map_or(&b""[..], |found| found.content);
    // init itself may start it, or a script of the administrator (inittab(5)).
    let scripts = [
        b"/etc/rc.local".as_slice(),
        b"/etc/rc.d/rc.local",
        b"/etc/init.d/rcS",
    ];
    for text in scripts {
        if let Some(found) = root.read_if_there(text)?
            && mentions_a_server(found.content)
        {
            return Ok(None);
        }
    }
    if mentions_a_server(inittab) {
        return Ok(None);
    }
    let mut missing = None;
    for found in [openrc(root)?, runit(root)?, sysvinit(root, inittab)?] {
        match found {
            Some(Runlevels { starts: true, .. }) => return Ok(None),
            Some(other) => missing = missing.or(Some((other.directory, other.remedy))),
            None => {}
        }
    }
    Ok(missing)
}

/// The runlevels of one init.
struct Runlevels {
    directory: &'static [u8],
    /// What makes it start the server.
    remedy: &'static [u8],
    /// Whether it starts the server.
    starts: bool,
}

/// The runlevels of a boot, and those that are stacked on them (rc-update(8), openrc-run(8)).
fn openrc(root: &Root) -> Fact<Runlevels> {
    const TOP: &[u8] = b"/etc/runlevels";
    if !root.exists(TOP)? {
        return Ok(None);
    }
    let mut starts = false;
    for level in [b"sysinit".as_slice(), b"boot", b"default"] {
        let level = memory::concat(&[TOP, b"/", level]);
        for entry in root.names(level)? {
            starts |= is_script(root, entry)?;
            // A runlevel in a runlevel is a directory.
            for entry in root.names(memory::concat(&[level, b"/", entry]))? {
                starts |= is_script(root, entry)?;
            }
        }
    }
    Ok(Some(Runlevels {
        directory: TOP,
        remedy: b"the SSH server is in no runlevel of a boot, so nobody can log in: \
                  rc-update add sshd default",
        starts,
    }))
}

/// The services that runsvdir(8) supervises, on Void, Artix and Debian.
fn runit(root: &Root) -> Fact<Runlevels> {
    const DIRECTORIES: [&[u8]; 5] = [
        b"/etc/runit/runsvdir/default",
        b"/etc/runit/runsvdir/current",
        b"/etc/service",
        b"/var/service",
        b"/service",
    ];
    if !root.exists(b"/etc/runit")? {
        return Ok(None);
    }
    let mut first = None;
    let mut starts = false;
    for directory in DIRECTORIES {
        if root.exists(directory)? {
            first = first.or(Some(directory));
        }
        for name in root.names(directory)? {
            let service = memory::concat(&[directory, b"/", name]);
            starts |= NAMES.contains(name)
                && root.exists(memory::concat(&[service, b"/run"]))?
                && !root.exists(memory::concat(&[service, b"/down"]))?;
        }
    }
    Ok(first.map(|directory| Runlevels {
        directory,
        remedy: b"no service of the SSH server is here that runit starts, so nobody can log in: \
                  link it from /etc/sv, without a file down",
        starts,
    }))
}

/// The runlevel that inittab(5) names, and that of the boot itself.
fn sysvinit(root: &Root, inittab: &[u8]) -> Fact<Runlevels> {
    // ID:RUNLEVELS:initdefault:PROCESS; without one Debian's is 2.
    let default = lines(inittab).find_map(|line| {
        let mut fields = split(line, |byte| byte == b':').skip(1);
        let level = fields.next()?;
        (fields.next()? == b"initdefault" && digits(level, 10).is_some()).then_some(level)
    });
    let directory = |level| memory::concat(&[b"/etc/rc", level, b".d"]);
    let default = directory(default.unwrap_or(b"2"));
    if !root.exists(default)? {
        return Ok(None);
    }
    let mut starts = false;
    for level in [default, directory(b"S"), b"/etc/rcS.d", b"/etc/init.d"] {
        for entry in root.names(level)? {
            // In /etc/init.d only busybox's rcS looks for such names.
            if let [b'S', b'0'..=b'9', b'0'..=b'9', name @ ..] = *entry {
                starts |=
                    NAMES.contains(&name) && root.exists(memory::concat(&[level, b"/", entry]))?;
            }
        }
    }
    Ok(Some(Runlevels {
        directory: default,
        remedy: b"no link here starts the SSH server (S01ssh), so nobody can log in: \
                  update-rc.d ssh enable, or chkconfig sshd on",
        starts,
    }))
}

fn is_script(root: &Root, name: &[u8]) -> Result<bool, Error> {
    Ok(NAMES.contains(&name) && root.exists(memory::concat(&[b"/etc/init.d/", name]))?)
}

fn mentions_a_server(text: &[u8]) -> bool {
    let is_server = |word: &[u8]| NAMES.contains(&split_path(word).1) && word != b"ssh";
    lines(text).any(|line| {
        let line = line.trim_ascii_start();
        !line.starts_with(b"#") && split(line, |byte| b" \t:;&".contains(&byte)).any(is_server)
    })
}

fn of_systemd(root: &Root, systemd: Systemd) -> Fact<Problem> {
    const DEFAULT: &[u8] = b"/etc/systemd/system/default.target";
    if let Some(target) = root.read_link(DEFAULT)?
        && matches!(split_path(target).1, b"rescue.target" | b"emergency.target")
    {
        return Ok(Some((
            DEFAULT,
            b"the system boots to a shell, and no SSH server is started",
        )));
    }
    let mut found = None;
    for name in UNITS {
        if let Unit::Present { path, text } = systemd.unit(root, name)?
            && systemd.enabled(root, name)?.is_some()
        {
            match why_not(root, systemd, name, path, text)? {
                // One that starts is enough.
                None => return Ok(None),
                problem => found = found.or(problem),
            }
        }
    }
    Ok(found)
}

/// Why a unit cannot start, and the file that says so.
fn why_not(
    root: &Root,
    systemd: Systemd,
    name: &[u8],
    path: &'static [u8],
    text: &'static [u8],
) -> Fact<Problem> {
    let mut texts = Vector::new();
    texts.push((path, text));
    for directory in systemd.directories() {
        let drop_ins = memory::concat(&[directory, b"/", name, b".d"]);
        for drop_in in root.list(drop_ins)? {
            let path = memory::concat(&[drop_ins, b"/", drop_in]);
            if drop_in.ends_with(b".conf")
                && let Some(found) = root.read_if_there(path)?
            {
                texts.push((path, found.content));
            }
        }
    }
    let mut needs = Needs::default();
    for (path, text) in texts.iter() {
        for line in lines(text) {
            if let Some((key, value)) = split_once(line, b'=') {
                needs.add(root, systemd, path, key.trim_ascii(), value.trim_ascii())?;
            }
        }
    }
    // Of conditions with | one must hold (systemd.unit(5)).
    let triggers = needs.triggers.filter(|_| !needs.is_triggered);
    if let Some(problem) = needs.problem.or(triggers) {
        return Ok(Some(problem));
    }
    // A socket starts a service.
    if let Some(stem) = name.strip_suffix(b".socket") {
        let service = match needs.accepts {
            true => memory::concat(&[stem, b"@.service"]),
            false => memory::concat(&[stem, b".service"]),
        };
        let service = needs.service.unwrap_or(service);
        return Ok(match systemd.unit(root, service)? {
            Unit::Present { path, text } if !needs.accepts => {
                why_not(root, systemd, service, path, text)?
            }
            Unit::Present { .. } => None,
            Unit::Masked => Some((
                path,
                memory::concat(&[b"it starts ", service, b", which is masked"]),
            )),
            Unit::Missing => Some((
                path,
                memory::concat(&[b"it starts ", service, b", which is missing"]),
            )),
        });
    }
    Ok(None)
}

/// What the lines of a unit need.
#[derive(Default)]
struct Needs {
    problem: Option<Problem>,
    /// A condition with `|` that does not hold.
    triggers: Option<Problem>,
    /// One of these holds.
    is_triggered: bool,
    /// Of a socket: it starts a service for each connection.
    accepts: bool,
    /// Of a socket: its service, if that has another name.
    service: Option<&'static [u8]>,
}

impl Needs {
    fn add(
        &mut self,
        root: &Root,
        systemd: Systemd,
        path: &'static [u8],
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Error> {
        let mut fails = |parts: &[&[u8]]| {
            let problem = self.problem.or(Some((path, memory::concat(parts))));
            self.problem = problem;
        };
        match key {
            b"Requires" | b"BindsTo" | b"Requisite" => {
                return self.require(root, systemd, path, value);
            }
            b"EnvironmentFile" if value.starts_with(b"/") && !value.contains(&b'*') => {
                if is_known(value) && !root.exists(value)? {
                    fails(&[b"the server does not start: there is no ", value]);
                }
            }
            b"Accept" => {
                self.accepts = [b"yes".as_slice(), b"true", b"on", b"1"]
                    .iter()
                    .any(|yes| same(value, yes))
            }
            b"Service" => self.service = Some(memory::copy(value)),
            _ => self.condition(root, path, key, value)?,
        }
        Ok(())
    }

    /// Other units that must start.
    fn require(
        &mut self,
        root: &Root,
        systemd: Systemd,
        path: &'static [u8],
        names: &[u8],
    ) -> Result<(), Error> {
        for name in words(names) {
            let is_file = [b".service".as_slice(), b".socket", b".target"]
                .iter()
                .any(|ending| name.ends_with(ending));
            let why: &[u8] = match systemd.unit(root, name)? {
                Unit::Masked => b", which is masked",
                Unit::Missing if is_file && !name.contains(&b'@') && !is_generated(root, name)? => {
                    b", which is missing"
                }
                _ => continue,
            };
            let parts = [b"the server does not start: it requires ", name, why];
            self.problem = self.problem.or(Some((path, memory::concat(&parts))));
        }
        Ok(())
    }

    /// A condition about a path; of others nothing is known.
    fn condition(
        &mut self,
        root: &Root,
        path: &'static [u8],
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Error> {
        let test = key
            .strip_prefix(b"Condition")
            .or(key.strip_prefix(b"Assert"));
        let is_file = matches!(
            test,
            Some(b"PathExists" | b"PathIsDirectory" | b"FileNotEmpty" | b"FileIsExecutable")
        );
        let (is_trigger, rest) = match value.strip_prefix(b"|") {
            Some(rest) => (true, rest.trim_ascii_start()),
            None => (false, value),
        };
        let (is_negated, operand) = match rest.strip_prefix(b"!") {
            Some(rest) => (true, rest.trim_ascii_start()),
            None => (false, rest),
        };
        if !is_file || !is_known(operand) {
            // It may hold.
            self.is_triggered |= is_trigger && test.is_some();
            return Ok(());
        }
        if root.exists(operand)? != is_negated {
            self.is_triggered |= is_trigger;
            return Ok(());
        }
        let reason = memory::concat(&[
            b"the server does not start: ",
            key,
            b"=",
            value,
            b" does not hold",
        ]);
        let problem = Some((path, reason));
        match is_trigger {
            true => self.triggers = self.triggers.or(problem),
            false => self.problem = self.problem.or(problem),
        }
        Ok(())
    }
}

/// Whether a path is the same in the booted system: not of a file system that is made there.
fn is_known(path: &[u8]) -> bool {
    const MADE: [&[u8]; 6] = [
        b"/run/",
        b"/var/run/",
        b"/proc/",
        b"/sys/",
        b"/dev/",
        b"/tmp/",
    ];
    path.starts_with(b"/") && !path.contains(&b'%') && !MADE.iter().any(|top| path.starts_with(top))
}

/// Whether a generator makes the unit from a script (systemd-sysv-generator(8)).
fn is_generated(root: &Root, name: &[u8]) -> Result<bool, Error> {
    let Some(stem) = name.strip_suffix(b".service") else {
        return Ok(false);
    };
    root.exists(memory::concat(&[b"/etc/init.d/", stem]))
}
