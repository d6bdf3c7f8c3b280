//! What a member of the group holds, and as whom.
//!
//! A coordinator that has not heard of a member for too long gives its tasks to others, and it learns so from its next heartbeat. But where that answer comes in the middle of a
//! rebalance, the library forgets its name and joins under another one, without a word that anything was lost: it still counts as its own what it was given under the old name, and
//! under the new one brokers take its offsets. So what is held is held under the name that it was given to; under another one it is void.

use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Held {
    /// By task: the name that the member had. Empty where it was none any more.
    names: BTreeMap<u32, String>,
}

impl Held {
    pub(super) fn add(&mut self, tasks: &[u32], name: &str) {
        self.names.extend(tasks.iter().map(|&task| (task, name.to_owned())));
    }

    pub(super) fn remove(&mut self, tasks: &[u32]) {
        self.names.retain(|task, _| !tasks.contains(task));
    }

    pub(super) fn has_all(&self, tasks: &[u32]) -> bool {
        tasks.iter().all(|task| self.names.contains_key(task))
    }

    pub(super) fn take_all(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.names).into_keys().collect()
    }

    /// Takes out what is void now that the member has this name.
    pub(super) fn take_void(&mut self, name: &str) -> Vec<u32> {
        let void = self.names.extract_if(.., |_, held| held.is_empty() || held != name);
        void.map(|(task, _)| task).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_to_another_name_is_void() {
        let mut held = Held::default();
        held.add(&[1, 2], "a");
        assert_eq!(held.take_void("a"), [0_u32; 0]);
        held.add(&[3], "a");
        held.remove(&[2, 7]);
        assert!(held.has_all(&[1, 3]) && held.has_all(&[]) && !held.has_all(&[1, 2]));
        // It is nobody just now, and then somebody else.
        assert_eq!(held.take_void(""), [1, 3]);
        held.add(&[4], "");
        held.add(&[5], "b");
        assert_eq!(held.take_void("b"), [4]);
        assert!(held.has_all(&[5]) && !held.has_all(&[4]));
        assert_eq!(held.take_void("c"), [5]);
        // Without a name nothing is held at all.
        held.add(&[6], "");
        assert_eq!(held.take_void(""), [6]);
    }
}
