//! A hash function whose results must not change: some are written in the source.

/// 64-bit FNV-1a over a number (lowest byte first) and a text, folded to 32 bits by XOR
/// of the halves: the low bits alone would cluster.
pub fn fnv1a(number: u32, text: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in number.to_le_bytes().iter().chain(text) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (hash ^ hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes of "foobar" and "chongo was here!" plus a newline in the test vectors
    /// of FNV's authors.
    #[test]
    fn it_is_that_of_its_authors() {
        let fold = |hash: u64| (hash ^ hash >> 32) as u32;
        let foob = u32::from_le_bytes(*b"foob");
        assert_eq!(fnv1a(foob, b"ar"), fold(0x8594_4171_f739_67e8));
        let chon = u32::from_le_bytes(*b"chon");
        assert_eq!(fnv1a(chon, b"go was here!\n"), fold(0x4681_0940_eff5_f915));
    }
}
