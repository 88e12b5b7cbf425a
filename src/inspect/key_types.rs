//! Which keys sshd takes: by their type, and RSA keys by their size.
use super::obstacle::Obstacle;
use super::selection::{Selection, in_list};
use crate::base::memory::Vector;
use crate::base::text::{number, words};
use crate::context::base64;
use crate::image::glob::fnmatch;

/// What OpenSSH takes unless told otherwise, since 8.8 (openssh:myproposal.h,
/// `KEX_DEFAULT_PK_ALG`).
const DEFAULT: [&[u8]; 8] = [
    b"ssh-ed25519",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"sk-ssh-ed25519@openssh.com",
    b"sk-ecdsa-sha2-nistp256@openssh.com",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
];
/// The least size of RSA keys, in bits (openssh:sshkey.h, `SSH_RSA_MINIMUM_MODULUS_SIZE`).
const LEAST_BITS: u32 = 1024;

/// Adds what is wrong with the keys: one line a type.
pub fn check(keys: &[&'static [u8]], settings: &Selection, found: &mut Vector<Obstacle>) {
    let list = settings.first(b"PubkeyAcceptedAlgorithms");
    let accepted = list.and_then(|list| list.arguments.first().copied());
    let size = settings.first(b"RequiredRSASize");
    let bits = size.and_then(|size| number(size.arguments.first()?));
    let least = bits.unwrap_or(LEAST_BITS).max(LEAST_BITS);
    for line in keys {
        let Some((kind, blob)) = parts(line) else {
            continue;
        };
        let obstacle = if is_certificate(kind) {
            Obstacle::new(
                "a key of the context is a certificate, which no line takes: give its key",
            )
        } else if !accepts(kind, accepted) {
            match (DEFAULT.contains(&kind) || kind == b"ssh-rsa", list) {
                (true, Some(list)) => Obstacle::of("leaves a key of the context out", list),
                _ if kind == b"ssh-dss" => Obstacle::new(
                    "a key of the context is of the type ssh-dss, which sshd takes no longer",
                ),
                _ => Obstacle::new("a key of the context is of a type that sshd does not know"),
            }
        } else if kind == b"ssh-rsa"
            && let Some(list) = list
            && !accepts(b"rsa-sha2-512", accepted)
        {
            // Before 9.6 sshd offers it all the same (server-sig-algs, RFC 8308).
            Obstacle {
                is_unknown: true,
                ..Obstacle::of(
                    "lacks rsa-sha2-512, which clients choose for RSA keys",
                    list,
                )
            }
        } else if kind == b"ssh-rsa" && rsa_bits(blob).is_some_and(|bits| bits < least) {
            let what = "an RSA key of the context has too few bits";
            size.map_or(Obstacle::new(what), |size| Obstacle::of(what, size))
        } else {
            continue;
        };
        if found.iter().all(|other| other.what != obstacle.what) {
            found.push(obstacle);
        }
    }
}

/// The type and the blob of a key, behind its options.
fn parts(line: &'static [u8]) -> Option<(&'static [u8], &'static [u8])> {
    let mut kind = None;
    for word in words(line) {
        if word.starts_with(b"AAAA") {
            return Some((kind?, word));
        }
        kind = Some(word);
    }
    None
}

fn is_certificate(kind: &[u8]) -> bool {
    kind.ends_with(b"-cert-v01@openssh.com")
}

/// Whether `PubkeyAcceptedAlgorithms` has an algorithm for a type.
fn accepts(kind: &[u8], list: Option<&[u8]>) -> bool {
    let of_rsa: [&[u8]; 3] = [b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"];
    let algorithms = match kind {
        b"ssh-rsa" => &of_rsa[..],
        _ => core::slice::from_ref(&kind),
    };
    algorithms.iter().any(|algorithm| {
        let named = |list: &[u8]| in_list(list, |pattern| fnmatch(pattern, algorithm));
        let by_default = DEFAULT.contains(algorithm);
        match list {
            Some([b'+' | b'^', list @ ..]) => by_default || named(list),
            Some([b'-', list @ ..]) => by_default && !named(list),
            Some(list) => named(list),
            None => by_default,
        }
    })
}

/// The number of bits of an RSA key's modulus, the third string of its blob (RFC 4253 6.6).
fn rsa_bits(blob: &[u8]) -> Option<u32> {
    let mut rest = base64::decode(blob)?;
    let mut modulus: &[u8] = &[];
    for _ in 0..3 {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        (modulus, rest) = behind.split_at_checked(length)?;
    }
    let start = modulus.iter().position(|byte| *byte != 0)?;
    let (first, tail) = modulus.get(start..)?.split_first()?;
    Some(8 * tail.len() as u32 + (8 - first.leading_zeros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_for_a_type() {
        for (kind, list, wanted) in [
            ("ssh-rsa", "", true),
            ("ssh-dss", "", false),
            ("ssh-ed448", "", false),
            ("ssh-ed25519", "rsa-sha2-512", false),
            ("ssh-rsa", "rsa-sha2-512", true),
            ("ssh-rsa", "ssh-rsa", true),
            ("ssh-rsa", "-rsa-*,ssh-rsa", false),
            ("ssh-rsa", "-rsa-sha2-512", true),
            ("ssh-dss", "+ssh-dss", true),
            ("ssh-ed25519", "^ssh-rsa", true),
            ("ssh-ed25519", "+ssh-rsa", true),
            ("ssh-ed25519", "-ssh-*", false),
            ("ssh-ed25519", "!ssh-ed25519,*", false),
            ("ecdsa-sha2-nistp384", "ecdsa-*", true),
            (
                "ecdsa-sha2-nistp384",
                "ecdsa-sha2-nistp256,ssh-ed25519",
                false,
            ),
            ("sk-ssh-ed25519@openssh.com", "-sk-*", false),
        ] {
            let list = Some(list.as_bytes()).filter(|list| !list.is_empty());
            assert_eq!(accepts(kind.as_bytes(), list), wanted, "{kind} {list:?}");
        }
    }

    #[test]
    fn bits_of_an_rsa_key() {
        // e = 3, n = 0x00c1 and 0x7f01.
        assert_eq!(rsa_bits(b"AAAAB3NzaC1yc2EAAAABAwAAAAIAwQ=="), Some(8));
        assert_eq!(rsa_bits(b"AAAAB3NzaC1yc2EAAAABAwAAAAJ/AQ=="), Some(15));
        assert_eq!(rsa_bits(b"AAAAB3NzaC1yc2EAAAABAwAAAAl"), None);
    }
}
