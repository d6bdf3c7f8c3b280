//! The numbers of runs that wait for the same value: mostly one, and where they are very many the first goes as cheaply as the last comes.

use std::collections::VecDeque;

use smallvec::SmallVec;

/// So many lie side by side.
const FEW_MAX: usize = 8;

/// Ascending.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    Few(SmallVec<[u64; 2]>),
    Many(VecDeque<u64>),
}

impl Numbers {
    pub(super) fn of(number: u64) -> Self {
        Self::Few(SmallVec::from_slice(&[number]))
    }

    pub(super) fn insert(&mut self, number: u64) {
        match self {
            Self::Few(few) if few.len() == FEW_MAX => {
                *self = Self::Many(few.iter().copied().collect());
                self.insert(number);
            }
            Self::Few(few) => few.insert(few.partition_point(|other| *other < number), number),
            Self::Many(many) => many.insert(many.partition_point(|other| *other < number), number),
        }
    }

    /// Cost: those between it and the nearer end.
    pub(super) fn remove(&mut self, number: u64) {
        const FILED: &str = "each run is filed once";
        match self {
            Self::Few(few) => drop(few.remove(few.binary_search(&number).expect(FILED))),
            Self::Many(many) => drop(many.remove(many.binary_search(&number).expect(FILED))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }

    pub(super) fn add_to(&self, numbers: &mut Vec<u64>) {
        match self {
            Self::Few(few) => numbers.extend_from_slice(few),
            Self::Many(many) => numbers.extend(many),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn whatever_comes_and_goes_they_are_there_in_order() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (mut numbers, mut expected) = (Numbers::of(50), BTreeSet::from([50]));
        for step in 0..20_000_u32 {
            let number = random.random_range(0..100);
            let most = if step / 1_000 % 2 == 0 { 60 } else { 4 };
            if expected.remove(&number) {
                numbers.remove(number);
            } else if expected.len() < most {
                expected.insert(number);
                numbers.insert(number);
            }
            let mut listed = Vec::new();
            numbers.add_to(&mut listed);
            assert!(listed.iter().eq(&expected) && numbers.is_empty() == expected.is_empty(), "{listed:?} for {expected:?}");
        }
    }
}
