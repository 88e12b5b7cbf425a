//! What all readers of variables share.
use super::assignments::{Assigned, Assignments, Entry};
use crate::base::context_files::Files;
use crate::plan::Warnings;

/// What the dialects share while they turn variables into a plan.
pub(super) struct Context<'d> {
    /// The files of the disk.
    pub(super) files: &'d dyn Files,
    pub(super) assignments: Assignments,
    pub(super) warnings: Warnings,
}

impl Context<'_> {
    /// Warns about a variable, and shows nothing of its value.
    pub(super) fn warn(&mut self, entry: &Entry, what: &'static str) {
        self.warnings.at(entry.place, Some(entry.name), what, None)
    }

    /// Warns about a variable, and shows `found`, which must not be a part of its value.
    pub(super) fn warn_with(&mut self, entry: &Entry, what: &'static str, found: &'static [u8]) {
        (self.warnings).at(entry.place, Some(entry.name), what, Some(found))
    }

    /// Warns about a variable, and shows its value if it may be shown.
    pub(super) fn warn_showing(&mut self, assigned: Assigned, what: &'static str) {
        match assigned.printable() {
            b"" => self.warn(&assigned, what),
            value => self.warn_with(&assigned, what, value),
        }
    }

    /// The same for what is no mistake: the server writes such variables by itself.
    pub(super) fn note_showing(&mut self, assigned: Assigned, what: &'static str) {
        self.warn_showing(assigned, what);
        if let Some(last) = self.warnings.0.last_mut() {
            last.is_note = true;
        }
    }

    /// Warns about a part of a value, and shows it if the value may be shown.
    pub(super) fn warn_showing_part(
        &mut self,
        assigned: Assigned,
        what: &'static str,
        part: &'static [u8],
    ) {
        match assigned.id.is_shown() {
            true => self.warn_with(&assigned, what, part),
            false => self.warn(&assigned, what),
        }
    }

    /// The value of a list of addresses or names, up to what cannot be shown.
    pub(super) fn list(&mut self, assigned: Assigned) -> &'static [u8] {
        let list = assigned.printable();
        if list.len() < assigned.value.len() {
            let what = "has a =, is a quote missing? The rest of it is left out";
            self.warn(&assigned, what);
        }
        list
    }
}
