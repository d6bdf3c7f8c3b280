//! The ways that a run still has: a sorted set, without allocation where they lie close together.

use std::ops::Range;

use smallvec::SmallVec;

use crate::automaton::ways::WayId;

/// Most runs have the few ways of one node, which have neighbouring numbers.
#[derive(Clone, Debug)]
pub(super) enum WaySet {
    /// Bit k is way `base + k`.
    Near { base: WayId, bits: u64 },
    /// Ascending.
    #[expect(clippy::box_collection, reason = "three words more would make every run larger")]
    Far(Box<Vec<WayId>>),
}

impl WaySet {
    pub(super) fn of_range(range: Range<WayId>) -> Self {
        match range.len() {
            0 => Self::Near { base: range.start, bits: 0 },
            count @ 1..=64 => Self::Near { base: range.start, bits: u64::MAX >> (64 - count) },
            _ => Self::Far(Box::new(range.collect())),
        }
    }

    /// Of numbers that ascend.
    pub(super) fn of_sorted(ways: SmallVec<[WayId; 8]>) -> Self {
        match (ways.first(), ways.last()) {
            (Some(&base), Some(&last)) if last - base < 64 => Self::Near { base, bits: ways.iter().fold(0, |bits, way| bits | 1 << (way - base)) },
            (Some(_), _) => Self::Far(Box::new(ways.into_vec())),
            (None, _) => Self::Near { base: 0, bits: 0 },
        }
    }

    /// Of these ways those in whose place, in ascending order, a bit is set; they are 32 at most.
    pub(super) fn part(&self, bits: u32) -> Self {
        let mut place = 0;
        let mut part = self.clone();
        part.retain(|_| {
            place += 1;
            bits >> (place - 1) & 1 == 1
        });
        part
    }

    pub(super) fn union<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = SmallVec::new();
        for set in sets {
            set.for_each(|way| all.push(way));
        }
        all.sort_unstable();
        all.dedup();
        Self::of_sorted(all)
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Near { bits, .. } => *bits == 0,
            Self::Far(ways) => ways.is_empty(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Near { bits, .. } => bits.count_ones() as usize,
            Self::Far(ways) => ways.len(),
        }
    }

    /// In ascending order.
    pub(super) fn for_each(&self, mut visit: impl FnMut(WayId)) {
        match self {
            Self::Near { base, bits } => {
                let mut rest = *bits;
                while rest != 0 {
                    visit(base + rest.trailing_zeros());
                    rest &= rest - 1;
                }
            }
            Self::Far(ways) => ways.iter().for_each(|way| visit(*way)),
        }
    }

    /// The least.
    pub(super) fn first(&self) -> Option<WayId> {
        match self {
            Self::Near { base, bits } => (*bits != 0).then(|| base + bits.trailing_zeros()),
            Self::Far(ways) => ways.first().copied(),
        }
    }

    pub(super) fn any(&self, mut holds: impl FnMut(WayId) -> bool) -> bool {
        let mut found = false;
        self.for_each(|way| found = found || holds(way));
        found
    }

    /// Asks in ascending order; true if some way went.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(WayId) -> bool) -> bool {
        match self {
            Self::Near { base, bits } => {
                let (mut rest, mut kept) = (*bits, *bits);
                while rest != 0 {
                    let bit = rest & rest.wrapping_neg();
                    if !keep(*base + bit.trailing_zeros()) {
                        kept &= !bit;
                    }
                    rest &= !bit;
                }
                std::mem::replace(bits, kept) != kept
            }
            Self::Far(ways) => {
                let before = ways.len();
                ways.retain(|way| keep(*way));
                ways.len() != before
            }
        }
    }
}

/// Of the same ways, wherever they are counted from.
impl PartialEq for WaySet {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Near { bits, .. }, Self::Near { bits: others, .. }) => {
                let aligned = |bits: u64| bits.checked_shr(bits.trailing_zeros()).unwrap_or(0);
                self.first() == other.first() && aligned(*bits) == aligned(*others)
            }
            (Self::Far(ways), Self::Far(others)) => ways == others,
            (Self::Near { .. }, Self::Far(_)) => other == self,
            (Self::Far(ways), Self::Near { .. }) => {
                let mut at = 0;
                let mut same = other.len() == ways.len();
                other.for_each(|way| {
                    same = same && ways[at] == way;
                    at += 1;
                });
                same
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(set: &WaySet) -> Vec<WayId> {
        let mut ways = Vec::new();
        set.for_each(|way| ways.push(way));
        ways
    }

    #[test]
    fn near_and_far_sets_hold_the_same() {
        for numbers in [vec![], vec![7], vec![7, 8, 70], vec![7, 71], (0..64).collect(), (0..65).collect(), vec![0, 1_000_000]] {
            let mut set = WaySet::of_sorted(numbers.clone().into());
            assert_eq!((listed(&set), set.len(), set.is_empty(), set.first()), (numbers.clone(), numbers.len(), numbers.is_empty(), numbers.first().copied()));
            let even: Vec<WayId> = numbers.iter().copied().filter(|way| way % 2 == 0).collect();
            let odd: Vec<WayId> = numbers.iter().copied().filter(|way| way % 2 == 1).collect();
            assert_eq!(listed(&WaySet::union([&WaySet::of_sorted(odd.clone().into()), &WaySet::of_sorted(even.clone().into())])), numbers);
            assert_eq!(set.retain(|way| way % 2 == 0), !odd.is_empty());
            assert_eq!(listed(&set), even);
            assert!(set == WaySet::of_sorted(even.into()) && (odd.is_empty() || set != WaySet::of_sorted(numbers.into())));
            assert!(!set.any(|way| way % 2 == 1));
        }
        for count in [0, 1, 63, 64, 65] {
            assert_eq!(listed(&WaySet::of_range(5..5 + count)), (5..5 + count).collect::<Vec<WayId>>());
        }
    }
}
