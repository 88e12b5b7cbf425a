//! Warnings about the input, one line each.
use ufmt::{Formatter, uDisplay, uWrite};

use crate::base::memory::Vector;
use crate::base::text::Escaped;

/// A line of a file of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file's name without its directory.
    pub file: &'static [u8],
    /// Counted from 1.
    pub line: u32,
}

/// `context.sh:14 ETH1_MASK: not a netmask: 255.0.255.0`
#[derive(Clone, Copy)]
pub struct Warning {
    /// `None` where no line is to blame.
    pub place: Option<SourceLocation>,
    /// The variable, user, device or file that it is about.
    pub subject: Option<&'static [u8]>,
    /// What is wrong, and what was expected or done instead.
    pub what: &'static str,
    /// The text found.
    pub found: Option<&'static [u8]>,
    /// Nothing is wrong: it is only worth knowing.
    pub is_note: bool,
}

impl uDisplay for Warning {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        match self.place {
            Some(SourceLocation { file, line }) => {
                Escaped(file).fmt(f)?;
                f.write_char(':')?;
                line.fmt(f)?;
            }
            None => f.write_char('-')?,
        }
        f.write_char(' ')?;
        WarningText(self).fmt(f)
    }
}

/// A warning without its place.
pub struct WarningText<'w>(pub &'w Warning);

impl uDisplay for WarningText<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let Self(warning) = self;
        if let Some(subject) = warning.subject {
            Escaped(subject).fmt(f)?;
            f.write_str(": ")?;
        }
        f.write_str(warning.what)?;
        if let Some(found) = warning.found {
            f.write_str(": ")?;
            Escaped(found).fmt(f)?;
        }
        Ok(())
    }
}

/// The warnings so far.
pub struct Warnings(pub Vector<Warning>);

impl Warnings {
    /// Adds a warning about a line of a file.
    pub fn at(
        &mut self,
        place: SourceLocation,
        subject: Option<&'static [u8]>,
        what: &'static str,
        found: Option<&'static [u8]>,
    ) {
        self.0.push(Warning {
            place: Some(place),
            subject,
            what,
            found,
            is_note: false,
        })
    }

    /// Adds a warning about the context as a whole.
    pub fn general(
        &mut self,
        subject: Option<&'static [u8]>,
        what: &'static str,
        found: Option<&'static [u8]>,
    ) {
        self.0.push(Warning {
            place: None,
            subject,
            what,
            found,
            is_note: false,
        })
    }
}
