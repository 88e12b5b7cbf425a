//! What shadow(5) and group(5) say of a user, for `check`.
use super::{PathError, Root, at};
use crate::base::memory::Vector;
use crate::base::text::{lines, number, split};

/// A line of shadow(5). Days are counted since 1970; a field that is empty is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shadow {
    /// The hash, or what stands for one.
    pub password: &'static [u8],
    /// The day of the last change; 0: it must be changed at the next login.
    pub changed: Option<u32>,
    /// The most days that a password may have.
    pub most_days: Option<u32>,
    /// The day on which the account ends.
    pub ends: Option<u32>,
}

impl Shadow {
    /// The first line of a user; `None`: it has none.
    pub fn of(root: &Root, name: &[u8]) -> Result<Option<Self>, PathError> {
        const PATH: &[u8] = b"/etc/shadow";
        let Some(file) = at(PATH, root.read_if_there(PATH))? else {
            return Ok(None);
        };
        for line in lines(file.content) {
            let mut fields = split(line, |byte| byte == b':');
            if fields.next() == Some(name) {
                let mut fields = fields.map(|field| (field, number(field)));
                let mut day = |nth| fields.nth(nth).and_then(|(_, number)| number);
                let (changed, most_days, ends) = (day(1), day(1), day(2));
                return Ok(Some(Self {
                    password: split(line, |byte| byte == b':').nth(1).unwrap_or_default(),
                    changed,
                    most_days,
                    ends,
                }));
            }
        }
        Ok(None)
    }
}

/// The password field in passwd(5) of the first user of that name: `x` leads to shadow(5).
pub fn field_in_passwd(root: &Root, name: &[u8]) -> Result<Option<&'static [u8]>, PathError> {
    const PATH: &[u8] = b"/etc/passwd";
    let file = at(PATH, root.read_if_there(PATH))?;
    let mut lines = lines(file.map_or(b"", |file| file.content));
    Ok(lines.find_map(|line| {
        let mut fields = split(line, |byte| byte == b':');
        (fields.next() == Some(name)).then(|| fields.next().unwrap_or_default())
    }))
}

/// A group that a user is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: &'static [u8],
    /// Its ID.
    pub gid: u32,
}

/// The groups of a user, as getgrouplist(3) with group(5) finds them.
pub fn groups(root: &Root, name: &[u8], primary: u32) -> Result<&'static [Group], PathError> {
    const PATH: &[u8] = b"/etc/group";
    let file = at(PATH, root.read_if_there(PATH))?;
    let mut groups = Vector::new();
    for line in lines(file.map_or(b"", |file| file.content)) {
        let mut fields = split(line, |byte| byte == b':');
        let (Some(group), Some(gid)) = (fields.next(), fields.nth(1).and_then(number)) else {
            continue;
        };
        let members = fields.next().unwrap_or_default().trim_ascii_end();
        let is_member = split(members, |byte| byte == b',').any(|member| member == name);
        if is_member || gid == primary {
            groups.push(Group { name: group, gid });
        }
    }
    Ok(groups.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::Fixture;

    #[test]
    fn lines_of_a_user() {
        let fixture = Fixture::new();
        fixture.file(
            "etc/shadow",
            "root:!:19000:0:99999:7:::\nbob:$6$x:0:1:2:3:4:5:6\nbob:x::::::\nempty:::::::",
        );
        fixture.file(
            "etc/passwd",
            "root:x:0:0::/:/bin/sh\nbob:!:7:7::/:/bin/sh\n",
        );
        fixture.file(
            "etc/group",
            "root:x:0:\nwheel:x:10:alice,bob\nbob:x:7:\nbad\nx:y:z:bob\n",
        );
        let root = fixture.root();
        let of = |name: &str| Shadow::of(&root, name.as_bytes()).unwrap();
        let bob = Shadow {
            password: b"$6$x",
            changed: Some(0),
            most_days: Some(2),
            ends: Some(5),
        };
        assert_eq!(of("bob"), Some(bob));
        assert_eq!(of("root").unwrap().ends, None);
        assert_eq!(of("root").unwrap().most_days, Some(99999));
        assert_eq!(of("empty"), Some(Shadow::default()));
        assert_eq!(of("alice"), None);
        assert_eq!(field_in_passwd(&root, b"bob").unwrap(), Some(&b"!"[..]));
        let groups = groups(&root, b"bob", 7).unwrap();
        let names: Vec<_> = groups.iter().map(|group| group.name).collect();
        assert_eq!(names, [&b"wheel"[..], b"bob"]);
    }
}
