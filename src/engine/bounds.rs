//! How far each partition holds its task back, and the least of that, which is found again after one has changed without a look at all the others: a tournament tree (D. Knuth, *The Art of
//! Computer Programming*, volume 3, section 5.4.1).

use crate::event::EventTime;

/// By place of the partition.
#[derive(Debug)]
pub(super) struct Bounds {
    /// The second half has the bounds; before it, each place has the lesser of those at twice its number and one more.
    tree: Vec<Bound>,
}

/// What holds nothing back is beyond all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Bound {
    At(EventTime),
    None,
}

impl Bound {
    fn of(bound: Option<EventTime>) -> Self {
        bound.map_or(Self::None, Self::At)
    }
}

impl Bounds {
    pub(super) fn of(bounds: impl ExactSizeIterator<Item = Option<EventTime>>) -> Self {
        let count = bounds.len();
        let mut tree = vec![Bound::None; count];
        tree.extend(bounds.map(Bound::of));
        (1..count).rev().for_each(|place| tree[place] = tree[2 * place].min(tree[2 * place + 1]));
        Self { tree }
    }

    /// Cost: a look at one other bound for each doubling of the partitions.
    pub(super) fn set(&mut self, place: usize, bound: Option<EventTime>) {
        let Self { tree } = self;
        let mut place = tree.len() / 2 + place;
        tree[place] = Bound::of(bound);
        while place > 1 {
            let lesser = tree[place].min(tree[place ^ 1]);
            place /= 2;
            if tree[place] == lesser {
                break;
            }
            tree[place] = lesser;
        }
    }

    /// `None`: nothing is held back.
    pub(super) fn least(&self) -> Option<EventTime> {
        if let Some(Bound::At(least)) = self.tree.get(1) { Some(*least) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_least_is_that_of_all() {
        let random = &mut ChaCha8Rng::seed_from_u64(3);
        for count in (0..20).chain([100, 127, 128, 129]) {
            let mut bound = || random.random_bool(0.8).then(|| EventTime::from_micros(random.random_range(0..50)));
            let mut all: Vec<Option<EventTime>> = (0..count).map(|_| bound()).collect();
            let mut bounds = Bounds::of(all.iter().copied());
            for change in 0..3 * count {
                let place = change * 7 % count;
                all[place] = bound();
                bounds.set(place, all[place]);
                assert_eq!(bounds.least(), all.iter().flatten().min().copied(), "{all:?}");
            }
            assert_eq!(bounds.least(), all.iter().flatten().min().copied());
        }
    }
}
