//! Key to slot: open addressing, half full at most, no tombstones.

const EMPTY: u32 = u32::MAX;

pub struct Keys {
    /// Key and slot; a power of two of them.
    table: Vec<(u32, u32)>,
    used: usize,
}

impl Default for Keys {
    fn default() -> Self {
        Self { table: vec![(0, EMPTY); 1024], used: 0 }
    }
}

impl Keys {
    pub fn len(&self) -> usize {
        self.used
    }

    pub fn get(&self, key: u32) -> Option<usize> {
        let slot = self.table[self.place(key)].1;
        (slot != EMPTY).then_some(slot as usize)
    }

    pub fn put(&mut self, key: u32, slot: u32) {
        if self.used * 2 >= self.table.len() {
            self.grow();
        }
        let place = self.place(key);
        self.table[place] = (key, slot);
        self.used += 1;
    }

    pub fn remove(&mut self, key: u32) {
        let mask = self.table.len() - 1;
        let mut hole = self.place(key);
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            if self.table[place].1 == EMPTY {
                break;
            }
            let home = self.home(self.table[place].0);
            // It may stand in the hole if that is not before its home.
            if place.wrapping_sub(home) & mask >= place.wrapping_sub(hole) & mask {
                self.table[hole] = self.table[place];
                hole = place;
            }
        }
        self.table[hole].1 = EMPTY;
        self.used -= 1;
    }

    fn home(&self, key: u32) -> usize {
        (u64::from(key).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 20) as usize & (self.table.len() - 1)
    }

    fn place(&self, key: u32) -> usize {
        let mut place = self.home(key);
        while self.table[place].1 != EMPTY && self.table[place].0 != key {
            place = (place + 1) & (self.table.len() - 1);
        }
        place
    }

    fn grow(&mut self) {
        let double = self.table.len() * 2;
        for (key, slot) in std::mem::replace(&mut self.table, vec![(0, EMPTY); double]) {
            if slot != EMPTY {
                let place = self.place(key);
                self.table[place] = (key, slot);
            }
        }
    }
}
