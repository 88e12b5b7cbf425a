//! The description of a plan, and its order in the two forms.
use core::net::IpAddr;

use super::bound::{BoundLink, BoundPlan};
use super::text::Endpoint;
use super::warning::WarningText;
use super::{Method, Plan, SudoRule};
use crate::base::description::{
    Describe, Lines, Sink, Value, json_only, operand, option, text_only,
};
use crate::base::json::Json;
use crate::base::text::{Escaped, Ip, Text};

impl BoundPlan {
    /// Appends the whole plan in the text form. The changes to a root come before the
    /// warnings.
    pub fn write(&self, changes: Option<&dyn Describe>, out: &mut Text) {
        let plan = self.plan;
        let lines: &mut dyn Sink = &mut Lines(out);
        plan.describe_machine(lines);
        for bound_link in self.links {
            bound_link.describe(lines);
        }
        describe_servers("-".into(), plan.dns, lines);
        for link in plan.links {
            describe_servers(Value::shown(&link.name), link.dns, lines);
        }
        describe_domains("-".into(), plan.search, lines);
        for link in plan.links {
            describe_domains(Value::shown(&link.name), link.search, lines);
        }
        plan.describe_logins(lines);
        if let Some(changes) = changes {
            changes.describe(lines);
        }
        plan.describe_warnings(lines);
    }

    /// Appends the whole plan as one JSON object. The changes to a root come last.
    pub fn write_json(&self, changes: Option<&dyn Describe>, out: &mut Text) {
        let plan = self.plan;
        let json: &mut dyn Sink = &mut Json(out);
        json.object("", |json| {
            plan.describe_machine(json);
            json.array("links", |json| {
                for bound_link in self.links {
                    let link = bound_link.link;
                    let name = Value::shown(&link.name);
                    json.object("", |json| {
                        bound_link.describe(json);
                        describe_servers(name, link.dns, json);
                        describe_domains(name, link.search, json);
                    });
                }
            });
            describe_servers("-".into(), plan.dns, json);
            describe_domains("-".into(), plan.search, json);
            plan.describe_logins(json);
            plan.describe_warnings(json);
            if let Some(changes) = changes {
                changes.describe(json);
            }
        });
        out.push(b'\n');
    }
}

impl BoundLink {
    /// A link, its addresses and its routes.
    fn describe(&self, sink: &mut dyn Sink) {
        let link = self.link;
        let name = Value::shown(&link.name);
        let device = self.device.map(|device| Value::shown(&device.name));
        sink.directive(
            "link",
            &[
                operand("name", name),
                option("mac", link.mac.map(|mac| Value::shown(&mac))),
                option("device", device),
                option("mtu", link.mtu),
                option("vlan", link.vlan.map(u32::from)),
                option("metric", link.metric),
                option("ipv4", link.ipv4.method.map(Method::name)),
                option("ipv6", link.ipv6.method.map(Method::name)),
                option("default-route", link.no_default_route.then_some("no")),
            ],
        );
        sink.array("addresses", |sink| {
            for address in link.addresses() {
                let address = operand("", Value::shown(address));
                sink.directive("address", &[text_only(name), address]);
            }
        });
        sink.array("routes", |sink| {
            for route in link.routes() {
                let via = route.gateway.map(|gateway| Value::shown(&Ip(gateway)));
                let destination = Value::shown(&Endpoint(route.destination));
                let fields = [
                    text_only(name),
                    text_only(Value::shown(route)),
                    json_only("destination", Some(destination)),
                    json_only("via", via),
                    json_only("onlink", route.onlink.then_some(Value::True)),
                    json_only("metric", Some(route.metric)),
                ];
                sink.object("", |sink| sink.directive("route", &fields));
            }
        });
    }
}

/// Name servers of a link, or of the whole machine.
fn describe_servers(of: Value, servers: &[IpAddr], sink: &mut dyn Sink) {
    sink.array("dns", |sink| {
        for server in servers {
            let server = operand("", Value::shown(&Ip(*server)));
            sink.directive("dns", &[text_only(of), server]);
        }
    });
}

/// Search domains of a link, or of the whole machine.
fn describe_domains(of: Value, domains: &[&'static [u8]], sink: &mut dyn Sink) {
    sink.array("search", |sink| {
        for domain in domains {
            sink.directive("search", &[text_only(of), operand("", *domain)]);
        }
    });
}

impl Plan {
    /// The context and the host name.
    fn describe_machine(&self, sink: &mut dyn Sink) {
        let source = operand("source", Value::Path(self.source));
        let dialect = operand("dialect", self.dialect.name());
        sink.directive("context", &[dialect, source]);
        if let Some(hostname) = self.hostname {
            sink.directive("hostname", &[operand("hostname", hostname)]);
        }
    }

    /// Users, passwords, keys and scripts.
    fn describe_logins(&self, sink: &mut dyn Sink) {
        if let Some(user) = self.user {
            sink.directive("user", &[operand("user", user)]);
            if let Some(shell) = self.login.shell {
                sink.directive("shell", &[text_only(user), operand("shell", shell)]);
            }
            if self.login.sudo != SudoRule::None {
                sink.directive(
                    "sudo",
                    &[text_only(user), json_only("sudo", Some(Value::True))],
                );
            }
        }
        if let Some((user, password)) = self.login.password {
            let fields = [operand("user", user), operand("kind", password.kind())];
            sink.object("password", |sink| sink.directive("password", &fields));
        }
        sink.array("keys", |sink| {
            for key in self.keys {
                let fields = [operand("user", key.user), operand("line", key.line)];
                sink.object("", |sink| sink.directive("key", &fields));
            }
        });
        sink.array("scripts", |sink| {
            for script in self.scripts.list {
                sink.directive("script", &[operand("", Value::Path(script.name))]);
            }
        });
    }

    /// What is wrong, and what is only worth knowing.
    fn describe_warnings(&self, sink: &mut dyn Sink) {
        for (array, directive, is_note) in [("warnings", "warning", false), ("notes", "note", true)]
        {
            sink.array(array, |sink| {
                for warning in self.warnings().filter(|one| one.is_note == is_note) {
                    let file = (warning.place).map(|place| Value::shown(&Escaped(place.file)));
                    let text = Value::shown(&WarningText(warning));
                    let fields = [
                        text_only(Value::shown(warning)),
                        json_only("file", file),
                        json_only("line", warning.place.map(|place| place.line)),
                        json_only("text", Some(text)),
                    ];
                    sink.object("", |sink| sink.directive(directive, &fields));
                }
            });
        }
    }
}
