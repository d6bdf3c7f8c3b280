//! The random numbers of tests that make their cases up: `MOTIF_TEST_SEED` and `MOTIF_TEST_CASES` where the environment says so.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A number that the environment names.
pub fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The seed of a test, or of a part of it, that makes up one case; says which.
pub fn seed(of: &str) -> u64 {
    let seed = asked_for("MOTIF_TEST_SEED").unwrap_or_else(rand::random);
    println!("{of}: MOTIF_TEST_SEED={seed}");
    seed
}

/// Numbered cases of one seed.
#[derive(Clone, Copy)]
pub struct RandomCases {
    pub seed: u64,
    /// How many.
    pub count: u64,
}

impl RandomCases {
    /// So many where nothing is asked for; says which.
    pub fn asked_for(count: u64) -> Self {
        let seed = asked_for("MOTIF_TEST_SEED").unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
        let count = asked_for("MOTIF_TEST_CASES").unwrap_or(count);
        println!("MOTIF_TEST_SEED={seed} MOTIF_TEST_CASES={count}");
        Self { seed, count }
    }

    /// One source for all cases together.
    pub fn random(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed)
    }

    /// A case's own.
    pub fn random_of(self, case: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(case))
    }
}
