//! `plan --json` has the same content as the text form: serde_json reads the object,
//! the test turns it back into the text, line by line, and nothing must be left over.
#[path = "fuzz/checks.rs"]
#[allow(dead_code, reason = "tests/inputs.rs uses more of it")]
mod checks;
#[path = "support/one_thread.rs"]
mod one_thread;
#[path = "support/random.rs"]
mod random;
#[path = "support/release.rs"]
mod release;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use onecontext::base::description::{Nesting, Sink, operand};
use onecontext::base::json::Json;
use onecontext::base::memory::Vector;
use onecontext::plan::bound::{BoundPlan, DhcpClient};
use random::Random;
use serde_json::{Map, Value};

/// An object whose members are taken one after the other.
struct Object(Map<String, Value>);

impl Object {
    fn of(value: Value) -> Self {
        match value {
            Value::Object(members) => Self(members),
            other => panic!("no object: {other}"),
        }
    }

    fn string(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).map(string)
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.0.remove(name)?;
        Some(value.as_u64().unwrap_or_else(|| panic!("{name}: {value}")))
    }

    /// `true`, or absent.
    fn flag(&mut self, name: &str) -> bool {
        let value = self.0.remove(name);
        assert!(matches!(value, None | Some(Value::Bool(true))), "{name}");
        value.is_some()
    }

    /// An array that is always there.
    fn array(&mut self, name: &str) -> Vec<Value> {
        match self.0.remove(name) {
            Some(Value::Array(items)) => items,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Asserts that every member was taken.
    fn end(self) {
        assert!(self.0.is_empty(), "not in the text form: {:?}", self.0);
    }
}

fn string(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => panic!("no string: {other}"),
    }
}

/// The text form of an object.
fn text_of(json: &[u8]) -> String {
    let line = json.strip_suffix(b"\n").expect("a last newline");
    let is_plain = |byte: &u8| !byte.is_ascii_control();
    assert!(line.iter().all(is_plain), "more than one line");
    let mut plan = Object::of(serde_json::from_slice(line).expect("JSON"));
    let mut text = String::new();
    let mut line = |fields: &[&str]| {
        text.push_str(&fields.join(" "));
        text.push('\n');
    };
    let dialect = plan.string("dialect").unwrap();
    // A path is one line of the text form, whatever it contains.
    let source = one_line(&plan.string("source").unwrap());
    line(&["context", &dialect, &source]);
    if let Some(hostname) = plan.string("hostname") {
        line(&["hostname", &hostname]);
    }
    let mut of_links = [Vec::new(), Vec::new()];
    for link in plan.array("links") {
        let mut link = Object::of(link);
        let name = link.string("name").unwrap();
        let mut fields = vec!["link".to_string(), name.clone()];
        for member in ["mac", "device"] {
            let value = link.string(member);
            fields.extend(value.map(|value| format!("{member} {value}")));
        }
        for member in ["mtu", "vlan", "metric"] {
            let value = link.number(member);
            fields.extend(value.map(|value| format!("{member} {value}")));
        }
        for member in ["ipv4", "ipv6"] {
            let value = link.string(member);
            fields.extend(value.map(|value| format!("{member} {value}")));
        }
        line(&[&fields.join(" ")]);
        for address in link.array("addresses") {
            line(&["address", &name, &string(address)]);
        }
        for route in link.array("routes") {
            line(&["route", &name, &route_of(Object::of(route))]);
        }
        for (lines, member) in of_links.iter_mut().zip(["dns", "search"]) {
            let values = link.array(member).into_iter().map(string);
            lines.extend(values.map(|value| format!("{member} {name} {value}")));
        }
        link.end();
    }
    for (lines, member) in of_links.iter().zip(["dns", "search"]) {
        for value in plan.array(member) {
            line(&[member, "-", &string(value)]);
        }
        for of_link in lines {
            line(&[of_link]);
        }
    }
    let user = plan.string("user");
    if let Some(user) = &user {
        line(&["user", user]);
    }
    if let Some(shell) = plan.string("shell") {
        line(&["shell", user.as_ref().unwrap(), &shell]);
    }
    if plan.flag("sudo") {
        line(&["sudo", user.as_ref().unwrap()]);
    }
    if let Some(password) = plan.0.remove("password") {
        let mut password = Object::of(password);
        let [user, kind] = ["user", "kind"].map(|member| password.string(member).unwrap());
        line(&["password", &user, &kind]);
        password.end();
    }
    for key in plan.array("keys") {
        let mut key = Object::of(key);
        let [user, text] = ["user", "line"].map(|member| key.string(member).unwrap());
        line(&["key", &user, &text]);
        key.end();
    }
    for script in plan.array("scripts") {
        line(&["script", &one_line(&string(script))]);
    }
    if plan.0.contains_key("directives") {
        for directive in plan.array("directives") {
            line(&[&directive_of(Object::of(directive))]);
        }
        for change in plan.array("changes") {
            let mut change = Object::of(change);
            let kind = change.string("kind").unwrap();
            let mut fields = vec![kind, change.string("path").unwrap()];
            let last = ["mode", "target", "source"];
            fields.extend(last.iter().filter_map(|member| change.string(member)));
            line(&[&fields.join(" ")]);
            change.end();
        }
    }
    for warning in plan.array("warnings") {
        let mut warning = Object::of(warning);
        let place = warning.string("file").map_or("-".to_string(), |file| {
            format!("{file}:{}", warning.number("line").unwrap())
        });
        line(&["warning", &place, &warning.string("text").unwrap()]);
        warning.end();
    }
    plan.end();
    text
}

fn one_line(text: &str) -> String {
    text.replace(|sign: char| sign.is_ascii_control(), "?")
}

/// The metric is always there; in the text form only if it is not the kernel's default.
fn route_of(mut route: Object) -> String {
    let destination = route.string("destination").unwrap();
    let via = route.string("via");
    let is_v6 = [&destination, via.as_ref().unwrap_or(&destination)]
        .iter()
        .any(|text| text.contains(':'));
    let mut text = destination;
    if let Some(via) = via {
        text += &format!(" via {via}");
    }
    if route.flag("onlink") {
        text += " onlink";
    }
    let metric = route.number("metric").unwrap();
    if metric != if is_v6 { 1024 } else { 0 } {
        text += &format!(" metric {metric}");
    }
    route.end();
    text
}

fn directive_of(mut directive: Object) -> String {
    let kind = directive.string("kind").unwrap();
    let operands = match &*kind {
        "dhcp" => ["nic", "family"],
        "create-user" => ["user", "shell"],
        other => panic!("unknown: {other}"),
    };
    let mut fields = vec![kind];
    fields.extend(operands.map(|member| directive.string(member).unwrap()));
    for member in ["ask", "renew"] {
        let value = directive.string(member);
        fields.extend(value.map(|value| format!("{member} {value}")));
    }
    directive.end();
    fields.join(" ")
}

/// The output of `plan` with these arguments as text, and the text made from its JSON.
fn both(arguments: &[&str], folder: &Path) -> (String, String) {
    let run = |option: &[&str]| {
        let output = Command::new(release::binary())
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
    };
    let text = String::from_utf8(run(&[])).unwrap();
    (text, text_of(&run(&["--json"])))
}

fn every_fixture_says_the_same() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut count = 0;
    for entry in fs::read_dir(&fixtures).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (text, back) = both(&[&name], &fixtures);
        assert_eq!(text, back, "{name}");
        count += 1;
    }
    assert!(count >= 80, "{count} fixtures");
}

/// Changes in a root: users, DHCP, files, links.
fn roots_say_the_same() {
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
        fs::write(file, "[Unit]\n").unwrap();
    }
    fs::create_dir_all(top.join("root/sbin")).unwrap();
    symlink("/usr/lib/systemd/systemd", top.join("root/sbin/init")).unwrap();
    let (text, back) = both(&["context.sh", "--root", "root"], &top);
    assert_eq!(text, back);
    for part in [
        "\ncreate-user bob /bin/zsh\n",
        "\ndhcp ETH0 ipv4 ask onecontext renew systemd-networkd\n",
        "\nfile /run/",
        "\nlink /run/",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!back.contains("secret"), "{back}");
    fs::remove_dir_all(top).unwrap();
}

/// Any bytes give valid JSON. It equals the text form, except that bytes that are not
/// UTF-8 become U+FFFD.
fn check(bytes: &[u8]) {
    let bound = BoundPlan::unbound(checks::plan_of(bytes), DhcpClient::Alone);
    let (mut text, mut out) = (Vector::new(), Vector::new());
    bound.write(None, &mut text);
    bound.write_json(None, &mut out);
    assert_eq!(String::from_utf8_lossy(&text), text_of(&out));
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
    json.open("a", Nesting::Array);
    for item in [
        "\"\\/é\u{10348}".as_bytes(),
        b"\0\t\n\x1f\x7f",
        "\u{9b}2J\u{a0}".as_bytes(),
        b"a\xffb\xe2\x82c\xed\xa0\x80",
        b"",
    ] {
        json.item("", &[operand("", item)]);
    }
    json.close(Nesting::Array);
    let expected = "\"a\":[\"\\\"\\\\/é\u{10348}\",\"\\u0000\\u0009\\u000a\\u001f\\u007f\",\
        \"\\u009b2J\u{a0}\",\"a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}\u{fffd}\",\"\"]";
    assert_eq!(str::from_utf8(&out), Ok(expected));
}

fn main() {
    one_thread::run(&[
        ("every_fixture_says_the_same", every_fixture_says_the_same),
        ("roots_say_the_same", roots_say_the_same),
        ("any_bytes_are_valid_json", any_bytes_are_valid_json),
        ("strings_are_escaped", strings_are_escaped),
    ]);
}
