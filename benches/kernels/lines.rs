//! What each key waits for: rows of open starts, freed by one queue of deadlines, which is in order by itself since all windows are equally long.

use std::collections::VecDeque;

use super::keys::Keys;

/// An open start: its time, what it remembers, the type that it waits for.
#[derive(Clone, Copy)]
pub struct Row {
    pub start_ms: i64,
    pub register: i64,
    pub awaited: u32,
}

/// Rows of one state, oldest start first, in one block: with one vector for each column, the cache misses cost four times as much.
#[derive(Default)]
pub struct Rows(pub Vec<Row>);

impl Rows {
    pub fn expire(&mut self, until_ms: i64) {
        if self.0.first().is_some_and(|row| row.start_ms <= until_ms) {
            self.0.drain(..self.0.partition_point(|row| row.start_ms <= until_ms));
        }
    }

    /// Removes the rows that `goes` and hands them to `each`.
    pub fn take(&mut self, goes: impl Fn(&Row) -> bool, mut each: impl FnMut(Row)) {
        if !self.0.iter().any(&goes) {
            return;
        }
        self.0.retain(|row| {
            let go = goes(row);
            if go {
                each(*row);
            }
            !go
        });
    }
}

/// A key that waits for something.
#[derive(Default)]
pub struct Slot {
    key: u32,
    /// A bit for each awaited type, modulo 64, of the rows in the first state: most events of the key are turned away by it.
    pub awaits: u64,
    pub states: [Rows; 2],
}

pub struct Lines {
    keys: Keys,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// When to look at a slot again.
    again: VecDeque<(i64, u32)>,
    pub window_ms: i64,
}

impl Lines {
    pub fn new(window_ms: i64) -> Self {
        Self { keys: Keys::default(), slots: Vec::new(), free: Vec::new(), again: VecDeque::new(), window_ms }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The slot as it is, with what expired.
    pub fn get(&mut self, key: u32) -> Option<&mut Slot> {
        Some(&mut self.slots[self.keys.get(key)?])
    }

    /// The slot without what expired.
    pub fn live(&mut self, key: u32, now_ms: i64) -> Option<&mut Slot> {
        let slot = &mut self.slots[self.keys.get(key)?];
        for rows in &mut slot.states {
            rows.expire(now_ms - self.window_ms);
        }
        Some(slot)
    }

    pub fn start(&mut self, key: u32, row: Row) {
        let place = self.keys.get(key).unwrap_or_else(|| self.open(key, row.start_ms));
        let slot = &mut self.slots[place];
        let rows = &mut slot.states[0];
        if rows.0.len() == rows.0.capacity() {
            rows.expire(row.start_ms - self.window_ms);
        }
        rows.0.push(row);
        slot.awaits |= 1 << (row.awaited % 64);
    }

    /// Looks again at the slots whose turn has come; one that is not empty has its next turn a window later, at the queue's end.
    pub fn advance(&mut self, now_ms: i64) {
        while let Some(&(_, place)) = self.again.front().filter(|again| again.0 <= now_ms) {
            self.again.pop_front();
            let slot = &mut self.slots[place as usize];
            for rows in &mut slot.states {
                rows.expire(now_ms - self.window_ms);
            }
            if slot.states.iter().all(|rows| rows.0.is_empty()) {
                self.keys.remove(slot.key);
                self.free.push(place);
            } else {
                self.again.push_back((now_ms + self.window_ms, place));
            }
        }
    }

    fn open(&mut self, key: u32, now_ms: i64) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer slots than keys")
        });
        self.slots[place as usize].key = key;
        self.keys.put(key, place);
        self.again.push_back((now_ms + self.window_ms, place));
        place as usize
    }
}
