//! A plan as members of a JSON object, with the same facts as its text form. Other
//! programs parse it, so it changes only by addition.
use super::bound::{BoundLink, BoundPlan};
use super::text::Endpoint;
use super::warning::WarningText;
use super::{Link, Route, SourceLocation, SudoRule, Warning};
use crate::base::json::Json;
use crate::base::text::{Escaped, Ip};

impl BoundPlan {
    /// Appends the whole plan to an open object.
    #[expect(
        clippy::too_many_lines,
        reason = "the members of the object, in their order"
    )]
    pub fn write_json(&self, json: &mut Json) {
        let plan = self.plan;
        json.string("dialect", plan.dialect.name().as_bytes());
        json.string("source", plan.source);
        if let Some(hostname) = plan.hostname {
            json.string("hostname", hostname);
        }
        json.open_array("links");
        for bound_link in self.links {
            write_link(bound_link, json);
        }
        json.close_array();
        json.open_array("dns");
        for server in plan.dns {
            json.text_item(&Ip(*server));
        }
        json.close_array();
        json.open_array("search");
        for domain in plan.search {
            json.item(domain);
        }
        json.close_array();
        if let Some(user) = plan.user {
            json.string("user", user);
            if let Some(shell) = plan.login.shell {
                json.string("shell", shell);
            }
            if plan.login.sudo != SudoRule::None {
                json.flag("sudo");
            }
        }
        if let Some((user, password)) = plan.login.password {
            json.open_member("password");
            json.string("user", user);
            json.string("kind", password.kind().as_bytes());
            json.close();
        }
        json.open_array("keys");
        for key in plan.keys {
            json.open();
            json.string("user", key.user);
            json.string("line", key.line);
            json.close();
        }
        json.close_array();
        json.open_array("scripts");
        for script in plan.scripts.list {
            json.item(script.name);
        }
        json.close_array();
        json.open_array("warnings");
        for warning in plan.warnings() {
            write_warning(warning, json);
        }
        json.close_array();
    }
}

fn write_link(bound_link: &BoundLink, json: &mut Json) {
    let BoundLink { link, device, .. } = bound_link;
    json.open();
    json.text("name", &link.name);
    if let Some(mac) = link.mac {
        json.text("mac", &mac);
    }
    if let Some(device) = device {
        json.text("device", &Escaped(device));
    }
    if let Some(mtu) = link.mtu {
        json.number("mtu", mtu);
    }
    if let Some(vlan) = link.vlan {
        json.number("vlan", vlan.into());
    }
    if let Some(metric) = link.metric {
        json.number("metric", metric);
    }
    if let Some(method) = link.ipv4.method {
        json.string("ipv4", method.name().as_bytes());
    }
    if let Some(method) = link.ipv6.method {
        json.string("ipv6", method.name().as_bytes());
    }
    write_addresses(link, json);
    json.open_array("routes");
    for route in link.routes() {
        write_route(route, json);
    }
    json.close_array();
    json.open_array("dns");
    for server in link.dns {
        json.text_item(&Ip(*server));
    }
    json.close_array();
    json.open_array("search");
    for domain in link.search {
        json.item(domain);
    }
    json.close_array();
    json.close();
}

fn write_addresses(link: &Link, json: &mut Json) {
    json.open_array("addresses");
    for address in link.addresses() {
        json.text_item(address);
    }
    json.close_array();
}

/// The metric is always there, even the default one.
fn write_route(route: &Route, json: &mut Json) {
    json.open();
    json.text("destination", &Endpoint(route.destination));
    if let Some(gateway) = route.gateway {
        json.text("via", &Ip(gateway));
    }
    if route.onlink {
        json.flag("onlink");
    }
    json.number("metric", route.metric);
    json.close();
}

fn write_warning(warning: &Warning, json: &mut Json) {
    json.open();
    if let Some(SourceLocation { file, line }) = warning.place {
        json.text("file", &Escaped(file));
        json.number("line", line);
    }
    json.text("text", &WarningText(warning));
    json.close();
}
