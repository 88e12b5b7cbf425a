//! A reason why sshd keeps a user out.
use ufmt::uwrite;

use crate::base::text::{Escaped, Text};
use crate::image::sshd_settings::Setting;

/// A reason why a user is kept out, and the setting that says so.
#[derive(Clone, Copy)]
pub struct Obstacle {
    /// What keeps it out.
    pub what: &'static str,
    /// The setting, if it is one.
    pub setting: Option<&'static Setting>,
    /// Whether that depends on the host that connects.
    pub is_unknown: bool,
}

impl Obstacle {
    /// One that no setting of sshd is the reason of.
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            setting: None,
            is_unknown: false,
        }
    }

    /// One of a setting.
    pub fn of(what: &'static str, setting: &'static Setting) -> Self {
        Self {
            what,
            setting: Some(setting),
            is_unknown: false,
        }
    }

    /// `AllowUsers in /etc/ssh/sshd_config:3: keeps it out`
    pub fn write(&self, out: &mut Text) {
        if let Some(setting) = self.setting {
            let place = setting.place;
            let (keyword, file) = (Escaped(setting.keyword), Escaped(place.file));
            uwrite!(out, "{} in {}:{}: ", keyword, file, place.line);
        }
        uwrite!(out, "{}", self.what);
    }
}
