//! What `check` reports of a context besides the warnings of its plan: how many typing
//! mistakes it finds, and how many false alarms it gives.

use crate::release;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A context without mistakes.
const GOOD: &[(&str, &str)] = &[
    ("ETH0_DNS", "10.0.0.53"),
    ("ETH0_GATEWAY", "10.0.0.1"),
    ("ETH0_IP", "10.0.0.5"),
    ("ETH0_MAC", "02:00:0a:00:00:05"),
    ("ETH0_MASK", "255.255.255.0"),
    ("ETH1_IP", "10.0.1.5"),
    ("ETH1_MAC", "02:00:0a:00:01:05"),
    ("PCI0_IP", "10.0.2.5"),
    ("PCI0_MAC", "02:00:0a:00:02:05"),
    (
        "SSH_PUBLIC_KEY",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a",
    ),
];

/// The name as written, and the variable that is meant.
const TYPOS: &[(&str, &str)] = &[
    // Fields of a NIC.
    ("ETH0_GATWAY", "ETH0_GATEWAY"),
    ("ETH0_GATEAWY", "ETH0_GATEWAY"),
    ("ETH0_GATEWEY", "ETH0_GATEWAY"),
    ("ETH0_GETEWAY", "ETH0_GATEWAY"),
    ("ETH0_GW", "ETH0_GATEWAY"),
    ("ETH0_DEFAULT_GATEWAY", "ETH0_GATEWAY"),
    ("ETH0_NETMASK", "ETH0_MASK"),
    ("ETH0_MAKS", "ETH0_MASK"),
    ("ETH0_NETWORK_MASK", "ETH0_MASK"),
    ("ETH0_PREFIX", "ETH0_MASK"),
    ("ETH0_IPADDR", "ETH0_IP"),
    ("ETH0_ADRESS", "ETH0_IP"),
    ("ETH0_ADDRESS", "ETH0_IP"),
    ("ETH0_IPV4", "ETH0_IP"),
    ("ETH0_IP_ADDRESS", "ETH0_IP"),
    ("ETH0_IPP", "ETH0_IP"),
    ("ETH0_NAMESERVER", "ETH0_DNS"),
    ("ETH0_DNS_SERVERS", "ETH0_DNS"),
    ("ETH0_DSN", "ETH0_DNS"),
    ("ETH0_SEARCHDOMAIN", "ETH0_SEARCH_DOMAIN"),
    ("ETH0_SEARCH_DOMIAN", "ETH0_SEARCH_DOMAIN"),
    ("ETH0_DOMAIN", "ETH0_SEARCH_DOMAIN"),
    ("ETH0_HWADDR", "ETH0_MAC"),
    ("ETH0_MCA", "ETH0_MAC"),
    ("ETH0_METOD", "ETH0_METHOD"),
    ("ETH0_METHDO", "ETH0_METHOD"),
    ("ETH0_BOOTPROTO", "ETH0_METHOD"),
    ("ETH0_ROUTE", "ETH0_ROUTES"),
    ("ETH0_MTUU", "ETH0_MTU"),
    ("ETH0_METRICS", "ETH0_METRIC"),
    ("ETH0_IP6_GATWAY", "ETH0_IP6_GATEWAY"),
    ("ETH0_IPV6_GATEWAY", "ETH0_IP6_GATEWAY"),
    ("ETH0_GW6", "ETH0_IP6_GATEWAY"),
    ("ETH0_IP6_PREFIX_LENGHT", "ETH0_IP6_PREFIX_LENGTH"),
    ("ETH0_IP6_PREFIXLENGTH", "ETH0_IP6_PREFIX_LENGTH"),
    ("ETH0_PREFIX_LENGTH", "ETH0_IP6_PREFIX_LENGTH"),
    ("ETH0_IPV6_METHOD", "ETH0_IP6_METHOD"),
    ("ETH0__IP", "ETH0_IP"),
    ("ETH0_ip", "ETH0_IP"),
    ("ETH0_ALIAS0_IPADDR", "ETH0_ALIAS0_IP"),
    ("ETH0_ALIAS0_NETMASK", "ETH0_ALIAS0_MASK"),
    ("PCI0_GATWAY", "PCI0_GATEWAY"),
    ("PCI0_VLAN", "PCI0_VLAN_ID"),
    // The prefix of the field.
    ("ETHO_IP", "ETH0_IP"),
    ("EHT0_IP", "ETH0_IP"),
    ("ETH_IP", "ETH0_IP"),
    ("ETH0IP", "ETH0_IP"),
    ("ETH0GATEWAY", "ETH0_GATEWAY"),
    ("ET0_MAC", "ETH0_MAC"),
    ("EHT1_IP", "ETH1_IP"),
    ("ETHL_MAC", "ETH0_MAC"),
    ("ETH01_IP", "ETH1_IP"),
    ("ETH_0_IP", "ETH0_IP"),
    ("eth0_ip", "ETH0_IP"),
    ("EHT0_ALIAS0_IP", "ETH0_ALIAS0_IP"),
    // Names of the machine.
    ("SSH_PUBLC_KEY", "SSH_PUBLIC_KEY"),
    ("SSH_PULBIC_KEY", "SSH_PUBLIC_KEY"),
    ("SSH_PUBLIC_KEYS", "SSH_PUBLIC_KEY"),
    ("SHH_PUBLIC_KEY", "SSH_PUBLIC_KEY"),
    ("SSH_PUBLICKEY", "SSH_PUBLIC_KEY"),
    ("SSHPUBLICKEY", "SSH_PUBLIC_KEY"),
    ("SSH_PUBLIK_KYE", "SSH_PUBLIC_KEY"),
    ("ssh_public_key", "SSH_PUBLIC_KEY"),
    ("SSH_KYE", "SSH_KEY"),
    ("SSH_KEYS", "SSH_KEY"),
    ("SET_HOSTNAM", "SET_HOSTNAME"),
    ("SETHOSTNAME", "SET_HOSTNAME"),
    ("SET_HOST_NAME", "SET_HOSTNAME"),
    ("SET_HOSTNMAE", "SET_HOSTNAME"),
    ("HOST_NAME", "HOSTNAME"),
    ("HOSTANME", "HOSTNAME"),
    ("H0STNAME", "HOSTNAME"),
    ("USER_NAME", "USERNAME"),
    ("USERNMAE", "USERNAME"),
    ("USENAME", "USERNAME"),
    ("START_SCIPT", "START_SCRIPT"),
    ("STARTUP_SCRIPT", "START_SCRIPT"),
    ("START_SCRIPT_BASE46", "START_SCRIPT_BASE64"),
    ("INIT_SCRIPT", "INIT_SCRIPTS"),
    ("USERDTA", "USERDATA"),
    ("SEARCH_DOMAINS", "SEARCH_DOMAIN"),
    ("SERCH_DOMIAN", "SEARCH_DOMAIN"),
    ("GATEWAY_IFCAE", "GATEWAY_IFACE"),
    ("NETCFG_TPYE", "NETCFG_TYPE"),
    ("ONGATE_ENDPOINT", "ONEGATE_ENDPOINT"),
    // Names that no program ever read.
    ("GATEWAY", "ETH0_GATEWAY"),
    ("NETMASK", "ETH0_MASK"),
    ("MASK", "ETH0_MASK"),
    ("ROUTES", "ETH0_ROUTES"),
    ("IP", "ETH0_IP"),
    ("IPADDR", "ETH0_IP"),
    ("MTU", "ETH0_MTU"),
    ("NAMESERVER", "DNS"),
    ("DNS_SERVER", "DNS"),
    ("DNS_SERVERS", "DNS"),
    ("DNS_SEARCH", "SEARCH_DOMAIN"),
    ("SSH_PUBKEY", "SSH_PUBLIC_KEY"),
    ("AUTHORIZED_KEYS", "SSH_PUBLIC_KEY"),
    ("SSH_AUTHORIZED_KEYS", "SSH_PUBLIC_KEY"),
    // The name is reported without advice.
    ("ETH0_ALAIS0_IP", "ETH0_ALIAS0_IP"),
    // Not found: names that other programs may well use for themselves.
    ("USER", "USERNAME"),
    ("NIC0_IP", "ETH0_IP"),
    ("PC0_IP", "PCI0_IP"),
];

/// How many mistakes are found, each with the variable that is meant.
const FOUND: usize = 99;
const TABLE: usize = 103;
/// The number of contexts in tests/contexts/corpus.
const CONTEXTS: usize = 90;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap())
    }

    /// The lines of a command's output on a context.
    fn says(&self, command: &str, text: &str) -> Vec<String> {
        let file = self.0.join("context.sh");
        fs::write(&file, text).unwrap();
        let output = Command::new(release::binary())
            .arg(command)
            .arg(&file)
            .output()
            .unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(String::from).collect()
    }

    /// What `check` reports besides the warnings of the plan.
    fn mistakes(&self, text: &str) -> Vec<String> {
        let plan = self.says("plan", text);
        let mut lines = self.says("check", text);
        lines.retain(|line| !plan.contains(&format!("warning {line}")));
        lines
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A value that a variable of this name may have.
fn value(name: &str) -> &'static str {
    if let Some((_, value)) = GOOD.iter().find(|(other, _)| *other == name) {
        return value;
    }
    match name.rsplit_once("0_").map_or(name, |(_, field)| field) {
        "IP" => "10.0.0.7",
        "MASK" => "255.255.255.0",
        "GATEWAY" => "10.0.2.1",
        "METHOD" | "IP6_METHOD" => "static",
        "ROUTES" => "10.9.0.0/16 via 10.0.0.9",
        "MTU" | "METRIC" | "VLAN_ID" => "100",
        "DNS" => "10.0.0.54",
        "SEARCH_DOMAIN" => "example.org",
        "IP6_GATEWAY" => "2001:db8::1",
        "IP6_PREFIX_LENGTH" => "64",
        _ => "x",
    }
}

#[test]
fn typing_mistakes_are_found() {
    let folder = Folder::new();
    let mut missed = Vec::new();
    for (wrong, right) in TYPOS {
        let mut text = format!("{wrong}='{}'\n", value(right));
        for (name, value) in GOOD {
            // The mistake: the wrong name in place of the right one.
            if name != right || name.ends_with("MAC") {
                text += &format!("{name}='{value}'\n");
            }
        }
        let lines = folder.mistakes(&text);
        let advice =
            format!("context.sh:1 {wrong}: nothing reads this variable, did you mean: {right}?");
        if !lines.contains(&advice) {
            missed.push(format!("{wrong}: {lines:?}"));
        }
    }
    let found = TYPOS.len() - missed.len();
    println!("{found} of {} found", TYPOS.len());
    assert_eq!((found, TYPOS.len()), (FOUND, TABLE), "{missed:#?}");
}

#[test]
fn no_context_of_the_corpus_is_complained_about() {
    let folder = Folder::new();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contexts/corpus");
    let (mut contexts, mut alarms) = (0, Vec::new());
    for family in fs::read_dir(corpus).unwrap() {
        let text = fs::read_to_string(family.unwrap().path()).unwrap();
        for part in text.split("\n### ").skip(1) {
            let (name, context) = part.split_once('\n').unwrap();
            for line in folder.mistakes(context) {
                alarms.push(format!("{name}: {line}"));
            }
            contexts += 1;
        }
    }
    println!("{} false alarms of {contexts} contexts", alarms.len());
    assert_eq!((contexts, alarms), (CONTEXTS, Vec::<String>::new()));
}

#[test]
fn the_documents_have_these_figures() {
    let text = include_str!("../../docs/variables.md").replace('\n', " ");
    let figures = format!(
        "of {TABLE} mistakes {FOUND} are found with the right advice, and {CONTEXTS} contexts"
    );
    assert!(text.contains(&figures), "{figures}");
}
