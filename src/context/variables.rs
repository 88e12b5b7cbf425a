//! The variables of contexts: what each belongs to, whether its value may be shown, and who
//! reads it. A reader names a variable by its constant, so none reads a variable that has no
//! row here. `check` looks in this table for the name that was meant, and tests compare the
//! table with docs/variables.md, with the readers, and with what the program shows.
use core::ffi::CStr;

use crate::base::text::Str;

/// What a variable belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The machine.
    Machine,
    /// The machine, and each NIC.
    MachineOrNic,
    /// A NIC.
    Nic,
    /// A NIC, and each of its aliases.
    NicOrAlias,
    /// An alias of a NIC.
    Alias,
    /// A NIC that is a PCI device of the host.
    Pci,
}

impl Scope {
    /// What stands before a name, as docs/variables.md writes it. `ETHn_` also means `PCIn_`.
    pub const fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Machine => &[""],
            Self::MachineOrNic => &["", "ETHn_"],
            Self::Nic => &["ETHn_"],
            Self::NicOrAlias => &["ETHn_", "ETHn_ALIASm_"],
            Self::Alias => &["ETHn_ALIASm_"],
            Self::Pci => &["PCIn_"],
        }
    }
}

/// The module that reads a variable, and applies or reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// `mod.rs`
    Context,
    /// `opennebula.rs`
    OpenNebula,
    /// `stratuslab.rs`, for a context that StratusLab wrote
    StratusLab,
    /// `hostname.rs`
    Hostname,
    /// `keys.rs`
    Keys,
    /// `users.rs`
    Users,
    /// `scripts.rs`
    Scripts,
}

/// Makes the table: a row has a name, a [`Scope`], whether the value is `shown` or `secret`,
/// and a [`Reader`].
macro_rules! variables {
    ($($name:ident $scope:ident $value:ident $reader:ident)*) => {
        /// A variable that is read. Its constant is its name without the prefix of a NIC or an
        /// alias.
        #[allow(non_camel_case_types, reason = "as contexts have them")]
        #[allow(missing_docs, reason = "docs/variables.md describes them")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Variable {
            $($name,)*
        }

        impl Variable {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name without the prefix of a NIC or an alias.
            pub const fn name(self) -> Str {
                match self {
                    $(Self::$name => const { text(concat!(stringify!($name), "\0")) },)*
                }
            }

            /// What it belongs to.
            pub const fn scope(self) -> Scope {
                match self {
                    $(Self::$name => Scope::$scope,)*
                }
            }

            /// Whether a warning may show its value. The value of any other may be a secret,
            /// at least if it is not what it should be.
            pub const fn is_shown(self) -> bool {
                match self {
                    $(Self::$name => variables!($value),)*
                }
            }

            /// Who reads it.
            pub const fn reader(self) -> Reader {
                match self {
                    $(Self::$name => Reader::$reader,)*
                }
            }
        }
    };
    (shown) => { true };
    (secret) => { false };
}

/// A text from one that ends in a NUL.
const fn text(text: &'static str) -> Str {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => Str::new(text),
        Err(_) => panic!("no NUL at the end"),
    }
}

variables! {
    // name                     of              value   read by
    IP                          NicOrAlias      shown   OpenNebula
    MASK                        NicOrAlias      shown   OpenNebula
    GATEWAY                     Nic             shown   OpenNebula
    MAC                         Nic             shown   OpenNebula
    DNS                         MachineOrNic    shown   OpenNebula
    MTU                         Nic             shown   OpenNebula
    METHOD                      Nic             shown   OpenNebula
    SEARCH_DOMAIN               MachineOrNic    shown   OpenNebula
    ROUTES                      Nic             shown   OpenNebula
    METRIC                      Nic             shown   OpenNebula
    IP6                         NicOrAlias      shown   OpenNebula
    IPV6                        NicOrAlias      shown   OpenNebula
    IP6_PREFIX_LENGTH           NicOrAlias      shown   OpenNebula
    IP6_ULA                     NicOrAlias      shown   OpenNebula
    IP6_GATEWAY                 Nic             shown   OpenNebula
    IP6_METHOD                  Nic             shown   OpenNebula
    IP6_METRIC                  Nic             shown   OpenNebula
    GATEWAY6                    Nic             shown   OpenNebula
    METRIC6                     Nic             shown   OpenNebula
    EXTERNAL                    Alias           secret  OpenNebula
    DETACH                      Alias           secret  OpenNebula
    ADDRESS                     Pci             shown   OpenNebula
    VLAN_ID                     Pci             shown   OpenNebula
    GATEWAY_IFACE               Machine         shown   OpenNebula
    ONEGATE_ENDPOINT            Machine         secret  OpenNebula
    NETCFG_TYPE                 Machine         secret  Context

    SET_HOSTNAME                Machine         shown   Hostname
    HOSTNAME                    Machine         shown   Hostname
    USERNAME                    Machine         shown   Keys
    SSH_PUBLIC_KEY              Machine         secret  Keys
    EC2_PUBLIC_KEY              Machine         secret  Keys
    SSH_KEY                     Machine         secret  Keys
    PUBLIC_KEY                  Machine         secret  Keys
    USERNAME_SHELL              Machine         secret  Users
    USERNAME_SUDO               Machine         secret  Users
    GRANT_SUDO                  Machine         secret  Users
    CRYPTED_PASSWORD_BASE64     Machine         secret  Users
    PASSWORD_BASE64             Machine         secret  Users
    CRYPTED_PASSWORD            Machine         secret  Users
    PASSWORD                    Machine         secret  Users
    USERNAME_PASSWORD_RESET     Machine         secret  Users
    START_SCRIPT_BASE64         Machine         secret  Scripts
    START_SCRIPT                Machine         secret  Scripts
    INIT_SCRIPTS                Machine         secret  Scripts
    USER_DATA                   Machine         secret  Context
    USERDATA                    Machine         secret  Context

    NETMASK                     Machine         shown   OpenNebula
    ROOT_PUBKEY                 Machine         secret  Keys
    USER_PUBKEY                 Machine         secret  Keys

    IP_PRIVATE                  Machine         shown   StratusLab
    IP_PUBLIC                   Machine         shown   StratusLab
    IP_EXTRA                    Machine         shown   StratusLab
    NETMASK_PRIVATE             Machine         shown   StratusLab
    NETMASK_PUBLIC              Machine         shown   StratusLab
    NETMASK_EXTRA               Machine         shown   StratusLab
    DEFAULT_GATEWAY             Machine         shown   StratusLab
    GLOBAL_NETWORK              Machine         shown   StratusLab
    GLOBAL_NETMASK              Machine         shown   StratusLab
    STRATUSLAB_REMOTE_KEY       Machine         secret  Keys
    SCRIPT_EXEC                 Machine         secret  Scripts
    CLOUD_INIT_USER_DATA        Machine         secret  Scripts
}

/// The names that are ignored on purpose, as docs/variables.md writes them. A `*` stands for
/// any letters.
pub const IGNORED: &[&str] = &[
    "ETHn_NETWORK",
    "NETWORK",
    "ETHn_VLAN_ID",
    "ETHn_EXTERNAL",
    "ETHn_VROUTER_*",
    "VROUTER_*",
    "ETHn_CONTEXT_FORCE_IPV4",
    "CONTEXT_FORCE_IPV4",
    "ETHn_ALIASm_MAC",
    "NETCFG_NETPLAN_RENDERER",
    "PUBLIC_IP",
    "DNS_HOSTNAME",
    "EC2_HOSTNAME",
    "TIMEZONE",
    "GROW_FS",
    "GROW_ROOTFS",
    "IGNORE_SWAP",
    "RECREATE_RUN",
    "SECURETTY",
    "DISKn_*",
    "USER_DATA_ENCODING",
    "USERDATA_ENCODING",
    "REPORT_READY",
    "READY_SCRIPT",
    "READY_SCRIPT_PATH",
    "TOKEN",
    "ONEGATE_TOKEN",
    "VMID",
    "RETRY_COUNT",
    "RETRY_WAIT_PERIOD",
    "DISK_ID",
    "DEV_PREFIX",
    "FILES",
    "FILES_DS",
    "STRATUSLAB_INTERNAL_KEY",
    "STRATUSLAB_MANIFEST",
    "STRATUSLAB_UPLOAD_INFO",
    "NETWORK_PRIVATE",
    "NETWORK_PUBLIC",
    "NETWORK_EXTRA",
    "CONTEXT_METHOD",
    "CLOUD_INIT_AUTHORIZED_KEYS",
    "QUATTOR_*",
    "PDISK_*",
    "BIO_*",
    "TARGET",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_is_read_where_the_table_says() {
        for variable in Variable::ALL {
            let source = match variable.reader() {
                Reader::Context => include_str!("mod.rs"),
                Reader::OpenNebula => include_str!("opennebula.rs"),
                Reader::StratusLab => include_str!("stratuslab.rs"),
                Reader::Hostname => include_str!("hostname.rs"),
                Reader::Keys => include_str!("keys.rs"),
                Reader::Users => include_str!("users.rs"),
                Reader::Scripts => include_str!("scripts.rs"),
            };
            let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
            let code = code.lines().filter(|line| !line.trim().starts_with("//"));
            // What is in quotes is a message.
            let code = code.flat_map(|line| line.split('"').step_by(2));
            let mut words = code.flat_map(|code| {
                code.split(|sign: char| sign != '_' && !sign.is_ascii_alphanumeric())
            });
            let name = format!("{variable:?}");
            assert_eq!(variable.name(), name.as_bytes());
            assert!(
                words.any(|word| word == name),
                "{name}: {:?}",
                variable.reader()
            );
        }
    }
}
