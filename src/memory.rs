//! Memory that grows with the input.
//!
//! An [`Arena`] hands out memory mapped for the purpose and gives all of it
//! back when it is dropped; a [`Table`] is a list in it. One small mapping
//! serves an ordinary context, and nothing has a fixed capacity: a table that
//! is full moves to a place of twice the size.
use core::cell::Cell;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use static_assertions::const_assert;

/// The kernel gave no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// Size of the first mapping, in bytes. Untouched pages cost nothing.
const FIRST_CHUNK: usize = 256 << 10;
/// Mappings double up to this size; a larger one is made only to order.
const LARGEST_CHUNK: usize = 64 << 20;
/// Sizes are multiples of this; the kernel rounds up where its page is larger.
const PAGE: usize = 4096;

/// What stands at the start of each mapping.
struct Chunk {
    previous: *mut Chunk,
    size: usize,
}
const_assert!(size_of::<Chunk>() < FIRST_CHUNK);

/// Memory that lives until the arena is dropped.
pub struct Arena {
    newest: Cell<*mut Chunk>,
    free: Cell<usize>,
    end: Cell<usize>,
}

#[allow(clippy::mut_from_ref, reason = "each call hands out other bytes")]
impl Arena {
    /// An arena that has mapped nothing yet.
    pub const fn new() -> Self {
        Self {
            newest: Cell::new(ptr::null_mut()),
            free: Cell::new(0),
            end: Cell::new(0),
        }
    }

    /// `length` zero bytes.
    pub fn bytes(&self, length: usize) -> Result<&mut [u8], NoMemory> {
        let place = self.take(length, 1)?;
        // SAFETY: `take` hands out each byte once, zeroed by the kernel, valid
        // as long as `self`.
        Ok(unsafe { slice::from_raw_parts_mut(place.as_ptr(), length) })
    }

    /// A copy of `text`.
    pub fn copy(&self, text: &[u8]) -> Result<&mut [u8], NoMemory> {
        let copy = self.bytes(text.len())?;
        // SAFETY: both have this length, and one of them is new.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), copy.as_mut_ptr(), text.len()) };
        Ok(copy)
    }

    /// An empty table.
    pub const fn table<T: Copy>(&self) -> Table<'_, T> {
        Table {
            arena: self,
            items: NonNull::dangling(),
            capacity: 0,
            length: 0,
        }
    }

    #[inline(never)]
    fn take(&self, size: usize, align: usize) -> Result<NonNull<u8>, NoMemory> {
        let mut start = round_up(self.free.get(), align);
        if self.newest.get().is_null() || size > self.end.get().saturating_sub(start) {
            self.map(size.checked_add(align).ok_or(NoMemory)?)?;
            start = round_up(self.free.get(), align);
        }
        self.free.set(start + size);
        NonNull::new(start as *mut u8).ok_or(NoMemory)
    }

    /// A place for `new` bytes that starts with the `old` ones at `items`.
    /// What every [`Table`] grows by, so that there is one for all types.
    #[inline(never)]
    fn larger(
        &self,
        items: NonNull<u8>,
        old: usize,
        new: usize,
        align: usize,
    ) -> Result<NonNull<u8>, NoMemory> {
        let place = self.take(new, align)?;
        // SAFETY: `old` bytes are there, `new` is no less, and the place is new.
        unsafe { ptr::copy_nonoverlapping(items.as_ptr(), place.as_ptr(), old) };
        Ok(place)
    }

    /// Maps a chunk with at least `size` free bytes.
    fn map(&self, size: usize) -> Result<(), NoMemory> {
        let previous = self.newest.get();
        // SAFETY: a chunk's header stays as `map` wrote it.
        let double =
            unsafe { previous.as_ref() }.map_or(FIRST_CHUNK, |chunk| chunk.size.saturating_mul(2));
        let least = size
            .checked_add(size_of::<Chunk>() + PAGE)
            .ok_or(NoMemory)?;
        let size = round_up(least, PAGE).max(double.min(LARGEST_CHUNK));
        let flags = MapFlags::PRIVATE;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let place = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                size,
                ProtFlags::READ | ProtFlags::WRITE,
                flags,
            )
        }
        .map_err(|_| NoMemory)?
        .cast::<Chunk>();
        // SAFETY: the mapping is page-aligned and larger than a header.
        unsafe { place.write(Chunk { previous, size }) };
        self.newest.set(place);
        self.free.set(place as usize + size_of::<Chunk>());
        self.end.set(place as usize + size);
        Ok(())
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let mut chunk = self.newest.get();
        // SAFETY: the headers form a list of live mappings, and nothing
        // borrows from the arena any more.
        while let Some(header) = unsafe { chunk.as_ref() } {
            let (previous, size) = (header.previous, header.size);
            let _ = unsafe { munmap(chunk.cast(), size) };
            chunk = previous;
        }
    }
}

/// A growing list of plain values.
pub struct Table<'a, T: Copy> {
    arena: &'a Arena,
    items: NonNull<T>,
    /// Items that have room at `items`, and those of them that were written.
    capacity: usize,
    length: usize,
}

impl<'a, T: Copy> Table<'a, T> {
    /// Adds one value.
    pub fn push(&mut self, item: T) -> Result<(), NoMemory> {
        if self.length == self.capacity {
            self.grow(1)?;
        }
        // SAFETY: there is room for it.
        unsafe { self.items.add(self.length).write(item) };
        self.length += 1;
        Ok(())
    }

    /// Adds all of `items`.
    pub fn extend(&mut self, items: &[T]) -> Result<(), NoMemory> {
        if items.len() > self.capacity - self.length {
            self.grow(items.len())?;
        }
        // SAFETY: there is room for them, and it is this table's alone.
        unsafe {
            ptr::copy_nonoverlapping(
                items.as_ptr(),
                self.items.add(self.length).as_ptr(),
                items.len(),
            )
        };
        self.length += items.len();
        Ok(())
    }

    /// Forgets everything, keeps the room.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Keeps the first `length` values.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The finished list.
    pub fn finish(self) -> &'a mut [T] {
        // SAFETY: the first `length` items were written, live as long as the
        // arena, and nobody else knows of them.
        unsafe { slice::from_raw_parts_mut(self.items.as_ptr(), self.length) }
    }

    /// Makes room for `more` items, and for as many again as there are.
    #[inline(never)]
    fn grow(&mut self, more: usize) -> Result<(), NoMemory> {
        const FIRST: usize = 64;
        let least = self.length.checked_add(more).ok_or(NoMemory)?;
        let capacity = least.max(self.capacity * 2);
        let size = capacity
            .checked_mul(size_of::<T>())
            .ok_or(NoMemory)?
            .max(FIRST);
        let old = self.length * size_of::<T>();
        self.items = self
            .arena
            .larger(self.items.cast(), old, size, align_of::<T>())?
            .cast();
        self.capacity = capacity.max(FIRST / size_of::<T>().max(1));
        Ok(())
    }
}

impl<T: Copy> Deref for Table<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the first `length` items were written.
        unsafe { slice::from_raw_parts(self.items.as_ptr(), self.length) }
    }
}

impl<T: Copy> DerefMut for Table<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; the table is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.items.as_ptr(), self.length) }
    }
}

/// The next multiple of `unit`, a power of two, for sizes far from overflow.
const fn round_up(size: usize, unit: usize) -> usize {
    size.wrapping_add(unit - 1) & !(unit - 1)
}

/// Sorts in place by `less`, in O(n log n) whatever the input (heapsort).
/// Not core's: its merge keeps a panic for orders that contradict themselves.
/// Equal items keep no order; let `less` tell all apart.
pub fn sort<T: Copy>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    /// Lets the item at `parent` sink in the heap of the first `end` items.
    fn sink<T: Copy>(
        items: &mut [T],
        mut parent: usize,
        end: usize,
        less: &impl Fn(&T, &T) -> bool,
    ) -> Option<()> {
        loop {
            let left = 2 * parent + 1;
            if left >= end {
                return None;
            }
            let right = left + 1;
            let child = if right < end && less(items.get(left)?, items.get(right)?) {
                right
            } else {
                left
            };
            let (up, down) = (*items.get(parent)?, *items.get(child)?);
            if !less(&up, &down) {
                return None;
            }
            *items.get_mut(parent)? = down;
            *items.get_mut(child)? = up;
            parent = child;
        }
    }
    // Servers write sorted files; then there is nothing to do.
    if items
        .windows(2)
        .all(|pair| matches!(pair, [one, other] if !less(other, one)))
    {
        return;
    }
    for parent in (0..items.len() / 2).rev() {
        sink(items, parent, items.len(), &less);
    }
    for end in (1..items.len()).rev() {
        if let (Some(&first), Some(&last)) = (items.first(), items.get(end))
            && let Some(slot) = items.first_mut()
        {
            *slot = last;
            if let Some(slot) = items.get_mut(end) {
                *slot = first;
            }
        }
        sink(items, 0, end, &less);
    }
}

/// What a [`Set`] can hold.
pub trait Member: Copy + Eq {
    /// The bytes that tell members apart.
    fn feed(&self, hash: &mut Hash);
}

impl Member for &[u8] {
    fn feed(&self, hash: &mut Hash) {
        hash.bytes(self);
    }
}

impl Member for u32 {
    fn feed(&self, hash: &mut Hash) {
        hash.bytes(&self.to_ne_bytes());
    }
}

impl Member for core::net::IpAddr {
    fn feed(&self, hash: &mut Hash) {
        match self {
            Self::V4(address) => hash.bytes(&address.octets()),
            Self::V6(address) => hash.bytes(&address.octets()),
        }
    }
}

impl<A: Member, B: Member> Member for (A, B) {
    fn feed(&self, hash: &mut Hash) {
        self.0.feed(hash);
        self.1.feed(hash);
    }
}

impl Member for crate::plan::Prefix {
    fn feed(&self, hash: &mut Hash) {
        self.address.feed(hash);
        hash.bytes(&[self.length]);
    }
}

impl Member for crate::plan::Route {
    fn feed(&self, hash: &mut Hash) {
        self.destination.feed(hash);
        self.metric.feed(hash);
    }
}

/// FNV-1a, 64 bits.
pub struct Hash(u64);

impl Hash {
    fn of(member: &impl Member) -> usize {
        let mut hash = Self(0xcbf2_9ce4_8422_2325);
        member.feed(&mut hash);
        // The low bits alone would cluster.
        (hash.0 ^ hash.0 >> 32) as usize
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// What was seen before: a hash table that grows.
pub struct Set<'a, T: Member> {
    arena: &'a Arena,
    slots: &'a mut [Option<T>],
    count: usize,
}

impl<'a, T: Member> Set<'a, T> {
    /// An empty set.
    pub fn new(arena: &'a Arena) -> Self {
        Self {
            arena,
            slots: &mut [],
            count: 0,
        }
    }

    /// Adds `member`. `false`: it was there.
    pub fn insert(&mut self, member: T) -> Result<bool, NoMemory> {
        if self.count * 2 >= self.slots.len() {
            self.grow()?;
        }
        let new = put(self.slots, member);
        self.count += usize::from(new);
        Ok(new)
    }

    /// Whether `member` was added before.
    pub fn contains(&self, member: &T) -> bool {
        let mut position = Hash::of(member);
        loop {
            position &= self.slots.len().wrapping_sub(1);
            match self.slots.get(position) {
                Some(Some(other)) if other == member => return true,
                Some(Some(_)) => position = position.wrapping_add(1),
                _ => return false,
            }
        }
    }

    fn grow(&mut self) -> Result<(), NoMemory> {
        let mut table = self.arena.table::<Option<T>>();
        for _ in 0..(self.slots.len() * 2).max(16) {
            table.push(None)?;
        }
        let slots = table.finish();
        for member in self.slots.iter().flatten() {
            put(slots, *member);
        }
        self.slots = slots;
        Ok(())
    }
}

/// Puts `member` into the first free slot from its own on; `slots` has free
/// ones, and their number is a power of two.
fn put<T: Member>(slots: &mut [Option<T>], member: T) -> bool {
    let mut position = Hash::of(&member);
    loop {
        position &= slots.len().wrapping_sub(1);
        match slots.get_mut(position) {
            Some(Some(other)) if *other == member => return false,
            Some(Some(_)) => position = position.wrapping_add(1),
            Some(free) => {
                *free = Some(member);
                return true;
            }
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_all_it_was_given() {
        let arena = Arena::new();
        let mut odd = arena.table::<u8>();
        let mut numbers = arena.table::<u64>();
        for n in 0..1_000_000u64 {
            numbers.push(n).unwrap();
            odd.push(n as u8).unwrap();
        }
        assert!(numbers.iter().copied().eq(0..1_000_000));
        assert_eq!(odd.finish().len(), 1_000_000);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        let arena = Arena::new();
        assert_eq!(arena.bytes(usize::MAX).err(), Some(NoMemory));
        assert_eq!(arena.bytes(usize::MAX / 2).err(), Some(NoMemory));
        assert_eq!(arena.bytes(1 << 46).err(), Some(NoMemory));
        assert_eq!(arena.bytes(16).map(|bytes| bytes.len()), Ok(16));
    }

    #[test]
    fn bytes_start_as_zeros_and_do_not_overlap() {
        let arena = Arena::new();
        let one = arena.bytes(300_000).unwrap();
        let two = arena.bytes(5).unwrap();
        assert!(one.iter().chain(two.iter()).all(|byte| *byte == 0));
        one.fill(1);
        assert_eq!(two, [0; 5]);
    }

    #[test]
    fn sorting_agrees_with_the_standard_library() {
        let mut seed = 7u64;
        for length in 0..200 {
            let mut items: Vec<u64> = (0..length)
                .map(|_| {
                    seed = seed
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    seed >> 58
                })
                .collect();
            let mut expected = items.clone();
            expected.sort();
            sort(&mut items, |one, other| one < other);
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn a_set_knows_what_it_has_seen() {
        let arena = Arena::new();
        let mut set = Set::new(&arena);
        for n in 0..10_000u32 {
            assert_eq!(set.insert(n * 4096), Ok(true));
        }
        for n in 0..10_000u32 {
            assert_eq!(set.insert(n * 4096), Ok(false));
        }
    }
}
