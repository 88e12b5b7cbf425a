//! Configurations of sshd and accounts, made from a number.
use crate::random::Random;

/// A machine, and who logs in.
pub struct Case {
    /// The text of sshd_config.
    pub config: String,
    pub user: &'static str,
    /// The kind of its key, as `real::KEYS` has it.
    pub key: usize,
    /// The fields of passwd(5) and shadow(5).
    pub shell: &'static str,
    pub shadow: Option<String>,
    /// The members of the group `wheel`.
    pub wheel: &'static str,
    /// Mode of the home, and whether root owns it.
    pub home: (u32, bool),
    /// Whether /etc/nologin is there.
    pub nologin: bool,
    pub port: u16,
}

const USUAL: u64 = 8;

struct Maker(Random);

impl Maker {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next() % end
    }
    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
    /// The first is the usual one.
    fn mostly<T: Copy>(&mut self, all: &[T]) -> T {
        match self.below(USUAL) {
            0 => self.one(all),
            _ => all[0],
        }
    }
    fn some(&mut self, all: &[&str]) -> String {
        let count = 1 + self.below(2);
        let all: Vec<_> = (0..count).map(|_| self.one(all)).collect();
        all.join(" ")
    }
}

/// Patterns of users and groups.
const USERS: [&str; 10] = [
    "root",
    "alice",
    "ro*",
    "a?ice",
    "bob",
    "*",
    "root@*",
    "alice@10.0.0.0/8",
    "!root",
    "*@192.0.2.10",
];
const GROUPS: [&str; 7] = ["root", "alice", "wheel", "wh*", "nogroup", "*", "!wheel"];
/// What Match may look at.
const CONDITIONS: [&str; 18] = [
    "User root",
    "User alice,bob",
    "User *,!root",
    "User=alice",
    "Group wheel",
    "Group root,alice",
    "Group *,!wheel",
    "LocalPort 22",
    "LocalPort 2222",
    "LocalAddress 192.0.2.0/24",
    "LocalAddress 198.51.100.1,192.0.2.1?",
    "LocalAddress 198.51.100.0/24",
    "all",
    "Address 192.0.2.10",
    "Address 10.0.0.0/8",
    "Host *",
    "User root Address *",
    "user \"root\" group \"root\" localport 22",
];

/// A line that may stand in a Match block, too.
fn line(make: &mut Maker) -> String {
    let (users, groups) = (make.some(&USERS), make.some(&GROUPS));
    let words = |make: &mut Maker, keyword: &str, values: &[&str]| {
        format!("{keyword} {}", make.one(values))
    };
    match make.below(16) {
        0 | 1 => words(
            make,
            "PermitRootLogin",
            &[
                "yes",
                "no",
                "prohibit-password",
                "without-password",
                "forced-commands-only",
            ],
        ),
        2 => words(make, "pubkeyauthentication", &["yes", "no"]),
        3 => format!("AllowUsers {users}"),
        4 => format!("DenyUsers {users}"),
        5 => format!("AllowGroups {groups}"),
        6 => format!("DenyGroups = {groups}"),
        7 => words(
            make,
            "AuthenticationMethods",
            &[
                "publickey",
                "any",
                "publickey,password",
                "publickey,password publickey",
                "password",
            ],
        ),
        8 | 9 => {
            let keyword = make.one(&["PubkeyAcceptedAlgorithms", "PubkeyAcceptedKeyTypes"]);
            words(
                make,
                keyword,
                &[
                    "rsa-sha2-512",
                    "ssh-ed25519",
                    "+ssh-rsa",
                    "-ssh-ed25519*",
                    "-rsa-sha2-256",
                    "-rsa-*",
                    "^ssh-ed25519",
                    "ecdsa-*,rsa-sha2-256",
                    "ecdsa-sha2-nistp256,rsa-sha2-512",
                    "*",
                ],
            )
        }
        10 => words(make, "RequiredRSASize", &["1024", "2048", "3072"]),
        11 => words(make, "ForceCommand", &["none", "/bin/echo forced"]),
        12 => words(make, "ChrootDirectory", &["none", "/", "/srv"]),
        13 => words(make, "MaxSessions", &["0", "10"]),
        14 => words(
            make,
            "AuthorizedKeysFile",
            &[
                ".ssh/authorized_keys",
                "\"%h/.ssh/authorized_keys\"",
                "/etc/keys/%u .ssh/authorized_keys",
                ".ssh/other",
                "none",
            ],
        ),
        _ => "X11Forwarding no # nothing".to_string(),
    }
}

impl Case {
    /// Nothing special.
    pub fn usual() -> Self {
        Self {
            config: "UsePAM yes\n".into(),
            user: "root",
            key: 0,
            shell: "/bin/sh",
            shadow: Some("*:19000:0:99999:7:::".into()),
            wheel: "alice",
            home: (0o755, false),
            nologin: false,
            port: 22,
        }
    }

    pub fn of(number: u64) -> Self {
        let mut make = Maker(Random(number));
        let mut config = make
            .mostly(&["UsePAM yes\n", "UsePAM no\n", ""])
            .to_string();
        if make.below(4) == 0 {
            config = make.one(&["UsePAM no\n", ""]).to_string();
        }
        let port = make.mostly(&[22, 2222]);
        if port != 22 {
            config += "Port 2222\n";
        }
        config += make.mostly(&[
            "",
            "",
            "ListenAddress 192.0.2.10\n",
            "ListenAddress 127.0.0.1\n",
            "ListenAddress 0.0.0.0\n",
            "ListenAddress 192.0.2.99\n",
            "AddressFamily inet\n",
            "AddressFamily inet6\n",
        ]);
        config += make.mostly(&["", "StrictModes no\n"]);
        for _ in 0..make.below(3) {
            config += &format!("{}\n", line(&mut make));
        }
        for _ in 0..make.below(3) {
            config += &format!("Match {}\n", make.one(&CONDITIONS));
            for _ in 0..1 + make.below(2) {
                config += &format!("    {}\n", line(&mut make));
            }
        }
        let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let today = today.unwrap().as_secs() / 86_400;
        let password = make.mostly(&["*", "!", "!*", "$6$salt$hash"]);
        let old = format!("{}:0:5:7:", today - 30);
        let lasting = make.mostly(&[
            "19000:0:99999:7:",
            "0:0:99999:7:",
            &old,
            ":::::",
            "19000::::",
        ]);
        // In five fields, with the inactive days.
        let lasting = format!("{}:", lasting.trim_end_matches(':'));
        let mut fields: Vec<&str> = lasting.split(':').collect();
        fields.resize(5, "");
        let ends = make.mostly(&["", "1", "100000"]);
        let shadow = format!("{password}:{}:{ends}:", fields.join(":"));
        Self {
            config,
            user: make.one(&["root", "alice"]),
            key: make.mostly(&[0, 0, 1, 2, 3, 1, 2, 3]),
            shell: make.mostly(&[
                "/bin/sh",
                "/bin/missing",
                "/etc/plain",
                "/bin",
                "/bin/bash",
                "/usr/sbin/nologin",
                "",
            ]),
            shadow: (make.below(24) > 0).then_some(shadow),
            wheel: make.one(&["alice", "root", "", "alice,root"]),
            home: make.mostly(&[
                (0o755, false),
                (0o700, false),
                (0o777, false),
                (0o775, false),
                (0o711, true),
                (0o700, true),
                (0o600, false),
            ]),
            nologin: make.below(16) == 0,
            port,
        }
    }
}
