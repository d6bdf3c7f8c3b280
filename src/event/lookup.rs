//! The core's hash maps: they can be asked, and not iterated, so that no order of hashing can show in what comes out.

#![expect(clippy::disallowed_types, reason = "looked up by key, never iterated")]

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// A map that cannot be iterated. The hash has a fixed seed: the same input does the same work in every run.
#[derive(Clone, Debug)]
pub struct Lookup<K, V>(HashMap<K, V, FixedState>);

impl<K: Eq + Hash, V> Lookup<K, V> {
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.0.remove(key)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> Default for Lookup<K, V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

/// Numbers, found by the hash of what they stand for, which lies elsewhere.
///
/// It grows in parts, chosen by the highest bits of the hash, so that growing never moves more than a few of them at a time.
#[derive(Debug)]
pub struct Directory(Box<[HashTable<u32>]>);

const PART_BITS: u32 = 6;

impl Directory {
    /// `is_it`: whether the number stands for what is looked for.
    pub fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut is_it = is_it;
        self.0[part(hash)].find(hash, |number| is_it(*number)).copied()
    }

    /// Of a number that is not there. `hash_of`: the hash of what any number stands for.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        self.0[part(hash)].insert_unique(hash, number, |number| hash_of(*number));
    }

    /// Of a number that is there.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let entry = self.0[part(hash)].find_entry(hash, |other| *other == number);
        entry.unwrap_or_else(|_| panic!("number {number} is in the directory")).remove();
    }

    /// What the number stands for has another from now on.
    pub fn renumber(&mut self, hash: u64, number: u32, now: u32) {
        let entry = self.0[part(hash)].find_mut(hash, |other| *other == number);
        *entry.unwrap_or_else(|| panic!("number {number} is in the directory")) = now;
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(HashTable::is_empty)
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self((0..1 << PART_BITS).map(|_| HashTable::new()).collect())
    }
}

/// By bits that the tables themselves do not use: they go by the highest seven and the lowest.
fn part(hash: u64) -> usize {
    (hash >> (u64::BITS - 7 - PART_BITS)) as usize & ((1 << PART_BITS) - 1)
}
