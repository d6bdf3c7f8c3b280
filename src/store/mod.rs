//! What is kept between runs: an ordered map of bytes, in RocksDB or in memory. Both behave alike; the tests hold one against the other.

mod budget;
mod memory;
mod rocks;
mod scratch;

pub use budget::MemoryBudget;
pub use memory::Memory;
pub use rocks::{Durability, Rocks, RocksOptions};
pub use scratch::ScratchFolder;
