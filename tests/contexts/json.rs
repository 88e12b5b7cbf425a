//! `plan --json` is valid JSON whatever the context holds, and nothing that the text form
//! says is missing. Some fixtures have the expected object in the file `json`.
//!
//! `BLESS=1 cargo test --test library json::` writes the objects again; read what changed.

use crate::one_thread::Test;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::random::Random;
use onecontext::base::description::{Sink, operand};
use onecontext::base::json::Json;
use onecontext::base::memory::Vector;
use onecontext::plan::bound::{BoundPlan, DhcpClient};
use serde_json::Value;

/// How many directives of the text form an object says: one for each item of its arrays,
/// and one for each other member. The first two members are one.
fn directives(object: &Value) -> usize {
    let members = object.as_object().expect("an object").values();
    members.map(said_by).sum::<usize>() - 1
}

fn said_by(member: &Value) -> usize {
    let Value::Array(items) = member else {
        return 1;
    };
    let arrays = items.iter().filter_map(Value::as_object);
    let arrays = arrays.flat_map(|item| item.values().filter_map(Value::as_array));
    items.len() + arrays.map(Vec::len).sum::<usize>()
}

/// The object is JSON, on one line, with as many directives as the text form.
fn check_object(json: &[u8], text: &[u8]) {
    let line = json.strip_suffix(b"\n").expect("a last newline");
    let is_plain = |byte: &u8| !byte.is_ascii_control();
    assert!(line.iter().all(is_plain), "more than one line");
    let object = serde_json::from_slice(line).expect("JSON");
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(directives(&object), lines, "{object}");
}

/// The output of `plan` with these arguments in the text form, and in JSON.
fn both(arguments: &[&str], folder: &Path) -> [Vec<u8>; 2] {
    [&[][..], &["--json"]].map(|option: &[&str]| {
        let output = Command::new(crate::release::binary())
            .arg("plan")
            .args(arguments)
            .args(option)
            .current_dir(folder)
            .output()
            .unwrap();
        assert_eq!(
            (output.status.code(), output.stderr),
            (Some(0), vec![]),
            "{arguments:?}"
        );
        output.stdout
    })
}

/// Fixtures that together have every member but `device`. The file `json` of each is its
/// object.
const GOLDEN: [&str; 7] = [
    "dns",
    "gateway-foreign",
    "metric-dhcp",
    "pci",
    "routes",
    "sample-dialect",
    "username-account",
];

fn fixtures_have_their_json() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contexts/fixtures");
    let mut count = 0;
    for entry in fs::read_dir(&fixtures).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let [text, json] = both(&[&name], &fixtures);
        check_object(&json, &text);
        if GOLDEN.contains(&&*name) {
            let file = fixtures.join(&name).join("json");
            if std::env::var_os("BLESS").is_some() {
                fs::write(&file, &json).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap();
            assert_eq!(String::from_utf8(json).unwrap(), expected, "{name}");
            count += 1;
        }
    }
    assert_eq!(count, GOLDEN.len());
}

/// Changes in a root: users, DHCP, files, links.
fn changes_to_a_root_are_said() {
    let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
    let context = "HOSTNAME='web1'\nETH0_MAC='02:00:0a:12:01:01'\nETH0_METHOD='dhcp'\n\
        ETH1_MAC='02:00:0a:12:01:02'\nETH1_IP='10.0.0.1'\nETH1_IP6_METHOD='dhcp'\n\
        USERNAME='bob'\nPASSWORD='secret'\nUSERNAME_SHELL='/bin/zsh'\n";
    fs::write(top.join("context.sh"), context).unwrap();
    for file in [
        "etc/passwd",
        "etc/hostname",
        "etc/resolv.conf",
        "bin/sh",
        "bin/zsh",
        "usr/sbin/sshd",
        "usr/sbin/useradd",
        "usr/sbin/chpasswd",
        "usr/lib/systemd/systemd",
        "usr/lib/systemd/systemd-networkd",
        "usr/lib/systemd/system/ssh.service",
        "usr/lib/systemd/system/systemd-networkd.service",
    ] {
        let file = top.join("root").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        // An empty unit is a masked one.
        fs::write(&file, "[Unit]\n").unwrap();
        if file.ends_with("bin/sh") || file.ends_with("bin/zsh") {
            fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
        }
    }
    fs::create_dir_all(top.join("root/sbin")).unwrap();
    symlink("/usr/lib/systemd/systemd", top.join("root/sbin/init")).unwrap();
    let [text, json] = both(&["context.sh", "--root", "root"], &top);
    check_object(&json, &text);
    let [text, json] = [text, json].map(|form| String::from_utf8(form).unwrap());
    for (line, item) in [
        (
            "create-user bob /bin/zsh",
            r#"{"kind":"create-user","user":"bob","shell":"/bin/zsh"}"#,
        ),
        (
            "dhcp ETH0 ipv4 ask onecontext renew systemd-networkd",
            r#"{"kind":"dhcp","nic":"ETH0","family":"ipv4","ask":"onecontext","renew":"systemd-networkd"}"#,
        ),
        (
            "file /etc/hostname 0644",
            r#"{"kind":"file","path":"/etc/hostname","mode":"0644"}"#,
        ),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
        assert!(json.contains(item), "{item}: {json}");
    }
    assert!(!json.contains("secret"), "{json}");
    fs::remove_dir_all(top).unwrap();
}

/// Any bytes give valid JSON, with as many directives as the text form.
fn check(bytes: &[u8]) {
    let bound = BoundPlan::unbound(crate::checks::plan_of(bytes), DhcpClient::Alone);
    let (mut text, mut out) = (Vector::new(), Vector::new());
    bound.write(None, &mut text);
    bound.write_json(None, &mut out);
    check_object(&out, &text);
}

fn below(random: &mut Random, bound: usize) -> usize {
    random.next() as usize % bound
}

fn any_bytes_are_valid_json() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs: Vec<_> = fs::read_dir(top.join("tests/fuzz/inputs/plan"))
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    inputs.sort();
    assert!(inputs.len() > 30, "{} inputs", inputs.len());
    let mut random = Random(14);
    let mut replaced = 0;
    for input in inputs {
        check(&input);
        for _ in 0..4 {
            let mut bytes = input.clone();
            for _ in 0..bytes.len() / 20 {
                // Characters that JSON escapes, invalid UTF-8, and any other byte.
                let byte = match below(&mut random, 4) {
                    0 => b'"',
                    1 => b'\\',
                    2 => 0x80 | below(&mut random, 128) as u8,
                    _ => below(&mut random, 256) as u8,
                };
                let at = below(&mut random, bytes.len());
                bytes[at] = byte;
            }
            replaced += usize::from(std::str::from_utf8(&bytes).is_err());
            check(&bytes);
        }
    }
    assert!(replaced > 100, "{replaced} inputs are no UTF-8");
}

fn strings_are_escaped() {
    let mut out = Vector::new();
    let json: &mut dyn Sink = &mut Json(&mut out);
    json.open("a", b'[');
    for item in [
        "\"\\/é\u{10348}".as_bytes(),
        b"\0\t\n\x1f\x7f",
        "\u{9b}2J\u{a0}".as_bytes(),
        b"a\xffb\xe2\x82c\xed\xa0\x80",
        b"",
    ] {
        json.directive("", &[operand("", item)]);
    }
    json.close(b']');
    let expected = "\"a\":[\"\\\"\\\\/é\u{10348}\",\"\\u0000\\u0009\\u000a\\u001f\\u007f\",\
        \"\\u009b2J\u{a0}\",\"a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}\u{fffd}\",\"\"]";
    assert_eq!(str::from_utf8(&out), Ok(expected));
}

/// The tests of this file, for `one_thread::run`.
pub const TESTS: &[Test] = &[
    ("json::fixtures_have_their_json", fixtures_have_their_json),
    (
        "json::changes_to_a_root_are_said",
        changes_to_a_root_are_said,
    ),
    ("json::any_bytes_are_valid_json", any_bytes_are_valid_json),
    ("json::strings_are_escaped", strings_are_escaped),
];
