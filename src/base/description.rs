//! What a plan says, whatever the form: directives, each with its fields. Two sinks
//! write them: [`Lines`], the text form, and [`Json`](super::json::Json). Other programs
//! parse both, so they change only by addition.
use ufmt::{uDisplay, uwrite};

use super::text::{Text, format};

/// A value of a directive.
#[derive(Clone, Copy)]
pub enum Value {
    /// A text without newlines.
    Text(&'static [u8]),
    /// A path or a file's name. In the text form its control characters become `?`, so
    /// that it stays on one line.
    Path(&'static [u8]),
    /// A number, in JSON too.
    Number(u32),
    /// `true`; in the text form the name of the field says it.
    True,
}

impl Value {
    /// The text form of something.
    pub fn shown(value: &impl uDisplay) -> Self {
        Self::Text(format(value))
    }
}

impl From<&'static [u8]> for Value {
    fn from(text: &'static [u8]) -> Self {
        Self::Text(text)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.as_bytes())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

/// Which forms have a field, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Both; in the text form the value alone.
    Operand,
    /// Both; in the text form the name before the value.
    Option,
    /// The text form: the value alone.
    Text,
    /// JSON.
    Json,
}

/// One field of a directive.
#[derive(Clone, Copy)]
pub struct Field {
    pub(super) form: Form,
    pub(super) name: &'static str,
    /// `None`: neither form has the field.
    pub(super) value: Option<Value>,
}

/// A value that is always there; the text form leaves out its name.
pub fn operand(name: &'static str, value: impl Into<Value>) -> Field {
    field(Form::Operand, name, Some(value.into()))
}

/// A value that may be absent; the text form has its name too.
pub fn option(name: &'static str, value: Option<impl Into<Value>>) -> Field {
    field(Form::Option, name, value.map(Into::into))
}

/// A value of the text form alone.
pub fn text_only(value: impl Into<Value>) -> Field {
    field(Form::Text, "", Some(value.into()))
}

/// A value of JSON alone. It may be absent.
pub fn json_only(name: &'static str, value: Option<impl Into<Value>>) -> Field {
    field(Form::Json, name, value.map(Into::into))
}

fn field(form: Form, name: &'static str, value: Option<Value>) -> Field {
    Field { form, name, value }
}

/// Where a description goes. The text form is flat: it has no brackets.
pub trait Sink {
    /// Takes one directive. In JSON its fields are members of the open object, or items
    /// of the open array, which have no names.
    fn directive(&mut self, kind: &str, fields: &[Field]);

    /// Takes an opening bracket of JSON. It has no name if it is an item of an array.
    fn open(&mut self, _name: &str, _bracket: u8) {}

    /// Takes a closing bracket of JSON.
    fn close(&mut self, _bracket: u8) {}
}

impl dyn Sink + '_ {
    /// Takes what `describe` says, in JSON as an object.
    pub fn object(&mut self, name: &str, describe: impl FnOnce(&mut Self)) {
        self.open(name, b'{');
        describe(self);
        self.close(b'}');
    }

    /// Takes what `describe` says, in JSON as an array.
    pub fn array(&mut self, name: &str, describe: impl FnOnce(&mut Self)) {
        self.open(name, b'[');
        describe(self);
        self.close(b']');
    }
}

/// What has a description of its own.
pub trait Describe {
    /// Says it to `sink`.
    fn describe(&self, sink: &mut dyn Sink);
}

/// The text form: one directive a line, its fields separated by one space.
pub struct Lines<'t>(pub &'t mut Text);

impl Sink for Lines<'_> {
    fn directive(&mut self, kind: &str, fields: &[Field]) {
        let Self(out) = self;
        out.extend(kind.as_bytes());
        for field in fields {
            let Some(value) = field.value else { continue };
            match field.form {
                Form::Json => continue,
                Form::Option => {
                    out.push(b' ');
                    out.extend(field.name.as_bytes());
                }
                Form::Operand | Form::Text => {}
            }
            match value {
                Value::Text(text) => {
                    out.push(b' ');
                    out.extend(text);
                }
                Value::Path(path) => {
                    out.push(b' ');
                    for byte in path {
                        out.push(if byte.is_ascii_control() { b'?' } else { *byte });
                    }
                }
                Value::Number(number) => {
                    uwrite!(out, " {}", number);
                }
                Value::True => {}
            }
        }
        out.push(b'\n');
    }
}
