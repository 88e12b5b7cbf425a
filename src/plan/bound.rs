//! A plan on a machine: which device each of its links is. Whoever finds the
//! devices makes it; the plan itself stays as it was read.
use super::{Link, Plan};
use crate::base::arena::Arena;

/// A plan and the devices of its links.
#[derive(Clone, Copy)]
pub struct BoundPlan<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    /// All of its links, in its order.
    pub links: &'a [BoundLink<'a>],
}

/// A link and its device.
#[derive(Clone, Copy)]
pub struct BoundLink<'a> {
    /// The link.
    pub link: &'a Link<'a>,
    /// The kernel's name of its device; `None` where none was found or none was
    /// looked for.
    pub device: Option<&'a [u8]>,
    /// The kernel's number of that device, if the kernel has what the plan says
    /// of the link.
    pub index: Option<u32>,
}

impl<'a> BoundPlan<'a> {
    /// A plan whose links have no devices: none were looked for.
    pub fn unbound(arena: &'a Arena, plan: &'a Plan<'a>) -> Self {
        let mut links = arena.vector();
        for link in plan.links {
            links.push(BoundLink {
                link,
                device: None,
                index: None,
            });
        }
        Self {
            plan,
            links: links.finish(),
        }
    }
}
