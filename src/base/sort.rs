//! In-place sorting, without extra memory.
use core::cell::Cell;

/// Sorts in place by `less`, in O(n log n) for any input. It is not stable: `less`
/// should order all items.
pub fn sort<T: Copy>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let items = Cell::from_mut(items).as_slice_of_cells();
    let less = |one: usize, other: usize| match (items.get(one), items.get(other)) {
        (Some(one), Some(other)) => less(&one.get(), &other.get()),
        _ => false,
    };
    let swap = |one: usize, other: usize| {
        if let (Some(one), Some(other)) = (items.get(one), items.get(other)) {
            let item = one.get();
            one.set(other.replace(item));
        }
    };
    heapsort(items.len(), &less, &swap);
}

/// Whether the item at one position comes before that at another.
type Less<'i> = &'i dyn Fn(usize, usize) -> bool;
/// Swaps the items at two positions.
type Swap<'i> = &'i dyn Fn(usize, usize);

/// Sorts `count` items, which `less` and `swap` name by position, so that the binary
/// contains this code once for all types. core's sort is not used: it can panic if the
/// order is inconsistent.
fn heapsort(count: usize, less: Less, swap: Swap) {
    // Servers write sorted files; then there is nothing to do.
    if (1..count).all(|position| !less(position, position - 1)) {
        return;
    }
    // Build a heap: no item comes before its children. The children of item n are 2n +
    // 1 and 2n + 2.
    for parent in (0..count / 2).rev() {
        sift_down(parent, count, less, swap);
    }
    // The last item in the order is at the top. It moves behind the rest of the heap.
    for end in (1..count).rev() {
        swap(0, end);
        sift_down(0, end, less, swap);
    }
}

/// Lets the item at `parent` sink to its place in the heap, which ends at `end`.
fn sift_down(mut parent: usize, end: usize, less: Less, swap: Swap) {
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
        swap(parent, child);
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
