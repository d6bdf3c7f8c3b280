//! Decisions: records of one epoch against what they must be.

use crate::service::topics::journal::{EpochRecord, OutputDigest, OutputKind};
use crate::service::topics::stages::Stage;
use crate::service::topics::verify::retained::Gone;

/// One thing that is not as promised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    pub stage: Stage,
    pub task: u32,
    pub epoch: u64,
    pub kind: DifferenceKind,
    /// A sentence, with places and numbers.
    pub what: String,
}

/// The words are stable: `--format json` shows them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DifferenceKind {
    /// An epoch or a range of the input that the journal passes over, or has twice.
    JournalGap,
    /// The group's offsets are not where the journal has been.
    OffsetsDiffer,
    /// The input is not what was read then.
    InputChanged,
    Missing,
    Doubled,
    /// There, but another than the input gives.
    Wrong,
    /// No epoch of the journal accounts for it.
    Foreign,
    OutOfOrder,
    /// The journal's account of an epoch's outputs is not what is there.
    Digest,
    /// Recomputed, the watermark is another.
    Watermark,
    /// The same of what has changed in the task's state.
    State,
}

impl DifferenceKind {
    pub fn text(self) -> &'static str {
        match self {
            Self::JournalGap => "journal_gap",
            Self::OffsetsDiffer => "offsets_differ",
            Self::InputChanged => "input_changed",
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Wrong => "wrong",
            Self::Foreign => "foreign",
            Self::OutOfOrder => "out_of_order",
            Self::Digest => "digest",
            Self::Watermark => "watermark",
            Self::State => "state",
        }
    }
}

/// An output record as it was found, or as it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Out {
    pub kind: OutputKind,
    pub index: u64,
    /// Of what is handed on: the task that it is for.
    pub to: Option<u32>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// `topic/partition, offset n`; empty for what is not there.
    pub place: String,
}

/// Collects what differs in one epoch.
pub(super) struct Epoch<'a> {
    pub stage: Stage,
    pub record: &'a EpochRecord,
    pub differences: &'a mut Vec<Difference>,
}

impl Epoch<'_> {
    pub(super) fn differs(&mut self, kind: DifferenceKind, what: String) {
        self.differences.push(Difference { stage: self.stage, task: self.record.task, epoch: self.record.epoch, kind, what });
    }

    /// Against the epoch before: dense, and ranges that join. A reset may leave numbers out, of epochs that the journal has lost.
    pub(super) fn follows(&mut self, before: Option<&EpochRecord>) {
        let Some(before) = before else { return };
        let follows = if self.record.reset { self.record.epoch > before.epoch } else { self.record.epoch == before.epoch + 1 };
        if !follows {
            self.differs(DifferenceKind::JournalGap, format!("epoch {} comes after epoch {}", self.record.epoch, before.epoch));
        }
        if self.record.reset {
            return;
        }
        for input in &self.record.inputs {
            let joins = before.inputs.iter().find(|range| (&range.topic, range.partition) == (&input.topic, input.partition));
            if let Some(range) = joins.filter(|range| range.next != input.base) {
                let (topic, partition) = (&input.topic, input.partition);
                self.differs(DifferenceKind::JournalGap, format!("{topic}/{partition} was read up to offset {}, and goes on at {}", range.next, input.base));
            }
        }
    }

    /// What is there against the journal's count and digest; indices from 0, each once. Sorts by index. Says how many outputs are not there because they are gone: then only the count
    /// can be told of the others.
    pub(super) fn accounts_for(&mut self, found: &mut Vec<Out>, gone: &Gone) -> u64 {
        found.sort_by_key(|out| out.index);
        let doubled: Vec<Out> = found.windows(2).filter(|pair| pair[0].index == pair[1].index).map(|pair| pair[1].clone()).collect();
        found.dedup_by_key(|out| out.index);
        for out in doubled {
            self.differs(DifferenceKind::Doubled, format!("output {} stands at {} again", out.index, out.place));
        }
        let mut digest = OutputDigest::default();
        found.iter().for_each(|out| digest.push(out.kind, out.key.as_deref(), out.value.as_deref()));
        let explained = gone.explained(found, self.record.out_count);
        let is_beyond = found.last().is_some_and(|out| out.index >= self.record.out_count);
        let is_another = (digest.count(), digest.value()) != (self.record.out_count, self.record.out_digest);
        // Of a part of the outputs nothing can be told from the digest of all.
        let differs = if explained == 0 { is_another } else { is_beyond };
        if digest.count() + explained < self.record.out_count {
            let missing = self.record.out_count - digest.count() - explained;
            self.differs(DifferenceKind::Missing, format!("{missing} of {} outputs are not there", self.record.out_count));
        } else if differs {
            let (count, value) = (digest.count(), digest.value());
            self.differs(
                DifferenceKind::Digest,
                format!("{count} outputs of digest {value:016x} are there, the journal says {} of {:016x}", self.record.out_count, self.record.out_digest),
            );
        }
        explained
    }

    /// What is there, by index, against what the input gives.
    pub(super) fn equals(&mut self, found: &[Out], recomputed: &[Out], gone: &Gone) {
        for expected in recomputed {
            match found.iter().find(|out| out.index == expected.index) {
                None if gone.explains(expected, found) => {}
                None => self.differs(DifferenceKind::Missing, format!("output {} is not there: {}", expected.index, shown(expected))),
                Some(out) if (out.kind, &out.key, &out.value) != (expected.kind, &expected.key, &expected.value) => {
                    self.differs(
                        DifferenceKind::Wrong,
                        format!("output {} at {} is {}, the input gives {}", out.index, out.place, shown(out), shown(expected)),
                    );
                }
                Some(_) => {}
            }
        }
        for out in found.iter().filter(|out| out.index >= recomputed.len() as u64) {
            self.differs(DifferenceKind::Wrong, format!("output {} at {} does not come from the input: {}", out.index, out.place, shown(out)));
        }
    }
}

/// The beginning of a value, for people.
fn shown(out: &Out) -> String {
    const SHOWN_CHARS: usize = 160;
    let text = String::from_utf8_lossy(out.value.as_deref().unwrap_or_default()).into_owned();
    let what = match out.kind {
        OutputKind::Match => "",
        OutputKind::Late => "late ",
        OutputKind::Rejected => "rejected ",
        OutputKind::HandedOn => "handed on ",
    };
    let dots = if text.chars().count() > SHOWN_CHARS { "…" } else { "" };
    format!("{what}{}{dots}", text.chars().take(SHOWN_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::topics::journal::InputRange;

    fn out(index: u64, value: &str) -> Out {
        let (key, value, place) = (Some(b"k".to_vec()), Some(value.as_bytes().to_vec()), format!("m/0, offset {index}"));
        Out { kind: OutputKind::Match, index, to: None, key, value, place }
    }

    fn record(epoch: u64, base: u64, next: u64, outputs: &[Out]) -> EpochRecord {
        let mut digest = OutputDigest::default();
        outputs.iter().for_each(|out| digest.push(out.kind, out.key.as_deref(), out.value.as_deref()));
        let inputs = vec![InputRange::of_offsets("t", 0, base, next)];
        EpochRecord { out_count: digest.count(), out_digest: digest.value(), ..EpochRecord::of_inputs(0, epoch, inputs) }
    }

    fn kinds(record: &EpochRecord, check: impl FnOnce(&mut Epoch<'_>)) -> Vec<&'static str> {
        let mut differences = Vec::new();
        check(&mut Epoch { stage: Stage::First, record, differences: &mut differences });
        differences.into_iter().map(|difference| difference.kind.text()).collect()
    }

    #[test]
    fn epochs_are_dense_and_their_ranges_join() {
        let before = record(3, 0, 7, &[]);
        for (after, wrong) in [
            (record(4, 7, 9, &[]), &[][..]),
            (record(5, 7, 9, &[]), &["journal_gap"]),
            (record(3, 7, 9, &[]), &["journal_gap"]),
            (record(4, 8, 9, &[]), &["journal_gap"]),
            (record(4, 6, 9, &[]), &["journal_gap"]),
            (EpochRecord { reset: true, ..record(4, 9, 9, &[]) }, &[]),
            (EpochRecord { reset: true, ..record(8, 9, 9, &[]) }, &[]),
            (EpochRecord { reset: true, ..record(3, 9, 9, &[]) }, &["journal_gap"]),
        ] {
            assert_eq!(kinds(&after, |epoch| epoch.follows(Some(&before))), wrong, "{after:?}");
        }
    }

    #[test]
    fn outputs_are_all_there_once_and_as_the_journal_says() {
        let record = record(1, 0, 1, &[out(0, "a"), out(1, "b")]);
        for (found, wrong) in [
            (vec![out(1, "b"), out(0, "a")], &[][..]),
            (vec![out(0, "a")], &["missing"]),
            (vec![out(0, "a"), out(1, "b"), out(1, "b")], &["doubled"]),
            (vec![out(0, "a"), out(1, "c")], &["digest"]),
            (vec![out(0, "a"), out(1, "b"), out(2, "c")], &["digest"]),
        ] {
            let mut found = found;
            assert_eq!(kinds(&record, |epoch| assert_eq!(epoch.accounts_for(&mut found, &Gone::default()), 0)), wrong, "{found:?}");
        }
    }

    #[test]
    fn what_is_left_of_an_epoch_is_compared_where_its_beginning_is_not_retained() {
        let recomputed = [out(0, "a"), out(1, "b"), out(2, "c")];
        let record = record(1, 0, 1, &recomputed);
        let mut gone = Gone::default();
        gone.add(OutputKind::Match, None, "m/0 holds offset 9 and later only".to_owned());
        for (found, number, by_journal, by_input) in [
            (vec![], 3, &[][..], &[][..]),
            (vec![out(2, "c")], 2, &[], &[]),
            (vec![out(0, "a"), out(1, "b"), out(2, "c")], 0, &[], &[]),
            // In the middle, at the end.
            (vec![out(0, "a"), out(2, "c")], 0, &["missing"], &["missing"]),
            (vec![out(1, "b")], 1, &["missing"], &["missing"]),
            (vec![out(2, "x")], 2, &[], &["wrong"]),
            (vec![out(0, "a"), out(1, "x"), out(2, "c")], 0, &["digest"], &["wrong"]),
            (vec![out(2, "c"), out(2, "c")], 2, &["doubled"], &[]),
            (vec![out(2, "c"), out(3, "d")], 2, &["digest"], &["wrong"]),
        ] {
            let mut sorted = found.clone();
            assert_eq!(kinds(&record, |epoch| assert_eq!(epoch.accounts_for(&mut sorted, &gone), number, "{found:?}")), by_journal, "{found:?}");
            assert_eq!(kinds(&record, |epoch| epoch.equals(&sorted, &recomputed, &gone)), by_input, "{found:?}");
        }
    }

    #[test]
    fn outputs_are_what_the_input_gives() {
        let recomputed = [out(0, "a"), out(1, "b")];
        for (found, wrong) in [
            (vec![out(0, "a"), out(1, "b")], &[][..]),
            (vec![out(1, "b")], &["missing"]),
            (vec![out(0, "a"), out(1, "x")], &["wrong"]),
            (vec![out(0, "a"), out(1, "b"), out(2, "b")], &["wrong"]),
            (vec![], &["missing", "missing"]),
        ] {
            assert_eq!(kinds(&record(1, 0, 1, &[]), |epoch| epoch.equals(&found, &recomputed, &Gone::default())), wrong, "{found:?}");
        }
    }
}
