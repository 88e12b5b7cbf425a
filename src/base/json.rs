//! JSON (RFC 8259), written on one line.
use ufmt::uwrite;

use super::memory::Vector;
use super::text::{Format, Text, hex_digit};

/// A writer of JSON. The caller must close each object and array that it opens.
pub struct Json<'t> {
    out: &'t mut Text,
    /// The text form of a value before it is escaped.
    scratch: Text,
}

impl<'t> Json<'t> {
    /// Appends to `out`.
    pub fn new(out: &'t mut Text) -> Self {
        let scratch = Vector::new();
        Self { out, scratch }
    }

    /// Begins an object: an item of an array, or the outermost one.
    pub fn open(&mut self) {
        self.separate();
        self.out.push(b'{');
    }

    /// Ends an object.
    pub fn close(&mut self) {
        self.out.push(b'}');
    }

    /// Begins a member that is an object.
    pub fn open_member(&mut self, name: &str) {
        self.name(name);
        self.out.push(b'{');
    }

    /// Begins a member that is an array.
    pub fn open_array(&mut self, name: &str) {
        self.name(name);
        self.out.push(b'[');
    }

    /// Ends an array.
    pub fn close_array(&mut self) {
        self.out.push(b']');
    }

    /// A member that is a number.
    pub fn number(&mut self, name: &str, value: u32) {
        self.name(name);
        uwrite!(self.out, "{}", value);
    }

    /// A member that is `true`.
    pub fn flag(&mut self, name: &str) {
        self.name(name);
        self.out.extend(b"true");
    }

    /// A member that is a string.
    pub fn string(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        write_string(self.out, value);
    }

    /// A member that is the text form of something.
    pub fn text(&mut self, name: &str, value: &dyn Format) {
        self.name(name);
        self.write_text(value);
    }

    /// A string of an array.
    pub fn item(&mut self, value: &[u8]) {
        self.separate();
        write_string(self.out, value);
    }

    /// The text form of something, in an array.
    pub fn text_item(&mut self, value: &dyn Format) {
        self.separate();
        self.write_text(value);
    }

    fn name(&mut self, name: &str) {
        self.separate();
        write_string(self.out, name.as_bytes());
        self.out.push(b':');
    }

    fn write_text(&mut self, value: &dyn Format) {
        self.scratch.clear();
        value.append_to(&mut self.scratch);
        write_string(self.out, &self.scratch);
    }

    /// Writes the comma before each item but the first of an object or array. No value
    /// ends with an opening bracket.
    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[')) {
            self.out.push(b',');
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
