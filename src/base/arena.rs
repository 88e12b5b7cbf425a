//! Memory that grows with the input.
//!
//! An [`Arena`] hands out memory that it maps from the kernel, and unmaps all of it
//! when it is dropped. A [`Vector`] is a growing list in an arena: a full one moves to
//! a place of twice the size, so no capacity is fixed. An ordinary context fits in the
//! first mapping.
//!
//! If the kernel gives no memory, the program ends ([`exhausted`]), so callers need not
//! handle that. Code that does not depend on the item type is in `Raw`, so that the
//! binary contains it once and not once per type.
use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use static_assertions::const_assert;

use super::fatal::fatal;

/// Size of the first mapping, in bytes. Untouched pages cost nothing.
const FIRST_CHUNK: usize = 256 << 10;
/// Mappings double up to this size. A larger one is made only for a larger request.
const LARGEST_CHUNK: usize = 64 << 20;
/// Sizes are multiples of this; the kernel rounds up where its page is larger.
const PAGE: usize = 4096;
/// The alignment of a vector's items. No item type needs more ([`Arena::vector`] checks
/// it).
const ALIGN: usize = align_of::<u64>();

/// The header of each mapping.
struct Chunk {
    previous: *mut Chunk,
    size: usize,
}
const_assert!(size_of::<Chunk>() < FIRST_CHUNK);

/// Ends the program because the kernel gives no memory.
#[cold]
#[inline(never)]
pub fn exhausted() -> ! {
    fatal(b"<3>onecontext: out of memory\n", 1)
}

/// The state of the program's only arena.
struct State {
    newest: Cell<*mut Chunk>,
    free: Cell<usize>,
    end: Cell<usize>,
}

#[cfg(not(test))]
fn state() -> &'static State {
    struct One(State);
    // SAFETY: the program has one thread.
    unsafe impl Sync for One {}
    static STATE: One = One(State::new());
    &STATE.0
}

#[cfg(test)]
fn state() -> &'static State {
    std::thread_local! {
        static STATE: &'static State = Box::leak(Box::new(State::new()));
    }
    STATE.with(|state| *state)
}

impl State {
    const fn new() -> Self {
        Self {
            newest: Cell::new(ptr::null_mut()),
            free: Cell::new(0),
            end: Cell::new(0),
        }
    }

    /// Maps a chunk with at least `size` free bytes, however aligned.
    fn map(&self, size: usize) {
        let previous = self.newest.get();
        // SAFETY: a chunk's header stays as `map` wrote it.
        let double =
            unsafe { previous.as_ref() }.map_or(FIRST_CHUNK, |chunk| chunk.size.saturating_mul(2));
        // On overflow the size saturates, and mmap(2) refuses it.
        let least = size.saturating_add(size_of::<Chunk>() + PAGE);
        let size = (least & !(PAGE - 1)).max(double.min(LARGEST_CHUNK));
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let place = unsafe { mmap_anonymous(ptr::null_mut(), size, access, MapFlags::PRIVATE) };
        let place = place.unwrap_or_else(|_| exhausted()).cast::<Chunk>();
        // SAFETY: the mapping is page-aligned and larger than a header.
        unsafe { place.write(Chunk { previous, size }) };
        self.newest.set(place);
        self.free.set(place as usize + size_of::<Chunk>());
        self.end.set(place as usize + size);
    }
}

/// Memory that lives as long as the program.
#[derive(Clone, Copy, Default)]
pub struct Arena<'a>(PhantomData<&'a u8>);

#[inline(never)]
fn take(size: usize, align: usize) -> NonNull<u8> {
    let state = state();
    let mut start = round_up(state.free.get(), align);
    if state.newest.get().is_null() || size > state.end.get().saturating_sub(start) {
        state.map(size);
        start = round_up(state.free.get(), align);
    }
    state.free.set(start + size);
    NonNull::new(start as *mut u8).unwrap_or_else(|| exhausted())
}

impl<'a> Arena<'a> {
    /// The arena.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// `length` zero bytes.
    pub fn bytes(self, length: usize) -> &'a mut [u8] {
        let place = take(length, 1);
        // SAFETY: `take` hands out each byte once, zeroed by the kernel, valid
        // as long as `self`.
        unsafe { slice::from_raw_parts_mut(place.as_ptr(), length) }
    }

    /// A copy of `text`.
    #[inline(never)]
    pub fn copy(self, text: &[u8]) -> &'a mut [u8] {
        let copy = self.bytes(text.len());
        // SAFETY: both have this length, and one of them is new.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), copy.as_mut_ptr(), text.len()) };
        copy
    }

    /// Copies one value into the arena.
    pub fn place<T: Copy>(self, value: T) -> &'a mut T {
        let mut one = self.vector();
        one.push(value);
        // Never empty: the value was just pushed.
        one.finish().first_mut().unwrap_or_else(|| exhausted())
    }

    /// The concatenation of `parts`.
    #[inline(never)]
    pub fn concat(self, parts: &[&[u8]]) -> &'a [u8] {
        let mut text = self.vector();
        for part in parts {
            text.extend(part);
        }
        text.finish()
    }

    /// An empty vector.
    pub const fn vector<T: Copy>(self) -> Vector<'a, T> {
        const {
            assert!(align_of::<T>() <= ALIGN);
        }
        Vector {
            raw: Raw::new(),
            items: PhantomData,
        }
    }
}

/// A growing list of plain values.
pub struct Vector<'a, T: Copy> {
    raw: Raw,
    items: PhantomData<&'a mut T>,
}

/// A vector without its item type. Its callers pass the size of an item.
struct Raw {
    items: NonNull<u8>,
    /// How many items fit at `items`, and how many were written.
    capacity: usize,
    length: usize,
}

impl Raw {
    /// An empty vector, without memory yet.
    #[inline(never)]
    const fn new() -> Self {
        Self {
            items: NonNull::<u64>::dangling().cast(),
            capacity: 0,
            length: 0,
        }
    }

    /// Makes room for `count` more items of `size` bytes. The caller must write them at
    /// once.
    #[inline(never)]
    fn add(&mut self, count: usize, size: usize) -> *mut u8 {
        /// The smallest capacity, in bytes.
        const FIRST: usize = 64;
        let old = self.length * size;
        if count > self.capacity - self.length {
            let least = self.length.saturating_add(count).max(self.capacity * 2);
            let bytes = least.saturating_mul(size).max(FIRST);
            let place = take(bytes, ALIGN);
            // SAFETY: `old` bytes were written, `bytes` is more, and the place
            // is new.
            unsafe { ptr::copy_nonoverlapping(self.items.as_ptr(), place.as_ptr(), old) };
            self.items = place;
            self.capacity = least.max(FIRST / size.max(1));
        }
        self.length += count;
        // SAFETY: there is room behind the old items.
        unsafe { self.items.as_ptr().add(old) }
    }
}

impl<'a, T: Copy> Vector<'a, T> {
    /// Adds one value.
    pub fn push(&mut self, item: T) {
        self.put(item);
    }

    /// Adds one value and returns a reference to it, for fields that are not known yet.
    pub fn put(&mut self, item: T) -> &mut T {
        let place = self.raw.add(1, size_of::<T>()).cast::<T>();
        // SAFETY: the place is aligned, belongs to this vector alone, and is written at
        // once.
        unsafe {
            place.write(item);
            &mut *place
        }
    }

    /// Adds all of `items`.
    pub fn extend(&mut self, items: &[T]) {
        let place = self.raw.add(items.len(), size_of::<T>()).cast::<T>();
        // SAFETY: as above, and there is room for all.
        unsafe { ptr::copy_nonoverlapping(items.as_ptr(), place, items.len()) };
    }

    /// Removes all values and keeps the memory.
    pub fn clear(&mut self) {
        self.raw.length = 0;
    }

    /// Keeps the first `length` values.
    pub fn truncate(&mut self, length: usize) {
        self.raw.length = self.raw.length.min(length);
    }

    /// The finished list.
    pub fn finish(self) -> &'a mut [T] {
        // SAFETY: the first `length` items were written, live as long as the
        // arena, and nobody else knows of them.
        unsafe { slice::from_raw_parts_mut(self.raw.items.as_ptr().cast(), self.raw.length) }
    }
}

impl<T: Copy> Deref for Vector<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the first `length` items were written.
        unsafe { slice::from_raw_parts(self.raw.items.as_ptr().cast(), self.raw.length) }
    }
}

impl<T: Copy> DerefMut for Vector<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; the vector is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.raw.items.as_ptr().cast(), self.raw.length) }
    }
}

/// The next multiple of `unit`, a power of two, for sizes far from overflow.
const fn round_up(size: usize, unit: usize) -> usize {
    size.wrapping_add(unit - 1) & !(unit - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_all_it_was_given() {
        let arena = Arena::new();
        let mut odd = arena.vector::<u8>();
        let mut numbers = arena.vector::<u64>();
        for n in 0..1_000_000u64 {
            numbers.push(n);
            odd.push(n as u8);
        }
        assert!(numbers.iter().copied().eq(0..1_000_000));
        assert_eq!(odd.finish().len(), 1_000_000);
    }

    #[test]
    fn bytes_start_as_zeros_and_do_not_overlap() {
        let arena = Arena::new();
        let one = arena.bytes(300_000);
        let two = arena.bytes(5);
        assert!(one.iter().chain(two.iter()).all(|byte| *byte == 0));
        one.fill(1);
        assert_eq!(two, [0; 5]);
    }
}
