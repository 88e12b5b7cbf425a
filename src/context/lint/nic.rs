//! A NIC as `check` sees it.
use crate::context::variables::Variable;
use crate::plan::Link;

/// The variables of a NIC and its aliases, and its link.
#[derive(Clone, Copy)]
pub struct CheckedNic<'l> {
    /// The variables that are set.
    pub variables: &'static [Variable],
    /// The link and its position, if the plan has this NIC.
    pub link: Option<(u32, &'l Link)>,
}
