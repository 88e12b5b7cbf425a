//! What all readers of variables share.
use super::variables::{Variable, Variables};
use crate::plan::Warnings;

/// What the dialects share while they turn variables into a plan.
pub(super) struct Context {
    pub(super) variables: Variables,
    pub(super) warnings: Warnings,
}

impl Context {
    /// Warns about a variable, and shows its value. Only for values that are no secret:
    /// addresses, names, methods and the like.
    pub(super) fn complain(&mut self, variable: &Variable, what: &'static str) {
        self.warnings
            .at(variable.place, variable.name, what, variable.printable())
    }

    /// The value of a list of addresses or names, up to what cannot be shown.
    pub(super) fn list(&mut self, variable: &Variable) -> &'static [u8] {
        let list = variable.printable();
        if list.len() < variable.value.len() {
            let what = "has a =, is a quote missing? The rest of it is left out";
            self.remark(variable, what);
        }
        list
    }

    /// Warns about a variable without showing its value.
    pub(super) fn remark(&mut self, variable: &Variable, what: &'static str) {
        self.warnings.at(variable.place, variable.name, what, b"")
    }
}
