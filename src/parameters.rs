//! The kernel parameters, from /proc/cmdline.
use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode as FileMode, OFlags, openat};
use rustix::io::Errno;
use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::memory::{self, Vector};
use crate::base::sort::sort;
use crate::base::text::{Text, as_str, c_str, number, split, split_once};
use crate::base::{getdents, proc};
use crate::changeset::Policy;

/// What `onecontext=` says.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A context is applied if there is one.
    #[default]
    Auto,
    /// Nothing is done.
    Off,
    /// A machine without context is an error, and a late disk is waited for.
    Require,
}

/// What `onecontext.network=` says.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum NetworkScope {
    /// The kernel and the root's network managers.
    #[default]
    Auto,
    /// The kernel alone.
    Kernel,
    /// The network managers alone.
    Managers,
    /// Neither.
    Off,
}

impl NetworkScope {
    /// Whether the running kernel's network is set up.
    pub fn kernel(self) -> bool {
        matches!(self, Self::Auto | Self::Kernel)
    }

    /// Whether the root's own tools get a configuration.
    pub fn managers(self) -> bool {
        matches!(self, Self::Auto | Self::Managers)
    }
}

/// What `onecontext.scripts=` says.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum ScriptMode {
    /// They are not run, only reported.
    #[default]
    Off,
    /// The booted system runs them.
    Run,
}

/// What `onecontext.early=` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// Nothing is done in the early stage.
    Off,
    /// The network is set up.
    Network,
    /// The network is set up, and root of the initramfs gets the keys.
    Keys,
}

/// The longest `onecontext.wait=`, in seconds. A disk, a NIC and, for 15 s, DHCP
/// servers may all be waited for, and `apply` as a whole has a minute.
pub const LONGEST_WAIT: u32 = 20;

/// What the parameters say.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `onecontext=auto|off|require`
    pub mode: Mode,
    /// `onecontext.device=PATH`
    pub device: Option<&'static CStr>,
    /// `onecontext.wait=SECONDS`, at most [`LONGEST_WAIT`]; `None` if it is not given.
    pub wait: Option<u32>,
    /// `onecontext.network=auto|kernel|handover|off`
    pub network: NetworkScope,
    /// `onecontext.root=auto|ro`
    pub root: Policy,
    /// `onecontext.scripts=off|run`
    pub scripts: ScriptMode,
    /// `onecontext.early=off|network|keys`; `None` if it is not given.
    pub early: Option<Early>,
    /// The initramfs's own tools set the network up: `ip=`, dracut's `rd.neednet`,
    /// or a root that is on the network (kernel,
    /// Documentation/admin-guide/nfs/nfsroot.rst; initramfs-tools(7),
    /// dracut.cmdline(7)).
    pub network_by_initramfs: bool,
    /// The root is on the network, as far as these parameters say so.
    pub root_on_network: bool,
    /// `systemd.mount-extra=WHAT:WHERE[:TYPE[:OPTIONS]]` (systemd-fstab-generator(8)), as
    /// lines of fstab(5).
    pub mounts: &'static [u8],
    /// `onecontext.debug`: notes go to the console too.
    pub debug: bool,
}

impl Parameters {
    /// The parameters of the running kernel. If they cannot be read, the root is not
    /// written: whether that is allowed is unknown.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    pub fn of_kernel(report: &mut Report) -> Self {
        const PATH: &CStr = c"/proc/cmdline";
        let mut text = Text::new();
        if let Err((path, errno)) = baked_in(&mut text) {
            report.problem(c"read the parameters of this initramfs in", path, errno);
        }
        match proc::read(PATH) {
            Ok(line) => {
                text.extend(line);
                Self::read(text.finish(), report)
            }
            Err(errno) => {
                let step = c"read the kernel parameters (taken for onecontext.root=ro)";
                report.problem(step, PATH.to_bytes(), errno);
                Self {
                    root: Policy::ReadOnly,
                    ..Self::default()
                }
            }
        }
    }

    /// Reads a kernel command line; the last of several values counts. An unknown value
    /// is reported, and the default used.
    pub fn read(line: &[u8], report: &mut Report) -> Self {
        let mut parameters = Self::default();
        for word in QuotedWords(line) {
            // The whole word may be quoted, or only the value.
            let word = unquote(word);
            let (name, value) = match split_once(word, b'=') {
                Some((name, value)) => (name, Some(unquote(value))),
                None => (word, None),
            };
            if !parameters.set(name, value) {
                let what = c"not known, the default is used";
                report.problem(c"read the kernel parameter", word, what);
            }
        }
        if let Some(seconds) = parameters.wait.filter(|wait| *wait > LONGEST_WAIT) {
            let mut line = report.line();
            uwrite!(
                line,
                "onecontext.wait={}: {} s is the longest wait that fits into the time for all, \
                 and is used",
                seconds,
                LONGEST_WAIT
            );
            report.say(Level::Problem, line);
            parameters.wait = Some(LONGEST_WAIT);
        }
        parameters
    }

    /// The longest wait for something that is still being set up, in seconds.
    pub fn longest_wait(&self) -> u32 {
        self.wait.unwrap_or(10)
    }

    /// Sets one parameter, if it belongs to this program. `false`: its name or value is
    /// unknown, and it gets its default.
    fn set(&mut self, name: &[u8], value: Option<&[u8]>) -> bool {
        let name = as_str(name);
        if let Some(known) = PARAMETERS.iter().find(|known| known.name == name) {
            let words = known.values;
            return (known.set)(self, Value { words, text: value });
        }
        if name == "systemd.mount-extra" {
            let mut fields = split(value.unwrap_or_default(), |byte| byte == b':');
            let point = fields.nth(1).unwrap_or_default();
            self.mounts = memory::concat(&[self.mounts, b"- ", point, b"\n"]);
        }
        let has_value = value.is_some_and(|value| !value.is_empty());
        self.root_on_network |= match name {
            "netroot" => has_value,
            "root" | "boot" => value.is_some_and(is_on_network),
            _ => false,
        };
        let is_asked = match name {
            "ip" => has_value,
            "rd.neednet" => value != Some(b"0"),
            _ => false,
        };
        self.network_by_initramfs |= is_asked || self.root_on_network;
        !name.starts_with("onecontext.")
    }
}

/// A parameter, as README.md and the man page list it.
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// The words that it takes, with `|` between them, or the kind of its value in
    /// capitals. Empty: it takes no value.
    pub values: &'static str,
    /// The value that counts where it is absent or unknown. Empty: there is none.
    pub default: &'static str,
    set: Set,
}

/// All parameters of this program: name, values, default, and what it sets.
pub const PARAMETERS: [Parameter; 8] = [
    parameter("onecontext", "auto|off|require", "auto", |to, value| {
        value.choose(&mut to.mode, &[Mode::Auto, Mode::Off, Mode::Require])
    }),
    parameter("onecontext.device", "PATH", "", |to, value| {
        let path = value.text.filter(|path| !path.is_empty());
        to.device = path.and_then(|path| c_str(&[path]).ok());
        to.device.is_some()
    }),
    parameter("onecontext.wait", "SECONDS", "10", |to, value| {
        to.wait = value.text.and_then(number);
        to.wait.is_some()
    }),
    parameter(
        "onecontext.network",
        "auto|kernel|handover|off",
        "auto",
        |to, value| {
            use NetworkScope::{Auto, Kernel, Managers, Off};
            value.choose(&mut to.network, &[Auto, Kernel, Managers, Off])
        },
    ),
    parameter("onecontext.root", "auto|ro", "auto", |to, value| {
        value.choose(&mut to.root, &[Policy::Auto, Policy::ReadOnly])
    }),
    parameter("onecontext.scripts", "off|run", "off", |to, value| {
        value.choose(&mut to.scripts, &[ScriptMode::Off, ScriptMode::Run])
    }),
    // The default is that of an initramfs with an SSH server.
    parameter(
        "onecontext.early",
        "off|network|keys",
        "network",
        |to, value| {
            let stages = [Early::Off, Early::Network, Early::Keys].map(Some);
            value.choose(&mut to.early, &stages)
        },
    ),
    parameter("onecontext.debug", "", "", |to, value| {
        to.debug = value.text.is_none();
        to.debug
    }),
];

/// Takes a value. `false`: it is unknown, and the default is taken.
type Set = fn(&mut Parameters, Value) -> bool;

const fn parameter(
    name: &'static str,
    values: &'static str,
    default: &'static str,
    set: Set,
) -> Parameter {
    Parameter {
        name,
        values,
        default,
        set,
    }
}

/// What stands behind the `=` of a parameter, and the words that may stand there.
struct Value<'v> {
    text: Option<&'v [u8]>,
    words: &'static str,
}

impl Value<'_> {
    /// The number of the word that stands there.
    #[inline(never)]
    fn word(&self) -> Option<usize> {
        let mut words = split(self.words.as_bytes(), |byte| byte == b'|');
        words.position(|word| self.text == Some(word))
    }

    /// Chooses the meaning with the number of the word that stands there.
    fn choose<T: Copy + Default>(&self, to: &mut T, meanings: &[T]) -> bool {
        let meaning = self.word().and_then(|word| meanings.get(word));
        *to = meaning.copied().unwrap_or_default();
        meaning.is_some()
    }
}

/// Whether this value of `root=`, or of initramfs-tools' `boot=`, is a root on the
/// network.
fn is_on_network(root: &[u8]) -> bool {
    const KINDS: [&[u8]; 8] = [
        b"/dev/nfs",
        b"nfs",
        b"dhcp",
        b"iscsi",
        b"nbd:",
        b"/dev/nbd",
        b"fcoe",
        b"cifs",
    ];
    KINDS.iter().any(|kind| root.starts_with(kind))
}

/// Reads the parameters that dracut has built into an initramfs (dracut.conf(5),
/// `kernel_cmdline`): lines of the files in a directory. To dracut's programs they come
/// before the kernel's own (dracut.cmdline(7)).
fn baked_in(text: &mut Text) -> Result<(), (&'static [u8], Error)> {
    const DIRECTORY: &CStr = c"/etc/cmdline.d";
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match openat(CWD, DIRECTORY, flags, FileMode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err((DIRECTORY.to_bytes(), errno.into())),
    };
    let mut files = Vector::<&[u8]>::new();
    let listed = getdents::names(directory.as_fd(), &mut |name| {
        if name.ends_with(b".conf") {
            files.push(memory::concat(&[DIRECTORY.to_bytes(), b"/", name]));
        }
        Ok(())
    });
    listed.map_err(|error| (DIRECTORY.to_bytes(), error))?;
    sort(&mut files, |one, other| one < other);
    for file in files.iter() {
        let path = c_str(&[file]).map_err(|errno| (*file, errno.into()))?;
        let content = proc::read(path).map_err(|errno| (*file, errno.into()))?;
        text.extend(content);
        text.push(b'\n');
    }
    Ok(())
}

/// The words of a command line: separated by blanks, but not inside double
/// quotes (kernel, lib/cmdline.c, `next_arg`).
struct QuotedWords<'l>(&'l [u8]);

impl<'l> Iterator for QuotedWords<'l> {
    type Item = &'l [u8];
    fn next(&mut self) -> Option<&'l [u8]> {
        let text = self.0.trim_ascii_start();
        if text.is_empty() {
            return None;
        }
        let mut quoted = false;
        let end = text.iter().position(|byte| {
            quoted ^= *byte == b'"';
            byte.is_ascii_whitespace() && !quoted
        });
        let (word, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
        self.0 = rest;
        Some(word)
    }
}

fn unquote(value: &[u8]) -> &[u8] {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    value.strip_suffix(b"\"").unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::log::Console;

    fn read(line: &str) -> (Parameters, usize) {
        let mut report = Report::new(Console::Silent);
        let parameters = Parameters::read(line.as_bytes(), &mut report);
        (parameters, report.problems())
    }

    #[test]
    fn parameters_have_defaults() {
        let (parameters, problems) =
            read("BOOT_IMAGE=/vmlinuz root=LABEL=root ro quiet onecontextual=1\n");
        assert_eq!((parameters, problems), (Parameters::default(), 0));
    }

    #[test]
    fn the_last_one_counts() {
        let (parameters, problems) = read(
            "onecontext=off onecontext.network=kernel onecontext.device=\"/dev/vdb\" onecontext.wait=3 \
             x=\"onecontext.root=ro y\" onecontext.debug \"onecontext=require\" onecontext.root=ro \
             onecontext.scripts=off onecontext.scripts=run \
             onecontext.early=off onecontext.early=keys rd.neednet=0 ip=dhcp",
        );
        assert_eq!(problems, 0);
        let expected = Parameters {
            mode: Mode::Require,
            device: Some(c"/dev/vdb"),
            wait: Some(3),
            network: NetworkScope::Kernel,
            root: Policy::ReadOnly,
            scripts: ScriptMode::Run,
            early: Some(Early::Keys),
            network_by_initramfs: true,
            root_on_network: false,
            mounts: b"",
            debug: true,
        };
        assert_eq!(parameters, expected);
    }

    /// The default of `onecontext.early` depends on the initramfs.
    #[test]
    fn each_word_has_its_own_meaning() {
        for Parameter {
            name,
            values,
            default,
            ..
        } in PARAMETERS
        {
            let mut meanings = vec![];
            for word in values.split('|').filter(|_| values.contains('|')) {
                let (meaning, problems) = read(&format!("{name}={word}"));
                let is_default = meaning == Parameters::default();
                assert!(
                    problems == 0 && !meanings.contains(&meaning),
                    "{name}={word}"
                );
                assert!(
                    is_default == (word == default) || name == "onecontext.early",
                    "{name}={word}"
                );
                meanings.push(meaning);
            }
        }
    }

    /// As GRUB writes what has a blank.
    #[test]
    fn a_parameter_may_be_quoted_as_a_whole() {
        for line in [
            r#""onecontext.device=/dev/disk/by-label/A B""#,
            r#"onecontext.device="/dev/disk/by-label/A B""#,
        ] {
            let (parameters, problems) = read(line);
            let device = Some(c"/dev/disk/by-label/A B");
            assert_eq!((parameters.device, problems), (device, 0), "{line}");
        }
    }

    #[test]
    fn the_initramfs_may_have_its_own_network() {
        for (line, expected) in [
            ("root=/dev/vda1 ip= rd.neednet=0 boot=local", false),
            ("ip=10.0.0.1::10.0.0.254:255.255.255.0::eth0:none", true),
            ("rd.neednet", true),
            ("rd.neednet=1", true),
            ("root=/dev/nfs nfsroot=10.0.0.1:/srv", true),
            ("root=nfs4:10.0.0.1:/srv", true),
            ("root=dhcp", true),
            ("boot=nfs", true),
            ("netroot=iscsi:10.0.0.1::::iqn.x", true),
        ] {
            let (parameters, problems) = read(line);
            assert_eq!(
                (parameters.network_by_initramfs, problems),
                (expected, 0),
                "{line}"
            );
        }
    }

    #[test]
    fn what_systemd_mounts_besides_is_a_list_as_in_fstab() {
        let line = "systemd.mount-extra=/dev/vdb:/home:ext4 root=LABEL=a:/x \
                    systemd.mount-extra=tmp:/srv systemd.mount-extra=";
        let (parameters, problems) = read(line);
        assert_eq!(
            (parameters.mounts, problems),
            (&b"- /home\n- /srv\n- \n"[..], 0)
        );
    }

    #[test]
    fn a_wait_is_cut_to_what_fits() {
        for (line, wait, problems) in [
            ("onecontext.wait=20", 20, 0),
            ("onecontext.wait=21", 20, 1),
            ("onecontext.wait=4294967295 onecontext.wait=0", 0, 0),
        ] {
            let (parameters, said) = read(line);
            assert_eq!((parameters.wait, said), (Some(wait), problems), "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_reported() {
        for line in [
            "onecontext",
            "onecontext=on",
            "onecontext.network=",
            "onecontext.scripts=run onecontext.scripts=yes",
            "onecontext.scripts",
            "onecontext.early=keys onecontext.early=yes",
            "onecontext.wait=soon",
            "onecontext.wait=-1",
            "onecontext.device=",
            "onecontext.debug=1",
            "onecontext.other=1",
        ] {
            assert_eq!(read(line), (Parameters::default(), 1), "{line}");
        }
    }
}
