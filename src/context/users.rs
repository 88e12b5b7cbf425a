//! The account of USERNAME beside its keys: its shell, sudo(8), its password.
use super::assignments::Assigned;
use super::base64::decode;
use super::state::Context;
use super::values::{is_no, is_yes};
use super::variables::Variable::{self, *};
use crate::plan::{Login, Password, SudoRule};

/// The variables with the password. The first that is set counts, as in one-apps.
const PASSWORDS: &[Variable] = &[
    CRYPTED_PASSWORD_BASE64,
    PASSWORD_BASE64,
    CRYPTED_PASSWORD,
    PASSWORD,
];
/// The longest password, in bytes, that PAM accepts at a login (PAM_MAX_RESP_SIZE,
/// linux-pam:_pam_types.h).
const LONGEST: usize = 511;

/// Reads the settings of `user`, which is USERNAME, and the password of `owner`: that
/// user, else root.
pub fn read(
    context: &mut Context,
    user: Option<&'static [u8]>,
    owner: Option<&'static [u8]>,
) -> Login {
    let mut login = Login::NONE;
    if user.is_some() {
        login.shell = shell(context);
    }
    if user.is_some_and(|user| user != b"root") {
        login.sudo = match switch(context, &[USERNAME_SUDO, GRANT_SUDO]) {
            None => SudoRule::ByDefault,
            Some(true) => SudoRule::Asked,
            Some(false) => SudoRule::None,
        };
    }
    if let Some(owner) = owner {
        login.password = password(context).map(|password| (owner, password));
    }
    login
}

/// Whether the context sets a password that can be typed.
pub fn has_password(login: &Login) -> bool {
    matches!(
        login.password,
        Some((_, Password::Crypted(_) | Password::Plain(_)))
    )
}

fn shell(context: &mut Context) -> Option<&'static [u8]> {
    let variable = context.assignments.machine().get(USERNAME_SHELL)?;
    let shell = variable.value;
    let is_path = shell.starts_with(b"/")
        && (shell.iter()).all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(byte));
    if !is_path {
        context.warn(&variable, "not the absolute path of a program, left out");
        return None;
    }
    Some(shell)
}

/// Yes or no, if a variable is set. Any other word counts as no, which grants nothing.
fn switch(context: &mut Context, variables: &[Variable]) -> Option<bool> {
    let variable = context.assignments.machine().first(variables)?;
    let yes = is_yes(variable.value);
    if !yes && !is_no(variable.value) {
        context.warn(&variable, "neither YES nor NO, taken for NO");
    }
    Some(yes)
}

fn password(context: &mut Context) -> Option<Password> {
    let machine = context.assignments.machine();
    let Some(variable) = machine.first(PASSWORDS) else {
        let reset = switch(context, &[USERNAME_PASSWORD_RESET]) == Some(true);
        return reset.then_some(Password::Locked);
    };
    match of_variable(variable) {
        Ok(password) => Some(password),
        Err(what) => {
            context.warn(&variable, what);
            None
        }
    }
}

/// The password in a variable. The errors show nothing of the value.
fn of_variable(variable: Assigned) -> Result<Password, &'static str> {
    let mut text = variable.whole;
    if matches!(variable.id, CRYPTED_PASSWORD_BASE64 | PASSWORD_BASE64) {
        text = decode(text).ok_or("no base64 text, the password is left as it is")?;
    }
    // `echo PASSWORD | base64` has a newline at its end, which one-apps drops.
    while let [rest @ .., b'\n' | b'\r'] = text {
        text = rest;
    }
    if matches!(variable.id, CRYPTED_PASSWORD_BASE64 | CRYPTED_PASSWORD) {
        return match is_hash(text) {
            true => Ok(Password::Crypted(text)),
            false => Err("no hash of crypt(5), the password is left as it is"),
        };
    }
    // chpasswd(8) reads one line for each user.
    if text.is_empty() || text.iter().any(u8::is_ascii_control) {
        return Err("a password that is empty or has a control character, it is left as it is");
    }
    if text.len() > LONGEST {
        return Err("more than 511 bytes, which no login takes, the password is left as it is");
    }
    Ok(Password::Plain(text))
}

/// Whether a text can be a hash of crypt(5): `$ID$…` or the 13 characters of DES. It
/// must neither end a field or line of shadow(5) nor lock the account.
fn is_hash(text: &[u8]) -> bool {
    let is_plain = |text: &[u8]| {
        (text.iter()).all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(byte))
    };
    let is_safe = |byte: &u8| byte.is_ascii_graphic() && !b":;*!\\".contains(byte);
    match text.strip_prefix(b"$") {
        // MD5 has the shortest checksum at the end.
        Some(rest) => {
            let end = rest.iter().rposition(|byte| *byte == b'$');
            let sum = end.and_then(|end| rest.get(end + 1..));
            !rest.starts_with(b"$")
                && text.len() <= LONGEST
                && text.iter().all(is_safe)
                && sum.is_some_and(|sum| sum.len() >= 22 && is_plain(sum))
        }
        None => text.len() == 13 && is_plain(text),
    }
}

#[cfg(test)]
mod tests {
    use crate::context::tests::plan;

    const HASH: &str = "$6$salt$Kn9cS4Y1IwdkjvmFI9P6UKW5h2dOcMAd9eD1y2nMSsmP3LUwBLhdeeZbcmVKqh\
        Y4zoHf4IQfMcSAyyG2Hn7jV/";
    const OF_BASE64: &str = "JDYkc2FsdCRLbjljUzRZMUl3ZGtqdm1GSTlQNlVLVzVoMmRPY01BZDllRDF5Mm5NU3Nt\
        UDNMVXdCTGhkZWVaYmNtVktxaFk0em9IZjRJUWZNY1NBeXlHMkhuN2pWLwo=";

    /// The lines of the plan that are about the account, and the warnings but
    /// those of a context without NICs and keys.
    fn lines(context: &str) -> Vec<String> {
        let text = plan(context);
        assert!(
            !text.contains("salt") && !text.contains("hunter2"),
            "{text}"
        );
        text.lines()
            .filter(|line| !line.starts_with("context ") && !line.starts_with("warning - no "))
            .map(String::from)
            .collect()
    }

    #[test]
    fn a_password_is_that_of_the_first_variable() {
        let all = [
            format!("CRYPTED_PASSWORD_BASE64='{OF_BASE64}'\n"),
            "PASSWORD_BASE64='aHVudGVyMgo='\n".into(),
            format!("CRYPTED_PASSWORD='{HASH}'\n"),
            "PASSWORD=' hunter2 '\n".into(),
        ];
        for (first, kind) in ["crypted", "plain", "crypted", "plain"].iter().enumerate() {
            let context = all[first..].concat();
            assert_eq!(lines(&context), [format!("password root {kind}")]);
        }
        assert_eq!(lines("PASSWORD=''\nUSERNAME_PASSWORD_RESET=NO\n"), [""; 0]);
        assert_eq!(
            lines("USERNAME_PASSWORD_RESET=yes\n"),
            ["password root locked"]
        );
        assert_eq!(
            lines("USERNAME_PASSWORD_RESET=YES\nPASSWORD=hunter2"),
            ["password root plain"]
        );
        // Nor does a lower one count where the first is bad.
        assert_eq!(
            lines("USERNAME_PASSWORD_RESET=YES\nPASSWORD=hunter2\nCRYPTED_PASSWORD=hunter2\n"),
            [
                "warning context.sh:3 CRYPTED_PASSWORD: no hash of crypt(5), \
              the password is left as it is"
            ]
        );
    }

    #[test]
    fn what_is_no_password_is_left_out_and_not_shown() {
        let left_out = |context: &str, what: &str| {
            let lines = lines(context);
            assert!(lines[0].contains(what), "{lines:?}");
            assert_eq!(lines.len(), 1, "{lines:?}");
        };
        for hash in [
            "hunter2",
            "*",
            "!",
            "$6$salt",
            "$6$salt$hunter2",
            "$$salt$KKKKKKKKKKKKKKKKKKKKKKKKKKKK",
            "$6$sa:t$KKKKKKKKKKKKKKKKKKKKKKKKKKKK",
            "$6$salt$KKKKKKKKKKKKKKKKKKKKKKKKKK\nroot:",
            "$6$salt$KKKKKKKKKKKKKKKKKKKKKKKKKK KK",
        ] {
            left_out(&format!("CRYPTED_PASSWORD='{hash}'"), "no hash of crypt(5)");
        }
        left_out("CRYPTED_PASSWORD_BASE64='$6$salt'", "no base64 text");
        left_out("PASSWORD_BASE64='hunter2!'", "no base64 text");
        // hunter2, newline, root:x
        left_out(
            "PASSWORD_BASE64='aHVudGVyMgpyb290Ong='",
            "control character",
        );
        left_out("PASSWORD_BASE64='Cg=='", "is empty");
        left_out("PASSWORD='hunter2\nroot:x'", "control character");
        left_out(&format!("PASSWORD='{}'", "x".repeat(512)), "511 bytes");
    }

    #[test]
    fn hashes_of_crypt() {
        for hash in [
            HASH,
            "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
            "$5$rounds=5000$salt$KpEjhAbd.Vzq0VwVRUyi9nkzhZgKjgRmPhZn5gxD.F8",
            "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
            "$y$j9T$salt$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ",
            "ab01FAX.bQRSU",
        ] {
            let context = format!("CRYPTED_PASSWORD='{hash}'\n");
            assert_eq!(lines(&context), ["password root crypted"], "{hash}");
        }
    }

    #[test]
    fn sudo_and_shell_of_a_user() {
        assert_eq!(
            lines("USERNAME=bob\nUSERNAME_SHELL=/bin/zsh\n"),
            ["user bob", "shell bob /bin/zsh", "sudo bob"]
        );
        for no in [
            "USERNAME_SUDO=no",
            "GRANT_SUDO=NO",
            "USERNAME_SUDO=NO\nGRANT_SUDO=YES",
        ] {
            assert_eq!(lines(&format!("USERNAME=bob\n{no}\n")), ["user bob"]);
        }
        assert_eq!(lines("USERNAME=root\nUSERNAME_SUDO=YES\n"), ["user root"]);
        // Of nobody.
        assert_eq!(
            lines("USERNAME_SUDO=YES\nUSERNAME_SHELL=/bin/zsh\n"),
            [""; 0]
        );
        assert_eq!(
            lines("USERNAME=bob\nUSERNAME_SUDO=some\nUSERNAME_SHELL='/bin/sh -x'\n"),
            [
                "user bob",
                "warning context.sh:2 USERNAME_SUDO: neither YES nor NO, taken for NO",
                "warning context.sh:3 USERNAME_SHELL: not the absolute path of a program, left out",
            ]
        );
        assert_eq!(
            lines("USERNAME='b:b'\nPASSWORD=hunter2\nUSERNAME_SHELL=/bin/sh\n"),
            ["warning context.sh:1 USERNAME: not a login name, \
              keys and password are given to nobody: b:b"]
        );
    }
}
