//! A hash set.
use super::fnv::fnv1a;
use super::memory::Vector;

/// A member of a [`Set`]: a number and a text. Callers that need only one of them keep
/// the other constant.
pub type Member<'t> = (u32, &'t [u8]);

/// A hash table that grows.
#[derive(Default)]
pub struct Set {
    slots: &'static mut [Option<Member<'static>>],
    count: usize,
}

impl Set {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member. Returns `false` if it was there already.
    pub fn insert(&mut self, number: u32, text: &'static [u8]) -> bool {
        if self.count * 2 >= self.slots.len() {
            self.grow();
        }
        let new = match self.slots.get_mut(self.position((number, text))) {
            Some(slot @ None) => {
                *slot = Some((number, text));
                true
            }
            _ => false,
        };
        self.count += usize::from(new);
        new
    }

    /// Whether this was added before.
    pub fn contains(&self, number: u32, text: &[u8]) -> bool {
        let position = self.position((number, text));
        matches!(self.slots.get(position), Some(Some(_)))
    }

    /// The slot where `member` is, or the free one where it belongs.
    fn position(&self, member: Member) -> usize {
        let (number, text) = member;
        let mut position = fnv1a(number, text) as usize;
        loop {
            // The number of slots is a power of two, and some are free.
            position &= self.slots.len().wrapping_sub(1);
            match self.slots.get(position) {
                Some(Some(other)) if *other != member => position += 1,
                _ => return position,
            }
        }
    }

    fn grow(&mut self) {
        let mut slots = Vector::new();
        for _ in 0..(self.slots.len() * 2).max(16) {
            slots.push(None);
        }
        let old = core::mem::replace(&mut self.slots, slots.finish());
        self.count = 0;
        for (number, text) in old.iter().flatten() {
            self.insert(*number, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_what_it_has_seen() {
        let mut set = Set::new();
        for n in 0..10_000u32 {
            assert!(!set.contains(n * 4096, b"a"));
            assert!(set.insert(n * 4096, b"a"));
        }
        for n in 0..10_000u32 {
            assert!(!set.insert(n * 4096, b"a"));
            assert!(set.contains(n * 4096, b"a"));
            assert!(!set.contains(n * 4096, b""));
        }
    }
}
