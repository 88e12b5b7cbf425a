//! Changes as members of a JSON object, with the same facts as their text form.
use super::{Action, Changes, Octal};
use crate::base::json::Json;

impl Changes {
    /// Appends the directives, then the changes, to an open object.
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
        for change in self.list.iter() {
            json.open();
            let kind = change.action.kind();
            json.string("kind", kind.as_bytes());
            json.string("path", change.path.path());
            match &change.action {
                Action::File(file) | Action::BindOver(file) => {
                    json.text("mode", &Octal(file.access.mode));
                }
                Action::Symlink(target) => json.string("target", target),
                Action::Bind(source) => json.string("source", source.path()),
                Action::BindCopyOver(_) | Action::Removal => {}
            }
            json.close();
        }
        json.close_array();
    }
}
