//! A NIC that is looked at.
use crate::context::variables::Variable;
use crate::plan::Link;

/// The variables of a NIC and its aliases, and what they mean.
#[derive(Clone, Copy)]
pub struct Nic<'a, 'l> {
    /// Those that are set.
    pub variables: &'a [Variable<'a>],
    /// The link with its position, if the context has this NIC.
    pub link: Option<(u32, &'l Link<'a>)>,
}
