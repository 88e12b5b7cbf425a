//! Who does DHCP for a root that enables no supported network manager: this program
//! asks. If no other manager is enabled either, and systemd-networkd is installed, it is
//! enabled for this boot and keeps the leases.
use crate::base::description::{operand, option};
use crate::base::error::Error;
use crate::base::text::format;
use crate::changeset::Changes;
use crate::image::facts::NetworkFacts;
use crate::image::networkd::{self, Networkd};
use crate::plan::bound::{BoundLink, BoundPlan, DhcpClient};
use crate::plan::{Link, Plan};

/// The name of this program in the text form.
const US: &[u8] = b"onecontext";

/// Which DHCP client is used. Without `facts` no network manager gets a configuration.
pub fn client(plan: &Plan, facts: Option<&NetworkFacts>) -> DhcpClient {
    let Some(facts) = facts else {
        return DhcpClient::Alone;
    };
    if let Some(manager) = facts.managers.for_dhcp() {
        return DhcpClient::Manager(manager.name);
    }
    // Beside a manager that is not supported, networkd would be a second one on the NIC.
    match facts.networkd {
        Ok(Some(Networkd::Installed(unit)))
            if facts.managers.enabled.is_empty() && plan.links.iter().any(is_kept_by_networkd) =>
        {
            DhcpClient::Networkd(unit)
        }
        _ => DhcpClient::Alone,
    }
}

/// Whether networkd, enabled for DHCP only, gets a configuration for this link.
fn is_kept_by_networkd(link: &Link) -> bool {
    link.is_managed() && link.uses_dhcp()
}

/// Says what nobody does in the booted system if no program of the root does DHCP.
pub fn say_what_is_missing(
    bound: &BoundPlan,
    facts: &NetworkFacts,
    changes: &mut Changes,
) -> Result<(), Error> {
    if facts.managers.unknown.is_empty() {
        // Otherwise the reason was reported already.
        facts.networkd?;
    }
    let reason = match facts.networkd {
        Ok(Some(Networkd::Masked)) => {
            c"the image switches systemd-networkd off on purpose: enable another network manager"
        }
        _ => c"enable systemd-networkd or another network manager in the image",
    };
    // For the other links `kernel` says it, with what it has done.
    let is_said = |one: &BoundLink| bound.is_applied && one.device.is_some();
    for bound_link in bound.links.iter().filter(|one| !is_said(one)) {
        let name = format(&bound_link.link.name);
        if bound_link.link.ipv6.uses_dhcp() {
            changes.problem(c"DHCPv6 is not done", name, reason);
        }
        if bound_link.link.ipv4.uses_dhcp() {
            changes.problem(c"nobody renews the lease of", name, reason);
        }
    }
    Ok(())
}

/// Adds lines for the text form: which program asks for an address of each link and
/// family by DHCP, and which one renews it.
pub fn name_programs(bound: &BoundPlan, changes: &mut Changes) {
    for link in bound.plan.links {
        let (asker, keeper) = match bound.dhcp {
            DhcpClient::Manager(name) if link.is_managed() => {
                (Some(name.bytes()), Some(name.bytes()))
            }
            DhcpClient::Networkd(_) if is_kept_by_networkd(link) => {
                (Some(US), Some(networkd::NAME.to_bytes()))
            }
            _ => (Some(US), None),
        };
        let name = format(&link.name);
        let mut say = |family: &'static [u8], asker, keeper| {
            let fields = [
                operand("nic", name),
                operand("family", family),
                option("ask", asker),
                option("renew", keeper),
            ];
            changes.directive("dhcp", &fields);
        };
        if link.ipv4.uses_dhcp() {
            say(b"ipv4", asker, keeper);
        }
        if link.ipv6.uses_dhcp() {
            say(b"ipv6", keeper, keeper);
        }
    }
}
