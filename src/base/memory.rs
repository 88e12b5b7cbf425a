//! The memory of the process: it grows with the input, and is never given back.
//!
//! The program runs once, for milliseconds, and ends. So what it keeps lives as long as
//! the process: every function here hands out `&'static` memory, which a bump allocator
//! takes from mappings of the kernel. A [`Vector`] is a growing list: a full one moves
//! to a place of twice the size, so no capacity is fixed. An ordinary context fits in
//! the first mapping. What is repeated while the program waits must not allocate.
//!
//! If the kernel gives no memory, the program ends ([`exhausted`]), so callers need not
//! handle that. Code that does not depend on the item type is in `Raw`, so that the
//! binary contains it once and not once per type.
//!
//! The allocator has no lock: the program has one thread. A unit test has one allocator
//! per thread. Any other program that links the library must have one thread, too.
use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use static_assertions::const_assert;

use super::fatal::fatal;

/// Size of the first mapping, in bytes. Untouched pages cost nothing.
const FIRST_CHUNK: usize = 256 << 10;
/// Mappings double up to this size. A larger one is made only for a larger request.
const LARGEST_CHUNK: usize = 64 << 20;
/// Sizes are multiples of this; the kernel rounds up where its page is larger.
const PAGE: usize = 4096;
/// The alignment of a vector's items. No item type needs more ([`Vector::new`] checks
/// it).
const ALIGN: usize = align_of::<u64>();

/// The header of each mapping.
struct Chunk {
    #[cfg_attr(not(any(test, fuzzing)), expect(dead_code, reason = "for `release`"))]
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

/// The mappings, and the free part of the newest.
struct Allocator {
    newest: Cell<*mut Chunk>,
    free: Cell<usize>,
    end: Cell<usize>,
}

#[cfg(not(test))]
fn allocator() -> &'static Allocator {
    struct OfTheProcess(Allocator);
    // SAFETY: the program has one thread.
    unsafe impl Sync for OfTheProcess {}
    static ALLOCATOR: OfTheProcess = OfTheProcess(Allocator::new());
    &ALLOCATOR.0
}

#[cfg(test)]
fn allocator() -> &'static Allocator {
    std::thread_local! {
        static ALLOCATOR: &'static Allocator = Box::leak(Box::new(Allocator::new()));
    }
    ALLOCATOR.with(|allocator| *allocator)
}

impl Allocator {
    /// An allocator that has mapped nothing yet.
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

/// Hands out `size` zero bytes, each byte once.
#[inline(never)]
fn take(size: usize, align: usize) -> NonNull<u8> {
    let allocator = allocator();
    let mut start = round_up(allocator.free.get(), align);
    if allocator.newest.get().is_null() || size > allocator.end.get().saturating_sub(start) {
        allocator.map(size);
        start = round_up(allocator.free.get(), align);
    }
    allocator.free.set(start + size);
    NonNull::new(start as *mut u8).unwrap_or_else(|| exhausted())
}

/// `length` zero bytes.
pub fn bytes(length: usize) -> &'static mut [u8] {
    let place = take(length, 1);
    // SAFETY: `take` hands out each byte once, zeroed by the kernel, valid as long as
    // the process.
    unsafe { slice::from_raw_parts_mut(place.as_ptr(), length) }
}

/// A copy of `text`.
#[inline(never)]
pub fn copy(text: &[u8]) -> &'static mut [u8] {
    let copy = bytes(text.len());
    // SAFETY: both have this length, and one of them is new.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), copy.as_mut_ptr(), text.len()) };
    copy
}

/// Keeps one value.
pub fn place<T: Copy>(value: T) -> &'static mut T {
    const {
        assert!(align_of::<T>() <= ALIGN);
    }
    let place = take(size_of::<T>(), ALIGN).cast::<T>();
    // SAFETY: the place is aligned, new, and written at once.
    unsafe {
        place.write(value);
        &mut *place.as_ptr()
    }
}

/// The concatenation of `parts`.
#[inline(never)]
pub fn concat(parts: &[&[u8]]) -> &'static [u8] {
    let mut text = Vector::new();
    for part in parts {
        text.extend(part);
    }
    text.finish()
}

/// A copy of `items`, for values that tests make.
#[cfg(test)]
pub(crate) fn list<T: Copy>(items: &[T]) -> &'static [T] {
    let mut list = Vector::new();
    list.extend(items);
    list.finish()
}

/// A growing list of plain values.
pub struct Vector<T: Copy> {
    raw: Raw,
    items: PhantomData<T>,
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

impl<T: Copy> Vector<T> {
    /// An empty list.
    pub const fn new() -> Self {
        const {
            assert!(align_of::<T>() <= ALIGN);
        }
        Self {
            raw: Raw::new(),
            items: PhantomData,
        }
    }

    /// Adds one value.
    pub fn push(&mut self, item: T) {
        let place = self.raw.add(1, size_of::<T>()).cast::<T>();
        // SAFETY: the place is aligned, belongs to this vector alone, and is written at
        // once.
        unsafe { place.write(item) };
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
}

impl<T: Copy + 'static> Vector<T> {
    /// The finished list.
    pub fn finish(self) -> &'static mut [T] {
        // SAFETY: the first `length` items were written, live as long as the process,
        // and nobody else knows of them.
        unsafe { slice::from_raw_parts_mut(self.raw.items.as_ptr().cast(), self.raw.length) }
    }
}

impl<T: Copy> Default for Vector<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Deref for Vector<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the first `length` items were written.
        unsafe { slice::from_raw_parts(self.raw.items.as_ptr().cast(), self.raw.length) }
    }
}

impl<T: Copy> DerefMut for Vector<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; the vector is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.raw.items.as_ptr().cast(), self.raw.length) }
    }
}

/// The next multiple of `unit`, a power of two, for sizes far from overflow.
const fn round_up(size: usize, unit: usize) -> usize {
    size.wrapping_add(unit - 1) & !(unit - 1)
}

/// What was handed out up to a moment.
#[cfg(any(test, fuzzing))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    newest: *mut Chunk,
    free: usize,
}

/// The memory that is in use now, for [`release`].
#[cfg(any(test, fuzzing))]
pub fn mark() -> Mark {
    let allocator = allocator();
    Mark {
        newest: allocator.newest.get(),
        free: allocator.free.get(),
    }
}

/// Gives back what was handed out since `mark`, so that a program that reads millions
/// of inputs stays small.
///
/// # Safety
/// Nothing that was handed out since then is used any more.
#[cfg(any(test, fuzzing))]
pub unsafe fn release(mark: Mark) {
    let allocator = allocator();
    let mut chunk = allocator.newest.get();
    while chunk != mark.newest {
        // SAFETY: the chunks form a list of live mappings, which `mark` is in.
        let Chunk { previous, size } = unsafe { chunk.read() };
        // SAFETY: nothing of this mapping is used any more.
        let _ = unsafe { rustix::mm::munmap(chunk.cast(), size) };
        chunk = previous;
    }
    // Nothing was mapped then: start anew.
    if chunk.is_null() {
        allocator.newest.set(chunk);
        allocator.free.set(0);
        allocator.end.set(0);
        return;
    }
    // SAFETY: as above.
    let size = unsafe { (*chunk).size };
    // `take` promises zeros.
    let used = if allocator.newest.get() == chunk {
        allocator.free.get()
    } else {
        chunk as usize + size
    };
    // SAFETY: this part of the mapping is free from now on.
    unsafe { ptr::write_bytes(mark.free as *mut u8, 0, used - mark.free) };
    allocator.newest.set(chunk);
    allocator.free.set(mark.free);
    allocator.end.set(chunk as usize + size);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_all_it_was_given() {
        let mut odd = Vector::<u8>::new();
        let mut numbers = Vector::<u64>::new();
        for n in 0..1_000_000u64 {
            numbers.push(n);
            odd.push(n as u8);
        }
        assert!(numbers.iter().copied().eq(0..1_000_000));
        assert_eq!(odd.finish().len(), 1_000_000);
    }

    #[test]
    fn bytes_start_as_zeros_and_do_not_overlap() {
        let one = bytes(300_000);
        let two = bytes(5);
        assert!(one.iter().chain(two.iter()).all(|byte| *byte == 0));
        one.fill(1);
        assert_eq!(two, [0; 5]);
    }

    #[test]
    fn what_was_released_is_handed_out_again_as_zeros() {
        let first = copy(b"kept");
        let mut places = Vec::new();
        for _ in 0..3 {
            let mark = mark();
            let (small, large) = (bytes(100), bytes(3 * FIRST_CHUNK));
            assert!(small.iter().chain(large.iter()).all(|byte| *byte == 0));
            small.fill(1);
            large.fill(1);
            places.push(small.as_ptr());
            // SAFETY: both are used no more.
            unsafe { release(mark) };
        }
        assert_eq!(first, b"kept");
        assert!(places.iter().all(|place| *place == places[0]));
    }
}
