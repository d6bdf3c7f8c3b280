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
/// It grows in parts, chosen by the highest bits of the hash, so that growing never moves more than a few of them at a time. What is [noted](Directory::note) is entered part by part:
/// to insert very many, each wherever it belongs, waits for memory most of the time, and to make room for them again and again more so.
#[derive(Debug)]
pub struct Directory {
    parts: Box<[HashTable<u32>]>,
    /// By part, with their hashes: those that cannot be found yet. Empty where there are none.
    noted: Box<[Vec<(u64, u32)>]>,
}

const PART_BITS: u32 = 6;

impl Directory {
    /// `is_it`: whether the number stands for what is looked for.
    pub fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut is_it = is_it;
        self.parts[part(hash)].find(hash, |number| is_it(*number)).copied()
    }

    /// Of a number that is not there. `hash_of`: the hash of what any number stands for.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        self.parts[part(hash)].insert_unique(hash, number, |number| hash_of(*number));
    }

    /// Of a number that is not there. It is found once [it is entered](Directory::enter_noted), together with all others that were noted.
    pub fn note(&mut self, hash: u64, number: u32) {
        if self.noted.is_empty() {
            self.noted = self.parts.iter().map(|_| Vec::new()).collect();
        }
        self.noted[part(hash)].push((hash, number));
    }

    /// `hash_of`: as with [`Directory::insert`].
    pub fn enter_noted(&mut self, hash_of: impl Fn(u32) -> u64) {
        for (part, noted) in self.parts.iter_mut().zip(std::mem::take(&mut self.noted)) {
            part.reserve(noted.len(), |number| hash_of(*number));
            for (hash, number) in noted {
                part.insert_unique(hash, number, |number| hash_of(*number));
            }
        }
    }

    /// Of a number that is there.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let entry = self.parts[part(hash)].find_entry(hash, |other| *other == number);
        entry.unwrap_or_else(|_| panic!("number {number} is in the directory")).remove();
    }

    /// What the number stands for has another from now on.
    pub fn renumber(&mut self, hash: u64, number: u32, now: u32) {
        let entry = self.parts[part(hash)].find_mut(hash, |other| *other == number);
        *entry.unwrap_or_else(|| panic!("number {number} is in the directory")) = now;
    }

    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(HashTable::is_empty) && self.noted.is_empty()
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self { parts: (0..1 << PART_BITS).map(|_| HashTable::new()).collect(), noted: Box::default() }
    }
}

/// By bits that the tables themselves do not use: they go by the highest seven and the lowest.
fn part(hash: u64) -> usize {
    (hash >> (u64::BITS - 7 - PART_BITS)) as usize & ((1 << PART_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_once_they_are_entered_and_those_before_them_still() {
        let hash_of = |number: u32| u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let find = |directory: &Directory, number| directory.find(hash_of(number), |found| found == number);
        let mut directory = Directory::default();
        (0..10_000).for_each(|number| directory.insert(hash_of(number), number, hash_of));
        (10_000..50_000).for_each(|number| directory.note(hash_of(number), number));
        assert_eq!(find(&directory, 10_000), None);
        directory.enter_noted(hash_of);
        assert!((0..50_000).all(|number| find(&directory, number) == Some(number)));
        assert_eq!(find(&directory, 50_000), None);
        (0..50_000).for_each(|number| directory.remove(hash_of(number), number));
        assert!(directory.is_empty());
    }
}
