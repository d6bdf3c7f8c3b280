//! Events that concern [whoever waits](crate::engine::index::Waiting::number) at their keys.

use crate::engine::compiled::Compiled;
use crate::engine::index::{Candidate, Waiting};
use crate::engine::matched::Match;
use crate::engine::reorder::Wanted;
use crate::engine::shard::hand::{Hand, Whose};
use crate::engine::shard::lines::Lines;
use crate::engine::shard::step::Standing;

impl Lines {
    /// Steps the event for its candidates, and for whoever else waits. Returns as [`Lines::step_candidate`] does.
    #[inline(never)]
    pub(super) fn step_with_who_waits(&mut self, waiting: &Waiting, all: &Compiled, hand: &mut Hand, wanted: &Wanted, matches: &mut Vec<Match>) -> bool {
        let event = &wanted.event;
        let stream = &all.streams[usize::from(event.stream.0)];
        let awaited = |pattern: u32| stream.index.awaited(waiting, pattern, event.fields());
        let (mut has_null, mut asks_who_waits) = (false, false);
        for candidate in wanted.interest.candidates() {
            if candidate.pattern >= waiting.number {
                // Beyond it are logs.
                asks_who_waits |= candidate.pattern == waiting.number;
                continue;
            }
            hand.candidates[candidate.pattern as usize] = hand.event_number;
            let class = awaited(candidate.pattern).map_or(candidate.class, |class| candidate.class.with(class));
            has_null |= self.step_candidate(&Candidate { class, ..*candidate }, all, hand, event, matches);
        }
        for &(keying, table) in waiting.lines.iter().filter(|_| asks_who_waits) {
            match hand.find(keying, &stream.keyings, event, self) {
                Whose::Others => continue,
                Whose::Nobody => {
                    has_null = has_null || stream.concerns_who_waits(keying, event.fields());
                    continue;
                }
                Whose::Ours => {}
            }
            let (_, found) = self.find(table, all, hand, keying, event.time, matches);
            let mut patterns = std::mem::take(&mut self.waiting);
            if let Some(slot) = found.slot {
                let slot = self.keys[table].slot(slot);
                let of_cells = slot.cells().map(|(pattern, _)| pattern).filter(|pattern| *pattern < waiting.number);
                // Asks for the runs of all before it waits for those of the first.
                std::hint::black_box(slot.groups().filter(|(.., lying)| lying.has_run_of(0)).count());
                let held = slot.groups().map(|(pattern, ..)| pattern).chain(of_cells);
                patterns.extend(held.map(|pattern| all.patterns[pattern as usize].first.unwrap_or(pattern)));
            }
            self.ask_windows(waiting, all, (table, found.slot), event.time, &mut patterns);
            patterns.sort_unstable();
            patterns.dedup();
            for pattern in patterns.drain(..) {
                // What has been stepped already was stepped for these bits as well.
                if hand.candidates[pattern as usize] == hand.event_number {
                    continue;
                }
                if let (Some(stands_as), Some(class)) = (stream.waits_in(keying, pattern), awaited(pattern)) {
                    self.step(&Candidate::of_one_source(pattern, class), all, hand, keying, Standing { event, stands_as }, matches);
                }
            }
            self.waiting = patterns;
        }
        has_null
    }
}
