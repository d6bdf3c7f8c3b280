//! Things that never move, by number. They lie in blocks, so that growing moves none of them; numbers are given out again.

#[derive(Debug)]
pub(super) struct Blocks<T> {
    blocks: Vec<Vec<T>>,
    vacant: Vec<u32>,
}

const BLOCK_BITS: u32 = 12;

/// Numbers take so many bits; the one that is left is whoever's who notes them.
pub(super) const NUMBER_BITS: u32 = 31;

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), vacant: Vec::new() }
    }
}

impl<T: Default> Blocks<T> {
    pub(super) fn at(&self, number: u32) -> &T {
        &self.blocks[(number >> BLOCK_BITS) as usize][(number & ((1 << BLOCK_BITS) - 1)) as usize]
    }

    pub(super) fn at_mut(&mut self, number: u32) -> &mut T {
        &mut self.blocks[(number >> BLOCK_BITS) as usize][(number & ((1 << BLOCK_BITS) - 1)) as usize]
    }

    /// Numbers given out so far, those of vacant places among them.
    pub(super) fn len(&self) -> u32 {
        let before = self.blocks.len().saturating_sub(1) << BLOCK_BITS;
        u32::try_from(before + self.blocks.last().map_or(0, Vec::len)).expect("fewer keys than 31 bits count")
    }

    /// Those that are not vacant.
    pub(super) fn in_use(&self) -> u32 {
        self.len() - u32::try_from(self.vacant.len()).expect("no more than were given out")
    }

    pub(super) fn add(&mut self, thing: T) -> u32 {
        if let Some(number) = self.vacant.pop() {
            *self.at_mut(number) = thing;
            return number;
        }
        if self.blocks.last().is_none_or(|block| block.len() == 1 << BLOCK_BITS) {
            assert!(self.blocks.len() < 1 << (NUMBER_BITS - BLOCK_BITS), "fewer keys than 31 bits count");
            // The first grows with what is there; those that follow are sure to be filled, and growing would touch memory twice.
            let capacity = if self.blocks.is_empty() { 0 } else { 1 << BLOCK_BITS };
            self.blocks.push(Vec::with_capacity(capacity));
        }
        let number = self.len();
        self.blocks.last_mut().expect("just made if there was none").push(thing);
        number
    }

    /// Its place is vacant from now on.
    pub(super) fn remove(&mut self, number: u32) -> T {
        self.vacant.push(number);
        std::mem::take(self.at_mut(number))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.in_use() == 0
    }
}
