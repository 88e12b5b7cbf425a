//! In-place sorting, without extra memory.
use core::ptr;

/// Sorts in place by `less`, in O(n log n) for any input. It is not stable: `less`
/// should order all items.
pub fn sort<T: Copy>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let first = items.as_mut_ptr();
    let less = |one: usize, other: usize| {
        // SAFETY: `heapsort` passes positions below the count. Both references end
        // before an item moves.
        unsafe { less(&*first.add(one), &*first.add(other)) }
    };
    let all = Items {
        first: first.cast(),
        size: size_of::<T>(),
        count: items.len(),
    };
    heapsort(all, &less);
}

/// Items without their type, so that the binary contains the code below once and not
/// once per type.
#[derive(Clone, Copy)]
struct Items {
    first: *mut u8,
    /// Bytes of an item.
    size: usize,
    count: usize,
}

impl Items {
    /// Swaps the items at two positions.
    fn swap(self, one: usize, other: usize) {
        if one != other && one.max(other) < self.count {
            // SAFETY: both are items, and they are not the same.
            unsafe {
                let one = self.first.add(one * self.size);
                let other = self.first.add(other * self.size);
                ptr::swap_nonoverlapping(one, other, self.size);
            }
        }
    }
}

/// Whether the item at one position comes before that at another.
type Less<'i> = &'i dyn Fn(usize, usize) -> bool;

/// Sorts items, which `less` names by position. core's sort is not used: it can panic if
/// the order is inconsistent.
fn heapsort(items: Items, less: Less) {
    let count = items.count;
    // Servers write sorted files; then there is nothing to do.
    if (1..count).all(|position| !less(position, position - 1)) {
        return;
    }
    // Build a heap: no item comes before its children. The children of item n are 2n +
    // 1 and 2n + 2.
    for parent in (0..count / 2).rev() {
        sift_down(items, parent, count, less);
    }
    // The last item in the order is at the top. It moves behind the rest of the heap.
    for end in (1..count).rev() {
        items.swap(0, end);
        sift_down(items, 0, end, less);
    }
}

/// Lets the item at `parent` sink to its place in the heap, which ends at `end`.
fn sift_down(items: Items, mut parent: usize, end: usize, less: Less) {
    loop {
        let mut child = 2 * parent + 1;
        if child >= end {
            return;
        }
        if child + 1 < end && less(child, child + 1) {
            child += 1;
        }
        if !less(parent, child) {
            return;
        }
        items.swap(parent, child);
        parent = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
