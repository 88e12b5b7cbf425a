//! The description of placed changes.
use super::file::Octal;
use super::place::{Action, Placed};
use crate::base::description::{Describe, Sink, Value, json_only, operand};
use crate::base::memory::Vector;

impl Describe for Placed {
    /// The directives, then the steps: `file PATH MODE`, `link PATH TARGET`,
    /// `bind PATH SOURCE`, `remove PATH`.
    fn describe(&self, sink: &mut dyn Sink) {
        sink.array("directives", |sink| {
            for directive in self.directives.iter() {
                let mut fields = Vector::new();
                fields.push(json_only("kind", Some(directive.kind)));
                fields.extend(directive.fields);
                sink.object("", |sink| sink.directive(directive.kind, &fields));
            }
        });
        sink.array("changes", |sink| {
            for step in self.steps.iter() {
                let (kind, second) = match step.action {
                    Action::Write(file) => {
                        let mode = Value::shown(&Octal(file.access.mode));
                        ("file", Some(operand("mode", mode)))
                    }
                    Action::Link(target) => ("link", Some(operand("target", Value::Path(target)))),
                    Action::MountOver(source) => {
                        ("bind", Some(operand("source", Value::Path(source.path()))))
                    }
                    Action::Remove => ("remove", None),
                };
                let mut fields = Vector::new();
                fields.push(json_only("kind", Some(kind)));
                fields.push(operand("path", Value::Path(step.path.path())));
                fields.extend(second.as_slice());
                sink.object("", |sink| sink.directive(kind, &fields));
            }
        });
    }
}
