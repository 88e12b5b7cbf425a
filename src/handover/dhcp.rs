//! Who does DHCP for a root that enables no supported network manager: this program
//! asks. If no other manager is enabled either, and systemd-networkd is installed, it is
//! enabled for this boot and keeps the leases.
use super::render::is_handed_over;
use crate::base::error::Error;
use crate::base::text::format;
use crate::changeset::Changes;
use crate::image::facts::NetworkFacts;
use crate::image::networkd::{self, Networkd};
use crate::plan::bound::{BoundPlan, DhcpClient};
use crate::plan::{Link, Plan};

/// Which DHCP client is used. `facts` is `None` if nothing is handed over.
pub fn client(plan: &Plan, facts: Option<&NetworkFacts>) -> DhcpClient {
    let Some(facts) = facts else {
        return DhcpClient::Alone;
    };
    if facts.managers.for_dhcp().is_some() {
        return DhcpClient::Manager;
    }
    // Beside a manager that is not supported, networkd would be a second one on the NIC.
    let can_be =
        facts.managers.enabled.is_empty() && matches!(facts.networkd, Ok(Networkd::Installed(_)));
    match can_be && plan.links.iter().any(is_kept_by_networkd) {
        true => DhcpClient::Networkd,
        false => DhcpClient::Alone,
    }
}

/// Whether networkd, enabled for DHCP only, gets a configuration for this link.
pub fn is_kept_by_networkd(link: &Link) -> bool {
    is_handed_over(link) && link.uses_dhcp()
}

/// Reports what nobody does in the booted system, if no supported network manager is
/// enabled and networkd cannot be.
pub fn report(bound: &BoundPlan, facts: &NetworkFacts, changes: &mut Changes) -> Result<(), Error> {
    if client(bound.plan, Some(facts)) != DhcpClient::Alone {
        return Ok(());
    }
    if facts.managers.unknown.is_empty() {
        // Otherwise the reason was reported already.
        facts.networkd?;
    }
    // What was applied was reported then, with its result.
    for bound_link in bound.links.iter().filter(|one| one.index.is_none()) {
        let name = format(&bound_link.link.name);
        let reason: &'static core::ffi::CStr = match facts.networkd {
            Ok(Networkd::Masked) => {
                c"the image switches systemd-networkd off on purpose: enable another network manager"
            }
            _ => c"enable systemd-networkd or another network manager in the image",
        };
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
pub fn name_programs(plan: &Plan, facts: &NetworkFacts, changes: &mut Changes) {
    let client = client(plan, Some(facts));
    let manager = facts.managers.for_dhcp();
    let manager = manager.map_or(&b""[..], |manager| manager.name);
    for link in plan.links {
        let keeper = match client {
            DhcpClient::Manager => manager,
            DhcpClient::Networkd if is_kept_by_networkd(link) => networkd::NAME,
            DhcpClient::Networkd | DhcpClient::Alone | DhcpClient::Early => b"",
        };
        let asker = match client {
            DhcpClient::Manager => manager,
            DhcpClient::Networkd | DhcpClient::Alone | DhcpClient::Early => b"onecontext",
        };
        let name = format(&link.name);
        let mut say = |family, asker, keeper| {
            let operands = [("nic", name), ("family", family)];
            let options = [("ask", asker), ("renew", keeper)];
            changes.directive("dhcp", &operands, &options);
        };
        if link.ipv4.uses_dhcp() {
            say(b"ipv4", asker, keeper);
        }
        if link.ipv6.uses_dhcp() {
            say(b"ipv6", keeper, keeper);
        }
    }
}
