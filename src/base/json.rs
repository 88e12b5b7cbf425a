//! JSON (RFC 8259), written on one line.
use ufmt::uwrite;

use super::description::{Field, Form, Sink, Value};
use super::text::{Text, hex_digit};

/// A sink that appends JSON to a text.
pub struct Json<'t>(pub &'t mut Text);

impl Sink for Json<'_> {
    fn directive(&mut self, _kind: &str, fields: &[Field]) {
        for field in fields.iter().filter(|field| field.form != Form::Text) {
            if let Some(value) = field.value {
                self.name(field.name);
                self.value(value);
            }
        }
    }

    fn open(&mut self, name: &str, bracket: u8) {
        self.name(name);
        self.0.push(bracket);
    }

    fn close(&mut self, bracket: u8) {
        self.0.push(bracket);
    }
}

impl Json<'_> {
    /// Begins a member, or an item if the name is empty: writes the comma before each
    /// but the first of an object or array. No value ends with an opening bracket.
    fn name(&mut self, name: &str) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[')) {
            self.0.push(b',');
        }
        if !name.is_empty() {
            write_string(self.0, name.as_bytes());
            self.0.push(b':');
        }
    }

    fn value(&mut self, value: Value) {
        match value {
            Value::Text(text) | Value::Path(text) => write_string(self.0, text),
            Value::Number(number) => {
                uwrite!(self.0, "{}", number);
            }
            Value::True => self.0.extend(b"true"),
        }
    }
}

/// Writes a string. JSON is UTF-8, so invalid bytes become U+FFFD. Control characters
/// are escaped, DEL and C1 included.
fn write_string(out: &mut Text, value: &[u8]) {
    out.push(b'"');
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend(b"\\\""),
                '\\' => out.extend(b"\\\\"),
                '\0'..='\x1f' | '\x7f'..='\u{9f}' => {
                    let byte = character as u8;
                    out.extend(b"\\u00");
                    out.push(hex_digit(byte >> 4) as u8);
                    out.push(hex_digit(byte) as u8);
                }
                _ => out.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}
