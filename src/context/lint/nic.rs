//! A NIC as `check` sees it.
use crate::context::assignments::Entry;
use crate::plan::Link;

/// The variables of a NIC and its aliases, and its link.
#[derive(Clone, Copy)]
pub struct CheckedNic<'l> {
    /// The variables that are set.
    pub variables: &'static [Entry],
    /// The link and its position, if the plan has this NIC.
    pub link: Option<(u32, &'l Link)>,
}
