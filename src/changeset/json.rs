//! Placed changes as members of a JSON object, with the same facts as their text form.
use super::file::Octal;
use super::place::{Action, Placed};
use crate::base::json::Json;

impl Placed {
    /// Appends the directives, then the steps, to an open object.
    pub fn write_json(&self, json: &mut Json) {
        json.open_array("directives");
        for directive in self.directives.iter() {
            json.open();
            json.string("kind", directive.name.as_bytes());
            for (name, value) in directive.operands.iter().chain(directive.given()) {
                json.string(name, value);
            }
            json.close();
        }
        json.close_array();
        json.open_array("changes");
        for step in self.steps.iter() {
            json.open();
            json.string("kind", step.action.kind().as_bytes());
            json.string("path", step.path.path());
            match &step.action {
                Action::Write(file) => json.text("mode", &Octal(file.access.mode)),
                Action::Link(target) => json.string("target", target),
                Action::MountOver(source) => json.string("source", source.path()),
                Action::Remove => {}
            }
            json.close();
        }
        json.close_array();
    }
}
